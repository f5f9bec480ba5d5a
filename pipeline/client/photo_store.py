"""Photos into a catalogue's store, over HTTP: hashed, asked for, and sent only where they are missing."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, TypeVar, cast
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from pipeline.client.asking import ask_for_answer
from pipeline.client.connection import LOOPBACK, Server
from pipeline.client.errors import AccessDeniedError, BadAnswerError, ConnectionLostError, RequestFailedError
from pipeline.client.results import ItemFailure, OnProgress, Progress, UploadedPhoto
from pipeline.client.retrying import Retries
from pipeline.client.uploads import LocalPhoto, changed, inspect_photo, unreadable

T = TypeVar("T")

_LOOK_UP_S = 30.0
"""For an answer that needs no more than a look."""

_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY}
    | {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
"""Of a service that restarts, or has no room at the moment."""


async def upload_photos(
    server: Server, paths: Sequence[str | Path], catalogue: str | None, at_once: int, on_progress: OnProgress | None
) -> list[UploadedPhoto]:
    """Send what is missing; see `AsyncClient.upload_photos`."""
    name = catalogue if catalogue is not None else await _default_catalogue(server)
    turns, done = asyncio.Semaphore(at_once), 0

    async def send(index: int, path: Path) -> UploadedPhoto:
        nonlocal done
        async with turns:
            uploaded = await store.send(index, path)
        done += 1
        if on_progress is not None:
            on_progress(Progress("sending", done, len(paths)))
        return uploaded

    with ThreadPoolExecutor(at_once, thread_name_prefix="upload") as threads:
        store = _Store(server, name, threads)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(index, Path(path))) for index, path in enumerate(paths)]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _default_catalogue(server: Server) -> str:
    data = await ask_for_answer(server, "catalogues", {})
    try:
        found = [str(entry["name"]) for entry in data["catalogues"] if entry["default"]]
    except (KeyError, TypeError) as error:
        raise BadAnswerError(f"{server.url}: the list of catalogues cannot be read") from error
    if not found:
        raise RequestFailedError("catalogue_needed", "catalogue: name one, since you have several")
    return found[0]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server said: its status, and the error in its body."""

    status: int
    error: ItemFailure | None = None


class _Store:
    """One catalogue's photos on a server."""

    def __init__(self, server: Server, catalogue: str, threads: ThreadPoolExecutor) -> None:
        """Take whose photos; `threads` do what blocks."""
        self._server = server
        self._threads = threads
        scheme, place, path, *_ = urlsplit(server.url)
        kind = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        below = f"{path.rstrip('/')}/catalogues/{quote(catalogue, safe='')}/photos/"
        self._base = urlunsplit((kind, place, below, "", ""))
        # A company proxy set in the environment cannot reach this machine's own service.
        proxies = ProxyHandler({}) if urlsplit(server.url).hostname in LOOPBACK else ProxyHandler()
        self._opener: OpenerDirector = build_opener(proxies, _NoRedirects())

    async def send(self, index: int, path: Path) -> UploadedPhoto:
        """Send one photo, again after what passes by itself."""
        photo = await self._run(inspect_photo, path)
        if isinstance(photo, ItemFailure):
            return UploadedPhoto(str(path), index, error=photo)
        sha256 = await self._run(_hash, photo)
        if isinstance(sha256, ItemFailure):
            return UploadedPhoto(str(path), index, error=sha256)
        retries = Retries(self._server)
        while True:
            try:
                return await self._try(UploadedPhoto(str(path), index, sha256), photo, sha256)
            except ConnectionLostError as error:
                await retries.wait(error)

    async def _try(self, uploaded: UploadedPhoto, photo: LocalPhoto, sha256: str) -> UploadedPhoto:
        found = await self._run(self._open, Request(f"{self._base}{sha256}", method="HEAD"), _LOOK_UP_S)
        if found.status == HTTPStatus.OK:
            return replace(uploaded, was_there=True)
        sent = await self._run(self._put, photo, sha256)
        if sent.status in (HTTPStatus.OK, HTTPStatus.CREATED):
            return uploaded
        return replace(uploaded, sha256=None, error=_outcome(sent, photo.path))

    def _put(self, photo: LocalPhoto, sha256: str) -> _Answer:
        address = f"{self._base}{sha256}?{urlencode({'name': photo.path.name[:1024]}, errors='replace')}"
        headers = {"Content-Length": str(photo.size_bytes), "Content-Type": "application/octet-stream"}
        try:
            with photo.path.open("rb") as file:
                body = _Exactly(file, photo.size_bytes)
                request = Request(address, cast(IO[bytes], body), headers, method="PUT")
                return self._open(request, self._server.options.silence_s)
        except (_ChangedError, FileNotFoundError, PermissionError):
            return _Answer(0, changed(photo))

    def _open(self, request: Request, timeout_s: float) -> _Answer:
        """Send a request; blocks.

        Raises:
            AccessDeniedError: the server does not let this client in.
            ConnectionLostError: it cannot be reached, or not now.
        """
        if self._server.token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._server.token}")
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                self._server.was_connected = True
                return _Answer(answer.status)
        except HTTPError as error:
            with error:
                return self._refused(error, request)
        except (OSError, HTTPException) as error:  # also URLError
            raise ConnectionLostError(f"cannot reach {self._server.url}: {error}") from error

    def _refused(self, error: HTTPError, request: Request) -> _Answer:
        url, told = self._server.url, _read_error(error)
        if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise AccessDeniedError(f"{url} refuses this client (HTTP {error.code}): give a valid token")
        if error.code in _PASSING:
            raise ConnectionLostError(f"{url} cannot take the photo now (HTTP {error.code})")
        if error.code == HTTPStatus.NOT_FOUND and told is None and request.get_method() == "PUT":
            raise ConnectionLostError(f"there is no such service at {url}, or not yet (HTTP 404)")
        self._server.was_connected = True
        return _Answer(error.code, told)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class _ChangedError(Exception):
    """A file has become shorter than it was, or cannot be read any more."""


class _Exactly:
    """A file's bytes, exactly as many as were announced; one that has grown ends there, with another hash."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self._file, self._left = file, size_bytes

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, as `http.client` asks for them."""
        length = self._left if size < 0 else min(size, self._left)
        try:
            content = self._file.read(length)
        except OSError as error:
            raise _ChangedError from error
        if len(content) < length:
            raise _ChangedError
        self._left -= len(content)
        return content


class _NoRedirects(HTTPRedirectHandler):
    """A token goes to the server that it was given for, and nowhere else."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> None:
        """Follow none."""


def _outcome(answer: _Answer, path: Path) -> ItemFailure:
    """Return why a photo was not taken.

    Raises:
        RequestFailedError: no photo will be: the catalogue is not there, or not this client's to fill.
    """
    if answer.status == HTTPStatus.NOT_FOUND:
        raise RequestFailedError("no_such_catalogue", "catalogue: there is none of this name that you may fill")
    failure = answer.error or ItemFailure("failed", f"the server answered HTTP {answer.status}")
    return ItemFailure(failure.code, f"{path}: {failure.message.removeprefix(f'{path}: ')}")


def _hash(photo: LocalPhoto) -> str | ItemFailure:
    try:
        with photo.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return unreadable(photo, error)


def _read_error(error: HTTPError) -> ItemFailure | None:
    try:
        told = json.loads(error.read(65_536))["error"]
        return ItemFailure(str(told["code"]), str(told["message"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
