"""Which confirmations of the desktop app are its guesses: the best candidates that it was told."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.guesses import LastAnswers
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Alias, Decide, Decision
from pipeline.catalogue.views import AnnotationFilter, IndividualFilter
from pipeline.protocol.filters import Detail, Filters
from pipeline.records import LOCAL_USER, Candidate, PhotoKey, Query, Ranking
from tests.confirming import ConfirmingMatcher

FLUKE = LoadedModel("fluke", "m1", 2, normalised=False)
EAST, NORTH_EAST = (1.0, 0.0), (0.6, 0.5)


@pytest.fixture
def store(tmp_path: Path) -> SqlCatalogue:
    """Make a catalogue of DANTE in the east and VERGIL in the north."""
    catalogue = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    words = [("d", "DANTE", EAST), ("v", "VERGIL", (0.0, 1.0))]
    known = [Confirmation(PhotoKey(f"path:{p}"), "fluke", name, np.array(at), "m1", p) for p, name, at in words]
    catalogue.confirm(known, LOCAL_USER)
    return catalogue


@pytest.fixture
def matcher(store: SqlCatalogue) -> ConfirmingMatcher:
    return ConfirmingMatcher(store, [FLUKE])


def query(photo: str, values: Sequence[float], identity: str | None = None) -> Query:
    return Query(PhotoKey(f"path:{photo}"), photo, "fluke", np.array(values, dtype=np.float32), None, identity)


def ask(matcher: ConfirmingMatcher, photo: str, values: Sequence[float] = NORTH_EAST) -> str:
    (ranking,) = matcher.rank([query(photo, values)], None)
    return ranking.candidates[0].individual


def name(matcher: ConfirmingMatcher, photo: str, identity: str, values: Sequence[float] = NORTH_EAST) -> None:
    assert matcher.confirm([query(photo, values, identity)], LOCAL_USER, may_guess=True) == [None]


def said(store: SqlCatalogue, photo: str) -> tuple[str | None, bool]:
    """Return who a photo shows, and whether a person says so."""
    (entry,) = (each for each in store.annotations(AnnotationFilter()).entries if each.path == photo)
    return entry.name, entry.reviewed


def test_the_best_candidate_is_a_guess_and_another_name_a_word(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    assert ask(matcher, "p") == ask(matcher, "q") == "DANTE"
    name(matcher, "p", "DANTE")
    name(matcher, "q", "VERGIL", NORTH_EAST)
    assert (said(store, "p"), said(store, "q")) == (("DANTE", False), ("VERGIL", True))


def test_what_somebody_else_ranks_with_filters_is_not_what_the_app_was_told(
    store: SqlCatalogue, matcher: ConfirmingMatcher
) -> None:
    assert ask(matcher, "p") == "DANTE"
    left = Detail(0, Filters(side="left"))
    (ranking,) = matcher.rank([query("p", NORTH_EAST)], None, left)
    assert ranking.candidates[0].individual == "Unknown"
    name(matcher, "other", "NOVA")
    name(matcher, "p", "DANTE")
    assert said(store, "p") == ("DANTE", False)


def test_a_guess_is_on_disk_waits_for_review_and_is_in_no_mean(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    before = matcher.rank([query("x", EAST)], None)
    counts = store.counts()
    name(matcher, "p", "DANTE")
    assert [each.path for each in store.annotations(AnnotationFilter(waiting=True)).entries] == ["p"]
    (dante,) = store.individuals(IndividualFilter(search="dante")).entries
    assert (dante.annotations, dante.provisional) == (1, 1)
    assert ConfirmingMatcher(store, [FLUKE]).rank([query("x", EAST)], None) == before
    assert store.counts() == counts
    assert store.differences_from_log() == []


def test_what_was_the_best_when_it_was_answered_stays_a_guess(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    assert ask(matcher, "p") == "DANTE"
    name(matcher, "other", "NOVA", NORTH_EAST)
    assert said(store, "other") == ("NOVA", True)
    for _ in range(2):  # as often as "Reidentify" is pressed
        name(matcher, "p", "DANTE")
    assert said(store, "p") == ("DANTE", False)
    name(matcher, "p", "VERGIL")
    assert said(store, "p") == ("VERGIL", True)


def test_the_last_answer_counts_and_not_one_before_it(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    assert ask(matcher, "p") == "DANTE"
    name(matcher, "other", "NOVA", NORTH_EAST)
    assert ask(matcher, "p") == "NOVA"
    name(matcher, "p", "DANTE")
    assert said(store, "p") == ("DANTE", True)


def test_a_guess_that_unknown_was_better_than_is_a_word(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    assert ask(matcher, "p", (5.0, 0.0)) == "Unknown"
    name(matcher, "p", "DANTE", (5.0, 0.0))
    assert said(store, "p") == ("DANTE", True)


def test_where_the_last_answer_is_not_known_only_a_name_of_its_own_is_a_word(
    store: SqlCatalogue, matcher: ConfirmingMatcher
) -> None:
    assert ask(matcher, "p") == "DANTE"
    restarted = ConfirmingMatcher(store, [FLUKE])
    name(restarted, "p", "VERGIL")
    name(restarted, "q", "NOVA")
    assert (said(store, "p"), said(store, "q")) == (("VERGIL", False), ("NOVA", True))
    name(restarted, "v", "DANTE", (0.0, 1.0))
    assert said(store, "v") == ("DANTE", True), "a correction of what a person said is a word"


def test_a_guess_never_changes_what_a_person_said(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    name(matcher, "p", "NOVA")
    for undecided, photo in ((False, "p"), (True, "q")):
        if undecided:
            name(matcher, photo, "NOVA")
            (entry,) = (each for each in store.annotations(AnnotationFilter()).entries if each.path == photo)
            store.change(Decide((Decision(entry.id, "unsure"),)), LOCAL_USER)
        before = said(store, photo)
        head = store.head()
        name(matcher, photo, ask(matcher, photo))
        assert (said(store, photo), store.head()) == (before, head)


def test_who_decides_on_a_guess_makes_it_a_word_that_is_ranked(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    name(matcher, "p", "DANTE")
    (entry,) = store.annotations(AnnotationFilter(waiting=True)).entries
    assert entry.individual is not None
    store.change(Decide((Decision(entry.id, "match", entry.individual),)), LOCAL_USER)
    assert said(store, "p") == ("DANTE", True)
    (ranking,) = matcher.rank([query("x", EAST)], None)
    assert ranking.candidates[0] == Candidate("DANTE", pytest.approx(np.hypot(0.2, 0.25)), entry.individual)


def test_an_alias_is_a_word_since_no_ranking_shows_it(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    (dante,) = store.individuals(IndividualFilter(search="dante")).entries
    store.change(Alias(dante.id, add=("The Poet",)), LOCAL_USER)
    ask(matcher, "p")
    name(matcher, "p", "The Poet")
    assert said(store, "p") == ("DANTE", True)


def test_other_clients_words_are_words(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    best = ask(matcher, "p")
    assert matcher.confirm([query("p", NORTH_EAST, best)], LOCAL_USER) == [None]
    assert said(store, "p") == ("DANTE", True)


def test_many_guesses_of_one_request_are_told_in_portions(store: SqlCatalogue, matcher: ConfirmingMatcher) -> None:
    named = [query(f"p{n}", EAST, "DANTE" if n % 2 else "NOVA") for n in range(150)]
    assert matcher.confirm(named, LOCAL_USER, may_guess=True) == [None] * 150
    waiting = store.annotations(AnnotationFilter(waiting=True)).entries
    assert {each.path for each in waiting} == {f"p{n}" for n in range(1, 150, 2)}


def test_the_oldest_answers_are_forgotten() -> None:
    last = LastAnswers(at_most=2)
    for n in (0, 1, 0, 2):
        last.note(query("p", (float(n), 0.0)), Ranking((Candidate(f"N{n}", 0.5),)))
    assert [last.best(query("p", (float(n), 0.0))) for n in range(3)] == ["N0", None, "N2"]
    last.note(query("p", (3.0, 0.0), "A"), Ranking((Candidate("A", 0.5),)))
    assert last.best(query("p", (3.0, 0.0))) is None
