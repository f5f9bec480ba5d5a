"""The records that cross the catalogue's port: frozen, slotted, independent of how they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.catalogue.vectors import Vector
from pipeline.errors import BadIdentityError
from pipeline.records import BoundingBox, PhotoKey

ImportStatus = Literal["new", "already_imported", "changed_since", "other_model"]
"""What the catalogue makes of a CSV file: see `classify_import`."""


@dataclass(frozen=True, slots=True)
class Head:
    """A state of a catalogue.

    Attributes:
        version: of the last event; 0 for an empty catalogue.
        nonce: random, new with each event: two catalogues that went different ways from one backup have the same
            versions, and other nonces. Empty for an empty catalogue.
    """

    version: int
    nonce: str


EMPTY = Head(0, "")
"""The state before the first event."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A person says which individual a photo shows, or a client repeats what a ranking told it.

    Attributes:
        key: which animal of which photo.
        body_part: name from models.yaml.
        individual: normalised name. A known individual of another spelling is meant where there is one alone
            (`pipeline.names.known_spelling`); else a name that is not known yet makes a new individual.
        values: (d,) float64 embedding.
        model: short hash of the weights that made it.
        path: as the client sent it; provenance only.
        box: of the animal, in pixels of the upright photo; None where the client did not say.
        reviewed: a person says so. A guess, which nobody has reviewed, is provisional: it waits for a person, and
            changes nothing where a person has spoken about the photo. A name that the catalogue never held is no
            guess, whatever stands here: no ranking can have told it.
    """

    key: PhotoKey
    body_part: str
    individual: str
    values: Vector
    model: str
    path: str
    box: BoundingBox | None = None
    reviewed: bool = True


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One current statement of the catalogue: this photo, by this model, is this individual.

    Attributes:
        row_id: rises in the order in which rows came in.
        key: which animal of which photo.
        body_part: name from models.yaml.
        individual: its name.
        values: (d,) float64 embedding.
        model: short hash of the weights that made it.
        annotation: number of the annotation.
        number: of the individual.
    """

    row_id: int
    key: PhotoKey
    body_part: str
    individual: str
    values: Vector
    model: str
    annotation: int
    number: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened between two states of a catalogue.

    Attributes:
        head: the state that a reader has after taking these changes in.
        added: rows that came since and still stand, in the order of their ids.
        superseded: ids of rows that the reader has and that stand no longer.
        anew: the reader's state is not in this catalogue's history, as after a backup was restored: it drops all that
            it has, and reads every row; `added` holds none.
    """

    head: Head
    added: tuple[CatalogueRow, ...]
    superseded: tuple[int, ...]
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What became of confirmations.

    Attributes:
        head: the state that holds all of them.
        refused: why one is not stored, by its place; all others are.
    """

    head: Head
    refused: Mapping[int, BadIdentityError]


@dataclass(frozen=True, slots=True)
class CatalogueCounts:
    """How much a catalogue holds at its head; superseded rows do not count.

    Attributes:
        individuals: those with at least one row.
        photos: distinct photos.
        rows: number of rows, by (body part, short hash of the model).
    """

    individuals: int
    photos: int
    rows: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A CSV file as the catalogue knows it.

    Attributes:
        name: file name without its folder.
        body_part: whose embeddings it holds.
        digest: sha256 of its bytes, hex.
        model: short hash of the weights beside it.
    """

    name: str
    body_part: str
    digest: str
    model: str


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """All rows of one CSV file, in its order; their `model` is the file's."""

    file: ImportFile
    rows: tuple[Confirmation, ...]


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of one CSV file.

    Attributes:
        file: which.
        status: "new" where it has just been imported, else why it was left out.
        rows: how many rows came in.
    """

    file: ImportFile
    status: ImportStatus
    rows: int


def classify_import(file: ImportFile, imported: Sequence[ImportFile]) -> ImportStatus:
    """Decide whether a CSV file is to be imported.

    Args:
        file: the file found beside the weights.
        imported: every file that the catalogue has taken in.

    Returns:
        "already_imported": the same bytes came in before, with the same model. "other_model": the same bytes came in
        with other weights, so its embeddings are not the loaded model's. "changed_since": other bytes came in for this
        body part and model; merging them is a person's decision. "new": none of these.
    """
    of_part = [known for known in imported if known.body_part == file.body_part]
    same_bytes = [known for known in of_part if known.digest == file.digest]
    if same_bytes:
        return "already_imported" if any(known.model == file.model for known in same_bytes) else "other_model"
    return "changed_since" if any(known.model == file.model for known in of_part) else "new"
