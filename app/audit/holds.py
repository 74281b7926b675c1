"""Rule 2, seen from the order: it holds of each SKU what it ordered, and sells it or gives it back; pure.

The other half of the rule, that there was enough of the SKU, is in `app.audit.stock`: it needs all orders.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from app.audit.facts import Fact, History, Limits, Status
from app.audit.offences import Kind, Offence
from app.audit.stock import Movement
from models.commands import RequestInventoryRelease, RequestInventoryReturn, RequestInventorySale
from models.events import (
    InventoryDeducted,
    InventoryInsufficient,
    InventoryReleased,
    InventoryReturned,
    OrderRefundRequested,
)
from models.messages import Message

M = TypeVar(
    "M",
    InventoryDeducted,
    InventoryInsufficient,
    InventoryReleased,
    InventoryReturned,
    RequestInventoryRelease,
    RequestInventoryReturn,
    RequestInventorySale,
)


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Be what the topics say of one order and one SKU; each the first of its kind."""

    order_id: str
    sku: str
    ordered: int | None
    deducted: Fact[InventoryDeducted] | None
    refused: Fact[InventoryInsufficient] | None
    released: Fact[InventoryReleased] | None
    release: Fact[RequestInventoryRelease] | None
    sale: Fact[RequestInventorySale] | None
    returning: Fact[RequestInventoryReturn] | None
    returned: Fact[InventoryReturned] | None


def holds_of(history: History) -> list[Hold]:
    """Return what the order has to do with each SKU that it names, or that is named to it."""
    lines = history.created.message.lines if history.created else ()
    ordered = {line.sku: line.quantity for line in lines}
    deducted = _by_sku(history.of(InventoryDeducted))
    refused = _by_sku(history.of(InventoryInsufficient))
    released = _by_sku(history.of(InventoryReleased))
    releases = _by_sku(history.of(RequestInventoryRelease))
    sales = _by_sku(history.of(RequestInventorySale))
    returns = _by_sku(history.of(RequestInventoryReturn))
    returned = _by_sku(history.of(InventoryReturned))
    return [
        Hold(
            order_id=history.order_id,
            sku=sku,
            ordered=ordered.get(sku),
            deducted=deducted.get(sku),
            refused=refused.get(sku),
            released=released.get(sku),
            release=releases.get(sku),
            sale=sales.get(sku),
            returning=returns.get(sku),
            returned=returned.get(sku),
        )
        for sku in dict.fromkeys((*ordered, *deducted, *released, *releases, *sales, *returns, *returned))
    ]


def check_holds(history: History, holds: Iterable[Hold], limits: Limits) -> Iterator[Offence]:
    """Yield what is wrong with the stock of each line."""
    if history.created is None:
        return
    for hold in holds:
        yield from _reserved(hold)
        yield from _settled(hold, history)
        yield from _returned(hold, history, limits)
        yield from _left(hold, history, limits)


def movements_of(holds: Iterable[Hold], limits: Limits) -> Iterator[Movement]:
    """Yield how an order moved the counters of each SKU.

    A sale, a release or a return counts from when it was asked for, but not before the reservation was
    announced: nobody can tell from the topics when the stock keeper came to it. A sale that its return has
    overtaken moves nothing any more; it stays as a movement, at the place where it may have been put before
    the return was read.
    """
    for hold in holds:
        if hold.deducted is None:
            continue
        held = hold.deducted.message.quantity
        yield Movement(
            sku=hold.sku,
            at=hold.deducted.at,
            available=-held,
            reserved=held,
            cause=hold.order_id,
            place=hold.deducted.place,
        )
        sold_at = _counts_at(hold.deducted, hold.sale, limits)
        returned_at = _counts_at(hold.deducted, hold.returning, limits)
        is_sold = sold_at is not None and (returned_at is None or sold_at <= returned_at)
        if hold.sale is not None and sold_at is not None:
            yield Movement(
                sku=hold.sku,
                at=sold_at,
                reserved=-held if is_sold else 0,
                sold=hold.sale.message.quantity if is_sold else 0,
                cause=hold.order_id,
                place=hold.sale.place,
            )
        back: Fact[RequestInventoryReturn] | Fact[RequestInventoryRelease] | None = hold.returning
        if back is None and hold.sale is None:
            back = hold.release
        back_at = _counts_at(hold.deducted, back, limits)
        if back is not None and back_at is not None:
            yield Movement(
                sku=hold.sku,
                at=back_at,
                available=back.message.quantity,
                reserved=0 if is_sold else -held,
                sold=-hold.sale.message.quantity if hold.sale and is_sold else 0,
                cause=hold.order_id,
                place=back.place,
            )


