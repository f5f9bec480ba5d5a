"""The released desktop app's exchange: a socket a request, never closed, five hundred of them in a session."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import ClientConnection

from tests.e2e.running import Service
from tests.e2e.stub_photos import write_photos

pytestmark = pytest.mark.serve

SESSION_SOCKETS = 500


class DesktopApp:
    """Opens a new socket for every request and leaves it open; understands only messages that start with `[`."""

    def __init__(self, service: Service, origin: str = "file://") -> None:
        self._service = service
        self._origin = origin
        self.sockets: list[ClientConnection] = []

    def ask(self, **request: object) -> list[dict[str, object]]:
        socket = self._service.connect(origin=self._origin, close_timeout=0.1)
        self.sockets.append(socket)
        socket.send(json.dumps(request))
        while not (text := str(socket.recv(timeout=60))).startswith("["):
            assert not text.startswith("error"), text
        answer: list[dict[str, object]] = json.loads(text)
        return answer

    def tell(self, lines: int, **request: object) -> list[str]:
        socket = self._service.connect(origin=self._origin, close_timeout=0.1)
        self.sockets.append(socket)
        socket.send(json.dumps(request))
        return [str(socket.recv(timeout=60)) for _ in range(lines)]


@pytest.fixture
def app(service: Service) -> Iterator[DesktopApp]:
    desktop = DesktopApp(service)
    yield desktop
    for socket in desktop.sockets:
        socket.close()


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    return [str(path) for path in write_photos(tmp_path, 3)]


def test_extract_lists_photos_with_an_embedding_only_duplicates_included(app, photos, tmp_path):
    empty = tmp_path / "empty-sea.png"
    Image.fromarray(np.full((40, 60, 3), 9, dtype=np.uint8)).save(empty)
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    asked = [photos[0], str(empty), photos[1], photos[0], str(tmp_path / "damaged.jpg"), "C:\\nowhere.jpg", photos[2]]
    entries = app.ask(type="extract", fileNames=asked)
    assert [entry["path"] for entry in entries] == [photos[0], photos[1], photos[0], photos[2]]
    assert all(set(entry) >= {"path", "type", "embedding"} for entry in entries)


def test_identify_lists_every_item_and_refused_ones_with_an_empty_list(app, photos):
    entries = app.ask(type="extract", fileNames=photos[:1])
    refused = {**entries[0], "embedding": [1.0, 2.0]}
    identified = app.ask(type="identify", data=[entries[0], refused])
    assert [entry["path"] for entry in identified] == [photos[0], photos[0]]
    assert ["Unknown", 1.0] in identified[0]["identities"]
    assert identified[1]["identities"] == []


def test_earlier_version_confirms_and_saves(app, photos, service):
    entries = app.ask(type="extract", fileNames=photos)
    named = [{**entry, "identity": f"APP_{place}"} for place, entry in enumerate(entries[:2])]
    assert app.ask(type="identify", data=[*named, entries[2]])[0]["path"] == photos[2]
    names = {candidate[0] for candidate in app.ask(type="identify", data=entries[2:])[0]["identities"]}
    assert {"APP_0", "APP_1"} <= names
    lines = app.tell(3, type="save", whaleIdentities=[{"file": photos[0], "selectedIdentity": "APP_0"}])
    copy = service.folder / "export" / "APP_0" / Path(photos[0]).name
    assert lines[0] == f"saving {photos[0]} to {copy}..."
    assert copy.read_bytes() == Path(photos[0]).read_bytes()


def test_session_of_five_hundred_sockets_that_are_never_closed(app, photos):
    entry = app.ask(type="extract", fileNames=photos[:1])[0]
    for _ in range((SESSION_SOCKETS - 1) // 2):
        assert app.ask(type="extract", fileNames=photos[:1])[0]["path"] == photos[0]
        assert app.ask(type="identify", data=[entry])[0]["path"] == photos[0]
    assert len(app.sockets) >= SESSION_SOCKETS - 1
    assert app.ask(type="extract", fileNames=photos)[2]["path"] == photos[2]
