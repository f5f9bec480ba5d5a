"""Scores of a detector, against values worked out by hand."""

import math

import pytest

from pipeline.records import BoundingBox, Detection
from training.photos.records import LabelledBox
from training.segmenter.average_precision import AveragePrecision, CocoPrecision
from training.segmenter.matching import DetectedPhoto, answered_boxes, match
from training.segmenter.scores import (
    AP50,
    BEST_RIGHT,
    BOTH_FOUND,
    EXPLANATIONS,
    FALSE_ON_EMPTY,
    MEAN_AP,
    MISSED,
    PART_RIGHT,
    BoxThresholds,
    score_photos,
)
from training.segmenter.threshold import choose_threshold

LABELS = ("fluke", "flank")
HERE, THERE = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 300.0, 100.0)
THRESHOLDS = BoxThresholds(0.5)


def animal(box: tuple[float, float, float, float], part: str = "fluke") -> LabelledBox:
    return LabelledBox(BoundingBox(*box), part)


def found(box: tuple[float, float, float, float], score: float, part: str = "fluke") -> Detection:
    return Detection(BoundingBox(*box), part, score)


def photo(truths: list[LabelledBox], detections: list[Detection]) -> DetectedPhoto:
    return DetectedPhoto(tuple(truths), tuple(detections))


# --- matching ---


@pytest.mark.parametrize(
    ("box", "on_it"),
    [
        ((0, 0, 50, 100), True),  # 5000 shared, 10000 together
        ((0, 0, 49.9, 100), False),
        ((0, 0, 100, 200), True),  # 10000 shared, 20000 together
        ((100, 0, 200, 100), False),  # beside it
        ((5, 5, 5, 5), False),  # no area
    ],
)
def test_box_is_on_an_animal_where_they_share_half_of_what_both_cover(
    box: tuple[float, float, float, float], on_it: bool
) -> None:
    assert [one.truth for one in match([animal(HERE)], [found(box, 0.9)])] == [0 if on_it else None]


def test_boxes_without_area_match_nothing() -> None:
    assert [one.truth for one in match([animal((5, 5, 5, 5))], [found((5, 5, 5, 5), 0.9)])] == [None]


def test_without_animals_every_box_is_a_false_one() -> None:
    assert [one.truth for one in match([], [found(HERE, 0.9)])] == [None]
    assert match([animal(HERE)], []) == ()


def test_second_box_on_an_animal_is_a_false_one() -> None:
    matches = match([animal(HERE)], [found(HERE, 0.9), found((0, 0, 100, 90), 0.8)])
    assert [one.truth for one in matches] == [0, None]


def test_box_takes_the_animal_that_it_overlaps_most() -> None:
    truths = [animal((0, 0, 100, 60)), animal(HERE)]
    assert [one.truth for one in match(truths, [found((0, 0, 100, 95), 0.9)])] == [1]


def test_answers_are_those_of_the_service() -> None:
    detections = [found(HERE, 0.4), found(HERE, 0.9), found((0, 0, 100, 90), 0.8, "flank"), found(THERE, 0.6)]
    assert [one.score for one in answered_boxes(detections, 0.5, 0.5)] == [0.9, 0.6]


# --- average precision ---


def average_precision(photos: list[DetectedPhoto], labels: tuple[str, ...]) -> AveragePrecision:
    return CocoPrecision(photos, labels)(range(len(photos)))


def test_ap_of_right_wrong_right() -> None:
    photos = [
        photo([animal(HERE)], [found(HERE, 0.9), found(THERE, 0.8)]),
        photo([animal(HERE)], [found(HERE, 0.7)]),
    ]
    # Precision 1 up to a recall of one half, 2/3 beyond: 51 and 50 of COCO's 101 recall points.
    assert average_precision(photos, LABELS).ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_map_counts_the_thresholds_that_a_box_meets() -> None:
    # An overlap of 0.72 meets 0.50, 0.55, 0.60, 0.65 and 0.70 of the ten thresholds.
    result = average_precision([photo([animal(HERE)], [found((0, 0, 72, 100), 0.9)])], LABELS)
    assert result.ap50 == pytest.approx(1.0)
    assert result.mean == pytest.approx(0.5)


def test_ap_is_the_mean_over_body_parts_that_occur() -> None:
    truths = [animal(HERE, "fluke"), animal(THERE, "flank")]
    assert average_precision([photo(truths, [found(HERE, 0.9, "fluke")])], LABELS).ap50 == pytest.approx(0.5)
    flukes = [photo([animal(HERE)], [found(HERE, 0.9), found(THERE, 0.8, "flank")])]
    assert average_precision(flukes, LABELS).ap50 == pytest.approx(1.0)


def test_a_choice_of_photos_scores_as_they_would_alone() -> None:
    photos = [
        photo([animal(HERE)], [found(HERE, 0.9), found(THERE, 0.8)]),
        photo([animal(HERE, "flank")], [found((0, 0, 72, 100), 0.7, "flank")]),
        photo([animal(HERE)], [found(THERE, 0.6)]),
        photo([], [found(HERE, 0.5)]),
    ]
    chosen = [1, 3, 0, 0, 2]
    assert CocoPrecision(photos, LABELS)(chosen) == average_precision([photos[place] for place in chosen], LABELS)
    assert math.isnan(CocoPrecision(photos, LABELS)([3]).ap50)


