"""What lies in a scratch store is made anew, and compared with rows as a worker would have left them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.delivery.codec import Coder, encode
from app.rebuild.comparing import HOLD, ITEM, ORDER, PAYMENT
from app.rebuild.folding import Folding
from app.rebuild.layout import (
    BY_SKU,
    LAST,
    NUMBERS,
    RETOLD,
    SPREAD,
    Tag,
    order_key,
    row_key,
    stock_key,
)
from app.rebuild.outcome import Outcome
from app.rebuild.plan import Plan
from app.rebuild.reading import Span
from app.rebuild.sorting import PLACE
from app.scratch import Scratch
from app.settings import load
from models.messages import Message
from models.order import OrderStatus
from models.stock import HoldStatus
from tests.models.scenario import cancel_requested, created, refund_requested, restock
from tests.models.test_saga_machine import Life
from tests.models.world import World

LIVE = {("orders-changelog", 0): Span(0, 1)}


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    with Scratch(tmp_path, once=True) as opened:
        yield opened


@pytest.fixture
def world() -> World:
    """Give a world with an order of every end, and one whose stock is reserved."""
    world = World()
    for message in (
        restock(9),
        created(("A", 2), order="good"),
        created(("A", 9), order="greedy"),
        created(("A", 1), order="unloved"),
        refund_requested(order="unloved"),
        created(("A", 1), order="early"),
        cancel_requested(order="early"),
    ):
        world.append(message)
        if message.key != "early":
            world.drain()
    world.drain()
    return world


def fill(scratch: Scratch, world: World) -> None:
    """Put the logs and the states of a world where the rebuild looks for them."""
    for (name, _), messages in world.logs.items():
        for offset, message in enumerate(messages):
            if name in NUMBERS:
                put(scratch, message, offset)
    for order in world.orders.values():
        live(scratch, "orders", order.order_id, ORDER, order)
    for payment in world.payments.values():
        live(scratch, "payments", f"payment/{payment.order_id}", PAYMENT, payment)
    for sku, shelf in world.shelves.items():
        if shelf.item is not None:
            live(scratch, "inventory", f"item/{sku}", ITEM, shelf.item)
        for hold in shelf.holds.values():
            live(scratch, "inventory", f"hold/{sku}/{hold.holder}", HOLD, hold)
    scratch.flush()


def put(scratch: Scratch, message: Message, offset: int) -> None:
    place = PLACE.pack(round(message.at.timestamp() * 1000), NUMBERS[message.type], 0, offset)
    order_id = getattr(message, "order_id", message.event_id).encode()
    if message.type not in BY_SKU or message.type in RETOLD:
        scratch.put(order_key(order_id) + place, encode(message))
    if (message.type in BY_SKU and message.type != "INVENTORY_REQUESTED") or message.type in SPREAD:
        sku = str(getattr(message, "sku")).encode()  # noqa: B009  # these have one
        scratch.put(stock_key(sku, order_id) + place, encode(message))


def live(scratch: Scratch, table: str, key: str, coder: Coder[Any], value: Any) -> None:
    row = row_key(table, key.encode())
    assert row is not None
    scratch.put(row, coder.encode(value))
    scratch.flush()


def fold(scratch: Scratch, folder: Path, **changes: Any) -> tuple[Outcome, list[tuple[bytes, bytes]]]:
    """Make all of it anew; return what came of it, and the rows to be written."""
    written: list[tuple[bytes, bytes]] = []
    given: dict[str, Any] = {"live": LIVE, **changes}
    plan = Plan(settings=load(), jobs=1, folder=folder, topics={}, letters={}, committed={}, **given)
    outcome = Outcome(at_most=20)
    Folding(plan, scratch, outcome, lambda _: None, lambda _, *row: written.append(row)).fold()
    return outcome, written


@pytest.mark.parametrize("seed", range(12))
def test_after_any_life_that_has_come_to_rest_nothing_differs(
    seed: int, scratch: Scratch, tmp_path: Path
) -> None:
    life = Life(seed)
    life.live(steps=150)
    life.world.drain()
    fill(scratch, life.world)
    outcome, _ = fold(scratch, tmp_path)
    assert outcome.differences == []
    assert outcome.orders.total() == len(life.world.orders)


def test_each_kind_of_order_is_counted(world: World, scratch: Scratch, tmp_path: Path) -> None:
    fill(scratch, world)
    outcome, _ = fold(scratch, tmp_path)
    assert outcome.differences == []
    assert outcome.orders == {"COMPLETED": 1, "CANCELLED": 2, "REFUNDED": 1}
    assert outcome.stock == {"SKUs": 1, "available": 7, "reserved": 0, "sold": 2, "restocked": 9}


def test_a_planted_status_is_a_difference_in_each_field(
    world: World, scratch: Scratch, tmp_path: Path
) -> None:
    fill(scratch, world)
    forged = replace(world.orders["good"], status=OrderStatus.REFUNDED, version=9)
    live(scratch, "orders", "good", ORDER, forged)
    outcome, _ = fold(scratch, tmp_path)
    found = {(each.row, each.field): (each.rebuilt, each.live) for each in outcome.differences}
    assert found == {("good", "status"): ("COMPLETED", "REFUNDED"), ("good", "version"): ("3", "9")}


def test_a_timeline_that_the_topics_do_not_have_is_not_believed(
    world: World, scratch: Scratch, tmp_path: Path
) -> None:
    fill(scratch, world)
    order = world.orders["good"]
    live(scratch, "orders", "good", ORDER, replace(order, history=(order.history[0], *order.history[2:])))
    outcome, _ = fold(scratch, tmp_path)
    assert [(each.row, each.field) for each in outcome.differences] == [("good", "history")]


def test_rows_that_are_lost_or_of_nobody_are_differences(
    world: World, scratch: Scratch, tmp_path: Path
) -> None:
    fill(scratch, world)
    for key in (b"good", b"payment/good"):
        row = row_key("payments" if b"/" in key else "orders", key)
        assert row is not None
        scratch.delete(row)
    live(scratch, "orders", "nobody", ORDER, replace(world.orders["good"], order_id="nobody"))
    outcome, _ = fold(scratch, tmp_path)
    assert {(each.table, each.row, each.rebuilt, each.live) for each in outcome.differences} == {
        ("orders", "good", "a row", "no row"),
        ("payments", "good", "a row", "no row"),
        ("orders", "nobody", "no row", "a row"),
    }


def test_counters_and_holds_that_were_changed_are_differences(
    world: World, scratch: Scratch, tmp_path: Path
) -> None:
    fill(scratch, world)
    shelf = world.shelves["A"]
    assert shelf.item is not None
    live(scratch, "inventory", "item/A", ITEM, replace(shelf.item, available=8, sold=1))
    returned = next(hold for hold in shelf.holds.values() if hold.status is HoldStatus.RETURNED)
    live(scratch, "inventory", f"hold/A/{returned.holder}", HOLD, replace(returned, quantity=7))
    outcome, _ = fold(scratch, tmp_path)
    assert {(each.row, each.field, each.rebuilt, each.live) for each in outcome.differences} == {
        ("A", "available", "7", "8"),
        ("A", "sold", "2", "1"),
        ("A/unloved", "quantity", "1", "7"),
    }


def test_an_end_that_no_order_of_the_events_explains_is_reported(
    world: World, scratch: Scratch, tmp_path: Path
) -> None:
    fill(scratch, world)
    (end,) = {message.event_id: message for message in world.logs["ORDER_COMPLETED", "good"]}.values()
    put(scratch, replace(end, event_id="forged", causation_id="nothing"), 99)
    scratch.flush()
    outcome, _ = fold(scratch, tmp_path)
    assert {(each.row, each.field) for each in outcome.differences} == {("good", "explanation")}


def test_what_is_in_flight_is_left_out_and_counted(world: World, scratch: Scratch, tmp_path: Path) -> None:
    fill(scratch, world)
    live(scratch, "orders", "good", ORDER, replace(world.orders["good"], version=1))
    scratch.put(order_key(b"good") + LAST + Tag.ORDER_IN_FLIGHT, b"")
    scratch.flush()
    outcome, _ = fold(scratch, tmp_path)
    assert (outcome.differences, outcome.left_out) == ([], {"orders": 1})


def test_one_order_is_shown_alone(world: World, scratch: Scratch, tmp_path: Path) -> None:
    fill(scratch, world)
    outcome, _ = fold(scratch, tmp_path, order_id="good", live={})
    assert outcome.shown == [world.orders["good"], world.payments["good"]]
    assert outcome.orders == {"COMPLETED": 1}
    outcome, _ = fold(scratch, tmp_path, sku="B", live={})
    assert outcome.items == []


def test_rows_are_written_as_the_tables_have_them(world: World, scratch: Scratch, tmp_path: Path) -> None:
    fill(scratch, world)
    _, rows = fold(scratch, tmp_path, write="orders", live={})
    assert dict(rows) == {key.encode(): ORDER.encode(order) for key, order in world.orders.items()}
    _, rows = fold(scratch, tmp_path, write="payments", live={})
    expected = {f"payment/{key}".encode(): PAYMENT.encode(each) for key, each in world.payments.items()}
    assert dict(rows) == expected
    _, rows = fold(scratch, tmp_path, write="inventory", live={})
    item = ITEM.decode(dict(rows)[b"item/A"])
    assert (item.available, item.reserved, item.sold, item.restocked) == world.shelves["A"].counts
    holds = {key: HOLD.decode(raw) for key, raw in rows if key.startswith(b"hold/")}
    assert {hold.counters for hold in holds.values()} == {item}
    assert holds[b"hold/A/unloved"].status is HoldStatus.RETURNED
    assert rows[-1][0] == b"item/A"


def test_what_waits_is_written_with_its_mark(scratch: Scratch, tmp_path: Path) -> None:
    world = World()
    world.append(created(("A", 1), order="waiting"))
    fill(scratch, world)
    _, rows = fold(scratch, tmp_path, write="orders", live={})
    assert [key for key, _ in rows] == [b"\xffopen/waiting", b"waiting"]
    outcome, _ = fold(scratch, tmp_path)
    assert ("waiting", "row") in {(each.row, each.field) for each in outcome.differences}
