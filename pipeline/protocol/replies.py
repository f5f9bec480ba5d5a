"""What the server says, as text: the entries of results and the messages that every way of speaking shares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.errors import RequestError, WhaleVisionError
from pipeline.protocol.items import IdentifyItem, SavePhotoItem
from pipeline.protocol.json_text import encode
from pipeline.records import UNKNOWN, Animals, Candidate, Extracted, ExtractedAnimal, Failure, Ranking, SaveOutcome

ERROR_LINE = "error: %s"
"""The classic answer to a request that fails as a whole, and to a message whose `id` cannot be read."""

_NOT_FINITE = Failure("failed", "the model gave no usable embedding for this photo; report the photo to the operator")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a result, written already: a large request keeps text, not objects."""

    text: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of an extract request, as the client named it."""

    index: int
    path: str | None
    animals: Animals


class Replies(Protocol):
    """One way of speaking to a client about one request."""

    def starting(self, kind: str) -> tuple[str, ...]:
        """Say that work begins."""

    def progress(self, stage: str, done: int, total: int) -> tuple[str, ...]:
        """Say how far a stage has come."""

    def saving(self, item: SavePhotoItem, outcome: SaveOutcome, done: int, total: int) -> tuple[str, ...]:
        """Say what became of one photo to save."""

    def photo(self, photo: Photo, extracted: Extracted) -> tuple[Entry, ...]:
        """Write the entries of one photo."""

    def ranking(self, index: int, item: IdentifyItem, ranking: Ranking) -> tuple[Entry, ...]:
        """Write the entry of one identify item."""

    def saved(self, index: int, item: SavePhotoItem, outcome: SaveOutcome) -> tuple[Entry, ...]:
        """Write the entry of one photo to save."""

    def result(self, kind: str, entries: str) -> tuple[str, ...]:
        """Send all entries, written and joined, at once."""

    def complete(self, clock_time: str, seconds: float) -> tuple[str, ...]:
        """Say that the request is done."""

    def error(self, error: WhaleVisionError) -> str:
        """Say that the request failed as a whole."""
        ...


class RepliesWithId:
    """Section 2 of the protocol: JSON only, every message with the request's `id`."""

    def __init__(self, request_id: str) -> None:
        self._id = request_id

    def starting(self, kind: str) -> tuple[str, ...]:
        """Say nothing: progress tells."""
        return ()

    def progress(self, stage: str, done: int, total: int) -> tuple[str, ...]:
        """Say how far a stage has come."""
        return (self._message("progress", stage=stage, done=done, total=total),)

    def saving(self, item: SavePhotoItem, outcome: SaveOutcome, done: int, total: int) -> tuple[str, ...]:
        """Say how many photos have been dealt with; the result says how."""
        return self.progress("saving", done, total)

    def photo(self, photo: Photo, extracted: Extracted) -> tuple[Entry, ...]:
        """Write the entries of one photo, with all that is known about it."""
        failure = failure_in(extracted)
        sha256 = {} if extracted.sha256 is None else {"sha256": extracted.sha256}
        if failure is not None:
            return (Entry(encode({"path": photo.path, "index": photo.index, **refusal(failure), **sha256}), True),)
        return tuple(
            Entry(encode({**animal_fields(photo.path, animal), **_details(photo.index, animal), **sha256}), False)
            for animal in extracted.animals
        )

    def ranking(self, index: int, item: IdentifyItem, ranking: Ranking) -> tuple[Entry, ...]:
        """Write the entry of one identify item."""
        fields = {"path": item.path, "index": index, **ranking_fields(ranking), **_detail_fields(ranking)}
        return (Entry(encode(fields), ranking.failure is not None),)

    def saved(self, index: int, item: SavePhotoItem, outcome: SaveOutcome) -> tuple[Entry, ...]:
        """Write the entry of one photo to save."""
        fields: dict[str, object] = {"file": item.file, "selectedIdentity": item.identity, "index": index}
        if outcome.failure is not None:
            return (Entry(encode(fields | refusal(outcome.failure)), True),)
        return (Entry(encode(fields | {"new_file": outcome.new_file, "skipped": outcome.skipped}), False),)

    def result(self, kind: str, entries: str) -> tuple[str, ...]:
        """Send all entries, written and joined, at once."""
        return (f'{{"type":"{kind}","id":{encode(self._id)},"data":[{entries}]}}',)

    def complete(self, clock_time: str, seconds: float) -> tuple[str, ...]:
        """Say that the request is done and how long it took."""
        return (self._message("complete", seconds=round(seconds, 2)),)

    def error(self, error: WhaleVisionError) -> str:
        """Say that the request failed as a whole."""
        return self._message("error", code=error.code, message=error.message)

    def item(self, kind: str, entry: Entry) -> str:
        """Send one entry of a stream."""
        return f'{{"type":"{kind}","id":{encode(self._id)},"item":{entry.text}}}'

    def counts(self, kind: str, counts: Mapping[str, int]) -> str:
        """Close a stream."""
        return self._message(kind, counts=counts)

    def answer(self, kind: str, data: Mapping[str, object]) -> tuple[str, ...]:
        """Send the one answer of a request that has no elements."""
        return (self._message(kind, data=data),)

    def ready(self, skip: Iterable[int]) -> str:
        """Ask for the bytes of an upload request's photos, but for those to skip."""
        return self._message("ready", skip=list(skip))

    def received(self, received_bytes: int) -> str:
        """Acknowledge so many more bytes of an upload request."""
        return self._message("received", bytes=received_bytes)

    def _message(self, kind: str, **fields: object) -> str:
        return encode({"type": kind, "id": self._id, **fields})


