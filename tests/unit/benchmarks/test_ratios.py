"""Intervals, with Student's t from a printed table."""

import math

import pytest

from benchmarks.ratios import ratio_interval

T_975_OF_1 = 12.7062
T_975_OF_9 = 2.2622


def test_rounds_that_agree_leave_no_doubt():
    assert ratio_interval([1.2, 2.4, 0.6], [1.0, 2.0, 0.5]) == pytest.approx((1.2, 1.2, 1.2))


def test_two_rounds_are_averaged_as_factors_and_say_next_to_nothing():
    ratio, least, greatest = ratio_interval([2.0, 1.0], [1.0, 2.0])
    reach = T_975_OF_1 * math.log(2)  # the two logarithms' standard deviation is log(2) * sqrt(2), over sqrt(2) rounds
    assert ratio == pytest.approx(1.0)
    assert least == pytest.approx(math.exp(-reach), rel=1e-3)
    assert greatest == pytest.approx(math.exp(reach), rel=1e-3)


def test_ten_rounds_that_alternate_around_no_change():
    before = [1.05, 1 / 1.05] * 5
    ratio, least, greatest = ratio_interval(before, [1.0] * 10)
    reach = T_975_OF_9 * math.log(1.05) * math.sqrt(10 / 9) / math.sqrt(10)
    assert ratio == pytest.approx(1.0)
    assert (least, greatest) == pytest.approx((math.exp(-reach), math.exp(reach)), rel=1e-4)


def test_one_round_has_no_interval():
    with pytest.raises(ValueError, match="two rounds"):
        ratio_interval([1.0], [1.0])
