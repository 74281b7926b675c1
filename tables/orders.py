"""Orders by order id: written by the orders agent alone.

Which orders wait is kept under keys of their own, so that a recovery need not look at every order there ever
was; and in memory, by the second in which each is to be looked at. The key of a waiting order goes ahead of
the order when it is opened, and behind it when it is settled: whatever a crash keeps of a batch, no order
that waits is without.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from app import metrics
from app.buckets import Due
from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.delivery.state import NotHere
from app.main import delivery
from app.settings import current
from models.deadlines import Limits, first_look
from models.order import Order

state = delivery.table("orders", stage="orders")
coder = Coder(Order)

OPEN = b"\xffopen/"
"""Before the order id, where the order waits. No order id begins so: it is no UTF-8."""

LOOKED_AT = 100
"""How many of a partition's orders that wait are looked at to find the oldest."""

limits = Limits(
    pending=timedelta(milliseconds=current().saga.pending_ms),
    paying=timedelta(milliseconds=current().saga.paying_ms),
    compensating=timedelta(milliseconds=current().saga.compensating_ms),
)

due = Due()
"""The orders to be looked at; those that have been settled meanwhile are among them."""


def load_order(batch: Batch, partition: int, order_id: str) -> Order | None:
    """Return the order as it stands within the batch, None where there is none."""
    return batch.load(state, partition, order_id.encode(), coder)


def save_order(batch: Batch, partition: int, before: Order | None, after: Order) -> None:
    """Write the order with the batch, and that it waits, or no longer does."""
    name = after.order_id.encode()
    batch.save(state, partition, name, after, coder, place=Place.LAST)
    if before is None or (before.settled and not after.settled):
        batch.write(state, partition, OPEN + name, b"1", place=Place.FIRST)
    if after.settled:
        batch.write(state, partition, OPEN + name, None, place=Place.LAST)
    elif (at := first_look(before, after, limits)) is not None:
        batch.after_commit(partial(due.put, partition, name, at.timestamp()))


def find_open() -> Iterator[tuple[int, bytes]]:
    """Yield the names of this worker's orders that wait, and of few others, by partition."""
    for number in sorted(state.partitions()):
        for key, _ in state.scan(number, OPEN):
            yield number, key.removeprefix(OPEN)


def oldest_unsettled_s() -> float:
    """Return the age in seconds of the oldest order that waits, among the first of each partition.

    Ids begin with the time at which they were made, so the first are the oldest, but for those that were
    made from a key. A few that follow are looked at as well: of an order that is under way there may be
    several names, and none of them is old.
    """
    now = datetime.now(UTC)
    ages = [
        (now - order.created_at).total_seconds()
        for number in state.partitions()
        for key, _ in islice(state.scan(number, OPEN), LOOKED_AT)
        if (order := find_waiting(number, key.removeprefix(OPEN))) is not None
    ]
    return max(ages, default=0.0)


metrics.UNSETTLED_AGE.set_function(oldest_unsettled_s)


def find_waiting(partition: int, name: bytes) -> Order | None:
    """Return the order if it waits, and waits here; what was settled costs one look at one small row."""
    try:
        if state.get(partition, OPEN + name) is None:
            return None
        return state.load(partition, name, coder)
    except NotHere:
        return None


@state.on_recovered
def take_up() -> None:
    """Have all orders that wait looked at, now: what this worker knew of them is void."""
    due.clear()
    for number, name in find_open():
        due.put(number, name, 0)
