import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.chosen import ChosenGallery
from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.rows import CatalogueRow
from pipeline.records import PhotoKey, Query


def row(
    row_id: int, individual: str, values: tuple[float, ...], model: str = "m1", part: str = "fluke"
) -> CatalogueRow:
    number = sum(map(ord, individual))
    return CatalogueRow(row_id, PhotoKey(f"path:{row_id}"), part, individual, np.array(values), model, row_id, number)


def filled(*rows: CatalogueRow) -> Gallery:
    gallery = Gallery("fluke", "m1", dimension=2)
    gallery.update((), rows)
    return gallery


def names(gallery: Gallery) -> tuple[str, ...]:
    return tuple(gallery.name(column) for column in gallery.order.tolist())


def means(gallery: Gallery) -> dict[str, list[float]]:
    return dict(zip(names(gallery), gallery.means.at(gallery.order).tolist(), strict=True))


def test_an_empty_gallery_has_no_means() -> None:
    gallery = filled()
    assert (names(gallery), means(gallery), gallery.individuals) == ((), {}, 0)


def test_the_mean_is_not_normalised_again() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (0, 1)), row(3, "B", (0, 1)))
    assert means(gallery) == {"A": [0.5, 0.5], "B": [0.0, 1.0]}
    assert gallery.means.at(gallery.order).dtype == torch.float64


def test_rows_of_other_models_and_body_parts_are_left_out() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (9, 9), model="m2"), row(3, "A", (9, 9), part="flank"))
    assert means(gallery) == {"A": [1.0, 0.0]}


def test_individuals_stand_in_the_order_of_their_first_row() -> None:
    rows = row(1, "Z", (1, 0)), row(2, "A", (1, 0)), row(3, "Z", (0, 1))
    for order in itertools.permutations(rows):
        assert names(filled(*order)) == ("Z", "A")


def test_a_superseded_row_counts_no_longer() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "B", (1, 1)), row(3, "A", (0, 1)))
    gallery.update((1,), [row(4, "C", (5, 5))])
    assert names(gallery) == ("B", "A", "C")
    assert means(gallery) == {"A": [0.0, 1.0], "B": [1.0, 1.0], "C": [5.0, 5.0]}


def test_an_individual_without_rows_is_gone() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "B", (1, 1)))
    gallery.update((1,), ())
    assert means(gallery) == {"B": [1.0, 1.0]}


def test_changes_that_concern_others_and_what_is_in_already_change_nothing() -> None:
    gallery = filled(row(1, "A", (1, 0)))
    gallery.update((77,), [row(2, "A", (0, 1), part="flank"), row(1, "A", (1, 0))])
    assert means(gallery) == {"A": [1.0, 0.0]}


def test_an_individual_has_the_name_under_which_its_rows_came_last() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (0, 1)), row(3, "B", (1, 1)))
    renamed = [replace(row(row_id, "A", (1, 0)), individual="C") for row_id in (1, 2)]
    gallery.update((1, 2), renamed)
    assert means(gallery) == {"C": [1.0, 0.0], "B": [1.0, 1.0]}
    assert names(gallery) == ("C", "B")


