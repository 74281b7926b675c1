"""Rule 2, seen from the order: what it holds of each SKU is what it ordered, and is sold or given back; pure.

The other half of the rule, that there was enough of the SKU, is in `app.audit.stock`: it needs all orders.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from app.audit.facts import Fact, History, Limits, Status
from app.audit.offences import Kind, Offence
from app.audit.stock import Movement
from models.commands import RequestInventoryRelease, RequestInventorySale
from models.events import InventoryDeducted, InventoryInsufficient, InventoryReleased
from models.messages import Message

M = TypeVar(
    "M",
    InventoryDeducted,
    InventoryInsufficient,
    InventoryReleased,
    RequestInventoryRelease,
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


def holds_of(history: History) -> list[Hold]:
    """Return what the order has to do with each SKU that it names, or that is named to it."""
    lines = history.created.message.lines if history.created else ()
    ordered = {line.sku: line.quantity for line in lines}
    deducted = _by_sku(history.of(InventoryDeducted))
    refused = _by_sku(history.of(InventoryInsufficient))
    released = _by_sku(history.of(InventoryReleased))
    releases = _by_sku(history.of(RequestInventoryRelease))
    sales = _by_sku(history.of(RequestInventorySale))
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
        )
        for sku in dict.fromkeys((*ordered, *deducted, *released, *releases, *sales))
    ]


def check_holds(history: History, holds: Iterable[Hold], limits: Limits) -> Iterator[Offence]:
    """Yield what is wrong with the stock of each line."""
    if history.created is None:
        return
    for hold in holds:
        yield from _reserved(hold)
        yield from _settled(hold, history)
        yield from _left(hold, history, limits)


def movements_of(holds: Iterable[Hold], limits: Limits) -> Iterator[Movement]:
    """Yield how an order moved the counters of each SKU.

    A sale or a release counts from when it was asked for, but not before the reservation was announced:
    nobody can tell from the topics when the stock keeper came to it.
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
        settled = hold.sale or hold.release
        if settled is not None:
            moved = settled.message.quantity
            yield Movement(
                sku=hold.sku,
                at=max(hold.deducted.at, settled.at - limits.skew),
                available=0 if hold.sale else moved,
                reserved=-held,
                sold=moved if hold.sale else 0,
                cause=hold.order_id,
                place=settled.place,
            )


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
    if hold.sale is not None and hold.sale.judged and deducted is None:
        yield Offence(
            kind=Kind.SOLD_UNRESERVED,
            subject=hold.order_id,
            expected=f"{InventoryDeducted.type} of {hold.sku} before its sale",
            found="none",
            place=hold.sale.place,
        )


def _settled(hold: Hold, history: History) -> Iterator[Offence]:
    """Let only what is paid be sold, and only what is not be given back."""
    wrong = {Status.COMPLETED: hold.release, Status.CANCELLED: hold.sale}.get(history.status)
    if wrong is None and hold.sale is not None:
        wrong = hold.release
    if wrong is not None:
        yield Offence(
            kind=Kind.SETTLED_WRONGLY,
            subject=hold.order_id,
            expected=f"{hold.sku} sold if the order is completed, released if not",
            found=f"{wrong.message.type} of an order that is {history.status}",
            place=wrong.place,
        )


def _left(hold: Hold, history: History, limits: Limits) -> Iterator[Offence]:
    """Look for stock that an order keeps after its end."""
    if history.status is Status.OPEN or hold.ordered is None:
        return
    end = history.ends[0]
    if not limits.is_over(max(end.at, hold.deducted.at) if hold.deducted else end.at):
        return
    if history.status is Status.COMPLETED:
        missing = _missing({InventoryDeducted.type: hold.deducted, RequestInventorySale.type: hold.sale})
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
