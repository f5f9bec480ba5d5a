"""Embeddings by a new model of annotations that older weights, or none, have embedded: what lacks one, and storing it.

An event of a program, of kind "reembed": nobody has said anything, so it is in no undo's and no decision's way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from pipeline.catalogue.change import Change, standing
from pipeline.catalogue.photo_tables import boxes
from pipeline.catalogue.schema import annotations, assignments, embeddings
from pipeline.catalogue.things import by_annotation
from pipeline.catalogue.vectors import Vector, pack_vector
from pipeline.records import BoundingBox

PAGE = 100
"""Annotations that are read and stored together."""


@dataclass(frozen=True, slots=True)
class Unembedded:
    """An annotation that the loaded model of its body part has not embedded.

    Attributes:
        annotation: its number.
        source_key: of its photo.
        path: by which its photo was named first.
        body_part: of which it is.
        animal: which animal of the photo.
        box: where it is, in pixels of the upright photo; None where nobody has said.
    """

    annotation: int
    source_key: str
    path: str
    body_part: str
    animal: int
    box: BoundingBox | None


def count_embedded(connection: Connection, catalogue_id: int, models: Mapping[str, str]) -> tuple[int, int]:
    """Return how many annotations the models have embedded, and how many there are of their body parts."""
    counted = select(func.count()).select_from(annotations).where(_of_parts(catalogue_id, models))
    lacking = counted.where(_lacks(models))
    count, left = connection.execute(counted).scalar_one(), connection.execute(lacking).scalar_one()
    return count - left, count


def read_unembedded(
    connection: Connection, catalogue_id: int, models: Mapping[str, str], after: int
) -> list[Unembedded]:
    """Return the next annotations without an embedding by these models.

    Args:
        connection: in a transaction.
        catalogue_id: of the catalogue.
        models: short hash of the loaded weights, by body part.
        after: number of the last annotation of the page before; 0 begins.
    """
    at = and_(*(annotations.c[name] == boxes.c[name] for name in ("catalogue_id", "source_key", "animal", "body_part")))
    seen = (annotations.c[name] for name in ("id", "source_key", "path", "body_part", "animal"))
    edges = (boxes.c.x_min_px, boxes.c.y_min_px, boxes.c.x_max_px, boxes.c.y_max_px)
    query = select(*seen, *edges).outerjoin_from(annotations, boxes, at)
    query = query.where(_of_parts(catalogue_id, models), _lacks(models), annotations.c.id > after)
    rows = connection.execute(query.order_by(annotations.c.id).limit(PAGE))
    return [Unembedded(*row[:5], None if row[5] is None else BoundingBox(*row[5:9])) for row in rows]


def store_embeddings(change: Change, made: Sequence[tuple[Unembedded, Vector]], models: Mapping[str, str]) -> None:
    """Put embeddings into a change, but for those whose annotation is gone, or has one by its model, by now.

    Args:
        change: that has begun.
        made: (d,) float64, of what was read.
        models: see `read_unembedded`.
    """
    ids = [one.annotation for one, _ in made]
    rows = {row["id"]: row for row in standing(*change.place, annotations, "id", ids)}
    there = {(row["annotation"], row["model"]) for row in standing(*change.place, embeddings, "annotation", ids)}
    said = by_annotation(change, assignments, ids)
    for one, vector in made:
        row, model = rows.get(one.annotation), models[one.body_part]
        if row is None or row["source_key"] != one.source_key or (one.annotation, model) in there:
            continue
        values = {"annotation": one.annotation, "model": model, "dimension": len(vector), "vector": pack_vector(vector)}
        change.open(embeddings, values)
        if one.annotation in said:
            change.replace(assignments, said[one.annotation])  # galleries follow assignments alone


def _of_parts(catalogue_id: int, models: Mapping[str, str]) -> ColumnElement[bool]:
    stands = (annotations.c.catalogue_id == catalogue_id, annotations.c.gone.is_(None))
    return and_(*stands, annotations.c.body_part.in_(list(models)))


def _lacks(models: Mapping[str, str]) -> ColumnElement[bool]:
    of_annotation = (
        embeddings.c.catalogue_id == annotations.c.catalogue_id,
        embeddings.c.annotation == annotations.c.id,
        embeddings.c.gone.is_(None),
    )
    by_model = or_(
        *(and_(annotations.c.body_part == part, embeddings.c.model == model) for part, model in models.items())
    )
    return ~exists().where(*of_annotation, by_model)
