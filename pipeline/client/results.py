"""What the client answers: frozen records, read from the server's JSON."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.client.errors import BadAnswerError
from pipeline.client.names import UNKNOWN

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why one photo or item has no answer.

    Attributes:
        code: stable, for programs; `docs/protocol.md` lists them.
        message: what happened and what to do, for people.
    """

    code: str
    message: str

    def to_json(self) -> JsonObject:
        """Return an entry as the server would send it."""
        return {"error": {"code": self.code, "message": self.message}}


@dataclass(frozen=True, slots=True)
class PhotoResult:
    """One animal of one photo with its embedding, or why the photo has none.

    Attributes:
        path: as it was given to the client.
        index: the photo's place in the list that was given, from 0.
        body_part: for example "fluke"; None on failure.
        box_xyxy_px: edges in pixels of the upright photo; None on failure.
        score: the detector's score in [0, 1]; None on failure.
        embedding: 128 floats (or the models' dimension); None on failure.
        model: short hash of the weights that made the embedding.
        sha256: of the photo's bytes, hex; None where the server could not read them.
        animal: 1..n within the photo, best score first.
        error: None exactly when there is an embedding.
    """

    path: str
    index: int
    body_part: str | None = None
    box_xyxy_px: tuple[float, float, float, float] | None = None
    score: float | None = None
    embedding: tuple[float, ...] | None = None
    model: str | None = None
    sha256: str | None = None
    animal: int = 1
    error: ItemFailure | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One embedding to identify, or to confirm as an individual's where `identity` is set.

    A `PhotoResult` can stand in its place; a query of one's own is for embeddings kept from earlier.
    """

    path: str
    body_part: str
    embedding: Sequence[float]
    identity: str | None = None
    model: str | None = None
    sha256: str | None = None
    animal: int = 1
    box_xyxy_px: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """An annotation of a candidate: its number, its distance to the query, and its encounter if it is in one."""

    annotation: int
    distance: float
    encounter: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An individual, or "Unknown" where none is nearer, and its distance; lower is better.

    Attributes:
        individual: its name.
        distance: to the mean of its annotations.
        number: that the catalogue gave the individual; None for "Unknown", and where no details were asked for.
        references: its nearest annotations, one an encounter, where they were asked for.
        catalogue: whose individual it is, where several were ranked together.
    """

    individual: str
    distance: float
    number: int | None = None
    references: tuple[Reference, ...] = ()
    catalogue: str | None = None


@dataclass(frozen=True, slots=True)
class Identification:
    """The ranking of one query, or why it has none.

    Attributes:
        path: the query's.
        index: the query's place in the list that was given, from 0.
        body_part: the query's; None where its photo failed before.
        animal: the query's.
        identity: the individual that the query confirmed, if it did.
        candidates: by ascending distance.
        error: None exactly when the query was ranked.
        individuals: how many were compared, where references, filters or several catalogues were asked for.
        ranking: what was compared, signed by the service, likewise; a decision may bring it back as it is.
    """

    path: str
    index: int
    body_part: str | None
    animal: int
    identity: str | None
    candidates: tuple[Candidate, ...]
    error: ItemFailure | None = None
    individuals: int | None = None
    ranking: str | None = None


@dataclass(frozen=True, slots=True)
class SavedPhoto:
    """What became of one photo to save.

    Attributes:
        file: the photo, as given.
        index: its place in the list that was given, from 0.
        new_file: where the copy is, on the server; None on failure.
        skipped: the same bytes were already there.
        error: None exactly when the copy is there.
    """

    file: str
    index: int
    new_file: str | None
    skipped: bool = False
    error: ItemFailure | None = None


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box that a person drew in a photo.

    Attributes:
        body_part: what is in it, for example "fluke".
        box_xyxy_px: edges in pixels of the upright photo.
        animal: which animal of the photo it is; None: its place among the photo's boxes.
    """

    body_part: str
    box_xyxy_px: tuple[float, float, float, float]
    animal: int | None = None


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo in a catalogue's store, to be extracted.

    Attributes:
        sha256: of its file, hex.
        boxes: what to embed; None has the detector look.
    """

    sha256: str
    boxes: tuple[DrawnBox, ...] | None = None


