"""Deadlines: looks at the orders that wait, and hands their agent those that have waited too long.

An order's time runs by the log's clock, and is up by this worker's. Where this one is ahead of the broker's,
orders are timed out so much too early, where it is behind, too late; nothing else depends on it. What is
found is compared with the order again by its agent, so a look may be as late as it likes.

While the payment provider's breaker is open in this process, orders that pay are put off. What is known of
the provider is known here alone: a worker that has just started knows nothing, and one that ran the orders
stage without the payments stage would never put anything off.
"""

import asyncio
import logging
import math
from datetime import UTC, datetime, timedelta

from app import providers
from app.delivery.exits import die
from app.main import app, delivery
from models.deadlines import look
from tables.orders import due, find_waiting, limits, note_waiting

logger = logging.getLogger(__name__)

EVERY_S = 0.25
"""How long the timer sleeps when there is nothing to look at."""

MOST = 250
"""How many orders it looks at between two turns of the loop."""

BREATH_S = 0.05
"""How long it waits after a look that found something, lest findings pile up before their agent."""


@app.task  # type: ignore[untyped-decorator]  # Faust is untyped here
async def keep_deadlines() -> None:
    """Look at orders from the start of the worker on."""
    await keep()


async def keep() -> None:
    """Look, for as long as the worker runs; a fault ends it, or orders would wait for ever."""
    try:
        while not app.should_stop:
            found = look_at_some(datetime.now(UTC))
            await asyncio.sleep(EVERY_S if found is None else BREATH_S if found else 0)
    except Exception as error:  # whatever it is, nobody would keep deadlines any more
        logger.critical("the orders that wait can't be looked at", exc_info=error)
        die(repr(error))


def look_at_some(now: datetime) -> int | None:
    """Look at some of the orders that are due; return how many were overdue, None where none are due."""
    taken = due.take(now.timestamp(), MOST)
    if taken is None:
        return None
    partition, names = taken
    return sum(_look_at(partition, name, now) for name in names)


def _look_at(partition: int, name: bytes, now: datetime) -> bool:
    order = find_waiting(partition, name)
    if order is not None and not order.settled:
        note_waiting(partition, order)
    seen = look(order, now, limits, _payable_since(now))
    if seen.finding is not None:
        delivery.answer("orders", partition, seen.finding)
    if seen.again is not None:
        due.put(partition, name, seen.again.timestamp())
    return seen.finding is not None


def _payable_since(now: datetime) -> datetime | None:
    """Return since when this process has called the payment provider freely, None where it always has."""
    closed_for = providers.payment.closed_for()
    return None if closed_for == math.inf else now - timedelta(seconds=closed_for)
