"""A server for the client's tests: speaks the `id` dialect on a real socket, and misbehaves where a script says so."""

import asyncio
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Self

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

EMBEDDING = [0.6, 0.8]
UNACKNOWLEDGED_ITEMS = 256


class ScriptedServer:
    """Answers by the protocol; every attribute of the script is a fault or an outcome, the rest is what was seen.

    Attributes:
        statuses: HTTP statuses of the first handshakes, in place of an upgrade.
        close_after: for each connection in turn, (items to answer, close code) before it is closed; 1006 aborts it.
        failures: outcome codes by path or name, one used up at each time of asking.
        animals: boxes by path, for `animals: all`.
        silent: paths that are never answered, though the request completes.
        refusals: error codes of the first requests, in place of an answer.
        answers: `data` by type of request, one used up at each time of asking; None completes without an answer.
        corrections: what somebody else confirms while a connection is lost: the individual by path.
        skip: names of uploads to refuse.
        backwards: answer the last photo first.
        hold_bytes: never say `received`.
        delay_s: before every item.
        max_photos: more in a request are refused.
        garbage: sent in place of every answer.
        mute: never answer a request.
        port: where to listen.
    """

    def __init__(self, **script: Any) -> None:
        self.statuses: list[int] = []
        self.close_after: list[tuple[int, int]] = []
        self.failures: dict[str, list[str]] = {}
        self.animals: dict[str, int] = {}
        self.silent: set[str] = set()
        self.refusals: list[str] = []
        self.answers: dict[str, list[Any]] = {}
        self.corrections: dict[str, str] = {}
        self.skip: set[str] = set()
        self.backwards = self.hold_bytes = self.mute = False
        self.delay_s = 0.0
        self.port = 0
        self.max_photos = 10_000
        self.garbage: str | None = None
        for name, value in script.items():
            assert hasattr(self, name), name
            setattr(self, name, value)
        self.requests: list[dict[str, Any]] = []
        self.request_bytes: list[int] = []
        self.tokens: list[str | None] = []
        self.cancelled: list[str] = []
        self.acks: list[int] = []
        self.asked: Counter[str] = Counter()
        self.contents: dict[str, bytes] = {}
        self.confirmed: dict[str, str] = {}
        self.keys: set[str] = set()
        self.most_outstanding_bytes = self.most_unacknowledged = self.longest_binary = 0
        self.connections: list[ServerConnection] = []

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            process_request=self._greet,
            max_size=2**25,
            compression=None,
            ping_interval=None,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.tokens.append(request.headers.get("Authorization"))
        return connection.respond(HTTPStatus(self.statuses.pop(0)), "no\n") if self.statuses else None

    async def _serve(self, socket: ServerConnection) -> None:
        self.connections.append(socket)
        peer = _Peer(self, socket, self.close_after.pop(0) if self.close_after else None)
        try:
            async for raw in socket:
                await peer.take(raw)
        except ConnectionClosed:
            pass
        finally:
            for task in peer.tasks:
                task.cancel()
            await asyncio.gather(*peer.tasks, return_exceptions=True)


