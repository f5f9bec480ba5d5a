"""Other deployments as the code here sees them: every call has a deadline and survives a replica's death."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import ray
from ray.serve.handle import DeploymentHandle

from deployments.calls import OUTER_MARGIN_S, call, stream
from pipeline.access import Permit
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


class RemoteMatcher:
    """The catalogue as a connection sees it; every call may be repeated, since what is said carries a key."""

    def __init__(self, handle: DeploymentHandle[Any], timeout_s: float) -> None:
        """Take the deployment's handle."""
        self._handle = handle
        self._timeout_s = timeout_s

    async def confirm(
        self, catalogue: str, queries: Sequence[Query], actor: Actor, key: str | None, may_guess: bool
    ) -> Sequence[Failure | None]:
        """See `deployments.services.Catalogue`.

        Without a key of the client's the call gets one here: where its answer is lost with a replica it is repeated,
        and must not undo what somebody corrected meanwhile.
        """
        own_key = uuid.uuid4().hex
        answer = await call(
            lambda: self._handle.confirm.remote(
                catalogue, list(queries), actor, own_key if key is None else key, key is None, may_guess
            ),
            "matcher",
            self._timeout_s,
        )
        refused: Sequence[Failure | None] = answer
        return refused

    async def rank(
        self, catalogue: str, queries: Sequence[Query], top_k: int | None, detail: Detail | None
    ) -> Sequence[Ranking]:
        """See `deployments.services.Catalogue`."""
        answer = await call(
            lambda: self._handle.rank.remote(catalogue, list(queries), top_k, detail), "matcher", self._timeout_s
        )
        rankings: Sequence[Ranking] = answer
        return rankings

    async def answer(self, message: Request, permit: Permit) -> dict[str, Any]:
        """See `deployments.services.Catalogue`; a change gets a key here where the client gave none, as above."""
        if isinstance(message, ChangeRequest):
            keyed = message if message.key else message.model_copy(update={"key": uuid.uuid4().hex})
            send = partial(self._handle.change.remote, keyed, permit, message.key is None)
        elif isinstance(message, RightsChange):
            send = partial(self._handle.change.remote, message, permit, False)
        elif isinstance(message, SuggestMerges):
            send = partial(self._handle.suggest.remote, message, permit)
        else:
            send = partial(self._handle.answer.remote, message, permit)
        answer = await call(send, "matcher", self._timeout_s)
        given: dict[str, Any] = answer
        return given

    async def heads(self) -> Mapping[str, Head]:
        """See `deployments.services.Catalogue`."""
        answer: Mapping[str, Head] = await call(self._handle.heads.remote, "matcher", self._timeout_s)
        return answer


async def describe(handle: DeploymentHandle[Any]) -> Mapping[str, Any]:
    """Ask a deployment what it runs; see `deployments.health`."""
    answer: Mapping[str, Any] = await handle.describe.remote()
    return answer


def _unwrap(result: Any, wanted: type[Wanted]) -> Wanted:
    if isinstance(result, wanted):
        return result
    assert isinstance(result, Failure), f"a stage answered {type(result).__name__}"
    raise result.as_error()
