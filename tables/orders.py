"""Orders by order id: written by the orders agent alone.

Which orders wait is kept under keys of their own, so that a recovery need not look at every order there ever
was; and in memory, by the second in which each is to be looked at. The key of a waiting order goes ahead of
the order when it is opened, and behind it when it is settled: whatever a crash keeps of a batch, no order
that waits is without.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from app import metrics
from app.buckets import Due
from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.delivery.state import NotHere
from app.main import delivery
from app.settings import current
from app.waiting import Waiting
from models.deadlines import Limits, first_look, waits_since
from models.order import Order

state = delivery.table("orders", stage="orders")
coder = Coder(Order)

OPEN = b"\xffopen/"
"""Before the order id, where the order waits. No order id begins so: it is no UTF-8."""

limits = Limits(
    pending=timedelta(milliseconds=current().saga.pending_ms),
    paying=timedelta(milliseconds=current().saga.paying_ms),
    compensating=timedelta(milliseconds=current().saga.compensating_ms),
)

due = Due()
"""The orders to be looked at; those that have been settled meanwhile are among them."""

unsettled = Waiting()
"""The orders that wait, by age; after a recovery, those that have been looked at since."""


def load_order(batch: Batch, partition: int, order_id: str) -> Order | None:
    """Return the order as it stands within the batch, None where there is none."""
    return batch.load(state, partition, order_id.encode(), coder)


def save_order(batch: Batch, partition: int, before: Order | None, after: Order) -> None:
    """Write the order with the batch, and that it waits, or no longer does."""
    name = after.order_id.encode()
    batch.save(state, partition, name, after, coder, place=Place.LAST)
    if before is None or (before.settled and not after.settled):
        batch.write(state, partition, OPEN + name, b"1", place=Place.FIRST)
        batch.after_commit(partial(note_waiting, partition, after))
    if after.settled:
        batch.write(state, partition, OPEN + name, None, place=Place.LAST)
        if before is not None:
            since = waits_since(before).timestamp()
            batch.after_commit(partial(unsettled.drop, partition, name, since))
    elif (at := first_look(before, after, limits)) is not None:
        batch.after_commit(partial(due.put, partition, name, at.timestamp()))


def find_open() -> Iterator[tuple[int, bytes]]:
    """Yield the names of this worker's orders that wait, and of few others, by partition."""
    for number in sorted(state.partitions()):
        for key, _ in state.scan(number, OPEN):
            yield number, key.removeprefix(OPEN)


def note_waiting(partition: int, order: Order) -> None:
    """Remember since when the order waits, until it is settled."""
    unsettled.put(partition, order.order_id.encode(), waits_since(order).timestamp())


def oldest_unsettled_s() -> float:
    """Return for how long the oldest of this worker's orders that wait does, in seconds, to a second."""
    since_s = unsettled.oldest_s(state.partitions())
    return 0.0 if since_s is None else max(0.0, datetime.now(UTC).timestamp() - since_s)


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
    unsettled.clear()
    for number, name in find_open():
        due.put(number, name, 0)