@contextmanager
def served_in_a_thread(server: ScriptedServer) -> Iterator[ScriptedServer]:
    """Run a scripted server beside blocking code."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Peer:
    """One connection of the scripted server."""

    def __init__(self, script: ScriptedServer, socket: ServerConnection, fuse: tuple[int, int] | None) -> None:
        self.script = script
        self.socket = socket
        self.fuse = fuse
        self.tasks: list[asyncio.Task[None]] = []
        self.uploads: list[_Upload] = []
        self.credit: dict[str, asyncio.Semaphore] = {}
        self.unacknowledged: Counter[str] = Counter()
        self.outstanding_bytes = 0

    async def take(self, raw: str | bytes) -> None:
        if isinstance(raw, bytes):
            await self.take_bytes(raw)
            return
        message = json.loads(raw)
        if message["type"] == "cancel":
            self.script.cancelled.append(message["id"])
            self.uploads = [upload for upload in self.uploads if upload.request != message["id"]]
        elif message["type"] == "ack":
            self.script.acks.append(message["items"])
            self.unacknowledged[message["id"]] -= message["items"]
            for _ in range(message["items"]):
                self.credit[message["id"]].release()
        else:
            self.script.requests.append(message)
            self.script.request_bytes.append(len(raw.encode()))
            self.credit[message["id"]] = asyncio.Semaphore(UNACKNOWLEDGED_ITEMS)
            self.tasks.append(asyncio.create_task(self.answer_or_close(message)))

    async def take_bytes(self, raw: bytes) -> None:
        self.script.longest_binary = max(self.script.longest_binary, len(raw))
        self.outstanding_bytes += len(raw)
        self.script.most_outstanding_bytes = max(self.script.most_outstanding_bytes, self.outstanding_bytes)
        upload = next(upload for upload in self.uploads if upload.lacking)
        upload.take(raw)
        if not self.script.hold_bytes:
            self.outstanding_bytes -= len(raw)
            await self.send("received", upload.request, bytes=len(raw))

    async def send(self, kind: str, request: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, "id": request, **fields}))

    async def answer_or_close(self, message: dict[str, Any]) -> None:
        """Answer; a request that breaks this server's expectations fails its test at once, not by a time-out."""
        try:
            await self.answer(message)
        except (AssertionError, LookupError) as error:
            await self.socket.close(1008, f"scripted server: {error!r}"[:120])

    async def answer(self, message: dict[str, Any]) -> None:
        if self.script.mute:
            return
        if self.script.garbage is not None:
            await self.socket.send(self.script.garbage)
            return
        if message["type"] in self.script.answers:
            await self.answer_at_once(message)
            return
        items = next(message[name] for name in ("fileNames", "uploads", "data", "whaleIdentities") if name in message)
        refusal = self.script.refusals.pop(0) if self.script.refusals else None
        if refusal or len(items) > self.script.max_photos:
            code = refusal or "too_many_photos"
            await self.send("error", message["id"], code=code, message=f"refused: {code}")
            return
        names = [
            item if isinstance(item, str) else item.get("path") or item.get("name") or item["file"] for item in items
        ]
        if "uploads" in message:
            await self.receive(message["id"], items)
        await {"extract": self.extract, "identify": self.identify, "save": self.save}[message["type"]](message, names)
        await self.send("complete", message["id"], seconds=0.1)

    async def answer_at_once(self, message: dict[str, Any]) -> None:
        """Answer a request without elements; a connection that is to be closed takes the answer with it."""
        code = self.script.refusals.pop(0) if self.script.refusals else None
        if code:
            await self.send("error", message["id"], code=code, message=f"refused: {code}")
            return
        if self.fuse is not None:
            await self.blow(self.fuse[1])
        data = self.script.answers[message["type"]].pop(0)
        if data is not None:
            await self.send(message["type"], message["id"], data=data)
        await self.send("complete", message["id"], seconds=0.1)

    async def receive(self, request: str, items: list[dict[str, Any]]) -> None:
        skip = [index for index, item in enumerate(items) if item["name"] in self.script.skip]
        uploads = [_Upload(request, item["size"]) for index, item in enumerate(items) if index not in skip]
        names = [item["name"] for index, item in enumerate(items) if index not in skip]
        self.uploads += uploads
        await self.send("ready", request, skip=skip)
        for name, upload in zip(names, uploads, strict=True):
            await upload.whole.wait()
            self.script.contents[name] = bytes(upload.content)

    async def extract(self, message: dict[str, Any], names: list[str]) -> None:
        order = reversed(range(len(names))) if self.script.backwards else range(len(names))
        for done, index in enumerate(order, 1):
            name = names[index]
            self.script.asked[name] += 1
            if name in self.script.silent:
                continue
            several = self.script.animals.get(name, 1) if message["animals"] == "all" else 1
            for animal in range(1, several + 1):
                await self.item("extract", message["id"], index, self.outcome(name) or _animal(name, animal))
            for stage in ("segmenting", "extracting"):
                await self.send("progress", message["id"], stage=stage, done=done, total=len(names))

    async def identify(self, message: dict[str, Any], names: list[str]) -> None:
        self.confirm(message, names)
        for index, name in enumerate(names):
            self.script.asked[name] += 1
            failed = self.outcome(name)
            known = (
                _TWINS if "catalogues" in message else [["PMOD001_DANTE", 0.339], ["Unknown", 1.0], ["PMOD002", 1.25]]
            )
            ranking = known[: message.get("topK")]
            answer = {"path": name, "identities": ranking, **_detail(message, ranking)}
            await self.item("identify", message["id"], index, failed or answer)
            await self.send("progress", message["id"], stage="identifying", done=index + 1, total=len(names))

    def confirm(self, message: dict[str, Any], names: list[str]) -> None:
        """Store all confirmations before the first answer, unless the key was seen; refused items are not stored."""
        identities = {
            name: item["identity"] for name, item in zip(names, message["data"], strict=True) if "identity" in item
        }
        key = message.get("key")
        assert (key is not None) == bool(identities), "a key belongs to each request that confirms, and to no other"
        if key in self.script.keys:
            return
        if key is not None:
            assert 1 <= len(key) <= 128
            self.script.keys.add(key)
        refused = {name for name in names if (self.script.failures.get(name) or ["unavailable"])[0] != "unavailable"}
        self.script.confirmed |= {name: identity for name, identity in identities.items() if name not in refused}

    async def save(self, message: dict[str, Any], names: list[str]) -> None:
        data = [
            self.outcome(name)
            or {"file": name, "new_file": f"export/{item['selectedIdentity']}/{name}", "index": index}
            for index, (name, item) in enumerate(zip(names, message["whaleIdentities"], strict=True))
        ]
        await self.send("save", message["id"], data=data)

    def outcome(self, name: str) -> dict[str, Any] | None:
        codes = self.script.failures.get(name)
        return {"path": name, "error": {"code": (code := codes.pop(0)), "message": f"{code}!"}} if codes else None

    async def item(self, kind: str, request: str, index: int, entry: dict[str, Any]) -> None:
        await asyncio.sleep(self.script.delay_s)
        if self.fuse is not None and self.fuse[0] == 0:
            await self.blow(self.fuse[1])
        if self.fuse is not None:
            self.fuse = (self.fuse[0] - 1, self.fuse[1])
        await self.credit[request].acquire()
        self.unacknowledged[request] += 1
        most = max(self.script.most_unacknowledged, self.unacknowledged[request])
        self.script.most_unacknowledged = most
        await self.send(kind, request, item={**entry, "index": index})

    async def blow(self, code: int) -> None:
        self.script.confirmed |= self.script.corrections
        if code == 1006:
            self.socket.transport.abort()
        else:
            await self.socket.close(code, "scripted")
        await asyncio.Event().wait()


