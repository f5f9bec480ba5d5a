"""Lists of individuals, annotations and events, and one individual in detail."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, select, union

from pipeline.catalogue.change import chunks, standing
from pipeline.catalogue.events import read_head, undone_by
from pipeline.catalogue.paging import read_page
from pipeline.catalogue.schema import (
    actors,
    annotations,
    assignments,
    decisions,
    embeddings,
    encounters,
    events,
    individuals,
    names,
    sightings,
)
from pipeline.catalogue.things import Subject, words_about
from pipeline.catalogue.views import (
    AnnotationEntry,
    AnnotationFilter,
    EncounterEntry,
    EventEntry,
    HistoryFilter,
    IndividualDetail,
    IndividualEntry,
    IndividualFilter,
    Page,
)
from pipeline.errors import NotInCatalogueError
from pipeline.names import fold_name
from pipeline.records import Actor

_ESCAPE = "\\"
_SEEN = ("id", "source_key", "animal", "body_part", "path", "side", "quality", "encounter")
_TOLD = (events.c.version, events.c.kind, events.c.at, events.c.reason, events.c.undoes)


def read_individuals(
    connection: Connection, catalogue_id: int, wanted: IndividualFilter, after: str | None, limit: int
) -> Page[IndividualEntry]:
    """Return a page of individuals, by the fold of their names."""
    rows = _individuals(catalogue_id).where(*_individual_conditions(catalogue_id, wanted))
    head = read_head(connection, catalogue_id)
    return read_page(
        *(connection, head, rows, [names.c.key, names.c.twin], after, limit),
        lambda page: _individual_entries(connection, catalogue_id, page),
    )


def read_individual(connection: Connection, catalogue_id: int, individual: int) -> IndividualDetail:
    """Return one individual.

    Raises:
        NotInCatalogueError: there is none of this number.
    """
    asked = individual
    individual = _survivor(connection, catalogue_id, individual)
    rows = connection.execute(_individuals(catalogue_id).where(individuals.c.id == individual)).all()
    if not rows:
        raise NotInCatalogueError(f"the catalogue has no individual {asked}, or has it no longer: look again")
    into = individuals.c.merged_into == individual
    merged = select(individuals.c.id).where(_stands(individuals, catalogue_id), into).order_by(individuals.c.id)
    return IndividualDetail(
        head=read_head(connection, catalogue_id),
        individual=_individual_entries(connection, catalogue_id, rows)[0],
        merged=tuple(connection.execute(merged).scalars()),
        encounters=_encounters(connection, catalogue_id, individual),
    )


def read_annotations(
    connection: Connection, catalogue_id: int, wanted: AnnotationFilter, after: str | None, limit: int
) -> Page[AnnotationEntry]:
    """Return a page of annotations, by their numbers."""
    rows = _annotations(catalogue_id)
    for column in ("encounter", "body_part", "side", "quality"):
        value = getattr(wanted, column)
        if value is not None:
            rows = rows.where(annotations.c[column] == value)
    # Asked in subqueries, these begin with the few rows that they name and not with all annotations.
    assigned = select(assignments.c.annotation).where(_stands(assignments, catalogue_id))
    decided = select(decisions.c.annotation).where(_stands(decisions, catalogue_id))
    if wanted.individual is not None:
        survivor = _survivor(connection, catalogue_id, wanted.individual)
        rows = rows.where(annotations.c.id.in_(assigned.where(assignments.c.individual == survivor)))
    if wanted.waiting:
        guessed, unsure = (
            assigned.where(assignments.c.reviewed.is_(False)),
            decided.where(decisions.c.verdict == "unsure"),
        )
        rows = rows.where(annotations.c.id.in_(union(guessed, unsure)))
    head = read_head(connection, catalogue_id)
    return read_page(
        *(connection, head, rows, [annotations.c.id], after, limit),
        lambda page: _annotation_entries(connection, catalogue_id, page),
    )


def read_history(
    connection: Connection, catalogue_id: int, wanted: HistoryFilter, after: str | None, limit: int
) -> Page[EventEntry]:
    """Return a page of events, newest first unless the oldest are wanted first."""
    about: list[Subject] = []
    if wanted.individual is not None:
        columns = (individuals.c.id, names.c.individual, assignments.c.individual)
        about += [(column, [wanted.individual]) for column in columns]
    if wanted.annotation is not None:
        about += words_about([wanted.annotation])
    rows = (
        select(*_TOLD, actors.c.institution, actors.c.name, actors.c.kind.label("actor_kind"))
        .join_from(events, actors, actors.c.id == events.c.actor_id)
        .where(events.c.catalogue_id == catalogue_id)
    )
    if wanted.since is not None:
        rows = rows.where(events.c.version > wanted.since)
    if about:
        rows = rows.where(events.c.version.in_(_versions(catalogue_id, about)))
    head = read_head(connection, catalogue_id)
    return read_page(
        *(connection, head, rows, [events.c.version], after, limit),
        lambda page: _event_entries(connection, catalogue_id, page),
        descending=not wanted.oldest_first,
    )


def _stands(table: Table, catalogue_id: int) -> ColumnElement[bool]:
    return and_(table.c.catalogue_id == catalogue_id, table.c.gone.is_(None))


def _individuals(catalogue_id: int) -> Select[Any]:
    of_individual = and_(
        names.c.catalogue_id == individuals.c.catalogue_id,
        names.c.individual == individuals.c.id,
        names.c.gone.is_(None),
        ~names.c.is_alias,
    )
    described = (individuals.c.id, individuals.c.species, individuals.c.sex, individuals.c.note)
    rows = select(names.c.name, names.c.key, names.c.twin, *described).join_from(individuals, names, of_individual)
    return rows.where(_stands(individuals, catalogue_id), individuals.c.merged_into.is_(None))


def _individual_conditions(catalogue_id: int, wanted: IndividualFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.search is not None:
        part = fold_name(wanted.search)
        for special in (_ESCAPE, "%", "_"):
            part = part.replace(special, _ESCAPE + special)
        alike = select(names.c.individual).where(_stands(names, catalogue_id))
        conditions.append(individuals.c.id.in_(alike.where(names.c.key.like(f"%{part}%", escape=_ESCAPE))))
    if wanted.species is not None:
        conditions.append(individuals.c.species == wanted.species)
    if wanted.sex is not None:
        conditions.append(individuals.c.sex == wanted.sex)
    if wanted.body_part is not None:
        shown = assignments.join(annotations, _is_of_annotation(assignments))
        of_part = select(assignments.c.individual).select_from(shown).where(_stands(assignments, catalogue_id))
        conditions.append(individuals.c.id.in_(of_part.where(annotations.c.body_part == wanted.body_part)))
    return conditions


def _individual_entries(connection: Connection, catalogue_id: int, rows: Sequence[Any]) -> list[IndividualEntry]:
    ids = [row.id for row in rows]
    aliases: defaultdict[int, list[str]] = defaultdict(list)
    for name in standing(connection, catalogue_id, names, "individual", ids):
        if name["is_alias"]:
            aliases[name["individual"]].append(name["name"])
    counted = select(assignments.c.individual, assignments.c.reviewed, func.count())
    counted = counted.where(_stands(assignments, catalogue_id))
    counts: dict[tuple[int, bool], int] = {}
    for some in chunks(ids):
        of_some = counted.where(assignments.c.individual.in_(some))
        grouped = of_some.group_by(assignments.c.individual, assignments.c.reviewed)
        counts |= {(individual, reviewed): count for individual, reviewed, count in connection.execute(grouped)}
    return [
        IndividualEntry(
            *(row.id, row.name, tuple(aliases[row.id]), row.species, row.sex, row.note),
            *(counts.get((row.id, reviewed), 0) for reviewed in (True, False)),
        )
        for row in rows
    ]


def _survivor(connection: Connection, catalogue_id: int, individual: int) -> int:
    """Return who an individual is now: itself, or what it was merged into."""
    while True:
        (row, *_) = (*standing(connection, catalogue_id, individuals, "id", [individual]), None)
        if row is None or row["merged_into"] is None:
            return individual
        individual = row["merged_into"]


def _encounters(connection: Connection, catalogue_id: int, individual: int) -> tuple[EncounterEntry, ...]:
    shown = assignments.join(annotations, _is_of_annotation(assignments))
    query = select(annotations.c.id, annotations.c.encounter).select_from(shown).order_by(annotations.c.id)
    query = query.where(_stands(assignments, catalogue_id), assignments.c.individual == individual)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for annotation, encounter in connection.execute(query.where(annotations.c.encounter.is_not(None))):
        members[encounter].append(annotation)
    sighting_of = {row["id"]: row["sighting"] for row in standing(connection, catalogue_id, encounters, "id", members)}
    known = {row["id"]: row for row in standing(connection, catalogue_id, sightings, "id", sighting_of.values())}
    places = ("begins_at", "ends_at", "latitude", "longitude", "uncertainty_m", "locality", "observer")
    return tuple(
        EncounterEntry(each, sighting, tuple(members[each]), *(known[sighting][column] for column in places))
        for each, sighting in sorted(sighting_of.items())
    )


def _is_of_annotation(table: Table) -> ColumnElement[bool]:
    return and_(
        table.c.catalogue_id == annotations.c.catalogue_id,
        table.c.annotation == annotations.c.id,
        table.c.gone.is_(None),
        annotations.c.gone.is_(None),
    )


def _annotations(catalogue_id: int) -> Select[Any]:
    is_name = and_(
        names.c.catalogue_id == assignments.c.catalogue_id,
        names.c.individual == assignments.c.individual,
        names.c.gone.is_(None),
        ~names.c.is_alias,
    )
    joined = annotations.outerjoin(assignments, _is_of_annotation(assignments)).outerjoin(names, is_name)
    joined = joined.outerjoin(decisions, _is_of_annotation(decisions))
    said = (assignments.c.individual, names.c.name, assignments.c.reviewed, decisions.c.verdict, decisions.c.confidence)
    seen = tuple(annotations.c[column] for column in _SEEN)
    return select(*seen, *said).select_from(joined).where(_stands(annotations, catalogue_id))


def _annotation_entries(connection: Connection, catalogue_id: int, rows: Sequence[Any]) -> list[AnnotationEntry]:
    models: defaultdict[int, list[str]] = defaultdict(list)
    made = select(embeddings.c.annotation, embeddings.c.model).where(_stands(embeddings, catalogue_id))
    for some in chunks([row.id for row in rows]):
        of_some = made.where(embeddings.c.annotation.in_(some)).order_by(embeddings.c.row)
        for annotation, model in connection.execute(of_some):
            models[annotation].append(model)
    return [
        AnnotationEntry(
            **{column: getattr(row, column) for column in _SEEN},
            individual=row.individual,
            name=row.name,
            reviewed=bool(row.reviewed),
            verdict=row.verdict,
            confidence=row.confidence,
            models=tuple(models[row.id]),
        )
        for row in rows
    ]


def _versions(catalogue_id: int, about: Iterable[Subject]) -> Any:
    parts = []
    for column, values in about:
        table = column.table
        of_thing = (table.c.catalogue_id == catalogue_id, column.in_(values))
        parts.append(select(table.c.version).where(*of_thing))
        parts.append(select(table.c.gone).where(*of_thing))  # asking for those that are gone would walk all of them
    return union(*parts)


def _event_entries(connection: Connection, catalogue_id: int, rows: Sequence[Any]) -> list[EventEntry]:
    undone = undone_by(connection, catalogue_id, min((row.version for row in rows), default=0))
    return [
        EventEntry(
            version=row.version,
            kind=row.kind,
            actor=Actor(row.institution, row.name, row.actor_kind),
            at=row.at,
            reason=row.reason,
            undoes=row.undoes,
            undone_by=undone.get(row.version),
        )
        for row in rows
    ]
