"""The edge over real sockets, with fakes behind it: no Serve, so it starts in a second."""

import hashlib
import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from deployments.health import MISSING, RUNNING, Health
from pipeline.catalogue.sql_store import make_catalogue
from pipeline.errors import CatalogueUnavailableError
from tests.integration.edge_made import Edge


@pytest.fixture
def edge():
    with Edge() as running:
        yield running


def until_complete(websocket):
    messages = []
    while True:
        messages.append(json.loads(websocket.recv(timeout=10)))
        if messages[-1]["type"] in ("complete", "error"):
            return messages


def ask(websocket, **request):
    websocket.send(json.dumps(request))
    return until_complete(websocket)


def test_extract_answers_each_photo_and_counts_the_outcomes(edge):
    with edge.connect() as websocket:
        messages = ask(websocket, type="extract", id="1", fileNames=["/a.jpg", "/bad.jpg"])
    result = next(message for message in messages if "data" in message)
    assert [entry.get("error", {}).get("code") for entry in result["data"]] == [None, "unreadable"]
    assert sorted(edge.metrics.outcomes) == ["ok", "unreadable"]


def test_identify_confirms_first_and_ranks(edge):
    item = {"path": "/a.jpg", "type": "fluke", "embedding": [1.0] * 128}
    with edge.connect() as websocket:
        messages = ask(websocket, type="identify", id="1", data=[{**item, "identity": "DANTE"}, item])
    result = next(message for message in messages if "data" in message)
    assert edge.matcher.confirmed == ["DANTE"]
    assert result["data"][1]["identities"] == [["DANTE", 0.5], ["Unknown", 1.0]]


def test_broken_catalogue_fails_the_request_and_leaves_the_connection(edge):
    item = {"path": "/a.jpg", "type": "fluke", "embedding": [1.0] * 128, "identity": "DANTE"}
    edge.matcher.broken = CatalogueUnavailableError("the disk is full")
    with edge.connect() as websocket:
        failed = ask(websocket, type="identify", id="1", data=[item])[-1]
        assert (failed["code"], failed["message"]) == ("catalogue_unavailable", "the disk is full")
        edge.matcher.broken = None
        assert ask(websocket, type="identify", id="2", data=[item])[-1]["type"] == "complete"


def test_defect_behind_the_edge_is_an_error_without_its_text(edge):
    edge.matcher.broken = ValueError("secret detail")
    with edge.connect() as websocket:
        item = {"path": "/a.jpg", "type": "fluke", "embedding": [1.0] * 128}
        failed = ask(websocket, type="identify", id="1", data=[item])[-1]
    assert failed["code"] == "internal"
    assert "secret" not in failed["message"]


def test_save_answers_where_the_copy_is(edge):
    with edge.connect() as websocket:
        websocket.send(json.dumps({"type": "save", "whaleIdentities": [{"file": "/p/a.jpg", "selectedIdentity": "D"}]}))
        lines = [websocket.recv(timeout=10) for _ in range(3)]
    assert "saving /p/a.jpg to /export/D/a.jpg..." in lines


def test_client_that_leaves_has_its_work_stopped(edge):
    with edge.connect() as websocket:
        websocket.send(json.dumps({"type": "extract", "id": "1", "fileNames": ["/slow.jpg"]}))
        assert edge.extractor.started.wait(10)
    assert edge.extractor.cancelled.wait(10)


