"""Carries out verbs: a table from each to what it does to the rows, and what must not have changed meanwhile."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.catalogue.change import Change, Row, read_payload
from pipeline.catalogue.deciding import decide, move, remove, split
from pipeline.catalogue.describing import DESCRIBED, alias, describe, merge, rename
from pipeline.catalogue.events import Header, commit, event_of_key, key_reused, read_head
from pipeline.catalogue.relocating import relocate
from pipeline.catalogue.rows import Head
from pipeline.catalogue.schema import annotations, assignments, encounters, names
from pipeline.catalogue.things import Subject, refuse_changed, words_about
from pipeline.catalogue.undoing import undo
from pipeline.catalogue.verbs import (
    Alias,
    Changed,
    Decide,
    Describe,
    Merge,
    Move,
    Relocate,
    Remove,
    Rename,
    Split,
    Undo,
    Verb,
)

_MADE = ("individuals", "encounters", "sightings")
_DIGEST_CHARS = 32


@dataclass(frozen=True, slots=True)
class _Way:
    """How a verb is carried out.

    Attributes:
        apply: puts it into a change.
        subjects: what a decision to say it depends on.
        merged: individuals that it must not have been told of under a name that was merged away since.
    """

    apply: Callable[[Change, Any], None]
    subjects: Callable[[Any], list[Subject]]
    merged: Callable[[Any], list[int]] = lambda _: []


def _described(verb: Describe) -> list[Subject]:
    table, key, _ = DESCRIBED[verb.thing]
    return [(table.c[key], [verb.id])]


_WAYS: Mapping[type[Verb], _Way] = {
    Decide: _Way(
        decide,
        lambda verb: words_about([each.annotation for each in verb.decisions]),
        lambda verb: [each.individual for each in verb.decisions if each.individual is not None],
    ),
    Rename: _Way(rename, lambda verb: [(names.c.individual, [verb.individual])]),
    Alias: _Way(alias, lambda verb: [(names.c.individual, [verb.individual])]),
    Merge: _Way(
        merge,
        lambda verb: [
            (assignments.c.individual, [verb.into, *verb.others]),
            (names.c.individual, [verb.into, *verb.others]),
        ],
    ),
    Split: _Way(
        split,
        lambda verb: words_about(verb.annotations),
        lambda verb: [] if verb.individual is None else [verb.individual],
    ),
    Move: _Way(
        move,
        lambda verb: [
            (annotations.c.id, verb.annotations),
            (encounters.c.id, [] if verb.encounter is None else [verb.encounter]),
        ],
    ),
    Remove: _Way(remove, lambda verb: words_about(verb.annotations)),
    Describe: _Way(describe, _described),
    Relocate: _Way(relocate, lambda verb: [(annotations.c.id, verb.paths)]),
    Undo: _Way(undo, lambda _: []),
}


def carry_out(change: Change, verb: Verb, header: Header, known: Head | None, only_changes: bool = False) -> Changed:
    """Write a verb's event, unless its key is known or nothing has to change.

    Args:
        change: that has begun.
        verb: what is said.
        header: of the event; its kind, digest and what it undoes come from the verb.
        known: the state that it was decided on.
        only_changes: make no event where nothing has to change, although there is a key.

    Raises:
        ChangeRefusedError: see the verbs.
        KeyReusedError: the key came before with something else.
    """
    digest = hashlib.sha256(repr(verb).encode("utf-8", "backslashreplace")).hexdigest()[:_DIGEST_CHARS]
    if header.key is not None:
        event = event_of_key(*change.place, header.actor, header.key)
        if event is not None:
            if event.digest != digest:
                raise key_reused()
            return Changed(Head(event.version, event.nonce), _made(read_payload(event.payload)[0]))
    way = _WAYS[type(verb)]
    refuse_changed(change, known, way.subjects(verb), way.merged(verb))
    way.apply(change, verb)
    if not change.is_empty or (header.key is not None and not only_changes):
        head = commit(change, _complete(header, verb, digest))
    else:
        head = read_head(*change.place)
    return Changed(head, _made({table.name: rows for table, rows in change.opened.items()}))


def _complete(header: Header, verb: Verb, digest: str) -> Header:
    undoes = verb.version if isinstance(verb, Undo) else None
    kept = digest if header.key is not None else None
    return Header(type(verb).__name__.lower(), header.actor, header.at, header.key, kept, header.reason, undoes)


def _made(opened: Mapping[str, list[Row]]) -> dict[str, tuple[int, ...]]:
    """Return the things whose first row is among these."""
    made = {name: tuple(row["id"] for row in opened.get(name, ()) if row["id"] == row["row"]) for name in _MADE}
    return {name: ids for name, ids in made.items() if ids}
