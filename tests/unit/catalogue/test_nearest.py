"""The short list holds every nearest vector, whatever the vectors are; rankings are those of the full computation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import nearest
from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.nearest import VectorIndex
from pipeline.catalogue.ranking import rank_queries
from pipeline.catalogue.rows import CatalogueRow
from pipeline.records import UNKNOWN, Candidate, PhotoKey, Query, Ranking

DIMENSION = 8


@st.composite
def vectors(draw: st.DrawFn, most: int = 300) -> np.ndarray:
    """Draw (n, 8) float64: clusters so tight that float32 cannot tell their members apart, repeats, many lengths."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, most))
    spots = random.normal(size=(draw(st.integers(1, 5)), DIMENSION))
    spread = draw(st.sampled_from([0.0, 1e-16, 1e-12, 1e-8, 1e-7, 1e-4, 0.1, 1.0]))
    scale = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1.0, 1.0, 1e3, 1e15]))
    return (spots[random.integers(len(spots), size=count)] + spread * random.normal(size=(count, DIMENSION))) * scale


def index_of(found: np.ndarray) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    index.put(np.arange(len(found)), found)
    return index


@settings(max_examples=200, deadline=None)
@given(vectors(), st.integers(1, 12), st.integers(0, 2**32), st.booleans())
def test_the_short_list_holds_all_that_are_as_near_as_the_last_one_wanted(
    found: np.ndarray, count: int, seed: int, at_one: bool
) -> None:
    random = np.random.default_rng(seed)
    values = found[random.integers(len(found), size=3)] * (1.0 if at_one else random.uniform(0.9, 1.1, (3, 1)))
    rough = values.astype(np.float32)
    near = index_of(found).near(torch.from_numpy(rough), count)
    if near is None:
        assert count > -(-len(found) // 32)
        return
    for query, columns in zip(rough, near, strict=True):
        exact = np.sqrt(np.sum((found - query.astype(np.float64)) ** 2, axis=1))
        wanted = np.flatnonzero(exact <= np.sort(exact)[min(count, len(exact)) - 1])
        assert set(wanted) <= set(columns.tolist())
        assert columns.tolist() == sorted(set(columns.tolist()))


def test_the_short_list_is_short() -> None:
    random = np.random.default_rng(5)
    found = random.normal(size=(20_000, DIMENSION))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    near = index_of(found).near(torch.from_numpy(found[:50].astype(np.float32)), 10)
    assert near is not None
    assert max(map(len, near)) <= 40


@pytest.mark.parametrize("longest", [1e18, 1e25, 1e38])
def test_where_float32_may_overflow_every_vector_is_looked_at(longest: float) -> None:
    found = np.full((1_000, DIMENSION), 0.5)
    found[77] = longest
    index = index_of(found)
    assert index.near(torch.zeros((1, DIMENSION)), 3) is None
    far = torch.full((1, DIMENSION), longest, dtype=torch.float32)
    assert index_of(np.full((1_000, DIMENSION), 0.5)).near(far, 3) is None


def test_a_product_of_less_precision_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert index_of(np.ones((1_000, DIMENSION))).near(torch.zeros((1, DIMENSION)), 3) is None


def test_dropped_vectors_are_near_to_nothing_and_their_columns_serve_again() -> None:
    found = np.ones((1_000, DIMENSION))
    index = index_of(found)
    index.drop(np.array([3, 999, 5_000_000]))
    (columns,) = index.near(torch.zeros((1, DIMENSION)), 5) or ()
    assert columns.tolist() == [column for column in range(1_000) if column not in (3, 999)]
    index.put(np.array([3]), np.zeros((1, DIMENSION)))
    (columns,) = index.near(torch.zeros((1, DIMENSION)), 1) or ()
    assert columns.tolist() == [3]


def test_vectors_of_several_blocks_are_found_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 64)
    random = np.random.default_rng(3)
    found = random.normal(size=(1_000, DIMENSION))
    index = index_of(found)
    values = torch.from_numpy(found[[1, 500, 999]])
    near = index.near(values.float(), 1)
    assert near is not None
    assert [columns.tolist() for columns in near] == [[1], [500], [999]]
    columns = np.array([999, 0, 64, 500])
    assert torch.equal(index.at(columns), torch.from_numpy(found[columns]))
    expected = torch.cdist(values, torch.from_numpy(found[columns]), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(index.distances(values, columns), expected)


# --- rankings, to the last bit ---


def full_ranking(rows: list[CatalogueRow], query: Query, top_k: int | None) -> Ranking:
    """Compute all distances in float64 by subtraction and sort all of them, as the service did before."""
    groups: dict[tuple[str, int], list[np.ndarray]] = {(row.individual, row.number): [] for row in rows}
    for row in rows:
        if query.identity is None or row.key != query.key:
            groups[row.individual, row.number].append(row.values)
    means = {who: np.stack(values).mean(axis=0) for who, values in groups.items() if values}
    value = torch.from_numpy(query.values.astype(np.float64)).unsqueeze(0)
    others = torch.from_numpy(np.array(list(means.values())).reshape(len(means), DIMENSION))
    distances = torch.cdist(value, others, compute_mode="donot_use_mm_for_euclid_dist")
    every = torch.cat((torch.ones((1, 1), dtype=torch.float64), distances), dim=1)
    ascending, order = torch.sort(every, dim=1, stable=True)
    pairs = zip(order[0].tolist(), ascending[0].tolist(), strict=True)
    whose = [(UNKNOWN, None), *means]
    return Ranking(tuple([Candidate(whose[place][0], distance, whose[place][1]) for place, distance in pairs][:top_k]))


@settings(max_examples=150, deadline=None)
@given(
    vectors(most=400),
    st.integers(1, 300),
    st.sampled_from([None, 1, 2, 3, 5, 10, 400]),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_rankings_equal_the_full_float64_computation_to_the_last_bit(
    found: np.ndarray, individuals: int, top_k: int | None, seed: int, confirmed: bool
) -> None:
    random = np.random.default_rng(seed)
    whose = random.integers(individuals, size=len(found))
    rows = [
        CatalogueRow(n + 1, PhotoKey(f"path:{n}"), "fluke", f"I{who}", values, "m", n + 1, int(who) + 1)
        for n, (who, values) in enumerate(zip(whose, found, strict=True))
    ]
    gallery = Gallery("fluke", "m", DIMENSION)
    gallery.update((), [rows[n] for n in random.permutation(len(rows))])
    queries = [
        Query(rows[n].key, "q", "fluke", found[n].astype(np.float32), None, "I1" if confirmed else None)
        for n in random.integers(len(rows), size=4)
    ]
    assert rank_queries(gallery, queries, top_k) == [full_ranking(rows, query, top_k) for query in queries]


def test_ties_beyond_the_short_list_s_edge_stand_in_the_catalogue_s_order() -> None:
    """300 individuals at one distance: which of them are among the first five is told by the catalogue alone."""
    spots = np.tile(np.eye(DIMENSION), (40, 1))[:300]
    rows = [
        CatalogueRow(n + 1, PhotoKey(f"path:{n}"), "fluke", f"I{n}", values, "m", n + 1, n + 1)
        for n, values in enumerate(spots)
    ]
    gallery = Gallery("fluke", "m", DIMENSION)
    gallery.update((), rows[::-1])
    query = Query(PhotoKey("path:q"), "q", "fluke", np.zeros(DIMENSION, dtype=np.float32), None, None)
    (ranking,) = rank_queries(gallery, [query], 5)
    assert [candidate.individual for candidate in ranking.candidates] == ["Unknown", "I0", "I1", "I2", "I3"]