class _Upload:
    """One photo whose bytes are coming."""

    def __init__(self, request: str, size: int) -> None:
        self.request = request
        self.lacking = size
        self.content = bytearray()
        self.whole = asyncio.Event()

    def take(self, raw: bytes) -> None:
        assert len(raw) <= self.lacking, "a message with bytes of two photos"
        self.content += raw
        self.lacking -= len(raw)
        if not self.lacking:
            self.whole.set()


def _animal(name: str, animal: int) -> dict[str, Any]:
    return {
        "path": name,
        "type": "fluke",
        "embedding": EMBEDDING,
        "box_xyxy_px": [1.0, 2.0, 30.5, 40.0],
        "score": 0.9 / animal,
        "model": "abc12345",
        "sha256": hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest(),
        "animal": animal,
    }


_TWINS: list[list[Any]] = [["Dante", 0.25], ["Dante", 0.5], ["Bice", 0.75], ["Unknown", 1.0]]
"""Of two catalogues, in turns."""


def _detail(message: dict[str, Any], ranking: list[Any]) -> dict[str, Any]:
    """Answer in detail as docs/protocol.md says; of several catalogues only the first may be viewed."""
    if not {"references", "filters", "catalogues"} & message.keys():
        return {}
    catalogues = message.get("catalogues", [None])
    references = [
        {"annotation": 97, "distance": 0.312, "encounter": 12},
        {"annotation": 45, "distance": 0.358, "encounter": None},
    ]
    candidates = [
        {
            **({"individual": number} if number % len(catalogues) == 41 % len(catalogues) else {}),
            **({} if catalogues == [None] else {"catalogue": catalogues[(number - 41) % len(catalogues)]}),
            "name": name,
            "distance": distance,
            "references": references[: message.get("references", 0)],
        }
        for number, (name, distance) in enumerate(ranking, 41)
        if name != "Unknown"
    ]
    return {"candidates": candidates, "individuals": 57, "ranking": "{}.signed"}