def _counts_at(
    deducted: Fact[InventoryDeducted], settled: Fact[Message] | None, limits: Limits
) -> datetime | None:
    return None if settled is None else max(deducted.at, settled.at - limits.skew)


def _reserved(hold: Hold) -> Iterator[Offence]:
    deducted = hold.deducted
    if deducted is not None and deducted.message.quantity != hold.ordered:
        yield Offence(
            kind=Kind.WRONG_QUANTITY,
            subject=hold.order_id,
            expected=f"{hold.ordered or 'none'} of {hold.sku}, as ordered",
            found=f"{deducted.message.quantity} reserved",
            place=deducted.place,
        )
    returned = hold.returned
    if returned is not None and returned.message.quantity != hold.ordered:
        yield Offence(
            kind=Kind.WRONG_QUANTITY,
            subject=hold.order_id,
            expected=f"{hold.ordered or 'none'} of {hold.sku}, as ordered",
            found=f"{returned.message.quantity} returned",
            place=returned.place,
        )
    settled, what = (hold.sale, "sale") if hold.sale else (hold.returning, "return")
    if settled is not None and settled.judged and deducted is None:
        yield Offence(
            kind=Kind.SOLD_UNRESERVED,
            subject=hold.order_id,
            expected=f"{InventoryDeducted.type} of {hold.sku} before its {what}",
            found="none",
            place=settled.place,
        )


def _settled(hold: Hold, history: History) -> Iterator[Offence]:
    """Let only what is paid be sold and returned, and only what is not be released."""
    sold: Fact[Message] | None = hold.sale or hold.returning
    wrong: Fact[Message] | None = None
    if history.status is Status.CANCELLED:
        wrong = sold
    elif history.status is not Status.OPEN or sold is not None:
        wrong = hold.release
    if wrong is not None:
        yield Offence(
            kind=Kind.SETTLED_WRONGLY,
            subject=hold.order_id,
            expected=f"{hold.sku} sold if the order is completed, released if not",
            found=f"{wrong.message.type} of an order that is {history.status}",
            place=wrong.place,
        )


def _returned(hold: Hold, history: History, limits: Limits) -> Iterator[Offence]:
    """Let stock be returned only where somebody asked for it, and be back when the order is said to be."""
    if hold.returning is not None and history.lacks_wish(hold.returning, limits):
        yield Offence(
            kind=Kind.SETTLED_WRONGLY,
            subject=hold.order_id,
            expected=f"no return of {hold.sku} before {OrderRefundRequested.type}",
            found="nobody asked for it",
            place=hold.returning.place,
        )
    done = history.refunded
    if done is None or not done.judged or hold.ordered is None:
        return
    if hold.returned is None or hold.returned.at > done.at + limits.skew:
        yield Offence(
            kind=Kind.STOCK_LEFT,
            subject=hold.order_id,
            expected=f"{InventoryReturned.type} of {hold.sku} before {done.message.type}",
            found="none",
            place=done.place,
        )


def _left(hold: Hold, history: History, limits: Limits) -> Iterator[Offence]:
    """Look for stock that an order keeps after its end."""
    if not history.ends or hold.ordered is None:
        return
    end = history.ends[0]
    if not limits.is_over(max(end.at, hold.deducted.at) if hold.deducted else end.at):
        return
    if history.status is not Status.CANCELLED:
        # What is returned need not have been asked to be sold: a crash between the two leaves that out.
        sold = hold.sale or hold.returning
        missing = _missing({InventoryDeducted.type: hold.deducted, RequestInventorySale.type: sold})
    elif hold.deducted or hold.release:
        missing = _missing({InventoryReleased.type: hold.released})
    else:
        answered = hold.refused or hold.released
        missing = _missing({f"{InventoryInsufficient.type} or {InventoryReleased.type}": answered})
    if missing:
        yield Offence(
            kind=Kind.STOCK_LEFT,
            subject=hold.order_id,
            expected=f"{missing} of {hold.sku}",
            found=f"none after the order was {history.status}",
            place=end.place,
        )


def _missing(wanted: Mapping[str, Fact[Message] | None]) -> str:
    return " and ".join(name for name, fact in wanted.items() if fact is None)


def _by_sku(facts: Iterable[Fact[M]]) -> dict[str, Fact[M]]:
    """Return the first fact of each SKU."""
    found: dict[str, Fact[M]] = {}
    for fact in facts:
        found.setdefault(fact.message.sku, fact)
    return found
