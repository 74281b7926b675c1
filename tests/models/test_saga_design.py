from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

import pytest
from msgspec.structs import fields, replace

from models import catalogue, commands, events
from models.deadlines import Limits, Overdue, deadline
from models.messages import AboutOrder, AboutStock, Message
from models.order import SETTLED, Order, OrderStatus
from models.payment import AWAITED_IN as PAYMENT_AWAITED_IN
from models.payment import PaymentInput, Reminder
from models.saga import AWAITED_IN, OrderEvent, decide, evolve
from tests.models.scenario import (
    cancel_requested,
    created,
    declined,
    deducted,
    insufficient,
    moment,
    paid,
    refund_delayed,
    refund_requested,
    refunded,
    released,
    returned,
    run_saga,
    timed_out,
)

ABOUT_ORDER = {
    "ORDER_CREATED",
    "ORDER_CANCEL_REQUESTED",
    "ORDER_REFUND_REQUESTED",
    "ORDER_TIMED_OUT",
    "ORDER_COMPLETED",
    "ORDER_CANCELLED",
    "ORDER_REFUNDED",
    "INVENTORY_DEDUCTED",
    "INVENTORY_INSUFFICIENT",
    "INVENTORY_RELEASED",
    "INVENTORY_RETURNED",
    "PAYMENT_REQUESTED",
    "PAYMENT_REFUND_REQUESTED",
    "PAYMENT_COMPLETED",
    "PAYMENT_FAILED",
    "PAYMENT_REFUND_DELAYED",
    "PAYMENT_REFUNDED",
    "NOTIFICATION_EVENTS",
    "ANALYTICS_EVENTS",
}
ABOUT_STOCK = {
    "INVENTORY_REQUESTED",
    "INVENTORY_RELEASE_REQUESTED",
    "INVENTORY_SALE_REQUESTED",
    "INVENTORY_RETURN_REQUESTED",
    "INVENTORY_RESTOCKED",
}


def alphabet(*skus: str) -> tuple[OrderEvent, ...]:
    """Return every event there can be about an order of these SKUs, one piece each."""
    about_lines = (tell(sku) for sku in skus for tell in (deducted, insufficient, released, returned))
    total = 1000 * len(skus)
    return (
        *about_lines,
        paid(total),
        declined(),
        refund_delayed(),
        refunded(total),
        cancel_requested(),
        refund_requested(),
        timed_out(),
        *(timed_out(deducted(sku)) for sku in skus),
        created(*((sku, 1) for sku in skus)),
    )


def shape(order: Order) -> tuple[object, ...]:
    """Return what tells two orders apart to the machine: all but times, ids and the timeline."""
    return order.status, order.reason, order.payment, tuple(line.status for line in order.lines)


def explore(*skus: str) -> dict[tuple[object, ...], Order]:
    """Return every order that any sequence of events leads to, one for each shape."""
    letters = alphabet(*skus)
    start = evolve(None, letters[-1])
    assert start is not None
    found = {shape(start): start}
    waiting = deque([start])
    while waiting:
        order = waiting.popleft()
        for event in letters:
            after = evolve(order, event)
            assert after is not None
            if shape(after) not in found:
                found[shape(after)] = after
                waiting.append(after)
    return found


ORDERS = [order for skus in ("A", "AB", "ABC") for order in explore(*skus).values()]


def test_every_event_is_awaited_somewhere() -> None:
    assert set(AWAITED_IN) == set(get_args(OrderEvent))
    assert all(AWAITED_IN.values())


def test_every_input_of_a_payment_is_awaited_somewhere() -> None:
    inputs = {kind for union in get_args(PaymentInput) for kind in (get_args(union) or (union,))}
    assert set(PAYMENT_AWAITED_IN) == inputs
    silent = {kind for kind, statuses in PAYMENT_AWAITED_IN.items() if not statuses}
    assert silent == {Reminder}, "a reminder is a repeat by its nature; everything else counts somewhere"


def test_every_status_is_reachable() -> None:
    assert {order.status for order in ORDERS} == set(OrderStatus)


def test_every_event_counts_in_each_status_that_awaits_it() -> None:
    counted: dict[type[OrderEvent], set[OrderStatus | None]] = {kind: set() for kind in AWAITED_IN}
    counted[events.OrderCreated].add(None)
    for order in ORDERS:
        for event in alphabet(*(line.sku for line in order.lines)):
            if evolve(order, event) is not order:
                counted[type(event)].add(order.status)
    assert {kind: frozenset(statuses) for kind, statuses in counted.items()} == dict(AWAITED_IN)


def test_only_a_refund_has_a_settled_order_leave_its_status() -> None:
    left = set()
    for order in ORDERS:
        for event in alphabet(*(line.sku for line in order.lines)):
            after = evolve(order, event)
            assert after is not None
            if order.status in SETTLED and after.status is not order.status:
                left.add((order.status, event.type, after.status))
    assert left == {(OrderStatus.COMPLETED, "ORDER_REFUND_REQUESTED", OrderStatus.REFUNDING)}


def test_every_order_that_is_not_settled_has_something_to_send() -> None:
    silent = [shape(order) for order in ORDERS if not order.settled and not decide(order)]
    assert not silent