@dataclass(frozen=True, slots=True)
class UploadedPhoto:
    """What became of one photo on its way into the store.

    Attributes:
        path: as it was given to the client.
        index: its place in the list that was given, from 0.
        sha256: of its file, hex, by which the store knows it; None on failure.
        was_there: the catalogue had it already, so nothing was sent.
        error: None exactly when the catalogue has the photo.
    """

    path: str
    index: int
    sha256: str | None = None
    was_there: bool = False
    error: ItemFailure | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call has come: `done` of `total` photos or items have passed `stage`.

    Stages are "sending" (uploads), "segmenting", "extracting", "identifying" and "saving".
    """

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def as_query(result: PhotoResult) -> Query:
    """Make a query of a photo's entry.

    Raises:
        ValueError: the photo has no embedding.
    """
    if result.embedding is None or result.body_part is None:
        raise ValueError(f"{result.path} has no embedding to ask about")
    told = (result.model, result.sha256, result.animal, result.box_xyxy_px)
    return Query(result.path, result.body_part, result.embedding, None, *told)


def confirmed(item: PhotoResult | Query, identity: str) -> Query:
    """Make a query that confirms this individual.

    Raises:
        ValueError: the photo has no embedding.
    """
    return replace(as_query(item) if isinstance(item, PhotoResult) else item, identity=identity)


def read_failure(entry: JsonObject) -> ItemFailure | None:
    """Read an entry's `error`, if it has one."""
    error = entry.get("error")
    if not isinstance(error, dict):
        return None
    return ItemFailure(str(error.get("code", "failed")), str(error.get("message", "")))


def read_photo(entry: JsonObject, path: str, index: int) -> PhotoResult:
    """Read one entry of an extract answer.

    Raises:
        BadAnswerError: the entry has neither an embedding nor an error, or a field of the wrong kind.
    """
    try:
        failure = read_failure(entry)
        animal, sha256 = int(entry.get("animal") or 1), entry.get("sha256")
        if failure is not None:
            return PhotoResult(path, index, sha256=sha256, animal=animal, error=failure)
        return PhotoResult(
            path,
            index,
            body_part=str(entry["type"]),
            box_xyxy_px=_read_box(entry.get("box_xyxy_px")),
            score=entry.get("score"),
            embedding=tuple(map(float, entry["embedding"])),
            model=entry.get("model"),
            sha256=sha256,
            animal=animal,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswerError(f"the server's answer about {path} cannot be read: {error!r}") from error


def _read_box(edges: Any) -> tuple[float, float, float, float] | None:
    if edges is None:
        return None
    x_min, y_min, x_max, y_max = map(float, edges)
    return (x_min, y_min, x_max, y_max)


def read_identification(entry: JsonObject, query: Query, index: int) -> Identification:
    """Read one entry of an identify answer.

    Raises:
        BadAnswerError: the candidates are not pairs of a name and a distance.
    """
    try:
        details = iter(entry.get("candidates") or ())
        pairs = entry.get("identities") or ()
        candidates = tuple(_read_candidate(str(name), float(distance), details) for name, distance in pairs)
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswerError(f"the server's answer about {query.path} cannot be read: {error!r}") from error
    told = (entry.get("individuals"), entry.get("ranking"))
    return Identification(
        query.path, index, query.body_part, query.animal, query.identity, candidates, read_failure(entry), *told
    )


def _read_candidate(name: str, distance: float, details: Iterator[JsonObject]) -> Candidate:
    """Read a candidate, and the next of the details, which all but "Unknown" have where any do."""
    detail: JsonObject = {} if name == UNKNOWN else next(details, {})
    found = detail.get("references", ())
    references = tuple(Reference(int(one["annotation"]), float(one["distance"]), one.get("encounter")) for one in found)
    return Candidate(name, distance, detail.get("individual"), references, detail.get("catalogue"))
