"""Several clients upload into little memory: those that move get on, those that do not are ended, nobody else waits."""

import json
import time
from contextlib import ExitStack

import pytest

from tests.integration.edge_made import Edge
from tests.integration.test_site import ask, until_complete

MIB = 2**20


@pytest.fixture
def edge():
    limits = {"max_photo_bytes": 4 * MIB, "upload_memory_bytes": 4 * MIB}
    with Edge(limits=limits, timeouts={"upload_timeout_s": 1.0}) as running:
        yield running


def announce(socket, size, name="a.jpg", request="u"):
    socket.send(json.dumps({"type": "extract", "id": request, "uploads": [{"name": name, "size": size}]}))
    assert json.loads(socket.recv(timeout=10))["type"] == "ready"


def send_bytes(socket, size):
    for start in range(0, size, MIB):
        socket.send(bytes(min(MIB, size - start)))


def error_of(socket):
    return until_complete(socket)[-1].get("code")


def test_half_photos_that_do_not_move_are_ended_and_the_others_get_through(edge):
    with ExitStack() as stack:
        stuck = [stack.enter_context(edge.connect()) for _ in range(3)]
        for socket in stuck:
            announce(socket, 3 * MIB)
            send_bytes(socket, 2 * MIB)
        good = stack.enter_context(edge.connect())
        announce(good, 2 * MIB)
        send_bytes(good, 2 * MIB)
        assert error_of(good) is None
        assert [error_of(socket) for socket in stuck] == ["upload_timeout"] * 3


def test_a_photo_that_trickles_in_makes_room_for_who_waits(edge):
    with edge.connect() as slow, edge.connect() as good:
        announce(slow, 3 * MIB)
        announce(good, 2 * MIB)
        started = time.monotonic()
        while time.monotonic() - started < 2:  # longer than it may take while others wait, but nobody does
            slow.send(b"x")
            time.sleep(0.1)
        send_bytes(good, 2 * MIB)
        assert error_of(good) is None
        assert error_of(slow) == "upload_timeout"


def test_who_waits_for_room_is_not_taken_for_one_that_does_not_move():
    limits = {"max_photo_bytes": 4 * MIB, "upload_memory_bytes": 4 * MIB, "in_flight_per_replica": 1}
    with ExitStack() as stack:
        edge = stack.enter_context(Edge(limits=limits, timeouts={"upload_timeout_s": 1.0, "idle_timeout_s": 2.0}))
        busy, first, second = (stack.enter_context(edge.connect()) for _ in range(3))
        busy.send(json.dumps({"type": "extract", "id": "1", "fileNames": ["/slow.jpg"]}))
        assert edge.extractor.started.wait(10)
        announce(first, 4 * MIB)
        send_bytes(first, 4 * MIB)  # complete, and waits for its turn
        announce(second, 4 * MIB)
        second.send(bytes(MIB))
        time.sleep(2.5)
        edge.release_slow_photos(0)
        send_bytes(second, 3 * MIB)
        assert error_of(second) is None
        assert error_of(first) is None


def test_paths_and_identify_do_not_wait_for_uploads(edge):
    item = {"path": "/a.jpg", "type": "fluke", "embedding": [1.0] + [0.0] * 127}
    with edge.connect() as stuck, edge.connect() as other:
        announce(stuck, 4 * MIB)
        send_bytes(stuck, 3 * MIB)
        assert ask(other, type="extract", id="1", fileNames=["/a.jpg"])[-1]["type"] == "complete"
        assert ask(other, type="identify", id="2", data=[item])[-1]["type"] == "complete"
        assert error_of(stuck) == "upload_timeout"


def test_a_client_that_leaves_half_a_photo_gives_its_room_back(edge):
    with edge.connect() as leaving:
        announce(leaving, 4 * MIB)
        send_bytes(leaving, 3 * MIB)
    with edge.connect() as good:
        started = time.monotonic()
        announce(good, 4 * MIB)
        send_bytes(good, 4 * MIB)
        assert error_of(good) is None
        assert time.monotonic() - started < 5