def test_cancelled_request_has_its_work_stopped(edge):
    with edge.connect() as websocket:
        websocket.send(json.dumps({"type": "extract", "id": "1", "fileNames": ["/slow.jpg"]}))
        assert edge.extractor.started.wait(10)
        websocket.send(json.dumps({"type": "cancel", "id": "1"}))
        messages = until_complete(websocket)
    result = next(message for message in messages if "data" in message)
    assert result["data"][0]["error"]["code"] == "cancelled"
    assert edge.extractor.cancelled.wait(10)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_foreign_origin_gets_403(edge, origin):
    with pytest.raises(InvalidStatus) as refused, edge.connect(origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_own_page_may_connect(edge):
    with edge.connect(origin=f"http://127.0.0.1:{edge.port}") as websocket:
        assert ask(websocket, type="extract", id="1", fileNames=["/a.jpg"])[-1]["type"] == "complete"


def test_refusal_is_logged_with_the_address_and_the_reason(edge, caplog):
    with pytest.raises(InvalidStatus), edge.connect(origin="https://evil.example"):
        pass
    assert "refused 127.0.0.1: origin 'https://evil.example' is not in allowed_origins" in caplog.text


def test_desktop_app_gets_bare_lists(edge):
    with edge.connect(origin="file://") as websocket:
        websocket.send(json.dumps({"type": "extract", "fileNames": ["/a.jpg", "/bad.jpg"]}))
        while not (text := websocket.recv(timeout=10)).startswith("["):
            pass
    assert [entry["path"] for entry in json.loads(text)] == ["/a.jpg"]


def test_dialect_can_be_asked_for_in_the_address(edge):
    with edge.connect("?dialect=array") as websocket:
        websocket.send(json.dumps({"type": "extract", "fileNames": ["/a.jpg"]}))
        while not (text := websocket.recv(timeout=10)).startswith("["):
            pass
    assert json.loads(text)[0]["type"] == "fluke"


@pytest.fixture
def database(tmp_path):
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make_catalogue(url)
    return url


def test_wrong_token_gets_401_and_the_right_one_is_let_in(database):
    with Edge(tokens=[hashlib.sha256(b"secret").hexdigest()], catalogue_url=database) as edge:
        with pytest.raises(InvalidStatus) as refused, edge.connect():
            pass
        assert refused.value.response.status_code == 401
        with edge.connect(additional_headers={"Authorization": "Bearer secret"}) as websocket:
            assert ask(websocket, type="extract", id="1", fileNames=["/a.jpg"])[-1]["type"] == "complete"


def test_an_address_that_guesses_tokens_gets_429_and_is_told_when_to_come_back(database):
    with Edge(tokens=[hashlib.sha256(b"secret").hexdigest()], catalogue_url=database) as edge:
        for expected in (401, 401, 401, 429):
            with (
                pytest.raises(InvalidStatus) as refused,
                edge.connect(additional_headers={"Authorization": "Bearer guess"}),
            ):
                pass
            assert refused.value.response.status_code == expected
        assert refused.value.response.headers["Retry-After"] == "1"
        assert edge.get("/", Authorization="Bearer secret")[0] == 429
        assert json.loads(edge.get("/healthz", Authorization="Bearer secret")[1]) == {"status": "ok"}
        time.sleep(1.1)
        with edge.connect(additional_headers={"Authorization": "Bearer secret"}) as websocket:
            assert ask(websocket, type="extract", id="1", fileNames=["/a.jpg"])[-1]["type"] == "complete"


def test_one_socket_too_many_gets_1013_and_a_later_one_is_let_in():
    with Edge(limits={"max_connections": 1}) as edge:
        with edge.connect():
            with edge.connect() as refused, pytest.raises(ConnectionClosed) as closed:
                refused.recv(timeout=10)
            assert closed.value.rcvd.code == 1013
        time.sleep(0.2)
        with edge.connect() as websocket:
            assert ask(websocket, type="extract", id="1", fileNames=["/a.jpg"])[-1]["type"] == "complete"


def test_idle_socket_is_closed_with_1000():
    with Edge(timeouts={"idle_timeout_s": 0.3}) as edge, edge.connect() as websocket:
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=10)
        assert closed.value.rcvd.code == 1000


def end_of(websocket):
    """What is said until the server closes the connection, and the code that it gives."""
    texts = []
    try:
        while True:
            texts.append(websocket.recv(timeout=10))
    except ConnectionClosed as closed:
        return texts, closed.rcvd.code


