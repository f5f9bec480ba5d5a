"""Other deployments as the code here sees them: every call has a deadline and survives a replica's death."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import ray
from ray.serve.handle import DeploymentHandle

from deployments.calls import OUTER_MARGIN_S, call, stream
from pipeline.access import Permit
from pipeline.errors import UnavailableError
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_replies import Head
from pipeline.protocol.catalogue_requests import ChangeRequest, SuggestMerges
from pipeline.protocol.filters import Detail
from pipeline.protocol.rights_requests import RightsChange
from pipeline.records import (
    Actor,
    Animals,
    Detections,
    Embedding,
    Extracted,
    Failure,
    PathSource,
    PhotoSource,
    Query,
    Ranking,
    Segmented,
    UInt8Array,
    UploadSource,
)
from pipeline.stored_photos import PhotoFacts, Picture, StoreSource

_ONCE = "it may be stored already, and sent again it is not stored twice"
_LOOK = "it may be stored already: look before you send it again, or send changes with a key"

Wanted = TypeVar("Wanted", Detections, Embedding, PhotoFacts, bytes)


class RemoteSegmenter:
    """The segmenter as the composition sees it."""

    def __init__(self, handle: DeploymentHandle[Any], timeout_s: float) -> None:
        """Take the deployment's handle."""
        self._handle = handle
        self._timeout_s = timeout_s

    async def segment(self, pixels: UInt8Array) -> Detections:
        """See `pipeline.extraction.Segmenter`."""
        result = await call(lambda: self._handle.segment.remote(pixels), "segmenter", self._timeout_s)
        return _unwrap(result, Detections)


class RemoteEmbedder:
    """One body part's embedder as the composition sees it."""

    def __init__(self, handle: DeploymentHandle[Any], body_part: str, timeout_s: float) -> None:
        """Take the deployment's handle."""
        self._handle = handle
        self._stage = f"{body_part} embedder"
        self._timeout_s = timeout_s

    async def embed(self, crop: UInt8Array) -> Embedding:
        """See `pipeline.extraction.Embedder`."""
        result = await call(lambda: self._handle.embed.remote(crop), self._stage, self._timeout_s)
        return _unwrap(result, Embedding)


@dataclass(frozen=True, slots=True)
class PutUpload:
    """An upload whose bytes lie in Ray's object store, which spills to disk rather than grow a process."""

    name: str
    content: ray.ObjectRef[bytes]


class RemoteExtractor:
    """The extractor as the photo queue sees it.

    Uploads exceed what gRPC carries, so they go through the object store, by a handle that passes by reference.
    """

    def __init__(self, handle: DeploymentHandle[Any], stage_timeout_s: float) -> None:
        """Take the deployment's handle, and the time that the extractor gives each stage behind it.

        A photo passes two of them, the segmenter and then its embedders; were the deadline of the whole any shorter, a
        slow segmenter and a hung embedder would look like a hung extractor.
        """
        self._handle = handle
        self._by_path = handle.options(stream=True)
        self._by_reference = handle.options(stream=True, _by_reference=True)
        self._stage_timeout_s = stage_timeout_s
        self._timeout_s = 2 * stage_timeout_s + OUTER_MARGIN_S

    async def hand_over(self, source: PhotoSource | StoreSource) -> PathSource | StoreSource | PutUpload:
        """Put an upload's bytes into the object store; any other photo stays where it is."""
        if not isinstance(source, UploadSource):
            return source
        return PutUpload(source.name, await asyncio.to_thread(ray.put, source.content))

    async def extract(
        self, photo: PathSource | StoreSource | PutUpload, animals: Animals
    ) -> AsyncIterator[Segmented | Extracted]:
        """See `deployments.photo_queue.PhotoExtractor`."""

        def send() -> Any:
            match photo:
                case PathSource():
                    return self._by_path.extract_path.remote(photo, animals)
                case StoreSource():
                    return self._by_path.extract_stored.remote(photo, animals)
                case PutUpload():
                    return self._by_reference.extract_upload.remote(photo.name, [photo.content], animals)

        async for step in stream(send, "extractor", self._timeout_s):
            yield step

    async def inspect(self, incoming: str, name: str) -> PhotoFacts:
        """See `deployments.photo_library.Looker`."""
        sent = partial(self._handle.inspect_photo.remote, incoming, name)
        return _unwrap(await call(sent, "extractor", self._stage_timeout_s), PhotoFacts)

    async def render(self, sha256: str, picture: Picture) -> bytes:
        """See `deployments.photo_library.Looker`."""
        sent = partial(self._handle.render_photo.remote, sha256, picture)
        return _unwrap(await call(sent, "extractor", self._stage_timeout_s), bytes)


