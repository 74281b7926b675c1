"""The read side: what HTTP may ask of the tables, and where to ask it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import islice
from uuid import UUID

from yarl import URL

from app import metrics
from app.delivery.state import NotHere
from app.main import app, delivery
from app.routing import Moving, Routes
from app.settings import current
from models.events import OrderCreated
from models.order import Order
from models.stock import StockItem
from tables import inventory, letters, orders
from tables.letters import Buried
from tables.payments import count_delayed_refunds

__all__ = [
    "Buried",
    "Moving",
    "NotHere",
    "behind_s",
    "count_delayed_refunds",
    "find_item",
    "find_items",
    "find_letters",
    "find_order",
    "is_ready",
    "item_owner",
    "item_workers",
    "may_appear",
    "order_owner",
    "order_when",
    "orders_lag",
]

ORDER_ID_VERSION = 7
"""Order ids carry the time at which they were made."""

YOUNG_S = 60
"""How long after its id was made an order is waited for, briefly, before it is called unknown."""

_routes = Routes(app, current().partitions)


def is_ready() -> bool:
    """Tell whether this worker has its partitions, recovered."""
    return _routes.ready()


metrics.READY.set_function(lambda: float(is_ready()))


def order_owner(order_id: str) -> URL | None:
    """Return the worker that has the order; None where it is this one.

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
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    order = find_order(order_id)
    while not ready(order) and (left := deadline - loop.time()) > 0:
        await orders.state.changed(order_id.encode(), left)
        order = find_order(order_id)
    return order


def may_appear(order_id: str) -> bool:
    """Tell whether the id is one of ours that has just been given out, or waits behind a backlog."""
    try:
        parsed = UUID(order_id)
    except ValueError:
        return False
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


def find_items(after: str, limit: int) -> list[StockItem]:
    """Return this worker's SKUs that come after the given one, by name, at most `limit`."""
    found = (item for partition in inventory.state.partitions() for item in _items(partition, after, limit))
    return sorted(found, key=lambda item: item.sku)[:limit]


def _items(partition: int, after: str, limit: int) -> Iterator[StockItem]:
    rows = inventory.state.scan(partition, inventory.ITEM, inventory.ITEM + after.encode())
    return (inventory.items.decode(raw) for _, raw in islice(rows, limit))
