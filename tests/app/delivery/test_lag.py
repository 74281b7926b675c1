"""How late a stage is: by what it has in hand, and for a moment by what it had."""

import pytest

from app.delivery.lag import FADES_S, Lag
from tests.app.delivery.fakes import RECORDED_MS


class Clock:
    """Be a clock that stands still until told."""

    now = RECORDED_MS / 1000

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock: Clock) -> Lag:
    return Lag(clock)


def test_a_stage_that_never_had_anything_to_do_is_not_late(lag: Lag) -> None:
    lag.done()
    assert lag.now() == 0


def test_a_stage_is_as_late_as_the_oldest_record_in_hand(lag: Lag, clock: Clock) -> None:
    lag.take(clock.now - 3)
    lag.take(clock.now - 5)
    lag.take(clock.now - 4)
    clock.now += 2
    assert lag.now() == pytest.approx(7)


def test_between_two_batches_the_last_one_speaks_for_it_but_not_for_long(lag: Lag, clock: Clock) -> None:
    lag.take(clock.now - 5)
    lag.done()
    clock.now += 0.9 * FADES_S
    assert lag.now() == pytest.approx(5)
    clock.now += 0.2 * FADES_S
    assert lag.now() == 0


def test_a_record_of_the_future_is_not_late(lag: Lag, clock: Clock) -> None:
    lag.take(clock.now + 60)
    assert lag.now() == 0
