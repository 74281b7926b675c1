"""The timer finds what waits too long, tells the orders agent, and leaves all else alone."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from agents import deadlines
from app import providers
from app.breaker import Breaker
from app.main import delivery
from models.deadlines import Overdue
from models.order import Order
from tables.orders import due, limits, oldest_unsettled_s, unsettled
from tests.models.scenario import created, deducted, moment, orders, paid

ONE = b"order-1"
LATE = moment(0) + limits.pending


@pytest.fixture(autouse=True)
def nothing_due() -> Iterator[None]:
    """Begin and end with no order in memory."""
    for memory in (due, unsettled):
        memory.clear()
    yield
    for memory in (due, unsettled):
        memory.clear()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, Any]]:
    """Give all that is handed to the stages."""
    found: list[tuple[str, int, Any]] = []
    monkeypatch.setattr(delivery, "answer", lambda *answer: found.append(answer))
    return found


def holds(monkeypatch: pytest.MonkeyPatch, order: Order | None) -> None:
    monkeypatch.setattr(deadlines, "find_waiting", lambda *_: order)


def after(*events: Any) -> Order:
    order = orders.given(*events).state
    assert order is not None
    return order


def test_an_order_that_waits_too_long_is_handed_to_its_agent(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, after(created()))
    due.put(3, ONE, 0)
    assert deadlines.look_at_some(LATE) == 1
    assert told == [("orders", 3, Overdue(order_id="order-1", entered_by=created().event_id, at=LATE))]


def test_an_order_that_was_handed_over_is_looked_at_again_until_it_is_settled(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, after(created()))
    due.put(3, ONE, 0)
    deadlines.look_at_some(LATE)
    assert deadlines.look_at_some(LATE + timedelta(seconds=1)) is None
    assert deadlines.look_at_some(LATE + limits.pending) == 1
    assert told[0] == told[1]
    holds(monkeypatch, None)
    assert deadlines.look_at_some(LATE + 3 * limits.pending) == 0
    assert deadlines.look_at_some(LATE + timedelta(days=9)) is None


def test_an_order_that_has_moved_on_in_time_is_looked_at_when_its_new_status_ends(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, after(created(), deducted(at=20)))
    due.put(0, ONE, 0)
    assert deadlines.look_at_some(LATE) == 0
    assert deadlines.look_at_some(moment(19) + limits.paying) is None
    assert deadlines.look_at_some(moment(20) + limits.paying) == 1
    assert [finding.entered_by for *_, finding in told] == [deducted().event_id]


@pytest.mark.parametrize("order", [None, after(created(), deducted(), paid())], ids=["gone", "completed"])
def test_an_order_that_waits_no_more_or_elsewhere_is_left_alone(
    order: Order | None, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, order)
    due.put(0, ONE, 0)
    assert deadlines.look_at_some(LATE) == 0
    assert (told, due.held_bytes) == ([], 0)


def test_an_order_that_pays_is_put_off_while_the_provider_is_away_and_given_its_time_anew_after(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    breaker = Breaker(1, 5, lambda: clock[0])
    monkeypatch.setattr(providers, "payment", breaker)
    holds(monkeypatch, after(created(), deducted(at=0)))
    due.put(0, ONE, 0)
    breaker.fail(breaker.begin())
    late = moment(1) + limits.paying
    assert deadlines.look_at_some(late) == 0
    clock[0] = limits.paying.total_seconds() - 1
    breaker.succeed(breaker.begin())
    clock[0] += 1
    assert deadlines.look_at_some(late + limits.paying) == 0
    assert told == []
    clock[0] += limits.paying.total_seconds()
    assert deadlines.look_at_some(late + 2 * limits.paying) == 1
    assert [finding.entered_by for *_, finding in told] == [deducted().event_id]


def test_only_some_orders_are_looked_at_between_two_turns_of_the_loop(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, None)
    for number in range(deadlines.MOST + 1):
        due.put(0, str(number).encode(), 0)
    looks = 0
    while deadlines.look_at_some(LATE) is not None:
        looks += 1
    assert (looks, told) == (2, [])


@pytest.mark.usefixtures("told")
def test_an_order_that_was_taken_up_is_as_old_as_it_is_once_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))
    holds(monkeypatch, after(created(), deducted()))
    due.put(0, ONE, 0)
    assert oldest_unsettled_s() == 0
    deadlines.look_at_some(moment(1))
    assert oldest_unsettled_s() > 0
    unsettled.clear()
    holds(monkeypatch, after(created(), deducted(), paid()))
    due.put(0, ONE, 0)
    deadlines.look_at_some(moment(1))
    assert oldest_unsettled_s() == 0


async def test_a_fault_while_looking_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []
    monkeypatch.setattr(deadlines, "die", ends.append)

    def fail(_: object) -> None:
        raise ZeroDivisionError("what?")

    monkeypatch.setattr(deadlines, "look_at_some", fail)
    await deadlines.keep()
    assert ends == ["ZeroDivisionError('what?')"]
