"""What the outcomes of a trial come to."""

import pytest

from bench.engines import ENGINES, FAUST, HANDWRITTEN, Engine
from bench.measures import Outcome, burst_figures, latency_figures, size_of


def test_a_burst_lasts_from_its_start_to_its_last_terminal_event() -> None:
    outcomes = [Outcome(0, 50.0), Outcome(1, 101.0), Outcome(2, 102.0), Outcome(3, 999.0)]
    assert burst_figures(outcomes, range(1, 3), start_s=100.0) == {"orders_per_s": 1.0}


def test_a_burst_of_which_nothing_came_has_no_figures() -> None:
    assert burst_figures([], range(10), start_s=100.0) == {}


def test_latency_begins_when_an_order_was_meant_to_be_placed_and_ends_with_its_first_terminal_event() -> None:
    outcomes = [Outcome(1, 100.010), Outcome(2, 100.530), Outcome(2, 107.0), Outcome(9, 200.0)]
    found = latency_figures(outcomes, {1: 100.0, 2: 100.5, 3: 101.0})
    assert found["latency_avg_ms"] == pytest.approx(20)
    assert found["latency_p50_ms"] == pytest.approx(10)
    assert found["latency_p99_ms"] == pytest.approx(30)


def test_orders_that_never_ended_have_no_latency() -> None:
    assert latency_figures([], {1: 100.0}) == {}


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_quick_trial_is_smaller(engine: Engine) -> None:
    assert size_of(engine, quick=True).total < size_of(engine, quick=False).total / 4


def test_engines_are_given_the_same_but_for_plain_faust() -> None:
    sizes = {engine.name: size_of(engine, quick=False) for engine in ENGINES if engine is not FAUST}
    assert set(sizes.values()) == {size_of(HANDWRITTEN, quick=False)}
    assert sizes[HANDWRITTEN.name].burst == 50_000
