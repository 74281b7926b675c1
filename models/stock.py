"""The stock keeper: every SKU's counters, and one row for each order that holds some of it.

The rows are apart from the counters because a flash sale puts tens of thousands of open reservations on
one SKU. Row and counters are two records of one changelog partition, the rows first; a crash between
them keeps rows and loses the counters. So each row carries a copy of the counters as they stood with it,
and before any input is taken in again, the counters are brought up to their newest copy.

A row outlives its reservation for a while as a mark, so that a late repeat of the request is recognised.
A mark is forgotten once the log of requests has been read well past the time it was settled. An order asks
for stock only while it is pending, so all its requests are recorded before that, give or take the clocks
of two brokers.

The mark of a return stays for ever. A line may be returned at any time, mostly long after the mark of its
sale was forgotten, and nothing but its own mark could tell a repeat from the first.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from msgspec.structs import replace

from models.commands import (
    RequestInventory,
    RequestInventoryRelease,
    RequestInventoryReturn,
    RequestInventorySale,
)
from models.events import (
    InventoryDeducted,
    InventoryInsufficient,
    InventoryReleased,
    InventoryRestocked,
    InventoryReturned,
)
from models.messages import Envelope, Message, derive_id
from models.value import Value

SKEW = timedelta(seconds=10)
"""How far apart two brokers' clocks, and so two partitions' times, may be."""

FORGET_AFTER = 2 * SKEW
"""How far the requests must have been read past a settled row before it is forgotten."""

REMEMBER_RESTOCKS = timedelta(hours=24)
"""How long a restock is recognised by its id, where nothing asks for more."""

StockMessage = (
    RequestInventory
    | RequestInventoryRelease
    | RequestInventorySale
    | RequestInventoryReturn
    | InventoryRestocked
)
"""What the stock keeper listens to."""


class HoldStatus(StrEnum):
    """Say what became of what an order asked of a SKU; all but RESERVED are marks."""

    RESERVED = "RESERVED"
    SOLD = "SOLD"
    RELEASED = "RELEASED"
    RESTOCKED = "RESTOCKED"
    RETURNED = "RETURNED"


STAYING = frozenset({HoldStatus.RESERVED, HoldStatus.RETURNED})
"""The statuses of a row that is not forgotten: one is no mark yet, the other a mark for ever."""


class StockItem(Value, frozen=True, kw_only=True):
    """Be the counters of one SKU: always `restocked == available + reserved + sold`, none negative.

    `sequence` counts the changes; `requests_read_at` and `restocks_read_at` are the log's times up to
    which the requests and the restocks of this SKU have been read.
    """

    sku: str
    available: int = 0
    reserved: int = 0
    sold: int = 0
    restocked: int = 0
    sequence: int = 0
    requests_read_at: datetime | None = None
    restocks_read_at: datetime | None = None


class Hold(Value, frozen=True, kw_only=True):
    """Be what one order (or one restock) has to do with one SKU; `holder` is its id."""

    sku: str
    holder: str
    quantity: int
    status: HoldStatus
    at: datetime
    causation_id: str
    counters: StockItem


class Stock(Value, frozen=True, kw_only=True):
    """Be what the keeper looks at for one message: the counters, and the holder's row if there is one."""

    item: StockItem | None
    hold: Hold | None


def holder_of(message: StockMessage) -> str:
    """Return whose row the message concerns: its order's, or the restock's own."""
    return message.event_id if isinstance(message, InventoryRestocked) else message.order_id


def keep(stock: Stock, message: StockMessage) -> tuple[Stock, tuple[Message, ...]]:
    """Return the stock after the message, and the answers: on a repeat the same ones, with the same ids."""
    match message:
        case InventoryRestocked():
            return _restock(stock, message), ()
        case RequestInventory():
            return _deduct(stock, message)
        case RequestInventoryRelease():
            return _release(stock, message)
        case RequestInventorySale():
            return _sell(stock, message), ()
        case RequestInventoryReturn():
            return _return(stock, message)
        case _:
            assert_never(message)


def is_forgettable(
    hold_status: HoldStatus,
    settled_at: datetime,
    item: StockItem,
    remember_restocks: timedelta = REMEMBER_RESTOCKS,
) -> bool:
    """Tell whether nothing recorded from now on can refer to a mark settled at this time."""
    if hold_status in STAYING:
        return False
    if hold_status is HoldStatus.RESTOCKED:
        return item.restocks_read_at is not None and settled_at < item.restocks_read_at - (
            remember_restocks + SKEW
        )
    return item.requests_read_at is not None and settled_at < item.requests_read_at - FORGET_AFTER


def newest_counters(holds: Iterable[Hold]) -> Mapping[str, StockItem]:
    """Return each SKU's counters as its newest row has them; a crash may have lost the ones beside it."""
    newest: dict[str, StockItem] = {}
    for hold in holds:
        if hold.sku not in newest or newest[hold.sku].sequence < hold.counters.sequence:
            newest[hold.sku] = hold.counters
    return newest


def _restock(stock: Stock, message: InventoryRestocked) -> Stock:
    item = stock.item or StockItem(sku=message.sku)
    read_at = item.restocks_read_at
    if stock.hold is not None or (read_at is not None and message.at < read_at - SKEW):
        return replace(stock, item=item)
    item = replace(
        item,
        available=item.available + message.quantity,
        restocked=item.restocked + message.quantity,
        sequence=item.sequence + 1,
        restocks_read_at=max(read_at or message.at, message.at),
    )
    return Stock(item=item, hold=_hold(item, message, HoldStatus.RESTOCKED))


