"""Random verbs, confirmations and undos against a plain model of what stands, on each kind of database.

The model knows facts ("annotation 7 shows individual 3") and, of each event, which facts it changed from what to what;
nothing of rows, versions or SQL. After each step the store must say what the model says, its tables must be those that
its log tells, and two readers of galleries, one that follows each step and one that follows at times, must rank alike.
"""

from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import EMPTY, Confirmation
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import (
    Alias,
    Decide,
    Decision,
    Describe,
    Merge,
    Move,
    Remove,
    Rename,
    Split,
    Undo,
    Verb,
    Verdict,
)
from pipeline.catalogue.views import AnnotationFilter, IndividualFilter
from pipeline.errors import ChangeRefusedError, NameInUseError, UndoBlockedError
from pipeline.names import fold_name
from pipeline.protocol.filters import Detail, Filters
from pipeline.records import LOCAL_USER, PhotoKey, Query, Ranking

MODEL = LoadedModel("fluke", "m1", 2)
NAMES = st.sampled_from(["Ada", "ADA", "Bo", "b o", "Cy", "Dee", "DEE"])
PHOTOS = st.sampled_from("pqrstu")
VECTORS = st.sampled_from([(0.0, 0.5), (0.5, 0.0), (0.25, 0.25), (0.1, 0.7)])
PLACES = st.integers(0, 30)

Fact = tuple[str, Any]
Event = dict[Fact, tuple[Any, Any]]
"""Each fact that an event touched, before and after; None: it did not hold."""


