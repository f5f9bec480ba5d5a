"""What the commands do: extract photos and identify, or confirm, each animal as it comes."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from pipeline.client.asynchronous import AsyncClient
from pipeline.client.extraction import Animals
from pipeline.client.filters import Filters
from pipeline.client.open_request import CallProgress
from pipeline.client.results import (
    Identification,
    ItemFailure,
    OnProgress,
    PhotoResult,
    as_query,
    confirmed,
)

_GROUP = 64
"""Animals identified at a time: early enough to keep what was done when the server is lost, few requests."""


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """One animal of one photo with its ranking, or why there is none.

    Attributes:
        photo: what was extracted.
        identification: None where the photo has no embedding.
    """

    photo: PhotoResult
    identification: Identification | None

    @property
    def failure(self) -> ItemFailure | None:
        """Why there is no ranking."""
        return self.photo.error if self.identification is None else self.identification.error


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with photos.

    Attributes:
        photos: paths, as the server should get them.
        identities: individual to confirm by path; the others are only identified.
        uploads: send the photos themselves.
        animals: best or all of each photo.
        top_k: candidates an animal; None for all.
        catalogue: to rank and confirm in; None for the client's own.
        catalogues: in its place, several to rank in together.
        references: annotations a candidate; None for none.
        filters: annotations that count; None for all.
    """

    photos: Sequence[str]
    identities: Mapping[str, str]
    uploads: bool
    animals: Animals = "best"
    top_k: int | None = 5
    catalogue: str | None = None
    catalogues: Sequence[str] | None = None
    references: int | None = None
    filters: Filters | None = None


async def answer_photos(client: AsyncClient, job: Job, answers: list[PhotoAnswer], on_progress: OnProgress) -> None:
    """Extract the photos of a job and identify, or confirm, each animal that is found.

    Args:
        client: the service.
        job: which photos, and what to do with them.
        answers: appended to as answers come, so that they survive an exception; sorted at the end by the caller.
        on_progress: called at each advance.

    Raises:
        ClientError: the service was lost or refused; `answers` holds what was answered before.
    """
    stream = client.extract_stream(job.photos, uploads=job.uploads, animals=job.animals, on_progress=on_progress)
    identified = CallProgress(on_progress, len(job.photos))
    group: list[PhotoResult] = []
    async with aclosing(stream) as results:
        async for result in results:
            group.append(result)
            if len(group) == _GROUP:
                answers += await _identify(client, job, group)
                group = []
                identified.report("identifying", len({answer.photo.index for answer in answers}))
    answers += await _identify(client, job, group)
    identified.finish("identifying")


async def _identify(client: AsyncClient, job: Job, group: list[PhotoResult]) -> list[PhotoAnswer]:
    found = [result for result in group if result.error is None]
    names = [job.identities.get(result.path) for result in found]
    items = [confirmed(r, name) if name else as_query(r) for r, name in zip(found, names, strict=True)]
    ranked = await client.identify(
        items,
        job.top_k,
        catalogue=job.catalogue,
        catalogues=job.catalogues,
        references=job.references,
        filters=job.filters,
    )
    rankings = iter(ranked)
    return [PhotoAnswer(result, None if result.error else next(rankings)) for result in group]
