"""States made anew from the logs of a small world are the states that its stages came to."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain
from typing import Any

import pytest

from models.events import InventoryDeducted, InventoryRestocked
from models.messages import Message
from models.rebuild import orders, payments, stock
from models.stock import HoldStatus
from tests.models.test_saga_machine import Life
from tests.models.world import ORDERS_HEAR, World


def said_about(world: World, order_id: str) -> list[Any]:
    """Return all records about the order, in the log's order."""
    records = chain.from_iterable(world.logs.values())
    return sorted((each for each in records if getattr(each, "order_id", "") == order_id), key=lambda m: m.at)


def of(kinds: Iterable[type[Message]], records: Iterable[Any]) -> list[Any]:
    return [each for each in records if isinstance(each, tuple(kinds))]


def check_orders(world: World) -> Counter[orders.Ground]:
    """Assert that every order can be made anew; return how."""
    grounds = Counter[orders.Ground]()
    for order_id, order in world.orders.items():
        records = said_about(world, order_id)
        heard = [each for each in records if each.type in ORDERS_HEAR]
        said = of(orders.SAID_IN, records)
        rebuilt = orders.rebuild(heard, said)
        grounds[rebuilt.ground] += 1
        assert rebuilt.ground is not orders.Ground.UNEXPLAINED, order_id
        assert orders.may_be(order, heard, said), order_id
        assert rebuilt.order is not None
        assert (rebuilt.order.status, rebuilt.order.reason) == (order.status, order.reason)
        assert (rebuilt.order.entered_by, rebuilt.order.entered_at) == (order.entered_by, order.entered_at)
        assert rebuilt.order.lines == order.lines
    return grounds


def check_payments(world: World) -> None:
    for order_id, payment in world.payments.items():
        records = said_about(world, order_id)
        wishes, news = of(payments.HEARD, records), of(payments.SAID, records)
        rebuilt = payments.rebuild(wishes, news)
        assert rebuilt.explained
        assert payments.may_be(payment, wishes, news), order_id


def check_stock(world: World) -> None:
    for sku, shelf in world.shelves.items():
        records = [
            each for each in chain.from_iterable(world.logs.values()) if getattr(each, "sku", "") == sku
        ]
        records.sort(key=lambda each: each.at)
        tally, rows = stock.Tally(sku), {}
        cases = defaultdict[str, list[Any]](list)
        for each in records:
            if isinstance(each, InventoryRestocked):
                cases[each.event_id].append(each)
            else:
                cases[getattr(each, "order_id")].append(each)  # noqa: B009  # all others have one
        for holder, facts in cases.items():
            line: stock.Line | None
            if isinstance(facts[0], InventoryRestocked):
                line = stock.restock_line(facts[0])
            else:
                reserved = next(iter(of((InventoryDeducted,), facts)), None)
                line = stock.keep_line(reserved, of(stock.STATUS_OF, facts))
            if line is not None:
                rows[holder] = line.hold
                tally.add(line)
        item = tally.item
        counts = (item.available, item.reserved, item.sold, item.restocked)
        assert counts == shelf.counts, sku
        for holder, hold in shelf.holds.items():
            assert (hold.status, hold.quantity) == (rows[holder].status, rows[holder].quantity)
            if hold.status in {HoldStatus.RESERVED, HoldStatus.RETURNED}:
                assert (hold.at, hold.causation_id) == (rows[holder].at, rows[holder].causation_id)
        stay = {HoldStatus.RESERVED, HoldStatus.RETURNED}
        kept = {holder for holder, hold in shelf.holds.items() if hold.status in stay}
        assert {holder for holder, hold in rows.items() if hold.status in stay} == kept


@pytest.mark.parametrize("seed", range(40))
def test_whatever_life_a_world_had_its_states_can_be_made_anew(seed: int) -> None:
    life = Life(seed)
    for _ in range(3):
        life.live(steps=100)
        life.world.drain()
        check_orders(life.world)
        check_payments(life.world)
        check_stock(life.world)
