"""Rows made anew beside the live ones, and what of a row has to be equal.

- An order: all of it. Where the topics leave open in which order two of its events were read, because nothing
  that was said since depends on it, its own timeline may tell: then all that follows from that timeline.
- A payment: all of it. Open is which of two wishes for a refund was heeded, until it is made; and since when
  it was asked for in vain, where a crash kept that from being said.
- The counters of a SKU: `available`, `reserved`, `sold`, `restocked`.
- A hold: what, how many, since when and why, where it is reserved or returned. Of a mark, what and how many;
  and one that is gone must be one that may be forgotten.
- The mark of what waits: that it is there where the row waits.

What is not compared is not in the topics. `sequence` and the copies of counters in holds tell in which order
requests of different orders were taken in, which nobody says; `requests_read_at` and `restocks_read_at` count
requests that changed nothing.
"""

from datetime import timedelta
from typing import Any, TypeVar

from msgspec import to_builtins

from app.delivery.codec import Coder, Undecodable
from app.rebuild.cases import HolderCase, OrderCase
from app.rebuild.layout import Tag
from app.rebuild.outcome import Outcome
from models.order import Order
from models.payment import Payment
from models.rebuild import orders, payments
from models.rebuild.stock import Line
from models.stock import STAYING, Hold, HoldStatus, StockItem, is_forgettable

ORDER, PAYMENT, ITEM, HOLD = Coder(Order), Coder(Payment), Coder(StockItem), Coder(Hold)
T = TypeVar("T")

NOTHING, ROW = "no row", "a row"
COUNTERS = ("available", "reserved", "sold", "restocked")


def compare_order(case: OrderCase, rebuilt: orders.Rebuilt, outcome: Outcome) -> None:
    """Note in what the live order differs from the one that was made anew."""
    name, order, raw = case.order_id.decode(errors="replace"), rebuilt.order, case.rows.get(Tag.ORDER)
    if Tag.ORDER_IN_FLIGHT in case.rows:
        outcome.left_out["orders"] += 1
        return
    if order is not None and not order.settled and Tag.ORDER_OPEN not in case.rows:
        outcome.differs("orders", name, "mark of what waits", ROW, NOTHING)
    if order is None or raw is None:
        if order is not None or raw is not None:
            outcome.differs("orders", name, "row", ROW if order else NOTHING, ROW if raw else NOTHING)
        return
    if raw == ORDER.encode(order):
        return
    live = _decoded(ORDER, raw)
    if live is not None and orders.may_be(live, case.events, case.said):
        outcome.open_order["orders"] += live != order
    else:
        _tell_apart("orders", name, order, live, outcome)


def compare_payment(case: OrderCase, rebuilt: payments.Rebuilt, outcome: Outcome) -> None:
    """Note in what the live payment differs from the one that was made anew."""
    name, payment, raw = case.order_id.decode(errors="replace"), rebuilt.payment, case.rows.get(Tag.PAYMENT)
    if Tag.PAYMENT_IN_FLIGHT in case.rows:
        outcome.left_out["payments"] += 1
        return
    if payment is None or raw is None:
        if payment is not None or raw is not None:
            outcome.differs("payments", name, "row", ROW if payment else NOTHING, ROW if raw else NOTHING)
        return
    if payment.open and Tag.PAYMENT_OPEN not in case.rows:
        outcome.differs("payments", name, "mark of what waits", ROW, NOTHING)
    if raw == PAYMENT.encode(payment):
        return
    live = _decoded(PAYMENT, raw)
    if live is not None and payment.open and not live.open:
        outcome.left_out["payments"] += 1  # the provider has answered, and nobody was told yet
    elif live is not None and payments.may_be(live, case.wishes, case.news):
        outcome.open_order["payments"] += live != payment
    else:
        _tell_apart("payments", name, payment, live, outcome)


def live_item(case: HolderCase) -> StockItem | None:
    """Return a SKU's live counters, None where there are none that can be read."""
    raw = case.rows.get(Tag.ITEM)
    return None if raw is None else _decoded(ITEM, raw)


def compare_item(item: StockItem, live: StockItem | None, outcome: Outcome) -> None:
    """Note in what a SKU's live counters differ from those that were made anew."""
    if live is None:
        if item.restocked:
            outcome.differs("inventory", item.sku, "row", ROW, NOTHING)
        return
    for name in COUNTERS:
        if getattr(item, name) != getattr(live, name):
            outcome.differs("inventory", item.sku, name, getattr(item, name), getattr(live, name))


def compare_hold(
    case: HolderCase, line: Line | None, item: StockItem | None, remember: timedelta, outcome: Outcome
) -> None:
    """Note in what a holder's live row differs from the one that was made anew.

    `line` is the latter, `item` are the live counters, `remember` for how long restocks are recognised.
    """
    raw = case.rows.get(Tag.HOLD)
    name = f"{case.sku.decode(errors='replace')}/{case.holder.decode(errors='replace')}"
    live = None if raw is None else _decoded(HOLD, raw)
    if line is None or live is None:
        is_forgotten = line is not None and raw is None and _is_forgotten(line.hold, item, remember)
        if (line is not None or raw is not None) and not is_forgotten:
            outcome.differs("inventory", name, "row", ROW if line else NOTHING, ROW if raw else NOTHING)
        return
    for field in _fields(line.hold):
        if getattr(line.hold, field) != getattr(live, field):
            outcome.differs("inventory", name, field, getattr(line.hold, field), getattr(live, field))
    if item is not None and live.counters.sequence > item.sequence:
        outcome.differs("inventory", name, "sequence", f"at most {item.sequence}", live.counters.sequence)


def _fields(hold: Hold) -> tuple[str, ...]:
    """Return what of a row matters; which of several requests settled a mark does not."""
    is_sure = hold.status in STAYING or hold.status is HoldStatus.RESTOCKED
    return ("status", "quantity", "at", "causation_id") if is_sure else ("status", "quantity")


def _is_forgotten(hold: Hold, item: StockItem | None, remember: timedelta) -> bool:
    return item is not None and is_forgettable(hold.status, hold.at, item, remember)


def _tell_apart(table: str, name: str, rebuilt: Any, live: Any, outcome: Outcome) -> None:
    if live is None:
        outcome.differs(table, name, "row", ROW, "unreadable")
        return
    for field in rebuilt.__struct_fields__:
        one, other = getattr(rebuilt, field), getattr(live, field)
        if one != other:
            outcome.differs(table, name, field, to_builtins(one), to_builtins(other))


def _decoded(coder: Coder[T], raw: bytes) -> T | None:
    try:
        return coder.decode(raw)
    except Undecodable:
        return None
