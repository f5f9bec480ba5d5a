"""Arithmetic of the ground truth: values worked out by hand, and numbers that must never change on any machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.synthetic.exact import bell, bump, catmull_rom, fill, stream, uniform, wobble


def test_spline_goes_through_its_control_points() -> None:
    controls = np.asarray([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0], [4.0, 5.0]])
    curve = catmull_rom(controls, 4)
    assert curve.shape == (13, 2)
    np.testing.assert_allclose(curve[::4], controls, atol=1e-12)


def test_spline_of_a_straight_line_is_that_line() -> None:
    curve = catmull_rom(np.asarray([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]]), 5)
    np.testing.assert_allclose(curve[:, 1], curve[:, 0] * 2.0 + 1.0, atol=1e-12)


@pytest.mark.parametrize(("x", "height"), [(0.0, 1.0), (0.5, 0.5625), (-0.5, 0.5625), (1.0, 0.0), (-7.0, 0.0)])
def test_bump_has_the_heights_of_its_formula(x: float, height: float) -> None:
    assert bump(np.asarray([x]))[0] == height


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_wobble_stays_within_one(seed: int, knots: int) -> None:
    values = wobble(stream(seed), np.linspace(0.0, 1.0, 101), knots)
    assert np.abs(values).max() <= 1.0


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5), st.floats(0, 5))
def test_bell_stays_within_its_reach(seed: int, centre: float, reach: float) -> None:
    assert abs(bell(stream(seed), centre, reach) - centre) <= reach + 1e-9


@given(st.integers(0, 2**32 - 1))
def test_uniform_stays_within_its_bounds(seed: int) -> None:
    assert 2.0 <= uniform(stream(seed), 2.0, 3.0) < 3.0


def test_streams_of_different_keys_differ() -> None:
    drawn = {float(stream(*keys).random()) for keys in [(1,), (1, 0), (0, 1), (1, 2, 3), (1, 2, 4)]}
    assert len(drawn) == 5


@pytest.mark.parametrize("key", [-1, 2**32])
def test_keys_that_could_share_a_stream_are_refused(key: int) -> None:
    with pytest.raises(ValueError, match="keys of a random stream"):
        stream(1, key)


def test_streams_give_the_numbers_they_always_gave() -> None:
    drawn = stream(1, 2, 3).random(2)
    assert drawn.tolist() == [0.7955955324543236, 0.5908917223815944]


def test_filled_square_covers_its_pixels_edges_included() -> None:
    mask = np.zeros((8, 8), np.uint8)
    fill(mask, np.asarray([[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]]), 9)
    expected = np.zeros((8, 8), np.uint8)
    expected[1:5, 2:6] = 9
    np.testing.assert_array_equal(mask, expected)
