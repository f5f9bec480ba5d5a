"""Confirmations of photos and imports of CSV files, as changes of the catalogue's rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import FromClause, Select, and_, bindparam, delete, insert, select

from pipeline.catalogue.change import Change, Row, chunks
from pipeline.catalogue.gallery_rows import read_imports
from pipeline.catalogue.known_names import KnownNames
from pipeline.catalogue.photo_tables import boxes
from pipeline.catalogue.rows import Confirmation, ImportBatch, ImportOutcome, classify_import
from pipeline.catalogue.schema import annotations, assignments, decisions, embeddings, imports
from pipeline.catalogue.vectors import pack_vector
from pipeline.errors import BadIdentityError

Subject = tuple[str, int, str]
"""(photo, animal, body part): what a confirmation is about."""


@dataclass(slots=True)
class _Standing:
    """What the catalogue says of a subject, as far as a new word about it needs that.

    Attributes:
        annotation: its id; None where it is not known.
        path: as it was named first.
        assignment: row, individual and whether a person has reviewed it; None where it shows nobody.
        decision: row of a person's last verdict.
        embeddings: row and bytes, by model.
    """

    annotation: int | None = None
    path: str = ""
    assignment: tuple[int, int, bool] | None = None
    decision: int | None = None
    embeddings: dict[str, tuple[int, bytes]] = field(default_factory=dict)


def store_confirmations(change: Change, confirmations: Sequence[Confirmation]) -> dict[int, BadIdentityError]:
    """Put what is not said yet into a change.

    Returns:
        Why one is refused, by its place.
    """
    known = KnownNames(change, (confirmation.individual for confirmation in confirmations))
    never_told = known.never_held({word.individual for word in confirmations if not word.reviewed})
    standing = _read_standing(change, map(_subject_of, confirmations))
    words: dict[Subject, tuple[Confirmation, int]] = {}
    refused: dict[int, BadIdentityError] = {}
    for place, confirmation in enumerate(confirmations):
        subject = _subject_of(confirmation)
        word = replace(confirmation, reviewed=confirmation.reviewed or confirmation.individual in never_told)
        if not word.reviewed and (_is_word(words.get(subject)) or _spoken_about(standing.get(subject))):
            continue
        try:
            words[subject] = (word, known.meant(word.individual, respell=word.reviewed))
        except BadIdentityError as error:
            refused[place] = error
    for subject, (word, individual) in words.items():
        _store(change, word, individual, standing.get(subject) or _Standing())
    return refused


def store_boxes(change: Change, confirmations: Sequence[Confirmation]) -> None:
    """Write down where the animals of confirmed photos are; the newest box counts. Data, which no event repeats."""
    told = {_subject_of(said): said.box.xyxy() for said in confirmations if said.box is not None}
    if not told:
        return
    columns = ("source_key", "animal", "body_part", "x_min_px", "y_min_px", "x_max_px", "y_max_px")
    rows = [dict(zip(columns, (*subject, *edges), strict=True)) for subject, edges in told.items()]
    change.connection.execute(
        _FORGET_BOX, [{f"of_{name}": row[name] for name in columns[:3]} | {"of": change.catalogue_id} for row in rows]
    )
    change.connection.execute(insert(boxes), [row | {"catalogue_id": change.catalogue_id} for row in rows])


def _is_word(said: tuple[Confirmation, int] | None) -> bool:
    return said is not None and said[0].reviewed


def _spoken_about(standing: _Standing | None) -> bool:
    """Whether a person has said who it shows, or that this cannot be said."""
    if standing is None:
        return False
    return standing.decision is not None or (standing.assignment is not None and standing.assignment[2])


def _store(change: Change, word: Confirmation, individual: int, standing: _Standing) -> None:
    vector = pack_vector(word.values)
    embedding = standing.embeddings.get(word.model)
    same_embedding = embedding is not None and embedding[1] == vector
    same_word = standing.assignment is not None and standing.assignment[1:] == (individual, word.reviewed)
    if same_embedding and same_word:
        return
    if standing.annotation is None:
        standing.annotation = _open_annotation(change, word)
        standing.path = word.path
    if embedding is not None and not same_embedding:
        change.close(embeddings, [embedding[0]])
    if not same_embedding:
        _open_embedding(change, standing.annotation, word, vector)
    if standing.assignment is not None:
        change.close(assignments, [standing.assignment[0]])
    if standing.decision is not None:
        change.close(decisions, [standing.decision])
    path = None if word.path == standing.path else word.path
    _open_assignment(change, standing.annotation, individual, path, word.reviewed)


def import_files(change: Change, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
    """Put the rows of the files that are new into a change; names come in as they are spelled."""
    imported = list(read_imports(*change.place))
    known = KnownNames(change, (row.individual for batch in batches for row in batch.rows))
    outcomes = []
    for batch in batches:
        status = classify_import(batch.file, imported)
        rows = batch.rows if status == "new" else ()
        if rows:
            imported.append(batch.file)
            _import_batch(change, batch, known)
        outcomes.append(ImportOutcome(batch.file, status, len(rows)))
    return tuple(outcomes)


def _import_batch(change: Change, batch: ImportBatch, known: KnownNames) -> None:
    for word in batch.rows:
        individual = known.exactly(word.individual)
        annotation = _open_annotation(change, word)
        _open_embedding(change, annotation, word, pack_vector(word.values))
        _open_assignment(change, annotation, individual, None)
    file = batch.file
    values = {"file_name": file.name, "body_part": file.body_part, "digest": file.digest, "model": file.model}
    change.open(imports, values)


def _open_annotation(change: Change, word: Confirmation) -> int:
    of_photo = {"source_key": word.key.photo, "animal": word.key.animal}
    return change.open(annotations, {**of_photo, "body_part": word.body_part, "path": word.path})


def _open_embedding(change: Change, annotation: int, word: Confirmation, vector: bytes) -> None:
    values: Row = {"annotation": annotation, "model": word.model, "dimension": len(word.values), "vector": vector}
    change.open(embeddings, values)


def _open_assignment(change: Change, annotation: int, individual: int, path: str | None, reviewed: bool = True) -> None:
    values: Row = {"annotation": annotation, "individual": individual, "reviewed": reviewed, "path": path}
    change.open(assignments, values | {"said_in": change.version})


def _read_standing(change: Change, subjects: Iterable[Subject]) -> Mapping[Subject, _Standing]:
    wanted = set(subjects)
    standing: dict[Subject, _Standing] = {}
    for photos in chunks(sorted({photo for photo, _, _ in wanted})):
        for row in change.connection.execute(_STANDING, {"of": change.catalogue_id, "photos": photos}):
            subject = (row.source_key, row.animal, row.body_part)
            if subject not in wanted:
                continue
            found = standing.setdefault(subject, _Standing(row.annotation, row.path))
            if row.assignment is not None:
                found.assignment = (row.assignment, row.individual, row.reviewed)
            found.decision = row.decision
            if row.embedding is not None:
                found.embeddings[row.model] = (row.embedding, row.vector)
    return standing


def _standing_of() -> Select[Any]:
    """One row an embedding; a photo that has none yet, or shows nobody, has a row all the same."""
    joined: FromClause = annotations
    for table in (assignments, embeddings, decisions):
        of_annotation = and_(
            table.c.catalogue_id == annotations.c.catalogue_id,
            table.c.annotation == annotations.c.id,
            table.c.gone.is_(None),
        )
        joined = joined.outerjoin(table, of_annotation)
    rows = select(
        annotations.c.id.label("annotation"),
        *(annotations.c.source_key, annotations.c.animal, annotations.c.body_part, annotations.c.path),
        *(assignments.c.row.label("assignment"), assignments.c.individual, assignments.c.reviewed),
        *(embeddings.c.row.label("embedding"), embeddings.c.model, embeddings.c.vector),
        decisions.c.row.label("decision"),
    ).select_from(joined)
    of_catalogue = (annotations.c.catalogue_id == bindparam("of"), annotations.c.gone.is_(None))
    return rows.where(*of_catalogue, annotations.c.source_key.in_(bindparam("photos", expanding=True)))


def _subject_of(confirmation: Confirmation) -> Subject:
    return (confirmation.key.photo, confirmation.key.animal, confirmation.body_part)


_STANDING = _standing_of()  # asked with every confirmation, so it is put together once

_FORGET_BOX = delete(boxes).where(
    boxes.c.catalogue_id == bindparam("of"),
    *(boxes.c[name] == bindparam(f"of_{name}") for name in ("source_key", "animal", "body_part")),
)