def test_the_timer_cancels_or_moves_on_every_order_that_waits() -> None:
    for order in ORDERS:
        found = Overdue(order_id=order.order_id, entered_by=order.entered_by, at=moment(99))
        _, said = run_saga(order, found)
        assert bool(said) is not order.settled, f"the timer says {said} to {shape(order)}"


def test_every_status_that_waits_has_a_deadline_and_no_other() -> None:
    limits = Limits(pending=timedelta(1), paying=timedelta(1), compensating=timedelta(1))
    with_one = {order.status for order in ORDERS if deadline(order, limits) is not None}
    assert with_one == set(OrderStatus) - SETTLED


def test_from_every_order_that_is_not_settled_some_way_leads_to_an_end() -> None:
    stuck = []
    for start in (order for order in ORDERS if not order.settled and len(order.lines) < 3):
        seen = {shape(start)}
        waiting = deque([start])
        while waiting and not waiting[0].settled:
            order = waiting.popleft()
            for event in alphabet(*(line.sku for line in order.lines)):
                after = evolve(order, event)
                assert after is not None
                if shape(after) not in seen:
                    seen.add(shape(after))
                    waiting.append(after)
        if not waiting:
            stuck.append(shape(start))
    assert not stuck


def paths(skus: str, length: int) -> Iterator[list[tuple[Order, tuple[Message, ...]]]]:
    """Yield every path of events that count, each at its own time, as orders and what they said."""
    letters = alphabet(*skus)
    first = run_saga(None, letters[-1])
    assert first[0] is not None
    waiting: list[list[tuple[Order, tuple[Message, ...]]]] = [[(first[0], first[1])]]
    while waiting:
        path = waiting.pop()
        yield path
        for event in letters if len(path) < length else ():
            dated = replace(event, recorded_at=moment(10 * len(path)))
            after, said = run_saga(path[-1][0], dated)
            if after is not None and after is not path[-1][0]:
                waiting.append([*path, (after, said)])


@pytest.mark.parametrize(("skus", "length"), [("A", 8), ("AB", 6)])
def test_on_no_path_does_one_id_have_two_payloads(skus: str, length: int) -> None:
    for path in paths(skus, length):
        payloads: dict[str, Message] = {}
        for order, said in path:
            for message in (*said, *decide(order)):
                known = payloads.setdefault(message.event_id, message)
                assert message == known, (
                    f"after {[step.type for step in order.history]}\n  once {known}\n  then {message}"
                )


@pytest.mark.parametrize(("skus", "length"), [("A", 8), ("AB", 5)])
def test_on_no_path_does_an_order_end_twice(skus: str, length: int) -> None:
    for path in paths(skus, length):
        ends = {
            message.event_id
            for _, said in path
            for message in said
            if isinstance(message, events.OrderCompleted | events.OrderCancelled)
        }
        sold = path[-1][0].status in {OrderStatus.REFUNDING, OrderStatus.REFUNDED}
        assert len(ends) == (path[-1][0].settled or sold)


def test_the_wire_names_are_these_and_no_other() -> None:
    assert set(catalogue.MESSAGES) == ABOUT_ORDER | ABOUT_STOCK


@pytest.mark.parametrize("wire_name", sorted(ABOUT_ORDER | ABOUT_STOCK))
def test_a_class_and_its_tag_and_its_key_in_the_catalogue_agree(wire_name: str) -> None:
    kind = catalogue.MESSAGES[wire_name]
    assert kind.type == wire_name
    assert (kind.__struct_config__.tag_field, kind.__struct_config__.tag) == ("type", wire_name)


@pytest.mark.parametrize("wire_name", sorted(ABOUT_ORDER | ABOUT_STOCK))
def test_a_message_has_the_one_version_that_its_class_reads(wire_name: str) -> None:
    (version,) = (each for each in fields(catalogue.MESSAGES[wire_name]) if each.name == "version")
    assert get_args(version.type) == (version.default,)


def test_every_message_class_is_in_the_catalogue() -> None:
    kinds = {
        kind
        for module in (commands, events)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind.__module__ == module.__name__
    }
    assert kinds == set(catalogue.MESSAGES.values())


def test_what_is_at_home_with_the_order_and_what_with_the_sku() -> None:
    kinds = catalogue.MESSAGES.items()
    assert {name for name, kind in kinds if issubclass(kind, AboutOrder)} == ABOUT_ORDER
    assert {name for name, kind in kinds if issubclass(kind, AboutStock)} == ABOUT_STOCK


def test_a_message_about_an_order_is_keyed_by_it_and_one_about_stock_by_its_sku() -> None:
    order, said = run_saga(None, created(("A", 1)))
    assert order is not None
    assert [message.key for message in said] == ["A"]
    assert deducted("A").key == order.order_id


@pytest.mark.parametrize("wire_name", sorted(ABOUT_ORDER | ABOUT_STOCK))
def test_every_message_carries_the_envelope(wire_name: str) -> None:
    names = {each.name for each in fields(catalogue.MESSAGES[wire_name])}
    assert names >= {
        "event_id",
        "version",
        "occurred_at",
        "correlation_id",
        "causation_id",
        "order_id",
    } - ({"order_id"} if wire_name == "INVENTORY_RESTOCKED" else set())
