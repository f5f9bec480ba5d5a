"""The HTTP routes of photos, beside the socket and under the same rules: take one in, look for one, show one."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deployments.photo_library import PhotoLibrary
from deployments.upload_budget import UploadBudget, UploadShare
from pipeline.access import ROUTES, Need, Peer, Permit, Refusal
from pipeline.errors import (
    BadItemError,
    MalformedMessageError,
    NoSuchCatalogueError,
    PhotoNotFoundError,
    PhotoTooLargeError,
    UnavailableError,
    UploadTimeoutError,
    WhaleVisionError,
)
from pipeline.settings import Limits

PICTURE_TYPE = "image/jpeg"
KEPT_S = 365 * 86400
CROP_KEPT_S = 3600
"""For how long a browser need not ask again; an annotation's box may be corrected."""

PIECE_BYTES = 2**18
"""Serve's proxy takes what waits as one message, of 4 MiB at most where it speaks gRPC."""

MAX_NAME_CHARACTERS = 1024
MAX_WIDTH_PX = 100_000
MAX_LENGTH_DIGITS = 15

STATUS: Mapping[str, int] = {
    "bad_item": 400,
    "malformed": 400,
    "forbidden": 403,
    "not_found": 404,
    "upload_timeout": 408,
    "too_large": 413,
    "unsupported": 415,
    "unreadable": 422,
    "hash_mismatch": 422,
    "no_animal": 422,
    "unavailable": 503,
    "catalogue_unavailable": 503,
    "storage_full": 507,
}
"""The HTTP status of an error by its code; any other is 500."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRY_AGAIN_S = "1"

Handler = Callable[[Request, Permit], Awaitable[Response]]


class Gate(Protocol):
    """Who may come in by HTTP, and what they may do."""

    async def admit(self, connection: HTTPConnection) -> Peer | Refusal:
        """Return who asks, or why they are not let in."""
        ...

    async def permit(self, peer: Peer, need: Need) -> Permit:
        """Look up whether somebody may do something.

        Raises:
            RequestError: they may not, or it cannot be looked up.
        """
        ...


class PhotoRoutes:
    """The routes below `/catalogues`."""

    def __init__(self, gate: Gate, library: PhotoLibrary, limits: Limits, timeout_s: float) -> None:
        """Wire the routes.

        Args:
            gate: asked at each request.
            library: where the photos are.
            limits: of a photo's bytes, and of the memory that photos on their way may take.
            timeout_s: how long nothing may come of a photo; while others find no room, how long all of it may take.
        """
        self._gate = gate
        self._library = library
        self._max_bytes = limits.max_photo_bytes
        self._room = UploadBudget(limits.upload_memory_bytes, timeout_s)
        self._timeout_s = timeout_s
        self._refused_s = -float("inf")
        """When a photo last found no room."""

    def routes(self) -> list[Route]:
        """Return the routes; that to look for a photo stands before the one that shows it, which would answer HEAD."""
        photo = "/catalogues/{catalogue}/photos/{sha256}"
        return [
            self._route("HEAD", photo, self._find),
            self._route("PUT", photo, self._take),
            self._route("GET", photo, self._show),
            self._route("GET", "/catalogues/{catalogue}/annotations/{annotation:int}/crop", self._crop),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        needed = ROUTES[f"{method} {path}"]
        assert needed is not None, "about a catalogue"

        async def endpoint(request: Request) -> Response:
            peer = await self._gate.admit(request)
            if isinstance(peer, Refusal):
                return refusal(peer)
            try:
                need = Need(needed, request.path_params["catalogue"])
                return await handler(request, await self._gate.permit(peer, need))
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            except WhaleVisionError as error:
                if not isinstance(error, UploadTimeoutError):
                    await self._swallow(request)
                return error_answer(error)

        return Route(path, endpoint, methods=[method])

    async def _find(self, request: Request, permit: Permit) -> Response:
        if not await self._library.has(_catalogue(permit), _sha256(request)):
            raise PhotoNotFoundError("")
        return Response(headers={"Cache-Control": "no-store"})

    async def _take(self, request: Request, permit: Permit) -> Response:
        sha256, name = _sha256(request), request.query_params.get("name")
        if name is not None and not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise BadItemError(f"name: must have 1 to {MAX_NAME_CHARACTERS} characters")
        size_bytes = self._declared_bytes(request)
        with self._in_room(size_bytes):
            content = self._content(request, size_bytes)
            facts, is_new = await self._library.take(
                _catalogue(permit), sha256, name, size_bytes, content, permit.actor
            )
        width_px, height_px = facts.size_px
        return JSONResponse({"sha256": sha256, "width_px": width_px, "height_px": height_px}, 201 if is_new else 200)

    async def _show(self, request: Request, permit: Permit) -> Response:
        sha256, width_px = _sha256(request), _width_px(request)
        picture, content = await self._library.picture(_catalogue(permit), sha256, width_px, permit.actor)
        return _picture(request, f"{sha256}-{picture.kind}", content, KEPT_S)

    async def _crop(self, request: Request, permit: Permit) -> Response:
        annotation: int = request.path_params["annotation"]
        pad = _number(request, "pad", 0.0, 1.0) or 0.0
        catalogue, width_px = _catalogue(permit), _width_px(request)
        picture, content = await self._library.crop(catalogue, annotation, width_px, pad, permit.actor)
        return _picture(request, f"{hashlib.sha256(content).hexdigest()}-{picture.kind}", content, CROP_KEPT_S)

    def _declared_bytes(self, request: Request) -> int:
        declared = request.headers.get("content-length", "")
        if not declared.isascii() or not declared.isdigit():
            raise MalformedMessageError("Content-Length: the length of the photo's file must be declared")
        if len(declared) > MAX_LENGTH_DIGITS or int(declared) > self._max_bytes:
            raise PhotoTooLargeError(f"the photo is too large; at most {self._max_bytes} bytes are accepted")
        return int(declared)

    @contextmanager
    def _in_room(self, size_bytes: int) -> Iterator[None]:
        """Hold room for a whole photo: what the disk takes slower than the client sends waits in memory.

        Raises:
            UnavailableError: there is none at the moment.
        """
        share = UploadShare(self._room)
        if not share.take_now(size_bytes):
            self._refused_s = asyncio.get_running_loop().time()
            raise UnavailableError("too many photos are coming in at the moment; send it again in a second")
        try:
            yield
        finally:
            share.settle(0, 0)

    async def _content(self, request: Request, size_bytes: int) -> AsyncIterator[bytes]:
        """Yield the body's pieces, for as long as they come."""
        clock = asyncio.get_running_loop().time
        began_s, received = clock(), 0
        pieces = request.stream()
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    piece = await anext(pieces, b"")
            except TimeoutError as error:
                raise UploadTimeoutError(
                    f"nothing of the photo came for {self._timeout_s:g} s; send it again"
                ) from error
            received += len(piece)
            if received > size_bytes:
                raise MalformedMessageError(f"more came than the {size_bytes} bytes that Content-Length declares")
            if not piece:
                return
            yield piece
            others_wait = clock() - self._refused_s < 2 * self._timeout_s  # whoever was refused comes again
            if others_wait and clock() - began_s > self._timeout_s:
                raise UploadTimeoutError("the photo took too long while others found no room; send it again")

    async def _swallow(self, request: Request) -> None:
        """Take what is left of a refused photo: a client that still sends would not hear why."""
        with suppress(ClientDisconnect, TimeoutError, RuntimeError):  # RuntimeError: nothing is left
            async with asyncio.timeout(self._timeout_s):
                async for _ in request.stream():
                    pass