class Catalogues(RuleBasedStateMachine):
    """One catalogue and its model.

    Facts: ("who", individual) -> (sex, merged into); ("name", fold) -> (individual, spelling, is alias);
    ("photo", annotation) -> (photo, side, encounter); ("shows", annotation) -> (individual, reviewed);
    ("vector", annotation); ("verdict", annotation) -> (verdict, individual); ("encounter", id) -> sighting;
    ("sighting", id) -> locality.
    """

    numbers = count()
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.store: SqlCatalogue = open_catalogue(self.url, f"catalogue {next(self.numbers)}")
        self.readers = [CatalogueMatcher(self.store, [MODEL]) for _ in range(2)]
        self.facts: dict[Fact, Any] = {}
        self.log: dict[int, Event] = {}
        self.undone: dict[int, int] = {}

    def teardown(self) -> None:
        """Both readers have followed to the same rankings, whatever the second has left out."""
        for detail in (None, IN_DETAIL, LEFT):
            assert self.readers[0].rank([QUERY], 9, detail) == self.readers[1].rank([QUERY], 9, detail)
        self.store.close()

    # --- the model ---

    def all(self, kind: str) -> dict[Any, Any]:
        return {key: value for (of, key), value in self.facts.items() if of == kind}

    def pick(self, kind: str, place: int) -> Any:
        """Return one of the things of a kind; individuals that were merged are none."""
        things = sorted(key for key, value in self.all(kind).items() if kind != "who" or value[1] is None)
        return things[place % len(things)] if things else None

    def photos_of(self, individual: int, reviewed: tuple[bool, ...] = (True, False)) -> list[int]:
        wanted = [(individual, each) for each in reviewed]
        return [annotation for annotation, shown in self.all("shows").items() if shown in wanted]

    def happened(self, version: int, after: dict[Fact, Any]) -> None:
        """Take in what an event changed; nothing is no event."""
        assert self.store.head().version == version == len(self.log) + bool(after)
        if after:
            self.log[version] = {fact: (self.facts.get(fact), value) for fact, value in after.items()}
            self.facts |= after
            self.facts = {fact: value for fact, value in self.facts.items() if value is not None}

    def say(self, verb: Verb, after: dict[Fact, Any] | type[ChangeRefusedError], **made: str) -> None:
        """Say something and expect these facts, or this refusal; `made` names the facts about what is new."""
        if isinstance(after, type):
            with pytest.raises(after):
                self.store.change(verb, LOCAL_USER)
            return
        changed = self.store.change(verb, LOCAL_USER)
        new = {name: changed.made[name][0] for name in changed.made}
        self.happened(changed.head.version, {_named(key, new): _named(value, new) for key, value in after.items()})

    # --- confirmations ---

    @rule(photo=PHOTOS, name=NAMES, vector=VECTORS, reviewed=st.booleans())
    def confirm(self, photo: str, name: str, vector: tuple[float, float], reviewed: bool) -> None:
        word = Confirmation(PhotoKey(f"path:{photo}"), "fluke", name, np.array(vector), "m1", photo, reviewed=reviewed)
        version = self.store.confirm([word], LOCAL_USER).head.version
        (annotation,) = (e.id for e in self.store.annotations(AnnotationFilter()).entries if e.path == photo)
        reviewed = reviewed or not any(("name", fold_name(name)) in event for event in self.log.values())
        if not reviewed and self.is_spoken_about(annotation):
            self.happened(version, {})
            return
        self.happened(version, self.confirmed(annotation, photo, name, vector, reviewed))

    def is_spoken_about(self, annotation: int) -> bool:
        return ("verdict", annotation) in self.facts or self.facts.get(("shows", annotation), (0, False))[1]

    def confirmed(
        self, annotation: int, photo: str, name: str, vector: tuple[float, float], reviewed: bool
    ) -> dict[Fact, Any]:
        after: dict[Fact, Any] = {}
        known = self.facts.get(("name", fold_name(name)))
        if known is None:
            found = self.store.individuals(IndividualFilter(search=name)).entries
            individual = next(entry.id for entry in found if entry.name == name)
            after = {("who", individual): (None, None), ("name", fold_name(name)): (individual, name, False)}
        else:
            individual, spelling, is_alias = known
            if reviewed and not self.photos_of(individual) and spelling != name and not is_alias:
                after["name", fold_name(name)] = (individual, name, False)
        said = (individual, reviewed)
        if (self.facts.get(("shows", annotation)), self.facts.get(("vector", annotation))) != (said, vector):
            if ("photo", annotation) not in self.facts:
                after["photo", annotation] = (photo, None, None)
            after |= {("shows", annotation): said, ("vector", annotation): vector}
            if ("verdict", annotation) in self.facts:
                after["verdict", annotation] = None
        return after

    # --- annotations ---

    @precondition(lambda self: self.all("photo"))
    @rule(place=PLACES, who=PLACES, verdict=st.sampled_from(["match", "unsure", "not_comparable"]))
    def decide(self, place: int, who: int, verdict: Verdict) -> None:
        annotation, individual = self.pick("photo", place), self.pick("who", who)
        after: dict[Fact, Any] = {}
        if self.facts.get(("verdict", annotation)) != (verdict, individual):
            after["verdict", annotation] = (verdict, individual)
        shown = (individual, True) if verdict == "match" else None
        if self.facts.get(("shows", annotation)) != shown:
            after["shows", annotation] = shown
        self.say(Decide((Decision(annotation, verdict, individual),)), after)

    @precondition(lambda self: self.all("photo"))
    @rule(place=PLACES, name=NAMES)
    def decide_new(self, place: int, name: str) -> None:
        annotation = self.pick("photo", place)
        self.say(Decide((Decision(annotation, "new", name=name),)), self.new_individual([annotation], name))

    @precondition(lambda self: self.all("shows"))
    @rule(place=PLACES, name=NAMES)
    def split(self, place: int, name: str) -> None:
        owner, _ = self.facts["shows", self.pick("shows", place)]
        some = self.photos_of(owner)[:2]
        self.say(Split(tuple(some), name=name), self.new_individual(some, name))

    def new_individual(self, annotations: list[int], name: str) -> dict[Fact, Any] | type[ChangeRefusedError]:
        if ("name", fold_name(name)) in self.facts:
            return NameInUseError
        after: dict[Fact, Any] = {("who", "individuals"): (None, None)}
        after["name", fold_name(name)] = ("individuals", name, False)
        for annotation in annotations:
            after |= {("shows", annotation): ("individuals", True), ("verdict", annotation): ("new", "individuals")}
        return after

    @precondition(lambda self: self.all("photo"))
    @rule(place=PLACES)
    def remove(self, place: int) -> None:
        annotation = self.pick("photo", place)
        about = ("photo", "shows", "vector", "verdict")
        self.say(Remove((annotation,)), {(k, annotation): None for k in about if (k, annotation) in self.facts})

    @precondition(lambda self: self.all("photo"))
    @rule(place=PLACES, where=PLACES, kind=st.sampled_from(["encounter", "sighting", "new"]))
    def move(self, place: int, where: int, kind: str) -> None:
        annotation = self.pick("photo", place)
        photo, side, before = self.facts["photo", annotation]
        there = self.pick(kind, where) if kind != "new" else None
        if kind == "encounter" and there is not None:
            after = {} if before == there else {("photo", annotation): (photo, side, there)}
            self.say(Move((annotation,), there), after)
            return
        after = {("encounter", "encounters"): there or "sightings", ("photo", annotation): (photo, side, "encounters")}
        if there is None:
            after["sighting", "sightings"] = "nowhere"
        self.say(Move((annotation,), sighting=there if kind == "sighting" else None), after)

    @precondition(lambda self: self.all("photo"))
    @rule(place=PLACES, side=st.sampled_from(["left", "right"]))
    def describe_annotation(self, place: int, side: str) -> None:
        annotation = self.pick("photo", place)
        photo, before, encounter = self.facts["photo", annotation]
        after = {} if before == side else {("photo", annotation): (photo, side, encounter)}
        self.say(Describe("annotation", annotation, {"side": side}), after)

    # --- individuals ---

    @precondition(lambda self: self.all("who"))
    @rule(place=PLACES, sex=st.sampled_from(["female", "male"]))
    def describe_individual(self, place: int, sex: str) -> None:
        individual = self.pick("who", place)
        after = {} if self.facts["who", individual][0] == sex else {("who", individual): (sex, None)}
        self.say(Describe("individual", individual, {"sex": sex}), after)

    @precondition(lambda self: self.all("who"))
    @rule(place=PLACES, name=NAMES, keep=st.booleans())
    def rename(self, place: int, name: str, keep: bool) -> None:
        individual, fold = self.pick("who", place), fold_name(name)
        self.say(Rename(individual, name, keep), self.renamed(individual, name, fold, keep))

    def renamed(self, individual: int, name: str, fold: str, keep: bool) -> dict[Fact, Any] | type[ChangeRefusedError]:
        if self.facts.get(("name", fold), (individual,))[0] != individual:
            return NameInUseError
        ((old_fold, old),) = ((k, v) for k, v in self.all("name").items() if v[0] == individual and not v[2])
        if old[1] == name:
            return {}
        after: dict[Fact, Any] = {("name", old_fold): (individual, old[1], True) if keep else None}
        return after | {("name", fold): (individual, name, False)}

    @precondition(lambda self: self.all("who"))
    @rule(place=PLACES, name=NAMES)
    def add_alias(self, place: int, name: str) -> None:
        individual = self.pick("who", place)
        known = self.facts.get(("name", fold_name(name)))
        after: dict[Fact, Any] | type[ChangeRefusedError] = {}
        if known is None:
            after = {("name", fold_name(name)): (individual, name, True)}
        elif known[0] != individual:
            after = NameInUseError
        self.say(Alias(individual, add=(name,)), after)

    @precondition(lambda self: any(value[2] for value in self.all("name").values()))
    @rule(place=PLACES)
    def remove_alias(self, place: int) -> None:
        aliases = sorted((fold, value) for fold, value in self.all("name").items() if value[2])
        fold, (individual, name, _) = aliases[place % len(aliases)]
        self.say(Alias(individual, remove=(name,)), {("name", fold): None})

    @precondition(lambda self: self.all("who"))
    @rule(one=PLACES, two=PLACES)
    def merge(self, one: int, two: int) -> None:
        into, other = self.pick("who", one), self.pick("who", two)
        if into == other:
            self.say(Merge(into, (other,)), ChangeRefusedError)
            return
        after: dict[Fact, Any] = {("who", other): (self.facts["who", other][0], into)}
        after |= {("shows", each): (into, self.facts["shows", each][1]) for each in self.photos_of(other)}
        theirs = ((fold, value) for fold, value in self.all("name").items() if value[0] == other)
        after |= {("name", fold): (into, spelling, True) for fold, (_, spelling, _) in theirs}
        self.say(Merge(into, (other,)), after)

    # --- undo ---

    @precondition(lambda self: self.log)
    @rule(back=st.integers(0, 8))
    def undo_one(self, back: int) -> None:
        self.undo(max(1, len(self.log) - back))

    @precondition(lambda self: self.log)
    @rule(back=st.integers(1, 3), to=st.integers(0, 2))
    def undo_several(self, back: int, to: int) -> None:
        """Undo the newest events, newest first, and then one before them, which only they had built upon."""
        newest = len(self.log)
        for version in (*range(newest, newest - back, -1), newest - back - to):
            if version >= 1:
                self.undo(version)

    def undo(self, version: int) -> None:
        restored = {fact: before for fact, (before, _) in self.log[version].items()}
        if version in self.undone or self.built_upon(version) or not self.is_whole(self.facts | restored):
            self.say(Undo(version), UndoBlockedError)
            return
        self.say(Undo(version), restored)
        self.undone[version] = len(self.log)
        self.undone = {of: by for of, by in self.undone.items() if by not in self.undone}

    def built_upon(self, version: int) -> bool:
        cancelled = {*self.undone, *(by for of, by in self.undone.items() if of > version)}
        later = (event for number, event in self.log.items() if number > version and number not in cancelled)
        return any(fact in event and fact[0] != "vector" for event in later for fact in self.log[version])

    def is_whole(self, facts: dict[Fact, Any]) -> bool:
        """Tell whether every fact is about things that are there."""
        facts = {fact: value for fact, value in facts.items() if value is not None}
        there = {fact for fact in facts if fact[0] != "who" or facts[fact][1] is None}
        needed: set[Fact] = {("photo", key) for kind, key in facts if kind in ("shows", "vector", "verdict")}
        photos = []
        for (kind, _), value in facts.items():
            if kind in ("shows", "name"):
                needed.add(("who", value[0]))
            elif kind == "encounter":
                needed.add(("sighting", value))
            elif kind == "photo":
                photos.append(value[0])
                needed |= {("encounter", value[2])} if value[2] is not None else set()
        return needed <= there and len(photos) == len(set(photos))

    # --- what must hold ---

    @rule()
    def second_reader_follows(self) -> None:
        self.readers[1].rank([QUERY], None)

    @invariant()
    def lists_say_what_the_model_says(self) -> None:
        names: defaultdict[int, tuple[list[str], set[str]]] = defaultdict(lambda: ([], set()))
        for individual, spelling, is_alias in self.all("name").values():
            if is_alias:
                names[individual][1].add(spelling)
            else:
                names[individual][0].append(spelling)
        expected = {
            i: (*names[i], sex, *(len(self.photos_of(i, (reviewed,))) for reviewed in (True, False)))
            for i, (sex, into) in self.all("who").items()
            if into is None
        }
        found = self.store.individuals(IndividualFilter()).entries
        assert {e.id: ([e.name], set(e.aliases), e.sex, e.annotations, e.provisional) for e in found} == expected
        said = {
            a: (*seen, *self.facts.get(("shows", a), (None, False)), self.facts.get(("verdict", a), (None,))[0])
            for a, seen in self.all("photo").items()
        }
        listed = self.store.annotations(AnnotationFilter()).entries
        assert {e.id: (e.path, e.side, e.encounter, e.individual, e.reviewed, e.verdict) for e in listed} == said

    @invariant()
    def tables_are_those_of_the_log(self) -> None:
        assert self.store.differences_from_log() == []

    @invariant()
    def references_and_filters_are_those_of_the_model(self) -> None:
        for detail in (IN_DETAIL, LEFT):
            (ranking,) = self.readers[0].rank([QUERY], 9, detail)
            counted = {a for a, (_, side, _) in self.all("photo").items() if detail is IN_DETAIL or side == "left"}
            whose = {i: sorted(set(self.photos_of(i)) & counted) for i in set(self.all("shows").values())}
            whose = {individual: annotations for individual, annotations in whose.items() if annotations}
            assert {c.number for c in ranking.candidates if c.number is not None} == set(whose)
            assert ranking.individuals == len(whose)
            for candidate in ranking.candidates:
                if candidate.number is not None:
                    mean = np.mean([self.facts["vector", a] for a in whose[candidate.number]], axis=0)
                    assert candidate.distance == pytest.approx(float(np.linalg.norm(mean)), abs=1e-12)
                    assert [(r.annotation, r.distance, r.encounter) for r in candidate.references] == self.references(
                        whose[candidate.number], detail.references
                    )

    def references(self, annotations: list[int], count: int) -> list[tuple[int, Any, int | None]]:
        """Return the nearest annotations to the origin, one an encounter."""
        far = {a: float(np.linalg.norm(self.facts["vector", a])) for a in annotations}
        kept: list[tuple[int, Any, int | None]] = []
        for annotation in sorted(annotations, key=lambda a: (round(far[a], 12), self.row_of(a))):
            encounter = self.facts["photo", annotation][2]
            if len(kept) < count and (encounter is None or encounter not in [k[2] for k in kept]):
                kept.append((annotation, pytest.approx(far[annotation], abs=1e-12), encounter))
        return kept

    def row_of(self, annotation: int) -> int:
        """Return the number of the word that says who it shows: among equals, the older one is the nearer."""
        (row,) = (row for row in self.store.changes_since(EMPTY).added if row.annotation == annotation)
        return row.row_id

    @invariant()
    def galleries_are_those_of_the_model(self) -> None:
        (ranking,) = self.readers[0].rank([QUERY], None)
        fresh = CatalogueMatcher(self.store, [MODEL])
        assert fresh.rank([QUERY], None) == [ranking]
        for detail in (IN_DETAIL, LEFT):
            assert fresh.rank([QUERY], 9, detail) == self.readers[0].rank([QUERY], 9, detail)
        spelling = {individual: name for individual, name, is_alias in self.all("name").values() if not is_alias}
        expected = {
            spelling[i]: float(np.linalg.norm(np.mean([self.facts["vector", a] for a in ranked], axis=0)))
            for i in spelling
            if (ranked := self.photos_of(i, (True,)))
        }
        assert distances(ranking) == pytest.approx(expected | {"Unknown": 1.0}, abs=1e-12)


