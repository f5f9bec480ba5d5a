"""Photos over HTTP: taken in whole or not at all, shown without what their files tell, and only to whom they may be."""

import errno
import io
import itertools
import json
import os
import socket
import threading
import time
from dataclasses import replace

import httpx
import pytest
from PIL import Image
from starlette.routing import Route

from pipeline.access import ROUTES
from pipeline.catalogue.photos import open_photos
from pipeline.catalogue.sql_store import make_catalogue, open_catalogue
from pipeline.catalogue.views import AnnotationFilter
from pipeline.errors import StorageFullError, UnavailableError
from pipeline.photo_store.store import IncomingPhoto, PhotoStore
from pipeline.records import BoundingBox, PhotoKey
from pipeline.stored_photos import Taken
from tests.confirming import confirm, word
from tests.integration.edge_made import DATABASE, Edge
from tests.integration.test_institutions import HELD, MAYA, OLE, SAM, VERA, Service
from tests.photos_made import camera_photo, sha256_of

PHOTO = camera_photo()
SHA256 = sha256_of(PHOTO)
PLACE = f"/catalogues/default/photos/{SHA256}"


class PhotoEdge(Edge):
    """The edge with a photo store, and a catalogue in a file."""

    def __init__(self, folder, **arguments):
        url = f"sqlite:///{folder}/catalogue.sqlite"
        make_catalogue(url)
        self.stored = open_photos(url)
        self.folder = folder / "photos"
        PhotoStore(f"file://{self.folder}").write_marker(DATABASE)
        super().__init__(catalogue_url=url, photo_store=f"file://{self.folder}", **arguments)

    def http(self, **options):
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10, **options)

    def files(self):
        return sorted(str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file())


KEPT = ["store.json"]
KEPT_PHOTO = [f"photos/{SHA256[:2]}/{SHA256}", "store.json"]


@pytest.fixture
def edge(tmp_path):
    with PhotoEdge(tmp_path) as running:
        yield running


@pytest.fixture
def http(edge):
    with edge.http() as client:
        yield client


def until(condition):
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_photo_is_looked_for_sent_and_found(edge, http):
    assert http.head(PLACE).status_code == 404
    sent = http.put(PLACE, content=PHOTO, params={"name": "IMG_0689.jpg"})
    assert (sent.status_code, sent.json()) == (201, {"sha256": SHA256, "width_px": 200, "height_px": 300})
    assert http.head(PLACE).status_code == 200
    record = edge.stored.find("default", SHA256)
    assert (record.size_bytes, record.facts.size_px, record.name) == (len(PHOTO), (200, 300), "IMG_0689.jpg")
    taken = record.facts.taken
    assert (taken.at.isoformat(), taken.utc_offset_min) == ("2024-05-17T18:02:33", 120)
    assert (taken.latitude, taken.longitude) == (47.5, -8.25)
    assert edge.files() == KEPT_PHOTO


def test_a_photo_that_is_sent_again_changes_nothing(edge, http):
    assert http.put(PLACE, content=PHOTO, params={"name": "a.jpg"}).status_code == 201
    assert http.put(PLACE, content=PHOTO, params={"name": "b.jpg"}).status_code == 200
    assert edge.stored.find("default", SHA256).name == "a.jpg"
    assert edge.files() == KEPT_PHOTO