def test_nothing_found_is_zero_and_nothing_to_find_is_unknown() -> None:
    assert average_precision([photo([animal(HERE)], [])], LABELS).ap50 == 0.0
    assert math.isnan(average_precision([photo([], [found(HERE, 0.9)])], LABELS).ap50)


# --- scores ---

PHOTOS = [
    photo([animal(HERE)], [found(HERE, 0.9)]),  # found and right
    photo([animal(HERE)], [found(HERE, 0.8, "flank")]),  # found, wrong part
    photo([animal(HERE)], [found(HERE, 0.3)]),  # below the threshold, but the best box
    photo([animal(HERE), animal(THERE, "flank")], [found(HERE, 0.9), found(THERE, 0.7, "flank")]),  # both
    photo([animal(HERE), animal(THERE)], [found(HERE, 0.9)]),  # one of two
    photo([animal(HERE)], [found(THERE, 0.9), found(HERE, 0.8)]),  # best box false
    photo([], []),
    photo([], [found(HERE, 0.4)]),  # below the threshold
    photo([], [found(HERE, 0.6)]),
    photo([], []),
]


def test_shares_are_counted_at_the_threshold() -> None:
    scores = score_photos(PHOTOS, LABELS, THRESHOLDS)
    assert scores.photos == 10
    assert scores.animals == 8
    assert scores.values[PART_RIGHT] == pytest.approx(5 / 6)
    assert scores.values[BEST_RIGHT] == pytest.approx(4 / 6)
    assert scores.values[MISSED] == pytest.approx(2 / 8)
    assert scores.values[FALSE_ON_EMPTY] == pytest.approx(1 / 4)
    assert scores.values[BOTH_FOUND] == pytest.approx(1 / 2)
    assert scores.values.keys() == EXPLANATIONS.keys()
    assert scores.intervals == {}


def test_shares_of_nothing_are_left_out() -> None:
    scores = score_photos([photo([animal(HERE)], [found(HERE, 0.9)])], LABELS, THRESHOLDS)
    assert scores.values == {AP50: 1.0, MEAN_AP: 1.0, PART_RIGHT: 1.0, BEST_RIGHT: 1.0, MISSED: 0.0}
    empty = score_photos([photo([], [found(HERE, 0.9)])], LABELS, THRESHOLDS)
    assert empty.values == {FALSE_ON_EMPTY: 1.0}


def test_interval_is_that_of_a_share() -> None:
    photos = [photo([animal(HERE)], [found(HERE, 0.9)] if place % 2 else []) for place in range(100)]
    scores = score_photos(photos, LABELS, THRESHOLDS, with_intervals=True, resamples=200)
    low, high = scores.intervals[MISSED]
    # The normal approximation: one half plus or minus 1.96 times the root of 0.25 / 100.
    assert low == pytest.approx(0.5 - 0.098, abs=0.03)
    assert high == pytest.approx(0.5 + 0.098, abs=0.03)
    assert scores.intervals.keys() == scores.values.keys()


# --- threshold ---


def test_threshold_lies_in_the_middle_of_what_parts_animals_from_sea() -> None:
    photos = [
        photo([animal(HERE)], [found(HERE, 0.9)]),
        photo([animal(HERE)], [found(HERE, 0.8)]),
        photo([], [found(HERE, 0.405)]),
        photo([], []),
    ]
    choice = choose_threshold(photos)
    # 0.41, ..., 0.80 make no mistake: forty thresholds, the upper middle one is 0.61.
    assert choice.threshold == 0.61
    assert (choice.missed, choice.false, choice.empty) == (0.0, 0.0, 2)


def test_threshold_weighs_missed_animals_against_false_boxes() -> None:
    animals = [photo([animal(HERE)], [found(HERE, 0.3)])] + [photo([animal(HERE)], [found(HERE, 0.9)])] * 3
    seas = [photo([], [found(HERE, 0.505)]), photo([], [])]
    choice = choose_threshold(animals + seas)
    # Below 0.51 half of the seas get a box; from there on a quarter of the animals is missed, until 0.90: middle 0.71.
    assert choice.threshold == 0.71
    assert (choice.missed, choice.false) == (0.25, 0.0)
    assert "25.0%" in str(choice)


def test_without_empty_photos_boxes_beside_animals_count() -> None:
    photos = [photo([animal(HERE)], [found(HERE, 0.9), found(THERE, 0.605)])] * 4
    choice = choose_threshold(photos)
    assert 0.61 <= choice.threshold <= 0.9
    assert (choice.missed, choice.false, choice.empty) == (0.0, 0.0, 0)
    assert "none of them empty" in str(choice)


def test_false_boxes_beside_animals_do_not_count_where_there_are_empty_photos() -> None:
    photos = [photo([animal(HERE)], [found(HERE, 0.5), found(THERE, 0.9)]), photo([], [])]
    choice = choose_threshold(photos)
    assert choice.threshold <= 0.5
    assert choice.false == 0.0
