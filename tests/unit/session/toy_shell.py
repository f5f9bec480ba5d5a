"""A shell that does nothing but remember what it was asked for, and checks what it is told.

It reads the messages as a client would and fails as soon as one breaks a promise of the protocol.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from pipeline.protocol.base import Request
from pipeline.protocol.requests import MESSAGES
from pipeline.protocol.server_messages import ServerMessage
from pipeline.records import UploadSource
from pipeline.session.actions import Action, Ask, CloseConnection, ExtractPhoto, SendText, StopRequest

SERVER_MESSAGE: TypeAdapter[Any] = TypeAdapter(ServerMessage, config=ConfigDict(extra="forbid"))
ANSWERS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind.reply)
    for name, kind in MESSAGES.items()
    if issubclass(kind, Request) and kind.reply is not None
}
"""Of the requests without elements."""
SURROGATE = re.compile(r"(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}")
"""Escaped in what the session sends; pydantic takes none."""
ENDINGS = ("complete", "error")


@dataclass
class Conversation:
    """What a client has heard about one of its requests with `id`."""

    kind: str
    total: int
    stream: bool
    sizes: list[int] = field(default_factory=list)
    animals: int = 1
    """A photo's, at most."""
    heard: list[tuple[int, int]] = field(default_factory=list)
    """Photo and animal of each item of a stream."""
    unacknowledged: int = 0
    progress: Counter[str] = field(default_factory=Counter)
    answered: bool = False
    cancelled: bool = False

    def hear(self, message: dict[str, Any], max_unacknowledged: int) -> None:
        """Check one message."""
        if message["type"] == "progress":
            self.progress[message["stage"]] += 1
            assert message["done"] == self.progress[message["stage"]] <= message["total"] == self.total
        elif "item" in message:
            assert self.stream
            entry = message["item"]["index"], message["item"].get("animal", 1)
            assert entry not in self.heard
            self.heard.append(entry)
            self.unacknowledged += 1
            assert self.unacknowledged <= max_unacknowledged
        elif message["type"] == self.kind:
            self._hear_result(message)
        elif message["type"] == "complete":
            assert self.answered or (self.cancelled and self.kind in ANSWERS)
            assert self.cancelled or self.kind != "subscribe"
            assert self.cancelled or set(self.progress.values()) <= {self.total}

    def _hear_result(self, message: dict[str, Any]) -> None:
        assert not self.answered or self.kind == "subscribe"
        self.answered = True
        if self.kind in ANSWERS:
            return
        if self.stream:
            counts = message["counts"]
            assert counts["items"] == len(self.heard)
            whole = len({index for index, _ in self.heard}) + counts["cancelled"]
            assert self.total <= whole <= self.total + self.animals - 1, "a photo may be cancelled between two animals"
            assert self.cancelled or not counts["cancelled"]
        else:
            entries = [(entry["index"], entry.get("animal", 1)) for entry in message["data"]]
            assert entries == sorted(set(entries))
            assert {index for index, _ in entries} == set(range(self.total))


@dataclass
class Upload:
    """The bytes of one request: of each photo its size, again and again."""

    request_id: str
    content: bytes