def test_two_clients_that_send_the_same_photo_at_once_both_succeed(edge):
    answers = []

    def send():
        with edge.http() as client:
            answers.append(client.put(PLACE, content=PHOTO).status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 200, 200, 201]
    assert edge.files() == KEPT_PHOTO


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (PHOTO[:-1] + b"x", 422, "hash_mismatch"),
        (b"", 422, "hash_mismatch"),
        (b"not a picture", 415, "unsupported"),
        (PHOTO[: len(PHOTO) // 2], 422, "unreadable"),
        (b"x" * 1_000_001, 413, "too_large"),
    ],
)
def test_what_is_no_whole_photo_of_that_hash_is_refused_and_leaves_nothing(tmp_path, content, status, code):
    sha256 = SHA256 if code == "hash_mismatch" else sha256_of(content)
    with PhotoEdge(tmp_path, limits={"max_photo_bytes": 1_000_000}) as edge, edge.http() as http:
        answer = http.put(f"/catalogues/default/photos/{sha256}", content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert edge.files() == KEPT
        assert edge.stored.find("default", sha256) is None


def test_a_photo_without_a_declared_length_is_refused(edge, http):
    answer = http.put(PLACE, content=iter([PHOTO]))
    assert answer.status_code == 400
    assert "Content-Length" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/catalogues/default/photos/abc", f"/catalogues/default/photos/{SHA256.upper()}", f"{PLACE}?width=x"]
)
def test_a_wrong_address_is_told_what_is_wrong(http, path):
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_item")


def begin_put(edge, content, length):
    raw = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
    raw.sendall(f"PUT {PLACE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode() + content)
    return raw


def test_a_client_that_leaves_in_the_middle_leaves_nothing(edge):
    raw = begin_put(edge, PHOTO[:5000], len(PHOTO))
    assert until(lambda: len(edge.files()) == 2)
    raw.close()
    assert until(lambda: edge.files() == KEPT)


def test_a_photo_that_stands_still_is_ended_and_leaves_nothing(tmp_path):
    with PhotoEdge(tmp_path, timeouts={"upload_timeout_s": 0.3}) as edge:
        raw = begin_put(edge, PHOTO[:5000], len(PHOTO))
        assert b" 408 " in raw.recv(1000)
        assert until(lambda: edge.files() == KEPT)


def test_photos_beyond_the_room_are_told_to_come_back_and_slow_ones_then_make_room(tmp_path):
    limits = {"upload_memory_bytes": 1_000_000, "max_photo_bytes": 1_000_000}
    with PhotoEdge(tmp_path, limits=limits, timeouts={"upload_timeout_s": 1.0}) as edge, edge.http() as http:
        slow = begin_put(edge, b"x", 990_000)
        assert until(lambda: len(edge.files()) == 2)
        refused = http.put(PLACE, content=PHOTO)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        for _ in range(30):  # it never stands still
            try:
                slow.sendall(b"x")
            except OSError:
                break
            time.sleep(0.1)
        assert until(lambda: http.put(PLACE, content=PHOTO).status_code == 201)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(StorageFullError("full"), 507, "storage_full"), (UnavailableError("gone"), 503, "unavailable")],
)
@pytest.mark.parametrize("step", ["write", "close", "keep"])
def test_a_store_that_fails_is_told_and_leaves_nothing(edge, http, monkeypatch, error, status, code, step):
    def fail(*_):
        raise error

    monkeypatch.setattr(IncomingPhoto, step, fail)
    answer = http.put(PLACE, content=PHOTO)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    monkeypatch.undo()
    assert edge.files() == KEPT
    assert http.put(PLACE, content=PHOTO).status_code == 201


def test_a_store_takes_no_more_than_it_may_and_shows_what_it_has(tmp_path):
    other = camera_photo(seed=2)
    bound = {"max_store_bytes": len(PHOTO) + len(other) - 1}
    with PhotoEdge(tmp_path, limits=bound) as edge, edge.http() as http:
        assert http.put(PLACE, content=PHOTO).status_code == 201
        refused = http.put(f"/catalogues/default/photos/{sha256_of(other)}", content=other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "storage_full")
        assert "max_store_bytes" in refused.json()["error"]["message"]
        assert edge.files() == KEPT_PHOTO
        assert http.put(PLACE, content=PHOTO).status_code == 200
        assert http.get(PLACE).status_code == 200