class RemoteCatalogue:
    """The catalogues as a connection sees them: the matchers rank, the catalogue deployment does all else.

    Every call may be repeated, since what is said carries a key. A ranking holds what was confirmed before it, since a
    matcher looks at the database after it was asked.
    """

    def __init__(self, catalogue: DeploymentHandle[Any], matcher: DeploymentHandle[Any], timeout_s: float) -> None:
        """Take the deployments' handles."""
        self._catalogue = catalogue
        self._matcher = matcher
        self._timeout_s = timeout_s

    async def confirm(
        self, catalogue: str, queries: Sequence[Query], actor: Actor, key: str | None, may_guess: bool
    ) -> Sequence[Failure | None]:
        """See `deployments.services.Catalogue`.

        Without a key of the client's the call gets one here: where its answer is lost with a replica it is repeated,
        and must not undo what somebody corrected meanwhile.
        """
        said = list(queries)
        guesses = await self._rank(partial(self._matcher.guesses.remote, catalogue, said)) if may_guess else ()
        own_key = uuid.uuid4().hex if key is None else key
        send = partial(self._catalogue.confirm.remote, catalogue, said, actor, own_key, key is None, guesses)
        refused: Sequence[Failure | None] = await self._change(send, repeatable=True)
        return refused

    async def rank(
        self, catalogue: str, queries: Sequence[Query], top_k: int | None, detail: Detail | None
    ) -> Sequence[Ranking]:
        """See `deployments.services.Catalogue`."""
        send = partial(self._matcher.rank.remote, catalogue, list(queries), top_k, detail)
        rankings: Sequence[Ranking] = await self._rank(send)
        return rankings

    async def rank_in_several(
        self, catalogues: Mapping[str, bool], queries: Sequence[Query], top_k: int | None, detail: Detail | None
    ) -> Sequence[Ranking]:
        """See `deployments.services.Catalogue`."""
        send = partial(self._matcher.rank_in_several.remote, dict(catalogues), list(queries), top_k, detail)
        rankings: Sequence[Ranking] = await self._rank(send)
        return rankings

    async def answer(self, message: Request, permit: Permit) -> dict[str, Any]:
        """See `deployments.services.Catalogue`; a change gets a key here where the client gave none, as above."""
        if isinstance(message, ChangeRequest):
            keyed = message if message.key else message.model_copy(update={"key": uuid.uuid4().hex})
            send = partial(self._catalogue.change.remote, keyed, permit, message.key is None)
            answer = await self._change(send, repeatable=message.key is not None)
        elif isinstance(message, RightsChange):
            send = partial(self._catalogue.change.remote, message, permit, False)
            answer = await self._change(send, repeatable=True)
        elif isinstance(message, SuggestMerges):
            answer = await self._rank(partial(self._matcher.suggest.remote, message, permit))
        else:
            answer = await self._read(partial(self._catalogue.answer.remote, message, permit))
        given: dict[str, Any] = answer
        return given

    async def heads(self) -> Mapping[str, Head]:
        """See `deployments.services.Catalogue`."""
        answer: Mapping[str, Head] = await self._read(self._catalogue.heads.remote)
        return answer

    async def _rank(self, send: Callable[[], Any]) -> Any:
        return await call(send, "matcher", self._timeout_s)

    async def _read(self, send: Callable[[], Any]) -> Any:
        return await call(send, "catalogue", self._timeout_s)

    async def _change(self, send: Callable[[], Any], repeatable: bool) -> Any:
        """Ask for a change; where no answer comes in time it may be on disk all the same, and the client is told."""
        try:
            return await self._read(send)
        except UnavailableError as error:
            raise UnavailableError(f"{error.message}; {_ONCE if repeatable else _LOOK}") from error


async def describe(handle: DeploymentHandle[Any]) -> Mapping[str, Any]:
    """Ask a deployment what it runs; see `deployments.health`."""
    answer: Mapping[str, Any] = await handle.describe.remote()
    return answer


def _unwrap(result: Any, wanted: type[Wanted]) -> Wanted:
    if isinstance(result, wanted):
        return result
    assert isinstance(result, Failure), f"a stage answered {type(result).__name__}"
    raise result.as_error()
