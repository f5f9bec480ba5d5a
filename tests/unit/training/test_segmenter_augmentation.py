"""PhotoAugmentation of the detector's photos: boxes move with the pixels, and no animal is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.segmenter.augmentation import (
    UNCHANGED,
    PhotoAugmentation,
    Window,
    augment,
    change_colours,
    choose_window,
    cut_window,
    move_boxes,
    visible_shares,
)
from training.segmenter.squashed import Animals

SIDE = 100
WHOLE = Window(0.0, 0.0, 100.0, 100.0, mirrored=False)


def sea(value: int = 40) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def with_white(box: tuple[int, int, int, int]) -> np.ndarray:
    picture = sea()
    picture[box[1] : box[3], box[0] : box[2]] = 255
    return picture


def white_box(picture: np.ndarray) -> tuple[int, int, int, int]:
    """The box of what is nearer to white than to the sea."""
    rows, columns = np.nonzero(picture[..., 0] > 148)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_mirrored_box_changes_sides() -> None:
    mirrored = Window(0.0, 0.0, 100.0, 100.0, mirrored=True)
    assert move_boxes(boxes((10, 20, 30, 60)), mirrored, SIDE).tolist() == [[70, 20, 90, 60]]


def test_box_grows_with_its_window_and_is_cut_off_at_it() -> None:
    # The window from (20, 10), 50 x 80, is stretched by 2 and 1.25; the second box reaches over its left edge.
    window = Window(20.0, 10.0, 50.0, 80.0, mirrored=False)
    moved = move_boxes(boxes((30, 30, 50, 50), (10, 10, 30, 90)), window, SIDE)
    assert moved.tolist() == [[20, 25, 60, 50], [0, 0, 20, 100]]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("window", [(0, 0, 100, 100), (20, 10, 50, 80), (13, 27, 60, 70)])
def test_pixels_and_boxes_move_alike(window: tuple[float, float, float, float], mirrored: bool) -> None:
    box = (30, 40, 60, 70)
    shown = Window(*(float(edge) for edge in window), mirrored=mirrored)
    expected = move_boxes(boxes(box), shown, SIDE)[0]
    assert white_box(cut_window(with_white(box), shown)) == pytest.approx(expected, abs=1.0)


def test_whole_window_changes_no_pixel() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(cut_window(picture, WHOLE), picture)


def test_mirroring_the_whole_photo_mirrors_every_pixel() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(cut_window(picture, Window(0.0, 0.0, 100.0, 100.0, mirrored=True)), picture[:, ::-1])


def test_visible_share_is_that_of_the_area() -> None:
    window = Window(20.0, 0.0, 60.0, 50.0, mirrored=False)
    # Half of the first box's width; all of the second; a quarter (half of half) of the third; nothing of the fourth.
    shown = visible_shares(boxes((10, 0, 30, 40), (20, 0, 80, 50), (70, 40, 90, 60), (90, 90, 95, 95)), window)
    assert shown.tolist() == [0.5, 1.0, 0.25, 0.0]


@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(2, 60), st.floats(2, 60)), max_size=4),
)
def test_every_animal_stays_in_the_picture(seed: int, places: list[tuple[float, float, float, float]]) -> None:
    given_boxes = boxes(*((x, y, min(x + width, 100.0), min(y + height, 100.0)) for x, y, width, height in places))
    plan = PhotoAugmentation(zoom=1.0)
    window = choose_window(SIDE, given_boxes, np.random.default_rng(seed), plan)
    assert np.all(visible_shares(given_boxes, window) >= plan.least_visible)
    moved = move_boxes(given_boxes, window, SIDE)
    assert np.all(moved >= 0.0)
    assert np.all(moved <= SIDE)
    assert np.all(moved[:, 2:] > moved[:, :2])


def test_windows_are_as_large_as_asked_for_and_inside_the_photo() -> None:
    chance, plan = np.random.default_rng(3), PhotoAugmentation(zoom=1.0, least_window=0.5)
    windows = [choose_window(SIDE, boxes(), chance, plan) for _ in range(300)]
    assert min(min(window.width_px, window.height_px) for window in windows) >= 50.0
    assert min(window.width_px for window in windows) < 60.0
    assert max(window.left_px + window.width_px for window in windows) <= 100.0
    assert max(window.top_px + window.height_px for window in windows) <= 100.0
    assert 100 < sum(window.mirrored for window in windows) < 200


def test_unchanged_changes_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    animals = Animals(boxes((10, 20, 30, 60)), np.array([2]))
    same, kept = augment(picture, animals, np.random.default_rng(5), UNCHANGED)
    assert np.array_equal(same, picture)
    assert kept.boxes_px.tolist() == [[10, 20, 30, 60]]
    assert kept.classes.tolist() == [2]


def test_the_same_chance_gives_the_same_photo_and_another_another() -> None:
    picture, animals = with_white((30, 40, 60, 70)), Animals(boxes((30, 40, 60, 70)), np.array([1]))
    first, second, third = (
        augment(picture, animals, np.random.default_rng(seed), PhotoAugmentation()) for seed in (1, 1, 2)
    )
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1].boxes_px, second[1].boxes_px)
    assert not np.array_equal(first[0], third[0])


def test_colours_change_but_nothing_moves() -> None:
    plan = PhotoAugmentation(blur=0.0, noise=0.0)
    picture = with_white((30, 40, 60, 70))
    changed = [change_colours(picture, np.random.default_rng(seed), plan) for seed in range(20)]
    assert len({int(one[0, 0, 0]) for one in changed}) > 10  # the sea has other colours
    for one in changed:
        assert one.dtype == np.uint8
        inside, outside = one[40:70, 30:60], one[:40]
        assert (inside == inside[0, 0]).all()
        assert (outside == outside[0, 0]).all()


def test_blur_and_noise_are_applied_when_asked_for() -> None:
    picture = with_white((30, 40, 60, 70))
    still = PhotoAugmentation(flip=0.0, zoom=0.0, brightness=0.0, contrast=0.0, saturation=0.0, colour_cast=0.0)
    noisy = change_colours(
        picture, np.random.default_rng(1), PhotoAugmentation(**{**still_values(still), "noise": 1.0})
    )
    assert noisy[:40].std() > 1.0
    blurred = change_colours(
        picture, np.random.default_rng(1), PhotoAugmentation(**{**still_values(still), "blur": 1.0})
    )
    assert 40 < blurred[50, 29, 0] < 255


def still_values(plan: PhotoAugmentation) -> dict[str, float]:
    return {name: getattr(plan, name) for name in plan.__slots__} | {"blur": 0.0, "noise": 0.0}
