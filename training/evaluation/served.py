"""The same roles played through a running service: what a client of it gets to hear, beside what the scores are of."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.client import Client, PhotoResult, Query, as_query, confirmed
from pipeline.records import UNKNOWN
from training.errors import TrainingError
from training.evaluation.comparison import Comparison, individual_distances
from training.evaluation.protocols import Roles
from training.photos.records import LabelledPhoto

Answers = Mapping[LabelledPhoto, str | None]
"""The nearest individual of each query; None where its photo has no embedding of the body part."""

SERVED_CANDIDATES = 2
""""Unknown" and the nearest individual, in whatever order."""


def evaluated_answers(comparison: Comparison, references: int) -> Answers:
    """Return what the evaluation finds, matched as in the service.

    Args:
        comparison: of embedded photos.
        references: how many of each individual to use, at most.
    """
    distances = individual_distances(comparison, comparison.queries, "centroid", references)
    nearest = distances.argmin(axis=1)
    found = np.isfinite(distances.min(axis=1))
    return {
        embedded.photo: comparison.labels[column] if usable else None
        for embedded, column, usable in zip(comparison.query_photos, nearest.tolist(), found.tolist(), strict=True)
    }


def served_answers(client: Client, roles: Roles, body_part: str) -> Answers:
    """Confirm the references in the service's catalogue, then have it identify the queries.

    Args:
        client: of a service whose catalogue is empty, on a machine that sees the photos.
        roles: who plays which part.
        body_part: whose embeddings to use.

    Raises:
        TrainingError: the service refuses a reference or a query.
    """
    references = _embeddings(client, roles.references, body_part)
    stored = client.identify([confirmed(query, photo.label) for photo, query in references.items()], 1)
    queries = _embeddings(client, roles.queries, body_part)
    ranked = client.identify(list(queries.values()), SERVED_CANDIDATES)
    for answer in (*stored, *ranked):
        if answer.error is not None:
            raise TrainingError(f"{answer.path}: the service answers {answer.error.code}: {answer.error.message}")
    nearest = {
        photo: next(one.individual for one in answer.candidates if one.individual != UNKNOWN)
        for photo, answer in zip(queries, ranked, strict=True)
    }
    return {photo: nearest.get(photo) for photo in roles.queries}


def top_1(answers: Answers) -> float:
    """Return the share of queries whose nearest individual is the right one."""
    return sum(answer == photo.label for photo, answer in answers.items()) / len(answers)


def _embeddings(client: Client, photos: Sequence[LabelledPhoto], body_part: str) -> dict[LabelledPhoto, Query]:
    """Extract the photos; those without an embedding of the body part are left out."""
    results: list[PhotoResult] = client.extract([photo.path for photo in photos])
    return {
        photos[result.index]: as_query(result)
        for result in results
        if result.error is None and result.body_part == body_part
    }
