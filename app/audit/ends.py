"""Rule 1: every order ends in exactly one way, within its deadline, and says so; pure.

A refund is a second end that a completed order may have where one was asked for, and then must have in time.
"""

from collections.abc import Iterator
from datetime import timedelta

from app.audit.facts import Fact, History, Limits, Status
from app.audit.offences import Kind, Offence
from models.events import (
    AnalyticsEvent,
    InventoryReturned,
    NotificationEvent,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderRefunded,
    OrderRefundRequested,
    PaymentRefunded,
)
from models.messages import Message

End = Fact[OrderCompleted] | Fact[OrderCancelled] | Fact[OrderRefunded]


def check_ends(history: History, limits: Limits) -> Iterator[Offence]:
    """Yield what is wrong with how the order ended; one that is not yet past its deadline may be open."""
    created, ends = history.created, history.ends
    if created is None:
        return  # what is said of an order that never was is said by the rule of causes
    if ends:
        yield from _late(history, ends[0], created, limits)
        yield from _not_told(history, ends[0], limits)
    elif limits.is_over(created.at):
        yield _no_end(history, created, limits)
    yield from _second(history, limits)
    yield from _refund(history, limits)


def _no_end(history: History, created: Fact[OrderCreated], limits: Limits) -> Offence:
    last = history.facts[-1]
    return Offence(
        kind=Kind.NO_END,
        subject=history.order_id,
        expected=f"an end within {_seconds(limits.deadline)}",
        found=f"none after {_seconds(limits.now - created.at)}, {last.message.type} was the last"
        + history.retried,
        place=created.place,
    )


def _late(history: History, end: End, since: Fact[Message], limits: Limits) -> Iterator[Offence]:
    if (took := end.at - since.at) > limits.deadline:
        yield Offence(
            kind=Kind.LATE_END,
            subject=history.order_id,
            expected=f"an end within {_seconds(limits.deadline)}",
            found=f"{end.message.type} after {_seconds(took)}",
            place=end.place,
        )


def _second(history: History, limits: Limits) -> Iterator[Offence]:
    """Look for more ends than one, and for a refund that is not of a sale, or that nobody asked for."""
    ends: list[End] = [*history.ends]
    refunds: list[End] = [*history.of(OrderRefunded)]
    is_sale = history.status is not Status.CANCELLED
    for several in (ends, refunds) if is_sale else ([*ends, *refunds],):
        if len({end.message.event_id for end in several}) > 1:
            yield Offence(
                kind=Kind.SECOND_END,
                subject=history.order_id,
                expected="one end",
                found=" and ".join(end.message.type for end in several),
                place=several[1].place,
            )
    if is_sale and history.refunded is not None and history.lacks_wish(history.refunded, limits):
        yield Offence(
            kind=Kind.SECOND_END,
            subject=history.order_id,
            expected=f"no {OrderRefunded.type} before {OrderRefundRequested.type}",
            found="nobody asked for it",
            place=history.refunded.place,
        )


def _refund(history: History, limits: Limits) -> Iterator[Offence]:
    """Give a refund that was asked for as long as an order has to end."""
    wish, done = history.wish(limits), history.refunded
    if done is not None:
        yield from _not_told(history, done, limits)
    if wish is None or history.status is Status.CANCELLED:
        return
    if done is not None:
        yield from _late(history, done, wish, limits)
    elif limits.is_over(wish.at):
        yield Offence(
            kind=Kind.NO_REFUND,
            subject=history.order_id,
            expected=f"{OrderRefunded.type} within {_seconds(limits.deadline)}",
            found=f"none after {_seconds(limits.now - wish.at)}, {_outstanding(history)}",
            place=wish.place,
        )


def _outstanding(history: History) -> str:
    """Return what is still to be done of a refund."""
    returned = {fact.message.sku for fact in history.of(InventoryReturned)}
    lines = history.created.message.lines if history.created else ()
    missing = [f"{InventoryReturned.type} of {line.sku}" for line in lines if line.sku not in returned]
    if not history.of(PaymentRefunded):
        missing.append(PaymentRefunded.type)
    if not missing:
        return f"{history.facts[-1].message.type} was the last"
    return f"without {', '.join(missing)}{history.retried}"


def _not_told(history: History, end: End, limits: Limits) -> Iterator[Offence]:
    """Look for the two notices that go out with the end."""
    if not limits.is_over(end.at):
        return
    status = _STATUS[type(end.message)]
    missing = [
        kind.type
        for kind in (NotificationEvent, AnalyticsEvent)
        if status not in {_status(fact) for fact in history.of(kind)}
    ]
    if missing:
        yield Offence(
            kind=Kind.END_NOT_TOLD,
            subject=history.order_id,
            expected=f"{' and '.join(missing)} of {status}",
            found="none",
            place=end.place,
        )


_STATUS = {
    OrderCompleted: Status.COMPLETED,
    OrderCancelled: Status.CANCELLED,
    OrderRefunded: Status.REFUNDED,
}


def _status(fact: Fact[Message]) -> str:
    return str(getattr(fact.message, "status", ""))


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():,.0f} s"
