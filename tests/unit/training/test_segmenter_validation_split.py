"""The detector's validation split shares nobody with training."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import BoundingBox
from training.errors import TrainingDataError
from training.photos.records import BoxedPhoto, LabelledBox
from training.segmenter.validation_split import split_boxed_photos

BOX = BoundingBox(0.0, 0.0, 5.0, 5.0)


def photo(name: str, *individuals: str | None) -> BoxedPhoto:
    return BoxedPhoto(Path(name), tuple(LabelledBox(BOX, "fluke", individual) for individual in individuals))


def digests_of(photos: list[BoxedPhoto]) -> dict[Path, str]:
    return {one.path: f"sha of {one.path}" for one in photos}


def names(photos: tuple[BoxedPhoto, ...]) -> set[str]:
    return {box.individual for one in photos for box in one.boxes if box.individual}


@given(st.lists(st.lists(st.integers(0, 12), max_size=2), min_size=3, max_size=40), st.integers(0, 99))
def test_nobody_is_in_both_parts(shown: list[list[int]], seed: int) -> None:
    photos = [photo(f"{place}.jpg", *(str(who) for who in one)) for place, one in enumerate(shown)]
    photos += [photo("x.jpg", "100"), photo("y.jpg", "101")]  # two individuals that can be parted
    training, validation = split_boxed_photos(photos, 0.3, seed, digests_of(photos))
    assert not names(training) & names(validation)
    assert training
    assert validation
    used = {one.path for one in (*training, *validation)}
    assert len(used) == len(training) + len(validation)
    for unused in (one for one in photos if one.path not in used):
        assert len(names((unused,))) > 1
        assert not names((unused,)) <= names(training)
        assert not names((unused,)) <= names(validation)


def test_individuals_and_empty_photos_are_held_out_by_the_same_share() -> None:
    photos = [photo(f"{who}-{number}.jpg", f"whale {who}") for who in range(50) for number in range(2)]
    photos += [photo(f"sea-{number}.jpg") for number in range(30)]
    training, validation = split_boxed_photos(photos, 0.1, 1, digests_of(photos))
    assert len(names(validation)) == 5
    assert sum(not one.boxes for one in validation) == 3
    assert len(training) == 130 - 10 - 3


def test_photos_of_unnamed_animals_stand_for_themselves() -> None:
    photos = [photo(f"{number}.jpg", None) for number in range(20)]
    _, validation = split_boxed_photos(photos, 0.2, 1, digests_of(photos))
    assert len(validation) == 4


def test_copies_of_unnamed_photos_stay_together() -> None:
    photos = [photo(f"{number}.jpg", None) for number in range(20)]
    digests = {one.path: f"content {place // 2}" for place, one in enumerate(photos)}
    training, validation = split_boxed_photos(photos, 0.3, 1, digests)
    assert not {digests[one.path] for one in training} & {digests[one.path] for one in validation}


def test_a_single_empty_photo_is_trained_on() -> None:
    photos = [photo("a.jpg", "A"), photo("b.jpg", "B"), photo("sea.jpg")]
    training, _ = split_boxed_photos(photos, 0.5, 1, digests_of(photos))
    assert Path("sea.jpg") in {one.path for one in training}


def test_one_individual_cannot_be_parted() -> None:
    photos = [photo("a.jpg", "A"), photo("b.jpg", "A")]
    with pytest.raises(TrainingDataError, match="1 individuals cannot be parted"):
        split_boxed_photos(photos, 0.5, 1, digests_of(photos))