def refusal(refused: Refusal) -> Response:
    """Return the answer to somebody who is not let in."""
    return PlainTextResponse(refused.reason, refused.status, refused.headers)


def error_answer(error: WhaleVisionError) -> Response:
    """Return what an error is over HTTP; what is absent and what is forbidden is answered alike, byte for byte."""
    if isinstance(error, NoSuchCatalogueError | PhotoNotFoundError):
        error = PhotoNotFoundError("there is no such photo, or you may not do this with it")
    status = STATUS.get(error.code, 500)
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": _TRY_AGAIN_S} if status == 503 else {})
    return JSONResponse({"error": {"code": error.code, "message": error.message}}, status, headers)


def _picture(request: Request, tag: str, content: bytes, kept_s: int) -> Response:
    headers = {
        "Cache-Control": f"private, max-age={kept_s}, immutable",
        "Content-Disposition": "inline",
        "Content-Length": str(len(content)),
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": f'"{tag}"',
        "Vary": "Authorization, Cookie",
        "X-Content-Type-Options": "nosniff",
    }
    if f'"{tag}"' in request.headers.get("if-none-match", ""):
        del headers["Content-Length"]
        return Response(status_code=304, headers=headers)
    return StreamingResponse(_pieces(content), headers=headers, media_type=PICTURE_TYPE)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]
        await asyncio.sleep(0)


def _catalogue(permit: Permit) -> str:
    assert permit.catalogue is not None
    return permit.catalogue


def _sha256(request: Request) -> str:
    found: str = request.path_params["sha256"]
    if not _SHA256.fullmatch(found):
        raise BadItemError("sha256: must be 64 hexadecimal digits, in lower case")
    return found


def _width_px(request: Request) -> int | None:
    found = _number(request, "width", 1, MAX_WIDTH_PX)
    return None if found is None else round(found)


def _number(request: Request, name: str, least: float, most: float) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not least <= found <= most:
        raise BadItemError(f"{name}: must be a number from {least:g} to {most:g}")
    return found