@pytest.mark.parametrize("call", ["fsync", "makedirs"])
def test_a_full_disk_is_told_as_such_and_what_was_there_stays(edge, http, monkeypatch, call):
    assert http.put(PLACE, content=PHOTO).status_code == 201
    other = camera_photo(seed=2)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, call, fail)
    answer = http.put(f"/catalogues/default/photos/{sha256_of(other)}", content=other)
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_full")
    assert http.get(PLACE, params={"width": 100}).status_code == 200  # the picture is made, and not kept
    assert http.head(PLACE).status_code == 200
    monkeypatch.undo()
    assert http.put(f"/catalogues/default/photos/{sha256_of(other)}", content=other).status_code == 201
    assert edge.stored.find("default", SHA256) is not None


def test_a_store_that_is_not_mounted_takes_nothing(edge, http):
    (edge.folder / "store.json").unlink()
    answer = http.put(PLACE, content=PHOTO)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert edge.files() == []


def test_a_picture_is_upright_small_and_tells_nothing_of_its_camera(edge, http):
    http.put(PLACE, content=PHOTO)
    answer = http.get(PLACE, params={"width": 100})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (160, 240)
    assert not picture.getexif()
    assert "comment" not in picture.info
    assert b"secret" not in answer.content
    assert http.get(PLACE, headers={"If-None-Match": answer.headers["etag"]}, params={"width": 100}).status_code == 304


@pytest.mark.parametrize(("asked", "width"), [(None, 200), (1, 160), (161, 200), (99_999, 200)])
def test_a_picture_is_never_enlarged(http, asked, width):
    http.put(PLACE, content=PHOTO)
    answer = http.get(PLACE, params={} if asked is None else {"width": asked})
    assert Image.open(io.BytesIO(answer.content)).size[0] == width


def test_a_picture_is_made_once_and_again_when_it_was_deleted(edge, http):
    http.put(PLACE, content=PHOTO)
    first = http.get(PLACE, params={"width": 160}).content
    derived = edge.folder / "derived" / SHA256[:2] / f"{SHA256}-w160.jpg"
    assert derived.read_bytes() == first
    derived.write_bytes(b"kept")
    assert http.get(PLACE, params={"width": 160}).content == b"kept"
    derived.unlink()
    assert http.get(PLACE, params={"width": 160}).content == first


def test_a_full_disk_still_shows_pictures(edge, http, monkeypatch):
    http.put(PLACE, content=PHOTO)

    def full(*_):
        raise StorageFullError("full")

    monkeypatch.setattr(PhotoStore, "write_derived", full)
    assert http.get(PLACE, params={"width": 160}).status_code == 200


def annotate(edge, box, photo=f"sha256:{SHA256}", catalogue="default"):
    """Confirm an animal of the photo, and return the annotation's number."""
    stored = open_catalogue(edge.settings.catalogue_url, catalogue)
    confirm(stored, [replace(word("a.jpg"), key=PhotoKey(photo), box=box)])
    return max(entry.id for entry in stored.annotations(AnnotationFilter()).entries)


def test_the_crop_of_an_annotation_shows_its_box(edge, http):
    http.put(PLACE, content=PHOTO)
    annotation = annotate(edge, BoundingBox(20.0, 30.0, 120.0, 230.0))
    answer = http.get(f"/catalogues/default/annotations/{annotation}/crop")
    assert Image.open(io.BytesIO(answer.content)).size == (100, 200)
    assert answer.headers["cache-control"] == "private, max-age=3600, immutable"
    padded = http.get(f"/catalogues/default/annotations/{annotation}/crop", params={"pad": 0.1, "width": 50})
    assert Image.open(io.BytesIO(padded.content)).size == (120, 240)


