"""What a ranking brings beside names and distances: each candidate's nearest annotations, and what was compared."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.rows import Head
from pipeline.catalogue.signing import sign
from pipeline.protocol.filters import Detail
from pipeline.records import Query, Ranking, Reference

Near = list[tuple[float, int]]
"""Distance and number of an individual's annotations, ascending."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What queries of one body part were compared with.

    Attributes:
        catalogue: its name.
        loaded: the model that made the embeddings.
        head: the catalogue's state.
        top_k: how many candidates were wanted; None: all.
        detail: what else was wanted, and of which annotations.
        individuals: how many had such annotations.
        photos: how many of the body part the model has embedded, and how many there are.
    """

    catalogue: str
    loaded: LoadedModel
    head: Head
    top_k: int | None
    detail: Detail
    individuals: int
    photos: tuple[int, int]


def near_annotations(gallery: RankableGallery, query: Query, ranking: Ranking) -> dict[int, Near]:
    """Return the annotations of each candidate, by the individual's number."""
    numbers = (candidate.number for candidate in ranking.candidates)
    return {number: gallery.annotations_near(number, query) for number in numbers if number is not None}


def with_references(ranking: Ranking, near: Mapping[int, Near], encounters: Mapping[int, int], count: int) -> Ranking:
    """Give each candidate its nearest annotations, one an encounter.

    Args:
        ranking: of one query.
        near: of `near_annotations`.
        encounters: by annotation; one that is missing is in none, and counts as one of its own.
        count: how many, at most.
    """
    candidates = (
        candidate
        if candidate.number is None
        else replace(candidate, references=_one_an_encounter(near[candidate.number], encounters, count))
        for candidate in ranking.candidates
    )
    return replace(ranking, candidates=tuple(candidates))


def described(ranking: Ranking, compared: Compared, key: bytes) -> Ranking:
    """Add how many individuals were compared, and the description of what was, signed by the database's key.

    Where not all photos are ranked, since older weights have embedded some, it says how many are.
    """
    asked = compared.detail.filters
    filters = {} if asked is None else asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    description = {
        "catalogue": compared.catalogue,
        "model": compared.loaded.model,
        "type": compared.loaded.body_part,
        "version": compared.head.version,
        "nonce": compared.head.nonce,
        "topK": compared.top_k,
        "references": compared.detail.references,
        "filters": filters,
        "individuals": compared.individuals,
    }
    ranked, known = compared.photos
    photos = None if ranked == known else compared.photos
    if photos is not None:
        description["photos"] = photos
    return replace(ranking, individuals=compared.individuals, photos=photos, description=sign(key, description))


def _one_an_encounter(near: Near, encounters: Mapping[int, int], count: int) -> tuple[Reference, ...]:
    references: list[Reference] = []
    seen: set[int] = set()
    for distance, annotation in near:
        encounter = encounters.get(annotation)
        if len(references) < count and encounter not in seen:
            references.append(Reference(annotation, distance, encounter))
            seen |= set() if encounter is None else {encounter}
    return tuple(references)
