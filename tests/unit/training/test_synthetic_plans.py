"""Ground truth of synthetic photos: boxes, splits, years, sizes."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.synthetic.individuals import BodyPart, Individual, Nick, Population, Side
from training.synthetic.outlines import missing
from training.synthetic.plans import DAYS, Encounter, PhotoPlan, outline_of, visible_boxes, visible_masks
from training.synthetic.pose import mask_box, visible_mask
from training.synthetic.series import FirstEncounter, demo_photos, detector_photos, empty_seas, individual_photos
from training.synthetic.skin import skin_of
from training.synthetic.views import MIN_BOX_PX, plan_photo

WIDTH, HEIGHT = 640, 427

GOLDEN = [
    ("fluke", None, 1, ("2017-02-22T08:21:59", [(69, 97, 260, 169), (256, 112, 640, 182)])),
    ("flank", "left", 1, ("2017-02-22T08:22:46", [(83, 292, 254, 351), (192, 302, 522, 351)])),
    ("flank", None, 2, ("2021-10-31T10:30:50", [(221, 325, 347, 362), (209, 351, 424, 386)])),
    ("fluke", None, 4000000000, ("2017-06-15T13:37:05", [(458, 254, 600, 329), (10, 299, 208, 356)])),
]
"""Drawn once and written down; a change means that every data set ever rendered from these seeds is another one."""


def animal(number: int = 0, population: Population = Population.TRAIN) -> Individual:
    return Individual(11, population, number)


def photo(number: int, part: BodyPart = "fluke") -> PhotoPlan:
    return plan_photo(Encounter(animal(number), 0), 0, part)


def inside(points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which pixel centres lie inside a polygon, by the even-odd rule: independent of the renderer's fill."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    crossings = np.zeros((HEIGHT, WIDTH), np.int64)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        spans = (y0 > y) != (y1 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossings += spans & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return crossings % 2 == 1


@pytest.mark.parametrize("part", ["fluke", "flank"])
@pytest.mark.parametrize("number", range(3))
def test_box_is_tight_to_an_independent_rasterisation(number: int, part: BodyPart) -> None:
    plan = photo(number, part)
    whale = plan.animals[0]
    outline = whale.pose.place(outline_of(whale.individual, part, plan.encounter.year), WIDTH)
    line = whale.pose.waterline(WIDTH)
    level = np.interp(np.arange(WIDTH), line[:, 0], line[:, 1])
    dry = inside(outline) & (np.arange(HEIGHT)[:, None] < level)
    rows, columns = np.flatnonzero(dry.any(axis=1)), np.flatnonzero(dry.any(axis=0))
    expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    box = visible_boxes(plan, WIDTH, HEIGHT)[0]
    assert box is not None
    np.testing.assert_allclose(box, expected, atol=2.0)
    mask = visible_masks(plan, WIDTH, HEIGHT)[0] > 0
    union, common = (mask | dry).sum(), (mask & dry).sum()
    assert common / union > 0.85


def test_box_touches_the_mask_on_all_four_sides() -> None:
    mask = visible_masks(photo(1), WIDTH, HEIGHT)[0]
    box = mask_box(mask)
    assert box is not None
    left, top, right, bottom = box
    cut = mask[top:bottom, left:right]
    assert cut[0].any()
    assert cut[-1].any()
    assert cut[:, 0].any()
    assert cut[:, -1].any()
    assert mask.astype(bool).sum() == cut.astype(bool).sum()


def test_mask_of_a_square_half_under_water_is_its_upper_half() -> None:
    square = np.asarray([[10.0, 10.0], [29.0, 10.0], [29.0, 29.0], [10.0, 29.0]])
    mask = visible_mask(square, np.asarray([[0.0, 20.0], [60.0, 20.0]]), 64, 48)
    assert mask_box(mask) == (10, 10, 30, 20)


def test_mask_without_pixels_has_no_box() -> None:
    assert mask_box(np.zeros((5, 5), np.uint8)) is None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 500), st.sampled_from(["fluke", "flank"]))
def test_every_animal_shows_a_large_enough_box(number: int, part: BodyPart) -> None:
    plan = plan_photo(Encounter(animal(number), 3), 1, part, companion=animal(number + 1))
    assert len(plan.animals) == 2
    for box in visible_boxes(plan, WIDTH, HEIGHT):
        assert box is not None
        assert box[2] - box[0] > MIN_BOX_PX[0]
        assert box[3] - box[1] > MIN_BOX_PX[1]
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= WIDTH
        assert box[3] <= HEIGHT


def test_two_animals_share_no_pixel_and_the_nearer_hides_the_farther() -> None:
    plan = plan_photo(Encounter(animal(4), 0), 0, "fluke", companion=animal(5))
    first, second = visible_masks(plan, WIDTH, HEIGHT)
    assert not (first.astype(bool) & second.astype(bool)).any()
    far, near = plan.animals
    assert far.pose.water_y <= near.pose.water_y
    alone = visible_masks(replace(plan, animals=(near,)), WIDTH, HEIGHT)[0]
    np.testing.assert_array_equal(alone, second)


@pytest.mark.parametrize("factor", [2, 3])
def test_box_scales_with_the_picture(factor: int) -> None:
    small = visible_boxes(photo(2), WIDTH, HEIGHT)[0]
    large = visible_boxes(photo(2), WIDTH * factor, HEIGHT * factor)[0]
    np.testing.assert_allclose(np.asarray(large) / factor, small, atol=1.5)


def test_plans_are_the_same_again() -> None:
    assert photo(7, "flank") == photo(7, "flank")


def test_empty_seas_have_no_boxes() -> None:
    for plan in empty_seas(11, Population.TRAIN, 3):
        assert plan.animals == ()
        assert visible_boxes(plan, WIDTH, HEIGHT) == []


@given(st.integers(0, 2**20), st.lists(st.integers(0, DAYS - 1), min_size=2, max_size=30, unique=True))
def test_an_individuals_encounters_never_share_a_day(number: int, encounters: list[int]) -> None:
    days = [Encounter(animal(number), encounter).start.date() for encounter in encounters]
    assert len(set(days)) == len(days)


def series_keys(plans: list[PhotoPlan]) -> set[str]:
    return {plan.encounter.name for plan in plans}


def test_no_two_uses_share_an_encounter() -> None:
    catalogue = [
        plan
        for number in range(6)
        for plan in individual_photos(animal(number, Population.CATALOGUE), "fluke", 3, 3, FirstEncounter.DATASET)
    ]
    uses = [
        series_keys(catalogue),
        series_keys(list(demo_photos(11, 6, 3, 6, "left"))),
        series_keys(list(detector_photos(11, Population.CATALOGUE, 6, 12, 0.3))),
        series_keys(list(empty_seas(11, Population.CATALOGUE, 6))),
    ]
    for one, other in combinations(uses, 2):
        assert not one & other


def test_demo_photos_of_unknown_animals_are_of_the_unknown_population() -> None:
    plans = list(demo_photos(11, 4, 3, 60, "left"))
    populations = [plan.encounter.individual.population for plan in plans]
    assert populations == [Population.CATALOGUE] * 4 + [Population.UNKNOWN] * 3


def test_more_encounters_than_a_use_may_have_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        individual_photos(animal(), "fluke", 2000, 1001, FirstEncounter.DATASET)


def test_names_differ_between_populations() -> None:
    names = {Individual(1, population, 5).name for population in Population}
    assert len(names) == len(Population)


def test_a_nick_shows_only_from_its_year_on() -> None:
    nicks = (Nick(0.5, 0.1, 0.05, 4.0),)
    t = np.linspace(0.0, 1.0, 101)
    assert missing(nicks, t, 3.9).max() == 0.0
    later = missing(nicks, t, 4.0)
    assert later[50] == pytest.approx(0.1)
    assert later[:45].max() == 0.0


def test_an_individual_changes_little_over_the_years_and_another_much() -> None:
    early, late = (outline_of(animal(3), "fluke", year) for year in (0.0, 12.0))
    other = outline_of(animal(4), "fluke", 0.0)
    assert np.abs(early - late).mean() < 0.1 * np.abs(early - other).mean() + 0.01


def test_left_and_right_flanks_bear_different_marks() -> None:
    left, right = (skin_of(animal(2), "flank", side, 0.0, 256).albedo for side in ("left", "right"))
    assert np.abs(left - right).mean() > 0.01
    assert np.abs(left - right[:, ::-1]).mean() > 0.01


def test_a_right_flank_heads_to_the_right() -> None:
    plan = plan_photo(Encounter(animal(1), 0), 0, "flank", "right")
    whale = plan.animals[0]
    ends = whale.pose.place(np.asarray([[-0.9, 0.0], [0.9, 0.0]]), WIDTH)
    assert ends[0, 0] > ends[1, 0]
    assert whale.side == "right"


def test_flukes_have_no_side() -> None:
    assert plan_photo(Encounter(animal(1), 0), 0, "fluke", "right").animals[0].side is None


def test_pose_maps_back_to_where_it_came_from() -> None:
    plan = photo(5)
    pose = plan.animals[0].pose
    points = np.asarray([[-0.8, 0.2], [-0.3, 0.1], [0.0, -0.2], [0.4, 0.3], [0.9, 0.35]])
    placed = pose.place(points, 2000)
    columns, rows = placed[:, 0].astype(np.float32), placed[:, 1].astype(np.float32)
    u, v = pose.unplace(columns, rows, 2000)
    np.testing.assert_allclose(u, points[:, 0], atol=0.03)
    np.testing.assert_allclose(v, points[:, 1], atol=0.03)


@pytest.mark.parametrize(("part", "side", "seed", "expected"), GOLDEN)
def test_ground_truth_of_a_seed_never_changes(
    part: BodyPart, side: Side | None, seed: int, expected: tuple[str, list[tuple[int, int, int, int]]]
) -> None:
    plan = plan_photo(
        Encounter(Individual(seed, Population.TRAIN, 3), 2), 1, part, side, Individual(seed, Population.TRAIN, 4)
    )
    assert (plan.taken.isoformat(), visible_boxes(plan, WIDTH, HEIGHT)) == expected


def test_two_animals_of_a_photo_stand_apart() -> None:
    for plan in detector_photos(5, Population.TRAIN, 20, 25, two=1.0):
        one, other = (box for box in visible_boxes(plan, WIDTH, HEIGHT) if box is not None)
        both = np.zeros((2, HEIGHT, WIDTH), np.bool_)
        for shown, (left, top, right, bottom) in zip(both, (one, other), strict=True):
            shown[top:bottom, left:right] = True
        assert both.all(axis=0).sum() <= 0.15 * both.any(axis=0).sum()
