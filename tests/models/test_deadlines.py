"""When an order is looked at, what is found then, and that none that waits is ever left out."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from models.deadlines import DONE, LONGEST, Limits, Look, Overdue, deadline, first_look, look
from models.order import Order, OrderStatus
from models.saga import OrderEvent, evolve
from tests.models.scenario import (
    created,
    declined,
    deducted,
    insufficient,
    moment,
    orders,
    paid,
    refund_requested,
    refunded,
    released,
    returned,
)

LIMITS = Limits(
    pending=timedelta(seconds=30), paying=timedelta(seconds=120), compensating=timedelta(seconds=60)
)


def order_after(*events: OrderEvent) -> Order:
    order = orders.given(*events).state
    assert order is not None
    return order


PENDING = order_after(created())
PAYING = order_after(created(), deducted(at=1))
CANCELLING = order_after(created(), deducted(at=1), declined(at=2))
COMPLETED = order_after(created(), deducted(at=1), paid(at=2))
REFUNDING = order_after(created(), deducted(at=1), paid(at=2), refund_requested(at=3))
REFUNDED = order_after(
    created(), deducted(at=1), paid(at=2), refund_requested(at=3), returned(at=4), refunded(at=5)
)


@pytest.mark.parametrize(
    ("order", "until"), [(PENDING, 30), (PAYING, 121), (CANCELLING, 62), (REFUNDING, 63)]
)
def test_an_order_may_wait_in_its_status_from_when_it_entered_it(order: Order, until: float) -> None:
    assert deadline(order, LIMITS) == moment(until)
    assert look(order, moment(until - 0.001), LIMITS) == Look(None, moment(until))
    found = look(order, moment(until), LIMITS).finding
    assert found == Overdue(order_id=order.order_id, entered_by=order.entered_by, at=moment(until))


def test_what_an_order_hears_within_a_status_does_not_put_its_deadline_off() -> None:
    one = order_after(created(("A", 1), ("B", 1)))
    other = order_after(created(("A", 1), ("B", 1)), deducted("A", at=29))
    assert deadline(one, LIMITS) == deadline(other, LIMITS) == moment(30)


@pytest.mark.parametrize("order", [None, COMPLETED, REFUNDED, order_after(created(), insufficient())])
def test_an_order_that_does_not_wait_is_looked_at_no_more(order: Order | None) -> None:
    assert look(order, moment(10**6), LIMITS) == DONE


def test_an_order_that_stays_overdue_is_found_again_ever_more_seldom_and_at_least_hourly() -> None:
    now, ages = moment(62), list[float]()
    while len(ages) < 10:
        seen = look(CANCELLING, now, LIMITS)
        assert seen.finding is not None
        assert seen.again is not None
        ages.append((now - CANCELLING.entered_at).total_seconds())
        now = seen.again
    assert ages[:8] == [60, 120, 240, 480, 960, 1920, 3840, 3840 + LONGEST.total_seconds()]


def test_the_time_to_pay_runs_from_when_payments_can_be_made_again() -> None:
    assert look(PAYING, moment(200), LIMITS, payable_since=moment(190)) == Look(None, moment(310))
    found = look(PAYING, moment(310), LIMITS, payable_since=moment(190)).finding
    assert found == look(PAYING, moment(310), LIMITS).finding, "put off or not, it is one and the same event"


def test_an_order_is_not_overdue_while_no_payments_can_be_made_however_long_that_is() -> None:
    now = moment(10**6)
    assert look(PAYING, now, LIMITS, payable_since=now) == Look(None, now + LIMITS.paying)


def test_that_payments_could_not_be_made_before_the_order_had_to_pay_gives_it_no_more_time() -> None:
    assert look(PAYING, moment(60), LIMITS, payable_since=moment(-60)) == Look(None, moment(121))


@pytest.mark.parametrize("order", [PENDING, CANCELLING])
def test_an_order_that_does_not_pay_is_not_put_off_because_of_payments(order: Order) -> None:
    now = moment(99)
    assert look(order, now, LIMITS, payable_since=now) == look(order, now, LIMITS)


def test_an_order_is_first_looked_at_when_its_stock_is_due() -> None:
    assert first_look(None, PENDING, LIMITS) == moment(30)


def test_a_status_that_ends_later_than_the_one_before_needs_no_look_of_its_own() -> None:
    assert first_look(PENDING, PAYING, LIMITS) is None


def test_a_status_that_ends_sooner_than_the_one_before_has_a_look_of_its_own() -> None:
    assert first_look(PAYING, CANCELLING, LIMITS) == moment(62)


def test_a_status_that_is_entered_too_late_has_a_look_of_its_own() -> None:
    late = order_after(created(), deducted(at=31))
    assert first_look(PENDING, late, LIMITS) == moment(151)


def test_a_status_that_is_not_left_and_one_that_ends_the_order_need_no_look() -> None:
    assert first_look(PAYING, PAYING, LIMITS) is None
    assert first_look(PAYING, COMPLETED, LIMITS) is None


steps = st.lists(
    st.tuples(
        st.sampled_from([deducted(), declined(), paid(), released(), insufficient()]), st.floats(0, 100)
    ),
    max_size=5,
)
seconds = st.integers(1, 200).map(lambda count: timedelta(seconds=count))


@any_of(steps, st.builds(Limits, pending=seconds, paying=seconds, compensating=seconds))
@settings(deadline=None, max_examples=300)
def test_whatever_happens_and_whatever_the_limits_some_look_is_not_later_than_the_deadline(
    steps: list[tuple[OrderEvent, float]], limits: Limits
) -> None:
    """Each look takes place when it is due, and nobody heeds what it finds, which only makes it harder."""
    order: Order | None = None
    planned: set[datetime | None] = set()
    now = moment(0)
    for event, wait in [(created(), 0.0), *steps]:
        now += timedelta(seconds=wait)
        planned = _look_until(now, order, planned, limits)
        before, order = order, evolve(order, replace(event, recorded_at=now))
        assert order is not None
        planned.add(first_look(before, order, limits))
        until = deadline(order, limits)
        if until is not None and (before is None or before.entered_by != order.entered_by):
            assert min(each for each in planned if each is not None) <= until


def _look_until(
    now: datetime, order: Order | None, planned: set[datetime | None], limits: Limits
) -> set[datetime | None]:
    while any(each is not None and each <= now for each in planned):
        first = min(each for each in planned if each is not None)
        planned = (planned - {first}) | {look(order, first, limits).again}
    return planned


def test_each_status_that_waits_has_a_limit_of_its_own() -> None:
    found = {order.status: deadline(order, LIMITS) for order in (PENDING, PAYING, CANCELLING, REFUNDING)}
    assert found.keys() == set(OrderStatus) - {COMPLETED.status, OrderStatus.CANCELLED, REFUNDED.status}
