"""Clients that do not read, or send without end, before the real edge and the proxy's middleware: nobody else waits."""

import json
import socket
import threading
import time

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from deployments.flow import FLOW_HEADER, WINDOW_BYTES, WindowedSockets
from pipeline.records import UNKNOWN, Candidate, Ranking
from tests.integration.edge_made import Edge

MANY = (*(Candidate(f"INDIVIDUAL_{number:05}", 0.5) for number in range(500)), Candidate(UNKNOWN, 1.0))
ITEM = {"path": "a.jpg", "type": "fluke", "embedding": [0.5, 1.0]}
MAX_UNSENT_BYTES = 2**18
GENEROUS_S = 10.0
"""On a busy machine; benchmarks measure."""


class WindowedEdge(Edge):
    """The edge as it stands behind Serve's proxy, with a matcher of 500 individuals."""

    def __init__(self, **timeouts: float) -> None:
        super().__init__(limits={"max_unsent_bytes": MAX_UNSENT_BYTES}, timeouts=timeouts)
        self.ranked = 0
        self.matcher.rank = self.rank

    def wrap(self, application):
        return WindowedSockets(application)

    async def rank(self, catalogue, queries, top_k, detail):
        self.ranked += len(queries)
        return [Ranking(MANY) for _ in queries]


@pytest.fixture
def edge():
    with WindowedEdge() as edge:
        yield edge


def ask_another(edge) -> float:
    """Return how long another client waits for an answer."""
    start = time.monotonic()
    with edge.connect() as client:
        client.send(json.dumps({"type": "identify", "id": "other", "data": [ITEM], "topK": 1}))
        while json.loads(client.recv(timeout=30))["type"] != "complete":
            pass
    return time.monotonic() - start


def test_everything_arrives_in_order_at_a_client_that_reads_slowly(edge):
    with edge.connect(max_size=None) as client:
        for number in range(20):
            client.send(json.dumps({"type": "identify", "id": str(number), "data": [ITEM] * 4}))
        answers = []
        while len(answers) < 20:
            message = json.loads(client.recv(timeout=30))
            time.sleep(0.001)
            if message["type"] == "identify":
                answers.append(message)
    assert sorted(int(answer["id"]) for answer in answers) == list(range(20))
    assert all(len(entry["identities"]) == 501 for answer in answers for entry in answer["data"])


class RawClient:
    """A client that reads from its socket only when it is told to; any library would read ahead."""

    def __init__(self, edge):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", edge.port))
        self._protocol = ClientProtocol(parse_uri(edge.url), max_size=None)
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state is State.CONNECTING:
            self.read()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._socket.close()

    def send(self, message):
        self._protocol.send_text(json.dumps(message).encode())
        self._flush()

    def read(self):
        """Read what is there; returns the texts that are complete, None at the end."""
        data = self._socket.recv(2**20)
        if not data:
            return None
        self._protocol.receive_data(data)
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        return [bytes(frame.data).decode() for frame in frames if frame.opcode is Opcode.TEXT]

    def _flush(self):
        for data in self._protocol.data_to_send():
            self._socket.sendall(data)


def test_nothing_more_is_ranked_for_a_client_that_does_not_read(edge):
    with RawClient(edge) as client:
        for _ in range(15):  # one after the other, since they have no id
            client.send({"type": "identify", "data": [ITEM] * 128})
        wait_until_it_stands_still(edge)
        assert edge.ranked < 15 * 128 / 2
        assert ask_another(edge) < GENEROUS_S
        heard = 0
        while heard < 15:
            heard += client.read().count("complete!")
    assert edge.ranked == 15 * 128 + 1


def wait_until_it_stands_still(edge):
    before = -1
    while edge.ranked != before:
        before = edge.ranked
        time.sleep(0.5)


def test_a_client_that_never_reads_is_let_go_and_its_memory_given_back():
    with WindowedEdge(unsent_timeout_s=1.0) as edge, RawClient(edge) as client:
        for number in range(15):
            client.send({"type": "identify", "id": str(number), "data": [ITEM] * 128})
        deadline = time.monotonic() + 60
        while edge.metrics.open_now != 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert edge.metrics.open_now == 0
        assert ask_another(edge) < GENEROUS_S


def test_twenty_thousand_small_messages_make_nobody_wait(edge):
    text = json.dumps({"type": "cancel", "id": "never"})
    with edge.connect() as client:
        flood = threading.Thread(target=lambda: [client.send(text) for _ in range(20_000)], daemon=True)
        flood.start()
        waits = [ask_another(edge) for _ in range(5)]
        for _ in range(20_000):
            assert "unknown_id" in client.recv(timeout=60)
    assert max(waits) < GENEROUS_S


def test_thousands_of_bad_elements_make_nobody_wait(edge):
    with edge.connect(max_size=None) as client:
        bad = json.dumps({"type": "extract", "id": "x", "fileNames": [0] * 10_000})
        for number in range(5):
            client.send(bad.replace('"x"', f'"{number}"'))
        waits = [ask_another(edge) for _ in range(5)]
        assert max(waits) < GENEROUS_S
        heard = 0
        while heard < 5:
            heard += json.loads(client.recv(timeout=60))["type"] == "complete"


def test_a_client_cannot_speak_for_the_proxy(edge):
    forged = {FLOW_HEADER.decode(): "00" * 16}
    with edge.connect(additional_headers=forged) as client:
        client.send(bytes(16) + (10**9).to_bytes(8, "big"))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd.code == 1008


def test_an_upload_longer_than_the_window_arrives(edge):
    size = 3 * WINDOW_BYTES
    with edge.connect(max_size=None) as client:
        client.send(json.dumps({"type": "extract", "id": "u", "uploads": [{"name": "a.jpg", "size": size}]}))
        assert json.loads(client.recv(timeout=10))["type"] == "ready"
        for _ in range(3):
            client.send(bytes(WINDOW_BYTES))
        while (message := json.loads(client.recv(timeout=30)))["type"] != "extract":
            pass
        assert message["data"][0]["type"] == "fluke"