def error_to_nobody(error: RequestError) -> str:
    """Answer a message that belongs to no request."""
    return ERROR_LINE % error.message


def failure_in(extracted: Extracted) -> Failure | None:
    """Return why the photo has no embedding; numbers that JSON cannot carry count as none."""
    if extracted.failure is not None:
        return extracted.failure
    finite = extracted.animals and all(np.isfinite(animal.embedding.values).all() for animal in extracted.animals)
    return None if finite else _NOT_FINITE


def animal_fields(path: str | None, animal: ExtractedAnimal) -> dict[str, object]:
    """Return what the original says about an animal."""
    values = animal.embedding.values.tolist()
    return {"path": path, "type": animal.annotation.body_part, "embedding": values}


def ranking_fields(ranking: Ranking) -> dict[str, object]:
    """Return the candidates, or in their place why there are none."""
    if ranking.failure is not None:
        return refusal(ranking.failure)
    return {"identities": [[candidate.individual, candidate.distance] for candidate in ranking.candidates]}


def _detail_fields(ranking: Ranking) -> dict[str, object]:
    """Return the candidates with what was asked for of each, where anything was."""
    if ranking.description is None:
        return {}
    candidates = [_candidate_fields(each) for each in ranking.candidates if each.individual != UNKNOWN]
    counted = {} if ranking.individuals is None else {"individuals": ranking.individuals}
    return {"candidates": candidates, **counted, "ranking": ranking.description}


def _candidate_fields(candidate: Candidate) -> dict[str, object]:
    references = [
        {"annotation": one.annotation, "distance": one.distance, "encounter": one.encounter}
        for one in candidate.references
    ]
    number = {} if candidate.number is None else {"individual": candidate.number}
    catalogue = {} if candidate.catalogue is None else {"catalogue": candidate.catalogue}
    named = {"name": candidate.individual, "distance": candidate.distance, "references": references}
    return {**number, **catalogue, **named}


def refusal(failure: Failure) -> dict[str, object]:
    """Return the field that stands in place of an answer."""
    return {"error": {"code": failure.code, "message": failure.message}}


def _details(index: int, animal: ExtractedAnimal) -> dict[str, object]:
    annotation = animal.annotation
    return {
        "index": index,
        "animal": annotation.animal,
        "box_xyxy_px": annotation.box_px.xyxy(),
        "score": annotation.score,
        "model": animal.embedding.model,
    }
