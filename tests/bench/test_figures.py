"""The arithmetic of the benchmark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import per_order_us, percentile, rotated, spread

FIGURES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


def test_the_spread_of_one_value_is_that_value() -> None:
    assert spread([7.0]) == (7.0, 7.0, 7.0)


def test_the_spread_is_the_least_the_median_and_the_most_in_whatever_order_they_came() -> None:
    assert spread([30.0, 10.0, 20.0]) == (10.0, 20.0, 30.0)
    assert spread([4.0, 1.0, 3.0, 2.0]).median == 2.5


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.1, 100), (100, 100)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


@pytest.mark.parametrize("percent", [1, 50, 99, 100])
def test_every_percentile_of_one_value_is_that_value(percent: float) -> None:
    assert percentile([3.5], percent) == 3.5


@given(FIGURES, st.floats(0.1, 100))
def test_so_many_percent_of_the_values_are_no_more_than_the_percentile(
    values: list[float], percent: float
) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


def test_each_turn_begins_with_another_one_and_leaves_out_none() -> None:
    turns = [rotated("abc", turn) for turn in range(4)]
    assert ["".join(turn) for turn in turns] == ["abc", "bca", "cab", "abc"]


def test_nothing_can_be_rotated_too() -> None:
    assert rotated((), 3) == ()


def test_seconds_are_shared_out_among_the_orders() -> None:
    assert per_order_us(1.5, 50_000) == pytest.approx(30)
    assert per_order_us(1.5, 0) == 0
