"""The verbs about annotations: decide, split, remove, move."""

from collections.abc import Iterable, Sequence

from pipeline.catalogue.change import Change, Row, standing
from pipeline.catalogue.events import is_history
from pipeline.catalogue.known_names import KnownNames
from pipeline.catalogue.layout import name_of
from pipeline.catalogue.schema import annotations, assignments, decisions, embeddings, encounters, sightings
from pipeline.catalogue.signing import read_signed, read_signing_key
from pipeline.catalogue.things import by_annotation, require, require_individuals
from pipeline.catalogue.vectors import storable_text
from pipeline.catalogue.verbs import Decide, Decision, Move, Remove, Split, Verdict
from pipeline.errors import ChangeRefusedError


def decide(change: Change, verb: Decide) -> None:
    """See `pipeline.catalogue.verbs.Decide`.

    Raises:
        BadIdentityError: the name of a new individual cannot be one.
        ChangeRefusedError: a decision lacks what its verdict needs, or has too much, or an annotation has two, or the
            ranking is not one that this catalogue has signed.
        NameInUseError: the name of a new individual is taken.
        NotInCatalogueError: an annotation or an individual does not stand.
    """
    ids = [decision.annotation for decision in verb.decisions]
    _refuse_twice(ids)
    for decision in verb.decisions:
        _check(decision)
    require(change, annotations, ids)
    who = _individuals_of(change, verb.decisions)
    said = by_annotation(change, assignments, ids)
    verdicts = by_annotation(change, decisions, ids)
    for decision, individual in zip(verb.decisions, who, strict=True):
        shown = individual if decision.verdict in ("match", "new") else None
        _assign(change, decision.annotation, shown, said.get(decision.annotation))
        _record(change, decision, individual, _ranking_of(change, decision), verdicts.get(decision.annotation))


def split(change: Change, verb: Split) -> None:
    """See `pipeline.catalogue.verbs.Split`.

    Raises:
        BadIdentityError: the name cannot be that of a new individual.
        ChangeRefusedError: the annotations are not all of one individual, and of another than they go to.
        NameInUseError: the name is taken.
        NotInCatalogueError: an annotation or the individual does not stand.
    """
    said = by_annotation(change, assignments, verb.annotations)
    owners = {said[each]["individual"] if each in said else None for each in verb.annotations}
    target = None if verb.individual is None else require_individuals(change, [verb.individual])[verb.individual]["id"]
    if len(owners) != 1 or owners == {None} or owners == {target}:
        raise ChangeRefusedError("split takes annotations of one individual, to another one: look at whose they are")
    verdict: Verdict = "new" if target is None else "match"
    decide(change, Decide(tuple(Decision(each, verdict, target, verb.name) for each in verb.annotations)))


def remove(change: Change, verb: Remove) -> None:
    """See `pipeline.catalogue.verbs.Remove`.

    Raises:
        NotInCatalogueError: an annotation does not stand.
    """
    rows = require(change, annotations, verb.annotations)
    change.close(annotations, (row["row"] for row in rows.values()))
    for table in (assignments, embeddings, decisions):
        change.close(table, (row["row"] for row in standing(*change.place, table, "annotation", rows)))


def move(change: Change, verb: Move) -> None:
    """See `pipeline.catalogue.verbs.Move`.

    Raises:
        ChangeRefusedError: the encounter would have two animals of one photo; it is given, and a sighting as well.
        NotInCatalogueError: an annotation, the encounter or the sighting does not stand.
    """
    rows = require(change, annotations, verb.annotations)
    if verb.encounter is None:
        there: list[Row] = []
        encounter = _make_encounter(change, verb.sighting)
    elif verb.sighting is None:
        require(change, encounters, [verb.encounter])
        encounter = verb.encounter
        there = list(standing(*change.place, annotations, "encounter", [encounter]))
    else:
        raise ChangeRefusedError("a known encounter has its sighting: name one of the two")
    _refuse_two_animals([*there, *rows.values()])
    for row in rows.values():
        if row["encounter"] != encounter:
            change.replace(annotations, row, encounter=encounter)


def _make_encounter(change: Change, sighting: int | None) -> int:
    if sighting is None:
        sighting = change.open(sightings, {})
    else:
        require(change, sightings, [sighting])
    return change.open(encounters, {"sighting": sighting})


def _refuse_two_animals(rows: Iterable[Row]) -> None:
    animal_of: dict[str, int] = {}
    for row in rows:
        if animal_of.setdefault(row["source_key"], row["animal"]) != row["animal"]:
            raise ChangeRefusedError(
                f"annotation {row['id']} shows another animal of a photo that the encounter has already: an encounter "
                "is one animal at one time and place"
            )


def _refuse_twice(ids: Sequence[int]) -> None:
    if len(set(ids)) < len(ids):
        raise ChangeRefusedError("an annotation has two decisions: decide once on each")


def _check(decision: Decision) -> None:
    given = (decision.individual is not None, decision.name is not None)
    if decision.verdict == "match" and given != (True, False):
        raise ChangeRefusedError(f'annotation {decision.annotation}: "match" needs an individual, and takes no name')
    if decision.verdict == "new" and given != (False, True):
        raise ChangeRefusedError(f'annotation {decision.annotation}: "new" needs a name, and takes no individual')
    if decision.verdict not in ("match", "new") and decision.name is not None:
        raise ChangeRefusedError(f'annotation {decision.annotation}: "{decision.verdict}" takes no name')


def _individuals_of(change: Change, said: Sequence[Decision]) -> list[int | None]:
    """Return the individual of each decision; new ones are made."""
    known = KnownNames(change, (decision.name for decision in said if decision.name is not None))
    meant = require_individuals(change, (decision.individual for decision in said if decision.individual is not None))
    made: dict[str, int] = {}
    who: list[int | None] = []
    for decision in said:
        if decision.name is not None:
            if decision.name not in made:
                made[decision.name] = known.new(decision.name)
            who.append(made[decision.name])
        else:
            who.append(None if decision.individual is None else meant[decision.individual]["id"])
    return who


def _assign(change: Change, annotation: int, individual: int | None, said: Row | None) -> None:
    if said is not None and said["reviewed"] and said["individual"] == individual:
        return
    if said is not None:
        change.close(assignments, [said["row"]])
    if individual is not None:
        values: Row = {"annotation": annotation, "individual": individual, "reviewed": True}
        change.open(assignments, values | {"path": None if said is None else said["path"], "said_in": change.version})


def _ranking_of(change: Change, decision: Decision) -> str | None:
    if decision.ranking is None:
        return None
    signed = read_signed(read_signing_key(change.connection), decision.ranking)
    head = None if signed is None else signed.heads.get(name_of(*change.place))
    if signed is None or head is None or not is_history(*change.place, head):
        raise ChangeRefusedError(
            f"annotation {decision.annotation}: the ranking is none that this catalogue has signed: bring it back "
            "character for character, or leave it out"
        )
    return signed.text


def _record(
    change: Change, decision: Decision, individual: int | None, ranking: str | None, before: Row | None
) -> None:
    confidence = None if decision.confidence is None else storable_text(decision.confidence)
    values: Row = {"annotation": decision.annotation, "verdict": decision.verdict, "individual": individual}
    values |= {"confidence": confidence, "ranking": ranking}
    if before is not None:
        if all(before[column] == value for column, value in values.items()):
            return
        change.close(decisions, [before["row"]])
    change.open(decisions, values)
