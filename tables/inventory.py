"""Stock by SKU: its counters, and a row for each order that holds some; the inventory agent writes both.

Counters stand under `item/SKU`, rows under `hold/SKU/HOLDER`, in the SKU's partition. Which marks can be
forgotten is kept in memory and found again by a scan whenever partitions were assigned.
"""

from collections import defaultdict, deque
from datetime import datetime, timedelta
from typing import NamedTuple

from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.main import delivery
from app.settings import current
from models.idempotency import needed
from models.stock import (
    REMEMBER_RESTOCKS,
    STAYING,
    Hold,
    HoldStatus,
    Stock,
    StockItem,
    StockMessage,
    holder_of,
    is_forgettable,
    newest_counters,
)

state = delivery.table("inventory", stage="inventory")
items = Coder(StockItem)
holds = Coder(Hold)

ITEM = b"item/"
HOLD = b"hold/"

remember_restocks = max(REMEMBER_RESTOCKS, needed(timedelta(seconds=current().web.idempotency_s)))
"""How long restocks are recognised: those with an idempotency key are asked for again by it."""


class Mark(NamedTuple):
    """Be a row that is to be forgotten some time after it was settled."""

    status: HoldStatus
    at: datetime
    key: bytes


_marks: defaultdict[tuple[int, str, bool], deque[Mark]] = defaultdict(deque)


def load_stock(batch: Batch, partition: int, message: StockMessage) -> Stock:
    """Return the counters and the row that the message concerns, as they stand within the batch."""
    return Stock(
        item=batch.load(state, partition, _item_key(message.sku), items),
        hold=batch.load(state, partition, hold_key(message.sku, holder_of(message)), holds),
    )


def hold_key(sku: str, holder: str) -> bytes:
    """Return the key of the row that an order, or a restock, has at the SKU."""
    return HOLD + f"{sku}/{holder}".encode()


def find_restock(partition: int, sku: str, restock_id: str) -> Hold | None:
    """Return what is remembered of a restock, None where there was none or it was long ago.

    Raises:
        NotHere: this worker does not own the partition.
    """
    return state.load(partition, hold_key(sku, restock_id), holds)


def save_stock(batch: Batch, partition: int, before: Stock, after: Stock) -> None:
    """Write the row at once and the counters behind all rows; forget the marks that nothing can refer to.

    What has not changed is written as well: a repeat means that the changelog may lack it. A mark goes
    only after the counters: as long as they may be lost, its copy of them is the newest there is.
    """
    if after.hold is not None:
        key = hold_key(after.hold.sku, after.hold.holder)
        batch.save(state, partition, key, after.hold, holds, place=Place.IN_TURN)
        if after.hold is not before.hold:
            _remember(partition, after.hold, key)
    if after.item is not None:
        batch.save(state, partition, _item_key(after.item.sku), after.item, items, place=Place.LAST)
        for mark in _forgettable(partition, after.item):
            row = batch.load(state, partition, mark.key, holds)
            if row is not None and row.status is mark.status:  # it may have been returned since
                batch.write(state, partition, mark.key, None, place=Place.LAST)


@state.on_recovered
def take_stock() -> None:
    """Bring the counters up to the rows, and find the marks in the order in which they were settled."""
    _marks.clear()
    for partition in state.partitions():
        found = [(holds.decode(raw), key) for key, raw in state.scan(partition, HOLD)]
        _catch_up(partition, [hold for hold, _ in found])
        for hold, key in sorted(found, key=lambda row: row[0].at):
            _remember(partition, hold, key)


def _catch_up(partition: int, rows: list[Hold]) -> None:
    """Take the newest row's copy of a SKU's counters where a crash lost newer ones."""
    for sku, newest in newest_counters(rows).items():
        raw = state.get(partition, _item_key(sku))
        if raw is None or items.decode(raw).sequence < newest.sequence:
            state.restore(partition, _item_key(sku), items.encode(newest))


def _remember(partition: int, hold: Hold, key: bytes) -> None:
    if hold.status in STAYING:
        return
    restock = hold.status is HoldStatus.RESTOCKED
    _marks[partition, hold.sku, restock].append(Mark(hold.status, hold.at, key))


def _forgettable(partition: int, item: StockItem) -> list[Mark]:
    found = []
    for restock in (False, True):
        marks = _marks.get((partition, item.sku, restock))
        while marks and is_forgettable(marks[0].status, marks[0].at, item, remember_restocks):
            found.append(marks.popleft())
    return found


def _item_key(sku: str) -> bytes:
    return ITEM + sku.encode()
