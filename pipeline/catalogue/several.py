"""One ranking over several catalogues: each ranks by itself, and what its client may see of each is put together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.catalogue.signing import sign
from pipeline.records import UNKNOWN, UNKNOWN_DISTANCE, Candidate, Ranking
from pipeline.rights import rounded

_OF_A_CATALOGUE = ("catalogue", "version", "nonce", "individuals", "photos")


def merged(
    alone: Mapping[str, Sequence[Ranking]], views: Mapping[str, bool], top_k: int | None, key: bytes
) -> list[Ranking]:
    """Put the rankings of each query together, ascending by distance; ties stand in the order "Unknown", then as given.

    Distances are rounded before they are compared: among exact ones, the order would give a rounded one away.

    Args:
        alone: by catalogue, a ranking a query, each described and signed.
        views: by catalogue, whether the client may see more than names and rounded distances.
        top_k: how many candidates, "Unknown" counted; None gives all.
        key: signs what was compared.
    """
    queries = zip(*alone.values(), strict=True)
    return [_merge(dict(zip(alone, rankings, strict=True)), views, top_k, key) for rankings in queries]


def _merge(rankings: Mapping[str, Ranking], views: Mapping[str, bool], top_k: int | None, key: bytes) -> Ranking:
    """See `merged`, of one query."""
    failed = next((ranking for ranking in rankings.values() if ranking.failure is not None), None)
    if failed is not None:
        return failed
    shown = {name: ranking if views[name] else rounded(ranking) for name, ranking in rankings.items()}
    candidates = [Candidate(UNKNOWN, UNKNOWN_DISTANCE)]
    for name, ranking in shown.items():
        known = (each for each in ranking.candidates if each.individual != UNKNOWN)
        candidates += [replace(each, catalogue=name) for each in known]
    candidates.sort(key=lambda each: each.distance)
    counts = [ranking.individuals for ranking in shown.values() if ranking.individuals is not None]
    photos = [ranking.photos for ranking in shown.values() if ranking.photos is not None]
    return Ranking(
        tuple(candidates[:top_k]),
        individuals=sum(counts) if len(counts) == len(shown) else None,
        photos=(sum(ranked for ranked, _ in photos), sum(of for _, of in photos)) if photos else None,
        description=_described([_read(ranking) for ranking in rankings.values()], views, key),
    )


def _read(ranking: Ranking) -> dict[str, Any]:
    """Return the description that a matcher has just signed."""
    assert ranking.description is not None
    text, _, _ = ranking.description.rpartition(".")
    description: dict[str, Any] = json.loads(text)
    return description


def _described(descriptions: Sequence[Mapping[str, Any]], views: Mapping[str, bool], key: bytes) -> str:
    """Sign what was compared in all catalogues; of one that the client may not view, only that it was."""
    own = _OF_A_CATALOGUE
    common = {name: value for name, value in descriptions[0].items() if name not in own}
    each = [
        {name: value for name, value in one.items() if name == "catalogue" or (name in own and views[one["catalogue"]])}
        for one in descriptions
    ]
    return sign(key, common | {"catalogues": each})
