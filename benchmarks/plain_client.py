"""A client in the protocol's own words, that stays the same whatever a checkout's own client does."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The entries of one request, and the seconds from its sending to its end."""

    entries: list[Entry]
    seconds: float


class PlainClient:
    """One connection, one request after the other."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: WebSocket address of the service.
        """
        self._url = url
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        self._socket = await connect(self._url, max_size=None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def extract(self, photos: Sequence[Path]) -> Answer:
        """Extract photos of this machine.

        Raises:
            RuntimeError: the request or a photo failed.
        """
        return await self._ask({"type": "extract", "fileNames": [str(photo) for photo in photos]})

    async def identify(self, extracted: Sequence[Entry]) -> Answer:
        """Rank entries that `extract` answered.

        Raises:
            RuntimeError: the request or an item failed.
        """
        return await self._ask({"type": "identify", "data": list(extracted)})

    async def _ask(self, request: Entry) -> Answer:
        assert self._socket is not None
        text = json.dumps({"id": "1", **request})
        entries: list[Entry] = []
        start = time.perf_counter()
        await self._socket.send(text)
        while (message := json.loads(await self._socket.recv()))["type"] != "complete":
            if message["type"] == "error":
                raise RuntimeError(f"{request['type']} failed: {message}")
            entries += message.get("data", [])
        seconds = time.perf_counter() - start
        failed = [entry["error"] for entry in entries if "error" in entry]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(entries)} entries failed: {failed[0]}")
        return Answer(entries, seconds)