QUERY = Query(PhotoKey("path:query"), "query", "fluke", np.zeros(2, dtype=np.float32), None, None)
IN_DETAIL, LEFT = Detail(2, None), Detail(3, Filters(side="left"))


def distances(ranking: Ranking) -> dict[str, float]:
    return {candidate.individual: candidate.distance for candidate in ranking.candidates}


def _named(value: Any, new: dict[str, int]) -> Any:
    """Put numbers in place of what the store has just made."""
    if isinstance(value, tuple):
        return tuple(_named(part, new) for part in value)
    return new.get(value, value) if isinstance(value, str) else value


def machine(of: str) -> Callable[[], Catalogues]:
    return type("CataloguesOfUrl", (Catalogues,), {"url": of})


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 40), ("postgresql", 10)])
def test_verbs_and_undos_do_what_the_model_does(
    kind: str, examples: int, tmp_path: Path, request: pytest.FixtureRequest, long_form: bool
) -> None:
    in_file = kind == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    run_state_machine_as_test(
        machine(url),
        settings=settings(
            max_examples=examples * (50 if long_form else 1),
            stateful_step_count=25,
            deadline=None,
            derandomize=not long_form,
            suppress_health_check=list(HealthCheck),
            phases=list(Phase) if long_form else [Phase.generate],  # making an example small takes minutes
            database=None,
        ),
    )
