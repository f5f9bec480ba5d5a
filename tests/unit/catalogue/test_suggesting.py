"""Individuals that may be one: pairs, pages of them, and which people have told apart; on each database."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import suggesting
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.nearest import VectorIndex
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import EMPTY, CatalogueRow, Confirmation
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.suggesting import PairSearch, suggest_merges
from pipeline.catalogue.verbs import Merge, Split, Undo
from pipeline.catalogue.views import AnnotationFilter, IndividualFilter
from pipeline.errors import MalformedMessageError
from pipeline.protocol.catalogue_requests import SuggestMerges
from pipeline.records import LOCAL_USER, PhotoKey
from tests.confirming import confirm
from tests.memory_catalogue import MemoryCatalogue

MODELS = [LoadedModel(part, "m1", 2, normalised=False) for part in ("fluke", "flank")]
PHOTOS = {"DANTE": [0.0, 2.0], "DANTE II": [0.5, 2.5], "VERGIL": [4.0, 6.0], "BICE": [9.0]}
"""Where each photo is. Means are 1, 1.5, 5 and 9; the spread of two photos that are 2 apart is the root of 2."""


def words(photos: dict[str, list[float]], part: str = "fluke") -> list[Confirmation]:
    return [
        Confirmation(PhotoKey(f"path:{name}{n}"), part, name, np.array([place, 0.0]), "m1", f"{name}{n}")
        for name, places in photos.items()
        for n, place in enumerate(places)
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    confirm(opened, words(PHOTOS))
    yield opened
    opened.close()


def ask(catalogue: SqlCatalogue, **fields: Any) -> dict[str, Any]:
    message = SuggestMerges.model_validate({"type": "suggest_merges", "id": "x", **fields})
    return suggest_merges(CatalogueMatcher(catalogue, MODELS), message)


def names(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(each["name"] for each in pair["individuals"]) for pair in answer["pairs"]]


def number(catalogue: SqlCatalogue, name: str) -> int:
    return {entry.name: entry.id for entry in catalogue.individuals(IndividualFilter()).entries}[name]


def annotations(catalogue: SqlCatalogue, *photos: str) -> tuple[int, ...]:
    return tuple(e.id for e in catalogue.annotations(AnnotationFilter()).entries if e.path in photos)


def test_a_pair_is_nearer_than_its_own_spread(catalogue: SqlCatalogue) -> None:
    answer = ask(catalogue)
    (pair,) = answer["pairs"]
    one, other = pair["individuals"]
    assert (one["name"], one["id"], one["annotations"]) == ("DANTE", number(catalogue, "DANTE"), 2)
    assert (other["name"], other["id"], other["annotations"]) == ("DANTE II", number(catalogue, "DANTE II"), 2)
    assert (one["spread"], other["spread"]) == pytest.approx((math.sqrt(2), math.sqrt(2)))
    assert (pair["body_part"], pair["distance"]) == ("fluke", 0.5)
    assert pair["ratio"] == pytest.approx(0.5 / math.sqrt(2))
    assert (answer["head"], answer["next"]) == ({"version": 1, "nonce": catalogue.head().nonce}, None)


def test_a_wider_search_finds_more_and_one_annotation_has_the_typical_spread(catalogue: SqlCatalogue) -> None:
    """VERGIL and BICE are 4 apart, as are DANTE and VERGIL: 2.83 of the spreads, of which BICE has none."""
    wide = ask(catalogue, within=2.9)
    expected = [("DANTE", "DANTE II"), ("DANTE", "VERGIL"), ("DANTE II", "VERGIL"), ("VERGIL", "BICE")]
    assert names(wide) == expected
    assert wide["pairs"][-1]["individuals"][1]["spread"] is None
    assert wide["pairs"][-1]["ratio"] == pytest.approx(4 / math.sqrt(2))
    assert names(ask(catalogue, within=0.3)) == []


def test_individuals_of_one_photo_each_are_found_by_the_typical_spread(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, words({"BICE II": [9.5]}))
    assert names(ask(catalogue)) == [("DANTE", "DANTE II"), ("BICE", "BICE II")]


def test_whom_only_the_other_s_spread_reaches_is_named_second(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, words({"WIDE": [3.0, 23.0]}))
    confirm(catalogue, words({"VERY WIDE": [12.0, 20.0]}))
    pairs = names(ask(catalogue))
    assert ("WIDE", "BICE") in pairs, "a later number, which has its spread about it"
    assert ("BICE", "WIDE") not in pairs
    assert ("WIDE", "VERY WIDE") in pairs, "each is in the other's: once, the lower number first"
    assert ("VERY WIDE", "WIDE") not in pairs


def test_pages_follow_one_another_and_hold_each_pair_once(
    catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm(catalogue, words({"DANTE": [0.0, 2.0], "VERGIL": [1.0, 2.0]}, "flank"))
    whole = ask(catalogue, within=10)
    assert whole["pairs"][0]["body_part"] == "flank"
    for searched, limit in ((1, 1_000), (1_000, 1), (2, 2)):
        monkeypatch.setattr(suggesting, "MAX_SEARCHED", searched)
        monkeypatch.setattr(CatalogueMatcher, "at_once", searched)
        pairs, after = [], None
        while after is not None or not pairs:
            page = ask(catalogue, within=10, limit=limit, after=after)
            assert len(page["pairs"]) <= limit
            pairs += page["pairs"]
            after = page["next"]
        assert pairs == whole["pairs"]


def test_one_body_part_alone_is_compared(catalogue: SqlCatalogue) -> None:
    assert ask(catalogue, bodyPart="flank")["pairs"] == []
    assert names(ask(catalogue, bodyPart="fluke")) == [("DANTE", "DANTE II")]
    with pytest.raises(MalformedMessageError, match=r"bodyPart: .*fluke"):
        ask(catalogue, bodyPart="dorsal fin")


@pytest.mark.parametrize("after", ["", "[]", "x", '["fluke",1]', '["fluke","1",2]', "[1,2,3]", '["fluke",1,true]'])
def test_a_place_that_no_page_gave_is_refused(catalogue: SqlCatalogue, after: str) -> None:
    with pytest.raises(MalformedMessageError, match="after: must be `next`"):
        ask(catalogue, after=after)


def test_two_animals_of_one_photo_are_not_suggested(catalogue: SqlCatalogue) -> None:
    both = [
        Confirmation(PhotoKey("path:both", animal), "fluke", name, np.array([1.2, 0.0]), "m1", "both")
        for animal, name in enumerate(("DANTE", "DANTE II"), 1)
    ]
    confirm(catalogue, both)
    assert names(ask(catalogue)) == []


def test_who_was_split_off_is_not_suggested_until_that_is_undone(catalogue: SqlCatalogue) -> None:
    split = catalogue.change(Split(annotations(catalogue, "DANTE1"), None, "DURANTE"), LOCAL_USER)
    assert ("DANTE", "DANTE II") in names(ask(catalogue, within=2))
    assert ("DANTE", "DURANTE") not in names(ask(catalogue, within=2))
    merged = catalogue.change(Undo(split.head.version), LOCAL_USER)
    catalogue.change(Undo(merged.head.version), LOCAL_USER)
    assert ("DANTE", "DURANTE") not in names(ask(catalogue, within=2)), "the split stands again"


def test_a_merge_that_was_undone_is_not_suggested_again(catalogue: SqlCatalogue) -> None:
    into, other = number(catalogue, "DANTE"), number(catalogue, "DANTE II")
    merged = catalogue.change(Merge(into, (other,)), LOCAL_USER)
    assert names(ask(catalogue)) == []
    undone = catalogue.change(Undo(merged.head.version), LOCAL_USER)
    assert names(ask(catalogue)) == []
    catalogue.change(Undo(undone.head.version), LOCAL_USER)
    catalogue.change(Split(annotations(catalogue, "DANTE II0", "DANTE II1"), None, "OTHER"), LOCAL_USER)
    assert names(ask(catalogue)) == []


def test_steps_are_few_individuals_each(catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatalogueMatcher, "at_once", 1)
    matcher = CatalogueMatcher(catalogue, MODELS)
    search = PairSearch(matcher, SuggestMerges.model_validate({"type": "suggest_merges", "id": "x"}))
    steps = 0
    while not search.done:
        search.go_on()
        steps += 1
    assert steps == 6, "four flukes, and the end of each body part"
    assert names(search.answer()) == [("DANTE", "DANTE II")]


# --- against all pairs ---


def by_all_pairs(rows: Sequence[CatalogueRow], within: float) -> dict[tuple[int, int], float]:
    """Return the distance of each pair, by the lower number first."""
    places = {row.number: np.stack([r.values for r in rows if r.number == row.number]) for row in rows}
    spreads = {
        who: math.sqrt(np.sum((all_ - all_.mean(axis=0)) ** 2) / (len(all_) - 1)) if len(all_) > 1 else None
        for who, all_ in places.items()
    }
    known = [spread for spread in spreads.values() if spread is not None]
    typical = float(np.median(known)) if known else 0.0
    reach = {who: within * (typical if spread is None else spread) for who, spread in spreads.items()}
    found = {}
    for one in places:
        for other in places:
            distance = math.sqrt(np.sum((places[one].mean(axis=0) - places[other].mean(axis=0)) ** 2))
            if one < other and distance <= max(reach[one], reach[other]):
                found[one, other] = distance
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([0.3, 1.0, 4.0]), st.sampled_from([0.0, 0.2, 1.0]))
def test_the_pairs_are_those_of_all_pairs(seed: int, individuals: int, within: float, spread: float) -> None:
    random = np.random.default_rng(seed)
    memory = MemoryCatalogue()
    spots = random.normal(size=(individuals, 2)) * 4
    photos = np.concatenate([np.arange(individuals), random.integers(individuals, size=2 * individuals)]).tolist()
    places = spots[photos] + spread * random.normal(size=(len(photos), 2))
    confirm(
        memory,
        [
            Confirmation(PhotoKey(f"path:{n}"), "fluke", f"I{who}", places[n], "m1", f"{n}")
            for n, who in enumerate(photos)
        ],
    )
    message = SuggestMerges(type="suggest_merges", id="x", within=within, limit=1_000)
    answer = suggest_merges(CatalogueMatcher(memory, MODELS[:1]), message)
    found = {tuple(sorted(each["id"] for each in pair["individuals"])): pair["distance"] for pair in answer["pairs"]}
    assert len(found) == len(answer["pairs"])
    expected = by_all_pairs(memory.changes_since(EMPTY).added, within)
    if len(expected) < 1_000:
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected)
    else:
        assert len(found) == 1_000


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 150), st.sampled_from([0.0, 1e-9, 0.01, 0.3]), st.sampled_from([0.5, 1, 3])
)
def test_vectors_within_a_radius_are_all_found(seed: int, count: int, spread: float, radius: float) -> None:
    random = np.random.default_rng(seed)
    spots = random.normal(size=(4, 4))
    found = spots[random.integers(4, size=count)] + spread * random.normal(size=(count, 4))
    index = VectorIndex(4)
    index.put(np.arange(count), found)
    values = found[random.integers(count, size=3)]
    radii = radius * random.uniform(0, 1, 3)
    near = index.within(torch.from_numpy(values), radii)
    assert near is not None
    for value, reach, columns in zip(values, radii, near, strict=True):
        exact = np.sqrt(np.sum((found - value) ** 2, axis=1))
        assert set(np.flatnonzero(exact <= reach)) <= set(columns.tolist())
        assert np.all(exact[columns] <= reach + 0.05)
