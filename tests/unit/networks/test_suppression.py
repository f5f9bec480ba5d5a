"""One animal keeps one box, whatever body parts the detector saw in it."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.networks.suppression import suppress
from pipeline.records import BoundingBox, Detection


def detection(x: float, y: float, width: float, height: float, score: float, body_part: str = "fluke") -> Detection:
    return Detection(BoundingBox(x, y, x + width, y + height), body_part, score)


def test_worse_box_of_another_body_part_on_the_same_animal_is_dropped() -> None:
    fluke = detection(0, 0, 100, 100, 0.9)
    flank = detection(0, 0, 100, 90, 0.8, "flank")  # overlap 0.9
    assert suppress([flank, fluke]) == (fluke,)


def test_overlap_at_the_limit_is_kept_and_above_it_dropped() -> None:
    best = detection(0, 0, 100, 100, 0.9)
    at_limit = detection(0, 0, 50, 100, 0.8)  # 5000 / 10000
    above = detection(0, 0, 51, 100, 0.7)
    assert suppress([best, at_limit]) == (best, at_limit)
    assert suppress([best, above]) == (best,)


def test_box_that_overlaps_only_a_dropped_one_is_kept() -> None:
    first = detection(0, 0, 90, 10, 0.9)
    second = detection(20, 0, 90, 10, 0.8)  # 70 / 110 with the first
    third = detection(40, 0, 90, 10, 0.7)  # 50 / 130 with the first, 70 / 110 with the second
    assert suppress([third, second, first]) == (first, third)


def test_boxes_come_best_first_and_equal_scores_in_their_order() -> None:
    boxes = [detection(place * 50, 0, 10, 10, score) for place, score in enumerate([0.5, 0.9, 0.5, 0.7])]
    assert suppress(boxes) == (boxes[1], boxes[3], boxes[0], boxes[2])


def test_empty_boxes_overlap_nothing() -> None:
    boxes = (detection(5, 5, 0, 0, 0.9), detection(5, 5, 0, 0, 0.8))
    assert suppress(boxes) == boxes


def test_nothing_stays_nothing() -> None:
    assert suppress([]) == ()


numbers = st.floats(0, 200, allow_nan=False)
sides = st.floats(1, 100, allow_nan=False)


@given(st.lists(st.builds(detection, numbers, numbers, sides, sides, st.floats(0, 1)), max_size=12))
def test_suppressing_twice_changes_nothing(boxes: list[Detection]) -> None:
    once = suppress(boxes)
    assert suppress(once) == once
    assert set(once) <= set(boxes)
    assert bool(once) == bool(boxes)
