"""Stock made anew: line by line from what its keeper said, which needs no order of the requests.

Who of many got the last unit is in no log but in the answers. So an answer is what makes a reservation, and
a sale, a release or a return is what the order asked for. The counters are sums of these.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from models.commands import RequestInventoryRelease, RequestInventoryReturn, RequestInventorySale
from models.events import InventoryDeducted, InventoryRestocked
from models.stock import Hold, HoldStatus, StockItem

Settling = RequestInventoryRelease | RequestInventorySale | RequestInventoryReturn

STATUS_OF = {
    RequestInventoryRelease: HoldStatus.RELEASED,
    RequestInventorySale: HoldStatus.SOLD,
    RequestInventoryReturn: HoldStatus.RETURNED,
}


class Line(NamedTuple):
    """Be what one holder has to do with a SKU, and by how much it changed the counters how often."""

    hold: Hold
    reserved: int
    sold: int
    restocked: int
    changes: int
    asked_at: datetime | None = None


def keep_line(deducted: InventoryDeducted | None, asked: Sequence[Settling]) -> Line | None:
    """Return an order's line of a SKU, from the first answer that reserved it and what was asked since."""
    hold = None if deducted is None else _reserved(deducted)
    changes = 0 if hold is None else 1
    for status in (HoldStatus.RELEASED, HoldStatus.SOLD, HoldStatus.RETURNED):
        first = next((each for each in asked if STATUS_OF[type(each)] is status), None)
        if first is None or not _counts(None if hold is None else hold.status, status):
            continue
        changes += deducted is not None
        hold = _settled(first, status)
    if hold is None:
        return None
    held = 0 if deducted is None else deducted.quantity
    return Line(
        hold=hold,
        reserved=held if hold.status is HoldStatus.RESERVED else 0,
        sold=held if hold.status is HoldStatus.SOLD else 0,
        restocked=0,
        changes=changes,
        asked_at=None if deducted is None else deducted.occurred_at,
    )


def restock_line(restocked: InventoryRestocked) -> Line:
    """Return what a delivery of goods leaves."""
    hold = Hold(
        sku=restocked.sku,
        holder=restocked.event_id,
        quantity=restocked.quantity,
        status=HoldStatus.RESTOCKED,
        at=restocked.at,
        causation_id=restocked.event_id,
        counters=StockItem(sku=restocked.sku),
    )
    return Line(hold=hold, reserved=0, sold=0, restocked=restocked.quantity, changes=1)


def count(item: StockItem, line: Line) -> StockItem:
    """Return the counters with one more line in them."""
    return StockItem(
        sku=item.sku,
        available=item.available + line.restocked - line.reserved - line.sold,
        reserved=item.reserved + line.reserved,
        sold=item.sold + line.sold,
        restocked=item.restocked + line.restocked,
        sequence=item.sequence + line.changes,
        requests_read_at=_later(item.requests_read_at, line.asked_at),
        restocks_read_at=_later(item.restocks_read_at, line.hold.at if line.restocked else None),
    )


def with_counters(hold: Hold, item: StockItem) -> Hold:
    """Return the row with the counters beside it: what they were when it was written is in no log.

    The copy is there to mend counters that are older than it, and none are.
    """
    return replace(hold, counters=item)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two times, where there are any."""
    return max((at for at in (one, other) if at is not None), default=None)


def _counts(before: HoldStatus | None, after: HoldStatus) -> bool:
    """Tell whether a row of this status may become that one; None where there was none."""
    if after is HoldStatus.RELEASED:
        return before in {None, HoldStatus.RESERVED}
    if after is HoldStatus.RETURNED:
        return before in {HoldStatus.RESERVED, HoldStatus.SOLD}
    return before is HoldStatus.RESERVED


def _reserved(deducted: InventoryDeducted) -> Hold:
    return Hold(
        sku=deducted.sku,
        holder=deducted.order_id,
        quantity=deducted.quantity,
        status=HoldStatus.RESERVED,
        at=deducted.occurred_at,
        causation_id=deducted.causation_id,
        counters=StockItem(sku=deducted.sku),
    )


def _settled(asked: Settling, status: HoldStatus) -> Hold:
    return Hold(
        sku=asked.sku,
        holder=asked.order_id,
        quantity=asked.quantity,
        status=status,
        at=asked.at,
        causation_id=asked.event_id,
        counters=StockItem(sku=asked.sku),
    )