def test_draining_site_closes_idle_sockets_at_once_and_refuses_new_ones(edge):
    with edge.connect() as idle:
        assert ask(idle, type="extract", id="1", fileNames=["/a.jpg"])[-1]["type"] == "complete"
        assert edge.drain(seconds=8) < 4
        assert end_of(idle) == ([], 1012)
    with edge.connect() as late:
        assert end_of(late) == ([], 1012)


def test_draining_site_lets_a_running_request_end(edge):
    with edge.connect() as busy:
        busy.send(json.dumps({"type": "extract", "id": "1", "fileNames": ["/slow.jpg", "/a.jpg"]}))
        assert edge.extractor.started.wait(10)
        edge.release_slow_photos(after_s=0.3)
        assert 0.3 <= edge.drain(seconds=8) < 4
        texts, code = end_of(busy)
    messages = [json.loads(text) for text in texts]
    assert [message["type"] for message in messages[-2:]] == ["extract", "complete"]
    assert [entry["type"] for entry in messages[-2]["data"]] == ["fluke", "fluke"]
    assert code == 1012


def test_draining_site_ends_what_takes_too_long_with_what_is_done(edge):
    with edge.connect() as busy:
        busy.send(json.dumps({"type": "extract", "id": "1", "fileNames": ["/slow.jpg", "/a.jpg"]}))
        busy.send(json.dumps({"type": "extract", "fileNames": ["/slow.jpg"]}))
        assert edge.extractor.started.wait(10)
        while '"extracting"' not in busy.recv(timeout=10):
            pass
        assert 0.5 <= edge.drain(seconds=0.5) < 4
        texts, code = end_of(busy)
    with_id = [json.loads(text) for text in texts if '"id"' in text]
    (result,) = [message for message in with_id if message["type"] == "extract"]
    assert [entry.get("error", {}).get("code") for entry in result["data"]] == ["cancelled", None]
    assert with_id[-1]["type"] == "complete"
    assert '"code":"cancelled"' in texts[-3]
    assert texts[-2] == "complete!"
    assert code == 1012
    assert edge.extractor.cancelled.wait(10)


def test_a_request_with_one_answer_goes_to_the_catalogue_with_who_asks(edge):
    with edge.connect() as socket:
        socket.send(json.dumps({"type": "catalogues", "id": "1"}))
        answer, complete = (json.loads(socket.recv(timeout=10)) for _ in range(2))
        assert answer == {"type": "catalogues", "id": "1", "data": {"asked": "catalogues", "by": "local user"}}
        assert complete["type"] == "complete"
        edge.matcher.broken = CatalogueUnavailableError("the disk is full")
        socket.send(json.dumps({"type": "catalogues", "id": "1"}))
        assert json.loads(socket.recv(timeout=10))["code"] == "catalogue_unavailable"


def test_page_tells_what_this_is(edge):
    status, page = edge.get("/")
    assert status == 200
    assert "3 individuals in 7 photos" in page
    assert "humpback" in page


def test_page_is_not_for_strangers(edge):
    assert edge.get("/", **{"X-Forwarded-For": "8.8.8.8"})[0] == 403


def test_health_is_200_with_details(edge):
    status, body = edge.get("/healthz")
    assert status == 200
    assert json.loads(body)["catalogue"] == {"individuals": 3, "photos": 7}


def test_health_is_503_while_a_deployment_is_missing():
    with Edge(Health({"Ingress": RUNNING, "Matcher": MISSING})) as edge:
        status, body = edge.get("/healthz")
        assert status == 503
        assert json.loads(body)["deployments"]["Matcher"] == "missing"
        assert "does not answer" in edge.get("/")[1]


def test_probe_without_a_token_sees_the_state_only(edge):
    status, body = edge.get("/healthz", **{"X-Forwarded-For": "8.8.8.8"})
    assert (status, json.loads(body)) == (200, {"status": "ok"})