def _deduct(stock: Stock, message: RequestInventory) -> tuple[Stock, tuple[Message, ...]]:
    if stock.hold is not None:
        return stock, _repeat(stock.hold, message)
    item = stock.item
    if item is None:
        return stock, (_insufficient(message),)
    read_at = item.requests_read_at
    if read_at is not None and message.at < read_at - SKEW:
        return stock, (_insufficient(message),)  # no row: refused before, or its order was settled long ago
    read_at = max(read_at or message.at, message.at)
    if item.available < message.quantity:
        return replace(stock, item=replace(item, requests_read_at=read_at)), (_insufficient(message),)
    item = replace(
        item,
        available=item.available - message.quantity,
        reserved=item.reserved + message.quantity,
        sequence=item.sequence + 1,
        requests_read_at=read_at,
    )
    hold = _hold(item, message, HoldStatus.RESERVED)
    return Stock(item=item, hold=hold), (_deducted(hold, message),)


def _release(stock: Stock, message: RequestInventoryRelease) -> tuple[Stock, tuple[Message, ...]]:
    item, hold = stock.item or StockItem(sku=message.sku), stock.hold
    if hold is None:
        hold = _hold(item, message, HoldStatus.RELEASED)
    elif hold.status is HoldStatus.RESERVED:
        item = replace(
            item,
            available=item.available + hold.quantity,
            reserved=item.reserved - hold.quantity,
            sequence=item.sequence + 1,
        )
        hold = _settle(hold, item, message, HoldStatus.RELEASED)
    return Stock(item=item, hold=hold), _repeat(hold, message)


def _sell(stock: Stock, message: RequestInventorySale) -> Stock:
    item, hold = stock.item, stock.hold
    if item is None or hold is None or hold.status is not HoldStatus.RESERVED:
        return stock
    item = replace(
        item,
        reserved=item.reserved - hold.quantity,
        sold=item.sold + hold.quantity,
        sequence=item.sequence + 1,
    )
    return Stock(item=item, hold=_settle(hold, item, message, HoldStatus.SOLD))


def _return(stock: Stock, message: RequestInventoryReturn) -> tuple[Stock, tuple[Message, ...]]:
    """Put a line of a completed order back, wherever it is counted: its sale may still be under way."""
    item = stock.item
    if item is None:
        return stock, ()
    hold = stock.hold or _hold(item, message, HoldStatus.SOLD)  # so long ago that its mark was forgotten
    reserved = hold.quantity if hold.status is HoldStatus.RESERVED else 0
    sold = hold.quantity if hold.status is HoldStatus.SOLD else 0
    if sold > item.sold:
        return stock, ()  # no order of this shop
    if reserved or sold:
        item = replace(
            item,
            available=item.available + hold.quantity,
            reserved=item.reserved - reserved,
            sold=item.sold - sold,
            sequence=item.sequence + 1,
        )
        hold = _settle(hold, item, message, HoldStatus.RETURNED)
    return Stock(item=item, hold=hold), (_returned(hold, message),)


def _hold(item: StockItem, message: StockMessage, status: HoldStatus) -> Hold:
    return Hold(
        sku=message.sku,
        holder=holder_of(message),
        quantity=message.quantity,
        status=status,
        at=message.at,
        causation_id=message.event_id,
        counters=item,
    )


def _settle(hold: Hold, item: StockItem, message: StockMessage, status: HoldStatus) -> Hold:
    return replace(hold, status=status, at=message.at, causation_id=message.event_id, counters=item)


def _repeat(hold: Hold, message: RequestInventory | RequestInventoryRelease) -> tuple[Message, ...]:
    """Answer as the row stands; what is sold has been settled by its order, which awaits nothing more."""
    match hold.status:
        case HoldStatus.RESERVED:
            return (_deducted(hold, message),)
        case HoldStatus.RELEASED:
            return (_released(hold, message),)
        case HoldStatus.SOLD | HoldStatus.RESTOCKED | HoldStatus.RETURNED:
            return ()
        case _:
            assert_never(hold.status)


def _deducted(hold: Hold, message: RequestInventory | RequestInventoryRelease) -> InventoryDeducted:
    return InventoryDeducted(
        **_envelope(message, InventoryDeducted.type, hold.at, caused_by=hold.causation_id),
        order_id=message.order_id,
        sku=message.sku,
        quantity=hold.quantity,
    )


def _insufficient(message: RequestInventory) -> InventoryInsufficient:
    return InventoryInsufficient(
        **_envelope(
            message,
            InventoryInsufficient.type,
            message.at,
            message.at.isoformat(),
            caused_by=message.event_id,
        ),
        order_id=message.order_id,
        sku=message.sku,
        quantity=message.quantity,
    )


def _released(hold: Hold, message: RequestInventory | RequestInventoryRelease) -> InventoryReleased:
    return InventoryReleased(
        **_envelope(message, InventoryReleased.type, hold.at, caused_by=hold.causation_id),
        order_id=message.order_id,
        sku=message.sku,
        quantity=hold.quantity,
    )


def _returned(hold: Hold, message: RequestInventoryReturn) -> InventoryReturned:
    return InventoryReturned(
        **_envelope(message, InventoryReturned.type, hold.at, caused_by=hold.causation_id),
        order_id=message.order_id,
        sku=message.sku,
        quantity=hold.quantity,
    )


def _envelope(
    message: RequestInventory | RequestInventoryRelease | RequestInventoryReturn,
    wire_name: str,
    at: datetime,
    *parts: str,
    caused_by: str,
) -> Envelope:
    return {
        "event_id": derive_id(wire_name, message.order_id, message.sku, *parts),
        "occurred_at": at,
        "correlation_id": message.correlation_id,
        "causation_id": caused_by,
    }
