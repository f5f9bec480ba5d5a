"""What the server's JSON messages hold, as types: `pipeline.protocol.replies` writes what is described here.

Beside these the server sends lines of text to classic clients, and bare lists to the desktop app (docs/protocol.md).
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

Kind = Literal["extract", "identify", "save"]
"""Requests that are answered element by element."""


class ErrorField(TypedDict):
    """Why an element has no answer."""

    code: str
    message: str


class ExtractedEntry(TypedDict):
    """One animal of a photo; the embedding is L2-normalised, the box in pixels of the upright photo."""

    path: str | None
    type: str
    embedding: list[float]
    index: int
    animal: int
    box_xyxy_px: tuple[float, float, float, float]
    score: float | None
    model: str
    sha256: NotRequired[str]


class RefusedPhoto(TypedDict):
    """A photo without an answer."""

    path: str | None
    index: int
    error: ErrorField
    sha256: NotRequired[str]


class ReferenceEntry(TypedDict):
    """An annotation of a candidate: its number, its distance to the item, and its encounter if it is in one."""

    annotation: int
    distance: float
    encounter: int | None


class CandidateEntry(TypedDict):
    """An individual with its number and its nearest annotations, one an encounter; of several catalogues, with its own.

    Who may rank only is not told the number.
    """

    individual: NotRequired[int]
    catalogue: NotRequired[str]
    name: str
    distance: float
    references: list[ReferenceEntry]


class RankedEntry(TypedDict):
    """Candidates of one item: name and distance, ascending.

    With `references`, `filters` or `catalogues` also `candidates`, of how many `individuals`, and a signed description,
    `ranking`.
    """

    path: str | None
    index: int
    identities: list[tuple[str, float]]
    candidates: NotRequired[list[CandidateEntry]]
    individuals: NotRequired[int]
    ranking: NotRequired[str]


class RefusedItem(TypedDict):
    """An identify item without an answer."""

    path: str | None
    index: int
    error: ErrorField


class SavedEntry(TypedDict):
    """Where the copy of a photo is; `skipped`: the same bytes were there already."""

    file: str | None
    selectedIdentity: str | None
    index: int
    new_file: str | None
    skipped: bool


class RefusedSave(TypedDict):
    """A photo that could not be saved."""

    file: str | None
    selectedIdentity: str | None
    index: int
    error: ErrorField


Entry = ExtractedEntry | RefusedPhoto | RankedEntry | RefusedItem | SavedEntry | RefusedSave


class Result(TypedDict):
    """All entries of a request."""

    type: Kind
    id: str
    data: list[Entry]


class StreamItem(TypedDict):
    """One entry of a stream."""

    type: Kind
    id: str
    item: Entry


class StreamCounts(TypedDict):
    """How many items a stream had."""

    items: int
    failed: int
    cancelled: int


class StreamEnd(TypedDict):
    """The end of a stream."""

    type: Kind
    id: str
    counts: StreamCounts


class Progress(TypedDict):
    """How far a stage has come."""

    type: Literal["progress"]
    id: str
    stage: Literal["segmenting", "extracting", "identifying", "saving"]
    done: int
    total: int


class Ready(TypedDict):
    """The server waits for the bytes of an upload."""

    type: Literal["ready"]
    id: str
    skip: list[int]


class Received(TypedDict):
    """So many more bytes of an upload were taken in."""

    type: Literal["received"]
    id: str
    bytes: int


class Complete(TypedDict):
    """The request is done."""

    type: Literal["complete"]
    id: str
    seconds: float


class Error(TypedDict):
    """The request has failed as a whole."""

    type: Literal["error"]
    id: str
    code: str
    message: str


class ClassicAnimal(TypedDict):
    """One animal of a photo, as the original answers."""

    path: str
    type: str
    embedding: list[float]
    animal: NotRequired[int]


class ClassicRanking(TypedDict):
    """Candidates of one item, as the original answers."""

    path: str | None
    identities: list[tuple[str, float]]


class ClassicRefusal(TypedDict):
    """An element without an answer."""

    path: str | None
    error: ErrorField


class ClassicResult(TypedDict):
    """All entries of a classic request."""

    type: Literal["extract", "identify"]
    data: list[ClassicAnimal | ClassicRanking | ClassicRefusal]


ServerMessage = Result | StreamItem | StreamEnd | Progress | Ready | Received | Complete | Error | ClassicResult
"""Every JSON message but the answers of requests without elements, which their requests name (`Request.reply`)."""