@dataclass
class ToyShell:
    """Carries out nothing; `outstanding` is what a real shell would be busy with."""

    max_unacknowledged: int
    window: int
    outstanding: list[Ask[Any]] = field(default_factory=list)
    stopped: list[Ask[Any]] = field(default_factory=list)
    """Asked for and then no longer wanted, or ended."""
    conversations: dict[str, Conversation] = field(default_factory=dict)
    classic: list[str] = field(default_factory=list)
    """Lines of classic answers."""
    uploads: list["Upload"] = field(default_factory=list)
    """What the client has still to send, the oldest first."""
    unacknowledged_bytes: Counter[str] = field(default_factory=Counter)
    abandoned: list[str] = field(default_factory=list)
    """Ids of requests that the server ended before their bytes were sent; the client has to say that it knows."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Errors about messages that begin nothing and end nothing, by `id`."""
    closed: bool = False
    close_code: int | None = None
    lost_count: bool = False
    """The client sent bytes that are not those it announced: what comes in and is acknowledged says nothing more."""

    def next_bytes(self, length: int, window_bytes: int) -> bytes:
        """Return so many bytes, or as many as an obedient client may send."""
        data = b""
        while self.uploads and len(data) < length:
            upload = self.uploads[0]
            chunk, upload.content = upload.content[: length - len(data)], upload.content[length - len(data) :]
            room = window_bytes - self.unacknowledged_bytes.total()
            if len(chunk) > room:
                chunk, upload.content = chunk[:room], chunk[room:] + upload.content
                length = 0
            self.unacknowledged_bytes[upload.request_id] += len(chunk)
            data += chunk
            if not upload.content:
                self.uploads.pop(0)
        return data

    def perform(self, actions: list[Action]) -> None:
        """Take actions in order."""
        for action in actions:
            assert not self.closed, "an action after the close"
            match action:
                case SendText():
                    action.text.encode("utf-8")
                    self._hear(action.text)
                case CloseConnection():
                    assert not self.outstanding, "closed with work outstanding"
                    self.closed, self.close_code = True, action.code
                case Ask():
                    self._ask(action)
                case StopRequest():
                    stopped = [ask for ask in self.outstanding if ask.request == action.request]
                    assert stopped, "nothing to stop"
                    self.outstanding = [ask for ask in self.outstanding if ask.request != action.request]
                    self.stopped += stopped

    def end(self, ask: Ask[Any]) -> None:
        """Note that something is done or has failed; reports about it may still come."""
        self.outstanding.remove(ask)
        self.stopped.append(ask)

    def _ask(self, ask: Ask[Any]) -> None:
        assert ask not in self.outstanding
        assert ask not in self.stopped
        self.outstanding.append(ask)
        if isinstance(ask.call, ExtractPhoto):
            source = ask.call.source
            if isinstance(source, UploadSource) and not self.lost_count:
                assert set(source.content) == {len(source.content)}
            assert len([other for other in self.outstanding if other.request == ask.request]) <= self.window

    def _hear(self, text: str) -> None:
        message: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        if message:
            self._check(message, SURROGATE.sub(r"\1?", text))
        if "id" not in message:
            self.classic.append(text)
        elif message["type"] == "error" and (
            message["code"] == "duplicate_id" or message["id"] not in self.conversations
        ):
            self.refusals[message["id"]] += 1
        elif message["type"] == "received":
            self.unacknowledged_bytes[message["id"]] -= message["bytes"]
            assert self.lost_count or self.unacknowledged_bytes[message["id"]] >= 0
            assert message["id"] in self.conversations
        elif message["type"] == "ready":
            self._hear_ready(message)
        else:
            self.conversations[message["id"]].hear(message, self.max_unacknowledged)
            if message["type"] in ENDINGS:
                self._end(message["id"])

    def _check(self, message: dict[str, Any], text: str) -> None:
        if message["type"] in ANSWERS:
            ANSWERS[message["type"]].validate_python(message["data"])
        else:
            SERVER_MESSAGE.validate_json(text)

    def _hear_ready(self, message: dict[str, Any]) -> None:
        sizes = self.conversations[message["id"]].sizes
        content = b"".join(bytes([size]) * size for place, size in enumerate(sizes) if place not in message["skip"])
        if content:
            self.uploads.append(Upload(message["id"], content))

    def _end(self, request_id: str) -> None:
        conversation = self.conversations.pop(request_id)
        del self.unacknowledged_bytes[request_id]
        lacking = [upload for upload in self.uploads if upload.request_id == request_id]
        self.uploads = [upload for upload in self.uploads if upload.request_id != request_id]
        if lacking and not conversation.cancelled:
            self.abandoned.append(request_id)
