"""The read side: what HTTP may ask of the tables, and where to ask it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar
from uuid import UUID

from yarl import URL

from app import metrics
from app.delivery.state import NotHere, State
from app.main import app, delivery
from app.routing import Moving, Routes
from app.settings import current
from app.tenure import Tenure, Tenures
from models.events import InventoryRestocked, OrderCreated
from models.idempotency import ID_VERSION
from models.order import Order
from models.stock import Hold, StockItem
from tables import analytics, inventory, letters, orders
from tables.analytics import find_minutes, find_sold
from tables.letters import Buried

__all__ = [
    "Buried",
    "Moving",
    "NotHere",
    "Tenure",
    "analytics_partitions",
    "analytics_workers",
    "behind_s",
    "find_item",
    "find_items",
    "find_letters",
    "find_minutes",
    "find_order",
    "find_restock",
    "find_sold",
    "hold_item",
    "hold_orders",
    "is_ready",
    "is_sure",
    "item_owner",
    "item_workers",
    "may_appear",
    "order_owner",
    "order_when",
    "orders_lag",
    "partition_of",
    "restock_when",
]

R = TypeVar("R")

ORDER_ID_VERSION = 7
"""Order ids carry the time at which they were made, but for those that were derived from a key."""

YOUNG_S = 60
"""How long after its id was made an order is waited for, briefly, before it is called unknown."""

_routes = Routes(app, current().partitions)
_tenures = Tenures(app, current(), OrderCreated.type, InventoryRestocked.type)


def is_ready() -> bool:
    """Tell whether this worker has its partitions, recovered."""
    return _routes.ready()


metrics.READY.set_function(lambda: float(is_ready()))


def partition_of(key: str) -> int:
    """Return the key's home: what has the same has the same owner."""
    return _routes.partition_of(key)


async def hold_orders(key: str) -> Tenure:
    """Return under which assignment this worker knows all orders that have their home with the key.

    Raises:
        Moving: it does not, or not yet.
    """
    return await _tenures.hold(OrderCreated.type, _routes.partition_of(key))


async def hold_item(sku: str) -> Tenure:
    """Return under which assignment this worker knows all restocks of the SKU.

    Raises:
        Moving: it does not, or not yet.
    """
    return await _tenures.hold(InventoryRestocked.type, _routes.partition_of(sku))


def is_sure(tenure: Tenure) -> bool:
    """Tell whether what Kafka has acknowledged by now is the first that there is under its id."""
    return _tenures.is_sure(tenure)


def order_owner(order_id: str) -> URL | None:
    """Return the worker that has the order, or would have it; None where it is this one.

    Raises:
        Moving: nobody has it at the moment.
    """
    return _routes.owner(orders.state, _routes.partition_of(order_id))


def find_order(order_id: str) -> Order | None:
    """Return the order, None where there is none.

    Raises:
        NotHere: this worker does not own it.
    """
    return orders.state.load(_routes.partition_of(order_id), order_id.encode(), orders.coder)


def find_letters(order_id: str) -> list[Buried]:
    """Return the records about the order that could not be processed, oldest first.

    Raises:
        NotHere: this worker does not own it.
    """
    return letters.find_letters(_routes.partition_of(order_id), order_id)


async def order_when(order_id: str, ready: Callable[[Order | None], bool], timeout_s: float) -> Order | None:
    """Return the order once it is as wanted, or as it is when the time is over.

    Raises:
        NotHere: this worker does not own it, or no longer.
    """
    return await _when(orders.state, order_id.encode(), partial(find_order, order_id), ready, timeout_s)


def may_appear(order_id: str) -> bool:
    """Tell whether the id is one of ours that has just been given out, or waits behind a backlog."""
    try:
        parsed = UUID(order_id)
    except ValueError:
        return False
    if parsed.version == ID_VERSION:  # it does not say when it was given out
        return True
    if parsed.version != ORDER_ID_VERSION:
        return False
    age_s = time.time() - (parsed.int >> 80) / 1000
    return abs(age_s) < YOUNG_S or orders_lag(order_id) > 0


def orders_lag(order_id: str) -> int:
    """Return how many accepted orders of this order's partition have not been taken in yet."""
    return delivery.lag(OrderCreated.type, _routes.partition_of(order_id))


def behind_s() -> float:
    """Return how late this worker works on what it is sent, in seconds."""
    return delivery.behind_s()


def item_owner(sku: str) -> URL | None:
    """Return the worker that keeps the SKU; None where it is this one.

    Raises:
        Moving: nobody does at the moment.
    """
    return _routes.owner(inventory.state, _routes.partition_of(sku))


def item_workers() -> tuple[URL, ...]:
    """Return every other worker that keeps stock."""
    return _routes.others(inventory.state)


def find_item(sku: str) -> StockItem | None:
    """Return the SKU's counters, None where it was never stocked.

    Raises:
        NotHere: this worker does not own it.
    """
    return inventory.state.load(_routes.partition_of(sku), inventory.ITEM + sku.encode(), inventory.items)


def find_restock(sku: str, restock_id: str) -> Hold | None:
    """Return what is remembered of a restock, None where there was none or it was long ago.

    Raises:
        NotHere: this worker does not own the SKU.
    """
    return inventory.find_restock(_routes.partition_of(sku), sku, restock_id)


async def restock_when(
    sku: str, restock_id: str, ready: Callable[[Hold | None], bool], timeout_s: float
) -> Hold | None:
    """Return the restock once it is as wanted, or as it is when the time is over.

    Raises:
        NotHere: this worker does not own the SKU, or no longer.
    """
    key = inventory.hold_key(sku, restock_id)
    return await _when(inventory.state, key, partial(find_restock, sku, restock_id), ready, timeout_s)


def analytics_partitions() -> frozenset[int]:
    """Return of which partitions this worker counts the orders."""
    return analytics.state.partitions()


def analytics_workers() -> tuple[URL, ...]:
    """Return every other worker that counts orders."""
    return _routes.others(analytics.state)


def find_items(after: str, limit: int) -> list[StockItem]:
    """Return this worker's SKUs that come after the given one, by name, at most `limit`."""
    found = (item for partition in inventory.state.partitions() for item in _items(partition, after, limit))
    return sorted(found, key=lambda item: item.sku)[:limit]


def _items(partition: int, after: str, limit: int) -> Iterator[StockItem]:
    rows = inventory.state.scan(partition, inventory.ITEM, inventory.ITEM + after.encode())
    return (inventory.items.decode(raw) for _, raw in islice(rows, limit))


async def _when(
    state: State,
    key: bytes,
    find: Callable[[], R | None],
    ready: Callable[[R | None], bool],
    timeout_s: float,
) -> R | None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    found = find()
    while not ready(found) and (left := deadline - loop.time()) > 0:
        await state.changed(key, left)
        found = find()
    return found
