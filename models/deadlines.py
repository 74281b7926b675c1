"""How long an order may wait in each status, when to look at it, and what to say of one that waited too long.

A deadline counts from `entered_at`, the log's time, so it is the same after a crash and on any worker. What
is compared with it is the clock of whoever looks.
"""

from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from models.order import Order, OrderStatus
from models.value import Value

LONGEST = timedelta(hours=1)
"""The most time between two looks at an order that is overdue."""


class Limits(Value, frozen=True, kw_only=True):
    """Be how long an order may wait: for its stock, for its payment, for what it gives back."""

    pending: timedelta
    paying: timedelta
    compensating: timedelta


class Overdue(Value, frozen=True, kw_only=True):
    """Be the finding that an order still is, since `at` too long, in the status that an event led it into."""

    order_id: str
    entered_by: str
    at: datetime


class Look(NamedTuple):
    """Be what a look at an order brings: the finding, if there is one, and when to look again, if ever."""

    finding: Overdue | None
    again: datetime | None


DONE = Look(None, None)


def waits_since(order: Order) -> datetime:
    """Return since when an order that waits does: since it was made, or is to be taken back after its end."""
    return order.entered_at if order.status is OrderStatus.REFUNDING else order.created_at


def deadline(order: Order, limits: Limits) -> datetime | None:
    """Return until when the order may wait in its status, None where it waits for nothing."""
    match order.status:
        case OrderStatus.PENDING:
            return order.entered_at + limits.pending
        case OrderStatus.INVENTORY_DEDUCTED:
            return order.entered_at + limits.paying
        case OrderStatus.CANCELLING | OrderStatus.REFUNDING:
            return order.entered_at + limits.compensating
        case OrderStatus.COMPLETED | OrderStatus.CANCELLED | OrderStatus.REFUNDED:
            return None
        case _:
            assert_never(order.status)


def look(order: Order | None, now: datetime, limits: Limits, payable_since: datetime | None = None) -> Look:
    """Return whether the order is overdue, and when to look at it again.

    The time to pay runs only from when payments can be made again: that is not the customer's fault.

    One that is overdue is looked at again when it has waited twice as long, so what is said of it comes ever
    more seldom, and nobody has to remember how often it was said.
    """
    at = None if order is None else deadline(order, limits)
    if order is None or at is None:
        return DONE
    put_off = at
    if order.status is OrderStatus.INVENTORY_DEDUCTED and payable_since is not None:
        put_off = max(at, payable_since + limits.paying)
    if now < put_off:
        return Look(None, put_off)
    finding = Overdue(order_id=order.order_id, entered_by=order.entered_by, at=at)
    return Look(finding, now + min(now - order.entered_at, LONGEST))


def first_look(before: Order | None, after: Order, limits: Limits) -> datetime | None:
    """Return when to look at an order for the status it has just entered; None where no look need be planned.

    There is always a look planned that is not later than the deadline, and each look that is too early
    plans the next. So a status which ends later than the one before it, entered in time, needs no look of
    its own: nearly every order has one in its life.
    """
    if before is not None and before.entered_by == after.entered_by:
        return None
    at = deadline(after, limits)
    planned = None if before is None else deadline(before, limits)
    if at is None or (planned is not None and after.entered_at < planned <= at):
        return None
    return at
