"""Splits share nothing that they must not, whatever the data looks like."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto
from training.photos.splits import split_encounters, split_individuals


@st.composite
def collections(draw: st.DrawFn) -> tuple[list[LabelledPhoto], dict[Path, str]]:
    """Photos of up to 8 individuals in shared or own encounters; some hold two animals, some are copies."""
    photos = []
    for number in range(draw(st.integers(1, 40))):
        individual = f"I{draw(st.integers(0, 7))}"
        encounter = draw(st.sampled_from([None, "day 1", "day 2", "day 3", f"{individual}-a", f"{individual}-b"]))
        path = Path(f"{draw(st.one_of(st.just(number), st.integers(0, 5)))}.jpg")
        side = draw(st.sampled_from([None, "left", "right"]))
        photos.append(LabelledPhoto(path, individual, "flank", encounter=encounter, side=side))
    digests = {photo.path: str(draw(st.integers(0, 60))) for photo in photos}
    return photos, digests


def encounters_of(photos: tuple[LabelledPhoto, ...]) -> set[object]:
    """Name encounters; photos of an individual without a date are one."""
    return {photo.encounter or ("undated", photo.individual) for photo in photos}


@settings(deadline=None)  # a busy machine is no fault
@given(collections(), st.integers(1, 4), st.integers(0, 3), st.integers(0, 99))
def test_gallery_shares_no_encounter_photo_or_copy_with_queries(
    data: tuple[list[LabelledPhoto], dict[Path, str]], references: int, unknown: int, seed: int
) -> None:
    photos, digests = data
    try:
        split = split_encounters(photos, references, unknown, seed, digests)
    except TrainingDataError:
        return
    asked = (*split.queries, *split.unknown)
    assert not encounters_of(split.gallery) & encounters_of(asked)
    assert not {digests[photo.path] for photo in split.gallery} & {digests[photo.path] for photo in asked}
    assert not {photo.path for photo in split.gallery} & {photo.path for photo in asked}
    assert {photo.label for photo in split.gallery} == {photo.label for photo in split.queries}
    known = {photo.individual for photo in (*split.gallery, *split.queries)}
    assert not known & {photo.individual for photo in split.unknown}
    assert not (known | {photo.individual for photo in split.unknown}) & set(split.left_out)


@settings(deadline=None)  # a busy machine is no fault
@given(collections(), st.integers(0, 99))
def test_splits_do_not_depend_on_the_order_of_the_photos(
    data: tuple[list[LabelledPhoto], dict[Path, str]], seed: int
) -> None:
    photos = list(dict.fromkeys(data[0]))
    try:
        one = split_encounters(photos, 2, 1, seed)
    except TrainingDataError:
        return
    other = split_encounters(photos[::-1], 2, 1, seed)
    assert set(one.gallery) == set(other.gallery)
    assert set(one.queries) == set(other.queries)
    assert set(one.unknown) == set(other.unknown)


@settings(deadline=None)  # a busy machine is no fault
@given(collections(), st.floats(0.01, 0.99), st.integers(0, 99))
def test_validation_shares_no_individual_photo_or_copy_with_training(
    data: tuple[list[LabelledPhoto], dict[Path, str]], share: float, seed: int
) -> None:
    photos, digests = data
    try:
        training, held = split_individuals(photos, share, seed, digests)
    except TrainingDataError:
        return
    assert training
    assert held
    trained_on, held_out = ({photo.individual for photo in part} for part in (training, held))
    assert not trained_on & held_out
    assert not {digests[photo.path] for photo in training} & {digests[photo.path] for photo in held}
    for content in {digests[photo.path] for photo in set(photos) - {*training, *held}}:
        shown = {photo.individual for photo in photos if digests[photo.path] == content}
        assert len(shown) > 1
        assert not shown <= trained_on
        assert not shown <= held_out


def regular(individuals: int, encounters: int, photos: int) -> list[LabelledPhoto]:
    """Each individual in so many encounters of its own with so many photos each."""
    return [
        LabelledPhoto(Path(f"{who}-{when}-{number}.jpg"), f"I{who:03}", "fluke", encounter=f"{who}-{when}")
        for who in range(individuals)
        for when in range(encounters)
        for number in range(photos)
    ]


def test_regular_data_is_used_whole() -> None:
    split = split_encounters(regular(14, 3, 4), references=3, unknown=4, seed=1)
    assert split.left_out == ()
    assert len({photo.individual for photo in split.unknown}) == 4
    assert len(split.unknown) == 4 * 12
    assert len(split.gallery) == 10 * 8  # two of three encounters
    assert len(split.queries) == 10 * 4


def test_individuals_linked_in_one_long_chain_are_parted_and_the_photos_across_left_out() -> None:
    pairs = [(number, number + 1) for number in range(49)]
    photos = [
        LabelledPhoto(Path(f"{'-'.join(map(str, who))}.jpg"), f"I{one:02}", "fluke")
        for who in [*pairs, *((number,) for number in range(50))]
        for one in who
    ]
    training, held = split_individuals(photos, 0.2, seed=1)
    parts = {photo.individual: "training" for photo in training} | {photo.individual: "held" for photo in held}
    assert list(parts.values()).count("held") == 10
    across = {f"{one}-{other}.jpg" for one, other in pairs if parts[f"I{one:02}"] != parts[f"I{other:02}"]}
    assert across
    assert {photo.path.name for photo in set(photos) - {*training, *held}} == across


def test_references_come_from_different_encounters_first() -> None:
    split = split_encounters(regular(3, 3, 4), references=2, unknown=0, seed=1)
    for who in range(3):
        first, second, *_ = [photo for photo in split.gallery if photo.individual == f"I{who:03}"]
        assert first.encounter != second.encounter


def test_more_encounters_go_to_the_gallery_where_references_are_wanting() -> None:
    split = split_encounters(regular(2, 6, 1), references=5, unknown=0, seed=1)
    assert len(split.gallery) == 2 * 5
    assert len(split.queries) == 2 * 1


def test_individuals_of_one_encounter_are_unknown_first() -> None:
    photos = [*regular(5, 2, 2), LabelledPhoto(Path("x.jpg"), "Once", "fluke", encounter="x")]
    split = split_encounters(photos, references=1, unknown=1, seed=3)
    assert {photo.individual for photo in split.unknown} == {"Once"}
    assert split_encounters(photos, references=1, unknown=0, seed=3).left_out == ("Once",)


def test_undated_photos_cannot_be_split() -> None:
    photos = [LabelledPhoto(Path(f"{n}.jpg"), "Dante", "fluke") for n in range(5)]
    with pytest.raises(TrainingDataError, match="encounters"):
        split_encounters(photos, references=1, unknown=0, seed=0)


def test_sides_are_told_apart_but_unknown_as_a_whole() -> None:
    photos = [
        LabelledPhoto(
            Path(f"{who}-{when}.jpg"),
            f"I{who}",
            "flank",
            encounter=f"{who}-{when}",
            side="left" if when < 2 else "right",
        )
        for who in range(4)
        for when in range(4)
    ]
    split = split_encounters(photos, references=1, unknown=1, seed=5)
    assert {photo.label for photo in split.queries} == {photo.label for photo in split.gallery}
    assert len({photo.label for photo in split.queries}) == 6
    assert len({photo.label for photo in split.unknown}) == 2


def test_validation_takes_about_its_share_of_individuals() -> None:
    training, held = split_individuals(regular(20, 1, 3), 0.2, seed=4)
    assert len({photo.individual for photo in held}) == 4
    assert len({photo.individual for photo in training}) == 16


def test_other_seeds_hold_out_others() -> None:
    chosen = {tuple(sorted({p.individual for p in split_individuals(regular(20, 1, 1), 0.2, s)[1]})) for s in range(5)}
    assert len(chosen) > 1


def test_one_individual_cannot_be_parted() -> None:
    with pytest.raises(TrainingDataError, match="individuals"):
        split_individuals(regular(1, 3, 3), 0.5, seed=0)