CHANGES = st.lists(st.tuples(st.integers(1, 30), st.sampled_from("ABCDE"), st.integers(0, 5)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(CHANGES, st.integers(1, 5))
def test_a_gallery_that_followed_along_equals_one_that_is_filled_at_once_to_the_last_bit(
    changes: list[tuple[int, str, int]], looked_at: int
) -> None:
    following = Gallery("fluke", "m1", dimension=2)
    standing: dict[int, CatalogueRow] = {}
    for step, (photo, individual, value) in enumerate(changes):
        row_id = step + 1
        gone = [old for old, known in standing.items() if known.key.photo == f"path:{photo}"]
        come = replace(row(row_id, individual, (value / 3, 1 / (value + 1))), key=PhotoKey(f"path:{photo}"))
        following.update(gone, [come])
        standing = {old: known for old, known in standing.items() if old not in gone} | {row_id: come}
        if step % looked_at == 0:
            assert len(following.means.at(following.order)) == following.individuals
    fresh = filled(*reversed(standing.values()))
    assert (means(following), names(following)) == (means(fresh), names(fresh))
    for known in standing.values():
        mine, theirs = following.without_photo(known.key), fresh.without_photo(known.key)
        assert mine is not None
        assert theirs is not None
        assert following.number(mine[0]) == fresh.number(theirs[0]) == known.number
        assert (mine[1] is None) == (theirs[1] is None)
        assert mine[1] is None or torch.equal(mine[1], theirs[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row_id", "expected"),
    [(1, (0, [0.0, 1.0])), (2, (0, [1.0, 0.0])), (3, (1, None)), (9, None)],
    ids=["first", "second", "only", "absent"],
)
def test_leaving_out_one_photo(row_id: int, expected: tuple[int, list[float] | None] | None) -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "A", (0, 1)), row(3, "B", (1, 1)))
    found = gallery.without_photo(PhotoKey(f"path:{row_id}"))
    place = found and gallery.order.tolist().index(found[0])
    assert (found and (place, None if found[1] is None else found[1].tolist())) == expected
    assert means(gallery) == {"A": [0.5, 0.5], "B": [1.0, 1.0]}, "it is only left out of the answer"


def test_another_animal_of_the_photo_is_another_row() -> None:
    assert filled(row(1, "A", (1, 0))).without_photo(PhotoKey("path:1", animal=2)) is None


# --- some annotations alone, at one moment ---


def facts(gallery: RankableGallery) -> list[tuple[str, int, list[float], float | None]]:
    """Return all that is told of each individual, in the order of ties."""
    of_means = gallery.means.at(gallery.order).tolist()
    return [
        (gallery.name(column), gallery.number(column), mean, gallery.spread(column))
        for column, mean in zip(gallery.order.tolist(), of_means, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 8))
def test_chosen_annotations_are_a_gallery_of_their_own_and_stay_as_they_were(
    seed: int, count: int, individuals: int
) -> None:
    random = np.random.default_rng(seed)
    rows = [
        row(n + 1, "ABCDEFGH"[random.integers(individuals)], tuple(random.normal(size=2).tolist()))
        for n in random.permutation(count).tolist()
    ]
    gallery = filled(*rows)
    gone = {each.row_id for each in rows[::5]}
    gallery.update(sorted(gone), ())
    chosen = [each for each in rows if each.row_id not in gone and random.random() < 0.5]
    moment = gallery.moment()
    gallery.update([each.row_id for each in chosen[::2]], [row(100 + n, "Z", (n, 1.0)) for n in range(30)])
    some = ChosenGallery(moment, np.array(sorted({each.annotation for each in chosen} | gone | {100, 101, 9999})))
    del moment
    gallery.update([each.row_id for each in chosen[1::2]], [row(200 + n, "Y", (n, 1.0)) for n in range(30)])
    alone = filled(*chosen)
    assert facts(some) == facts(alone)
    assert some.individuals == alone.individuals
    query = Query(PhotoKey("path:q"), "q", "fluke", np.array([0.5, 0.5], dtype=np.float32), None, None)
    for each in chosen:
        mine, theirs = some.without_photo(each.key), alone.without_photo(each.key)
        assert mine is not None
        assert theirs is not None
        assert some.number(mine[0]) == alone.number(theirs[0]) == each.number
        assert (mine[1] is None) == (theirs[1] is None)
        assert mine[1] is None or torch.equal(mine[1], theirs[1])  # type: ignore[arg-type]
        own = replace(query, key=each.key, identity="A")
        assert some.annotations_near(each.number, own) == alone.annotations_near(each.number, own)
    assert some.without_photo(PhotoKey("path:100")) is None


def test_a_place_serves_again_when_nobody_reads_what_was_there() -> None:
    gallery = filled(row(1, "A", (1, 0)), row(2, "B", (0, 1)))
    places = len(gallery._column_of_place)
    for number in range(3, 9):
        gallery.update((number - 1,), [row(number, "B", (0, number))])
    assert len(gallery._column_of_place) == places
    moment = gallery.moment()
    gallery.update((8,), [row(9, "B", (0, 9))])
    gallery.update((9,), [row(10, "B", (0, 10))])
    assert len(gallery._column_of_place) == places + 2
    assert facts(ChosenGallery(moment, np.array([8]))) == [("B", ord("B"), [0.0, 8.0], None)]
    del moment
    for number in range(11, 14):
        gallery.update((number - 1,), [row(number, "B", (0, number))])
    assert len(gallery._column_of_place) == places + 2
