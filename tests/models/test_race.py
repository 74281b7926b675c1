"""A customer's cancellation against the payment: every interleaving there is, of one order of one line."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pytest

from models.order import OrderStatus
from models.payment import PaymentStatus
from tests.models.scenario import cancel_requested, created, restock
from tests.models.world import ORDERS_HEAR, PAYMENTS_HEAR, STOCK_HEARS, Death, Fate, World

ONE = "one"
Move = Callable[[World], None]


class End(NamedTuple):
    """Be how the race ended: the order, and the money."""

    status: OrderStatus
    charged: bool
    refunded: bool


def begin(*, approved: bool, refund_failures: int = 0) -> World:
    """Return a world with one order that has just been placed."""
    world = World()
    world.append(restock(1))
    world.drain()
    world.approved[ONE] = approved
    world.refund_failures[ONE] = refund_failures
    world.append(created(("A", 1), order=ONE))
    return world


def moves(world: World) -> Iterator[Move]:
    """Yield all that may happen next: each stage may take any one record, and the provider may be asked."""
    for hear, key in ((ORDERS_HEAR, ONE), (STOCK_HEARS, "A"), (PAYMENTS_HEAR, ONE)):
        unread = [name for name in hear if world.read[name, key] < len(world.logs[name, key])]
        yield from (partial(take, name, key, turn) for turn, name in enumerate(unread))
    paying = world.payments.get(ONE)
    if paying is not None and paying.open:
        yield lambda twin: twin.call_provider(ONE, Fate(turns=()))
        if paying.status is PaymentStatus.CHARGING and world.approved[ONE] and ONE not in world.charged:
            yield lambda twin: twin.call_provider(ONE, Fate(turns=(), death=Death.BEFORE_ALL))
        if any(world.read[name, ONE] < len(world.logs[name, ONE]) for name in PAYMENTS_HEAR):
            for death in (Death.NEVER, Death.BEFORE_MESSAGES):
                together = Fate(turns=(0,), death=death)
                yield lambda twin, fate=together: twin.call_provider(ONE, fate)  # type: ignore[misc]
    if not world.logs["ORDER_CANCEL_REQUESTED", ONE]:
        yield lambda twin: twin.append(cancel_requested(order=ONE))


def take(name: str, key: str, turn: int, world: World) -> None:
    """Have the stage that listens take one record."""
    world.stage_of(name)(key, Fate(turns=(turn,)))


def place_of(world: World) -> tuple[object, ...]:
    """Return what tells two worlds apart: all but the times."""
    order, paying = world.orders.get(ONE), world.payments.get(ONE)
    return (
        order and (order.status, order.payment, tuple(line.status for line in order.lines)),
        paying and (paying.status, paying.reference),
        world.shelves["A"].counts,
        ONE in world.charged,
        ONE in world.refunded,
        world.refund_failures[ONE],
        frozenset((log, len(records), world.read[log]) for log, records in world.logs.items()),
    )


def check(world: World) -> None:
    """Assert what holds at every moment: whoever is told of a cancellation is not, and won't be, charged."""
    world.check_always()
    order, paying = world.orders.get(ONE), world.payments.get(ONE)
    if order is not None and order.status is OrderStatus.CANCELLED:
        assert world.charged == world.refunded
        assert paying is None or not paying.open


def run_all(world: World) -> Counter[End]:
    """Go every way there is from here, and count the ends that it comes to."""
    ends: Counter[End] = Counter()
    seen, waiting = {place_of(world)}, [world]
    while waiting:
        here = waiting.pop()
        check(here)
        ways = list(moves(here))
        for way in ways:
            there = here.copy()
            way(there)
            if place_of(there) not in seen:
                seen.add(place_of(there))
                waiting.append(there)
        if not ways:
            here.drain()
            here.check_quiet()
            ends[End(here.orders[ONE].status, ONE in here.charged, ONE in here.refunded)] += 1
    return ends


@pytest.mark.parametrize("failures", [0, 2])
def test_in_every_interleaving_the_order_is_sold_and_charged_or_cancelled_and_not_left_charged(
    failures: int,
) -> None:
    assert set(run_all(begin(approved=True, refund_failures=failures))) == {
        End(OrderStatus.COMPLETED, charged=True, refunded=False),
        End(OrderStatus.CANCELLED, charged=True, refunded=True),
        End(OrderStatus.CANCELLED, charged=False, refunded=False),
    }


def test_in_every_interleaving_an_order_whose_payment_is_declined_is_cancelled_uncharged() -> None:
    assert set(run_all(begin(approved=False))) == {End(OrderStatus.CANCELLED, charged=False, refunded=False)}


@pytest.mark.parametrize("death", [Death.BEFORE_MESSAGES, Death.BETWEEN_MESSAGES])
@pytest.mark.parametrize("asked_first", [True, False], ids=["asked first", "cancelled first"])
def test_a_request_to_pay_that_a_crash_swallowed_holds_up_no_cancellation(
    death: Death, *, asked_first: bool
) -> None:
    """The order dies between its state and its messages, and reads the cancellation before the rest."""
    world = begin(approved=True)
    world.run_orders(ONE, Fate(turns=(0,)))
    world.run_stock("A", Fate(turns=(0,)))
    if asked_first:
        world.append(cancel_requested(order=ONE))
    world.run_orders(ONE, Fate(turns=(0,), death=death, cut=0))
    if not asked_first:
        world.append(cancel_requested(order=ONE))
    for turn in (1, 0):
        world.run_orders(ONE, Fate(turns=(turn,)))
    world.drain()
    world.check_quiet()
    assert world.orders[ONE].status in {OrderStatus.COMPLETED, OrderStatus.CANCELLED}
