"""Embeds stored boxes with the models that are loaded now, photo by photo: can be stopped and started again."""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import groupby

import numpy as np

from pipeline.admin.relocation import is_file
from pipeline.catalogue.reembedding import Unembedded
from pipeline.catalogue.vectors import Vector
from pipeline.errors import PhotoNotFoundError
from pipeline.extraction import ExtractionRules, PhotoExtraction
from pipeline.model_files import ModelFolder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.photo_store.store import PhotoStore
from pipeline.photos.files import PhotoFiles
from pipeline.photos.process_decoder import ProcessDecoder
from pipeline.records import (
    Detections,
    Embedding,
    Extracted,
    Failure,
    PathSource,
    ReadableSource,
    StoredUpload,
    UInt8Array,
)
from pipeline.settings import Settings
from pipeline.stored_photos import DrawnBox

_HASHED = "sha256:"


class Reembedder:
    """Embeds annotations whose boxes are known, as the extractor embeds boxes that a person drew.

    Args:
        settings: of the service.
        folder: its models.
        store: its photos; None where it has no store.
    """

    def __init__(self, settings: Settings, folder: ModelFolder, store: PhotoStore | None) -> None:
        limits = settings.limits
        self._store, self._max_bytes = store, limits.max_photo_bytes
        self._stored = set() if store is None else set(store.sizes())
        networks = {part: EmbeddingNetwork(folder, part, backend=settings.backend) for part in folder.body_part_names}
        self._extraction = PhotoExtraction(
            segmenter=_NoSegmenter(),
            embedders={part: _Embedder(network) for part, network in networks.items()},
            files=PhotoFiles(settings.photo_roots, settings.path_map, limits.max_photo_bytes),
            rules=ExtractionRules.from_models(folder, limits.max_photo_pixels),
            decoder=ProcessDecoder(limits.decoding_memory_bytes, settings.timeouts.decode_timeout_s),
        )

    def why_not(self, one: Unembedded) -> str | None:
        """Say why an annotation cannot be embedded, as far as can be seen without decoding its photo.

        Returns:
            The reason; None where there is none. A photo that the store lacks is read from its path.
        """
        if one.box is None:
            return "nobody has said where in its photo it is"
        if not one.source_key.startswith(_HASHED):
            return "nobody has said its photo's hash, and at its path there may be another photo now"
        if one.source_key.removeprefix(_HASHED) in self._stored:
            return None
        if is_file(self._extraction.files.server_path(one.path)):
            return None
        return "its photo was not kept, and is not at its path on this machine"

    async def embed(self, some: Sequence[Unembedded]) -> list[tuple[Unembedded, Vector | Failure]]:
        """Embed annotations for which `why_not` has no answer; each photo is decoded once."""
        done: list[tuple[Unembedded, Vector | Failure]] = []
        for _, of_photo in groupby(some, key=lambda one: (one.source_key, one.path)):
            done += await self._embed_photo(list(of_photo))
        return done

    async def _embed_photo(self, of_photo: list[Unembedded]) -> list[tuple[Unembedded, Vector | Failure]]:
        sha256 = of_photo[0].source_key.removeprefix(_HASHED)
        drawn = [DrawnBox(one.box, one.body_part, one.animal) for one in of_photo if one.box is not None]
        extracted = None
        async for step in self._extraction.extract(self._source(of_photo[0], sha256), drawn=drawn):
            extracted = step
        assert isinstance(extracted, Extracted)
        if extracted.failure is not None:
            return [(one, extracted.failure) for one in of_photo]
        if extracted.sha256 != sha256:
            other = Failure.of(PhotoNotFoundError(f"{of_photo[0].path}: is another photo now"))
            return [(one, other) for one in of_photo]
        values = (animal.embedding.values.astype(np.float64) for animal in extracted.animals)
        return list(zip(of_photo, values, strict=True))

    def _source(self, one: Unembedded, sha256: str) -> ReadableSource:
        if self._store is None or sha256 not in self._stored:
            return _by_path(one)
        return StoredUpload(sha256, partial(self._store.read, sha256, self._max_bytes))


class _Embedder:
    """One body part's network, on a thread; see `pipeline.extraction.Embedder`."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        self._network = network

    async def embed(self, crop: UInt8Array) -> Embedding:
        (answer,) = await asyncio.to_thread(self._network.embed, [crop])
        if isinstance(answer, Failure):
            raise answer.as_error()
        return answer


class _NoSegmenter:
    """The boxes are known."""

    async def segment(self, pixels: UInt8Array) -> Detections:
        raise AssertionError("boxes that were drawn are not looked for")


def _by_path(one: Unembedded) -> PathSource:
    return PathSource(one.path, local_peer=True)