@pytest.mark.parametrize(
    ("photo", "box"),
    [(f"sha256:{SHA256}", None), ("path:a.jpg", BoundingBox(0.0, 0.0, 9.0, 9.0)), (f"sha256:{'0' * 64}", None)],
)
def test_an_annotation_without_a_box_in_a_photo_of_the_store_has_no_crop(edge, http, photo, box):
    http.put(PLACE, content=PHOTO)
    annotation = annotate(edge, box, photo)
    absent = http.get("/catalogues/default/annotations/999/crop")
    assert absent.status_code == 404
    assert http.get(f"/catalogues/default/annotations/{annotation}/crop").content == absent.content


def extract(edge, **request):
    with edge.connect() as websocket:
        websocket.send(json.dumps({"type": "extract", "id": "1", **request}))
        messages = []
        while not messages or messages[-1]["type"] not in ("complete", "error"):
            messages.append(json.loads(websocket.recv(timeout=10)))
    return messages


def test_a_photo_of_the_store_is_extracted_by_its_hash_and_one_that_the_catalogue_lacks_is_not_found(edge, http):
    http.put(PLACE, content=PHOTO)
    drawn = [{"type": "fluke", "box_xyxy_px": [1, 2, 30, 40]}]
    messages = extract(edge, photos=[SHA256, "0" * 64, "nonsense"], boxes=[drawn, None, None])
    entries = next(message["data"] for message in messages if "data" in message)
    assert [entry.get("error", {}).get("code") for entry in entries] == [None, "not_found", "bad_item"]
    (source,) = edge.extractor.photos
    assert (source.sha256, source.boxes[0].body_part) == (SHA256, "fluke")


def test_another_catalogues_photos_are_refused_as_a_whole(edge, http):
    http.put(PLACE, content=PHOTO)
    assert extract(edge, photos=[SHA256], catalogue="elsewhere")[-1]["code"] == "no_such_catalogue"


def test_every_route_has_a_row_in_the_permission_table_and_every_row_a_route(edge):
    found = set()
    for route in edge._site.application().routes:
        if isinstance(route, Route):
            methods = route.methods - {"HEAD"} or {"HEAD"}
            found |= {f"{method} {route.path}" for method in methods}
    assert found == set(ROUTES)


# --- several institutions ---


class PhotoService(Service):
    """The edge of three institutions with a photo store."""

    def __init__(self, folder):
        store = f"memory://{folder}"
        PhotoStore(store).write_marker(DATABASE)
        super().__init__(f"sqlite:///{folder}/catalogue.sqlite", photo_store=store)

    def http(self, user=None, **headers):
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=10)


@pytest.fixture
def service(tmp_path):
    with PhotoService(tmp_path) as running:
        yield running


def place(catalogue, sha256=SHA256):
    return f"/catalogues/{catalogue}/photos/{sha256}"


def test_each_sees_and_sends_what_it_should_and_refusals_are_one(service):
    with service.http(MAYA) as maya:
        assert maya.put(place("azores"), content=PHOTO).status_code == 201
        assert maya.put(place("georgia"), content=PHOTO).status_code == 201
        annotation = annotate(service, BoundingBox(20.0, 30.0, 120.0, 230.0), catalogue="azores")
    refused = set()
    for user, catalogue in itertools.product(HELD, ("azores", "madeira", "georgia", "norway", "default", "absent")):
        right = HELD[user].get(catalogue)
        may_send, holds_it = right in ("confirm", "admin"), catalogue in ("azores", "georgia")
        with service.http(user) as http:
            found = [
                http.get(place(catalogue)),
                http.get(place(catalogue, "0" * 64)),
                http.get("/nowhere") if may_send else http.put(place(catalogue), content=PHOTO),
                http.get(f"/catalogues/{catalogue}/annotations/{annotation}/crop"),
            ]
            looked_for = http.head(place(catalogue)).status_code
        may_see = holds_it and right in ("view", "confirm", "admin")
        assert (found[0].status_code == 200) == may_see, (user, catalogue)
        assert (looked_for == 200) == may_see
        assert (found[3].status_code == 200) == (catalogue == "azores" and may_see)
        refused |= {
            (answer.content, answer.status_code, tuple(sorted(set(answer.headers) - {"date"})))
            for answer in found
            if answer.status_code != 200 and answer.request.url.path != "/nowhere"
        }
    assert len(refused) == 1


