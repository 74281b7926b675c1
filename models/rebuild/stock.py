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

_RANK = {kind: rank for rank, kind in enumerate(STATUS_OF)}
_UNKNOWN = StockItem(sku="")
"""The counters beside a row: `with_counters` puts them in where it is written."""


class Line(NamedTuple):
    """Be what one holder has to do with a SKU, and by how much it changed the counters how often."""

    hold: Hold
    reserved: int
    sold: int
    restocked: int
    changes: int
    asked_at: datetime | None = None


class Tally:
    """Add up the lines of one SKU."""

    def __init__(self, sku: str) -> None:
        self._sku = sku
        self._reserved = self._sold = self._restocked = self._changes = 0
        self._requests_read_at: datetime | None = None
        self._restocks_read_at: datetime | None = None

    def add(self, line: Line) -> None:
        """Count one more line."""
        self._reserved += line.reserved
        self._sold += line.sold
        self._restocked += line.restocked
        self._changes += line.changes
        if line.asked_at is not None:
            self._requests_read_at = max(self._requests_read_at or line.asked_at, line.asked_at)
        if line.restocked:
            self._restocks_read_at = max(self._restocks_read_at or line.hold.at, line.hold.at)

    @property
    def item(self) -> StockItem:
        """Return the counters so far."""
        return StockItem(
            sku=self._sku,
            available=self._restocked - self._reserved - self._sold,
            reserved=self._reserved,
            sold=self._sold,
            restocked=self._restocked,
            sequence=self._changes,
            requests_read_at=self._requests_read_at,
            restocks_read_at=self._restocks_read_at,
        )


def keep_line(deducted: InventoryDeducted | None, asked: Sequence[Settling]) -> Line | None:
    """Return an order's line of a SKU, from the first answer that reserved it and what was asked since."""
    status, by, changes = None, None, 0
    if deducted is not None:
        status, changes = HoldStatus.RESERVED, 1
    for each in sorted(asked, key=_rank) if len(asked) > 1 else asked:
        after = STATUS_OF[type(each)]
        if _counts(status, after):
            status, by = after, each
            changes += deducted is not None
    if status is None:
        return None
    held = 0 if deducted is None else deducted.quantity
    return Line(
        hold=_row(deducted, by, status),
        reserved=held if status is HoldStatus.RESERVED else 0,
        sold=held if status is HoldStatus.SOLD else 0,
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
        counters=_UNKNOWN,
    )
    return Line(hold=hold, reserved=0, sold=0, restocked=restocked.quantity, changes=1)


def with_counters(hold: Hold, item: StockItem) -> Hold:
    """Return the row with the counters beside it: what they were when it was written is in no log.

    The copy is there to mend counters that are older than it, and none are.
    """
    return replace(hold, counters=item)


def _rank(asked: Settling) -> int:
    """Return which of several requests is looked at first: a return follows the sale that it undoes."""
    return _RANK[type(asked)]


def _counts(before: HoldStatus | None, after: HoldStatus) -> bool:
    """Tell whether a row of this status may become that one; None where there was none."""
    if after is HoldStatus.RELEASED:
        return before in {None, HoldStatus.RESERVED}
    if after is HoldStatus.RETURNED:
        return before in {HoldStatus.RESERVED, HoldStatus.SOLD}
    return before is HoldStatus.RESERVED


def _row(deducted: InventoryDeducted | None, by: Settling | None, status: HoldStatus) -> Hold:
    """Return the row as the last of them left it."""
    if by is not None:
        sku, holder, quantity, at, cause = by.sku, by.order_id, by.quantity, by.at, by.event_id
    else:
        assert deducted is not None, "a row has come about by nothing"
        sku, holder, quantity = deducted.sku, deducted.order_id, deducted.quantity
        at, cause = deducted.occurred_at, deducted.causation_id
    return Hold(
        sku=sku, holder=holder, quantity=quantity, status=status, at=at, causation_id=cause, counters=_UNKNOWN
    )
