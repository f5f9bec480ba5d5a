"""What processes do to one catalogue at once: random verbs, shared counters, reading along; killed at any moment."""

import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Alias, Decide, Decision, Describe, Merge, Move, Remove, Rename, Split, Undo, Verb
from pipeline.catalogue.views import AnnotationFilter, HistoryFilter, IndividualFilter
from pipeline.errors import BadIdentityError, ChangedSinceError, ChangeRefusedError
from pipeline.records import Actor
from tests.confirming import word

NAMES = [f"{name}{n}" for name in ("Nova", "Dante", "Vergil") for n in range(8)]
"""Which all writers give, so that they meet."""

_PROCESSES = multiprocessing.get_context("forkserver")  # which has the modules already: a process starts at once
_PROCESSES.set_forkserver_preload(["tests.catalogue_work"])


def start(work: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
    """Start a process that does some work of this module, and return it with what it says."""
    hears, says = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=work, args=(says, *arguments))
    process.start()
    says.close()
    return process, hears


def event() -> Any:
    """Return an event that started processes can be given."""
    return _PROCESSES.Event()


def heard(hears: Connection) -> list[Any]:
    """Return all that an ended process has said whole."""
    said = []
    with suppress(EOFError, OSError), hears:
        while True:
            said.append(hears.recv())
    return said


def write_on(says: Connection, url: str, seed: int) -> None:
    """Change things without end; says the head after each change that was acknowledged."""
    catalogue, chance = open_catalogue(url), random.Random(seed)
    while True:
        says.send(change_something(catalogue, chance, Actor("test", f"writer {seed}")))


def write_for(says: Connection, url: str, seed: int, seconds: float) -> None:
    """Change things and count on a shared counter for some seconds; says how often it counted and all heads."""
    catalogue, chance, actor = open_catalogue(url, make=False), random.Random(seed), Actor("test", f"writer {seed}")
    counted, versions, ends = 0, [], time.monotonic() + seconds
    while time.monotonic() < ends:
        before = catalogue.head()
        head = change_something(catalogue, chance, actor)
        if head.version > before.version:
            versions.append(head)
        counted += count_on(catalogue, actor)
    catalogue.close()
    says.send((counted, versions))


def count_on(catalogue: SqlCatalogue, actor: Actor) -> bool:
    """Add one to the note of individual 1 as it is known; returns whether nobody else did so meanwhile."""
    head = catalogue.head()
    note = catalogue.individual(1).individual.note or "0"
    try:
        catalogue.change(Describe("individual", 1, {"note": str(int(note) + 1)}), actor, known=head)
    except ChangedSinceError:
        return False
    return True


def read_until(says: Connection, url: str, over: Any) -> None:
    """Follow a gallery until an event is set; says the head, its rows, and how many states it saw."""
    catalogue = open_catalogue(url, make=False)
    head, rows, states = EMPTY, {}, 0
    while not over.is_set() or catalogue.head() != head:
        changes = catalogue.changes_since(head)
        assert not changes.anew or head == EMPTY
        for row in changes.superseded:
            del rows[row]
        for row in changes.added:
            rows[row.row_id] = (row.key.photo, row.individual)
        states += changes.head != head
        head = changes.head
        page = catalogue.individuals(IndividualFilter())
        names = [entry.name.casefold() for entry in page.entries]
        assert len(names) == len(set(names)), "two individuals have one name"
    catalogue.close()
    says.send((head, rows, states))


def change_something(catalogue: SqlCatalogue, chance: random.Random, actor: Actor) -> Any:
    """Say something at random, also what is refused; returns the head after it."""
    if chance.random() < 0.4:
        name = chance.choice(NAMES)
        words = [word(f"photo {chance.randrange(40)}", name), word(f"photo {chance.randrange(40)}", name)]
        return catalogue.confirm(words, actor, f"key {chance.getrandbits(64)}").head
    with suppress(ChangeRefusedError, BadIdentityError):
        verb = _verb(catalogue, chance)
        if verb is not None:
            return catalogue.change(verb, actor).head
    return catalogue.head()


def _verb(catalogue: SqlCatalogue, chance: random.Random) -> Verb | None:
    individuals = [entry.id for entry in catalogue.individuals(IndividualFilter()).entries if entry.id != 1]
    photos = [entry.id for entry in catalogue.annotations(AnnotationFilter()).entries]
    if len(individuals) < 2 or len(photos) < 2:
        return None
    one, two = chance.sample(individuals, 2)
    some, name = tuple(chance.sample(photos, 2)), chance.choice(NAMES)
    verbs: list[Verb] = [
        *(Merge(one, (two,)), Rename(one, name, keep=chance.random() < 0.5), Alias(one, add=(name,))),
        *(Split(some[:1], name=name), Move(some), Remove(some[:1]), _undo(catalogue, chance)),
        *(Decide((Decision(some[0], "unsure"),)), Describe("annotation", some[0], {"side": chance.choice("lr")})),
    ]
    return chance.choice(verbs)


def _undo(catalogue: SqlCatalogue, chance: random.Random) -> Undo:
    """Return the undo of a late event that is not a count."""
    late = catalogue.history(HistoryFilter(), limit=10).entries
    return Undo(chance.choice([each.version for each in late if each.kind != "describe"] or [0]))