def test_knowing_a_hash_gives_nobody_a_photo(service):
    with service.http(MAYA) as maya, service.http(SAM) as sam:
        maya.put(place("azores"), content=PHOTO)
        assert sam.head(place("norway")).status_code == 404
        assert sam.get(place("norway")).status_code == 404
        assert sam.put(place("norway"), content=PHOTO).status_code == 201
        assert sam.get(place("norway")).status_code == 200


def test_nobody_comes_in_without_a_token(service):
    with service.http() as http:
        for answer in (http.get(place("azores")), http.put(place("azores"), content=PHOTO), http.post("/session")):
            assert answer.status_code == 401
        assert http.get("/").status_code == 401


def origin(service):
    return {"Origin": f"http://127.0.0.1:{service.port}"}


def test_a_token_becomes_a_cookie_that_opens_what_the_token_did_until_it_is_ended(service):
    with service.http(MAYA) as maya, service.http() as browser:
        maya.put(place("azores"), content=PHOTO)
        begun = browser.post("/session", headers={"Authorization": f"Bearer {service.tokens[VERA]}", **origin(service)})
        assert begun.status_code == 204
        cookie = begun.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/;" in cookie
        assert browser.get(place("azores")).status_code == 200
        assert browser.get(place("norway")).status_code == 404
        assert browser.delete("/session").status_code == 403  # no browser does so without an Origin
        secret = browser.cookies["whale_vision_session"]
        assert browser.delete("/session", headers=origin(service)).status_code == 204
        assert browser.get(place("azores")).status_code == 401
        assert browser.get(place("azores"), headers={"Cookie": f"whale_vision_session={secret}"}).status_code == 401


def test_a_session_ends_with_its_token(service):
    with service.http() as browser:
        browser.post("/session", headers={"Authorization": f"Bearer {service.tokens[OLE]}"})
        assert browser.get(place("azores")).status_code == 404
        service.people.revoke_token(sha256_of(service.tokens[OLE].encode()))
        assert until(lambda: browser.get(place("azores")).status_code == 401)


def test_a_socket_opens_with_the_cookie_from_the_services_own_page_only(service):
    with service.http() as browser:
        browser.post("/session", headers={"Authorization": f"Bearer {service.tokens[MAYA]}"})
        cookie = {"Cookie": f"whale_vision_session={browser.cookies['whale_vision_session']}"}
    with service.connect(additional_headers=cookie, origin=origin(service)["Origin"]) as websocket:
        websocket.send(json.dumps({"type": "catalogues", "id": "1"}))
        names = {entry["name"] for entry in json.loads(websocket.recv(timeout=10))["data"]["catalogues"]}
    assert names == {"azores", "georgia", "madeira"}
    for options in ({}, {"origin": "http://evil.example"}):
        with pytest.raises(Exception, match="403"), service.connect(additional_headers=cookie, **options):
            pass


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_foreign_page_changes_nothing(service, method):
    path = place("azores") if method == "PUT" else "/session"
    with service.http(MAYA, Origin="http://evil.example") as http:
        assert http.request(method, path, content=PHOTO if method == "PUT" else None).status_code == 403


def test_a_machine_that_asks_for_no_token_needs_no_session(edge, http):
    begun = http.post("/session")
    assert begun.status_code == 204
    assert "set-cookie" not in begun.headers


def test_what_no_camera_wrote_is_not_known(edge, http):
    plain = io.BytesIO()
    Image.new("RGB", (30, 20)).save(plain, "PNG")
    content = plain.getvalue()
    assert http.put(place("default", sha256_of(content)), content=content).status_code == 201
    assert edge.stored.find("default", sha256_of(content)).facts.taken == Taken()
