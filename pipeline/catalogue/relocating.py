"""The verb about photos whose files have moved: their annotations name them by the new path."""

from pipeline.catalogue.change import Change, standing
from pipeline.catalogue.schema import annotations, assignments
from pipeline.catalogue.things import by_annotation, refuse_two_animals, require
from pipeline.catalogue.vectors import storable_key, storable_text
from pipeline.catalogue.verbs import Relocate
from pipeline.errors import ChangeRefusedError
from pipeline.names import shown_name


def relocate(change: Change, verb: Relocate) -> None:
    """See `pipeline.catalogue.verbs.Relocate`; a path that is the same changes nothing.

    Raises:
        ChangeRefusedError: the catalogue knows another photo by a new path already, or an encounter would have two
            animals of one photo.
        NotInCatalogueError: an annotation does not stand.
    """
    rows = require(change, annotations, verb.paths)
    keyed: list[int] = []
    for annotation, path in verb.paths.items():
        row, values = rows[annotation], {"path": storable_text(path)}
        if row["source_key"] == storable_key(f"path:{row['path']}"):
            values["source_key"] = storable_key(f"path:{path}")
            keyed.append(annotation)
        if any(row[column] != value for column, value in values.items()):
            change.replace(annotations, row, **values)
    _refuse_known(change)
    refuse_two_animals(change)
    ended = set(change.closed[annotations])
    for annotation, row in by_annotation(change, assignments, keyed).items():
        if rows[annotation]["row"] in ended:  # galleries know a photo by its key, and follow assignments alone
            change.replace(assignments, row)


def _refuse_known(change: Change) -> None:
    """Refuse keys that annotations have which stay as they are, or that two would have."""
    ended, taken = set(change.closed[annotations]), set()
    opened = change.opened[annotations]
    for row in standing(*change.place, annotations, "source_key", {row["source_key"] for row in opened}):
        if row["row"] not in ended:
            taken.add((row["source_key"], row["animal"], row["body_part"]))
    for row in opened:
        subject = (row["source_key"], row["animal"], row["body_part"])
        if subject in taken:
            raise ChangeRefusedError(
                f"{shown_name(row['path'])}: the catalogue has another annotation of the photo of this path: "
                "remove one of the two first, or leave this photo out"
            )
        taken.add(subject)
