"""Rule 1: every order ends in exactly one way, within its deadline, and says so; pure."""

from collections.abc import Iterator
from datetime import timedelta

from app.audit.facts import Fact, History, Limits
from app.audit.offences import Kind, Offence
from models.events import (
    AnalyticsEvent,
    NotificationEvent,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
)
from models.messages import Message

End = Fact[OrderCompleted] | Fact[OrderCancelled]


def check_ends(history: History, limits: Limits) -> Iterator[Offence]:
    """Yield what is wrong with how the order ended; one that is not yet past its deadline may be open."""
    created, ends = history.created, history.ends
    if created is None:
        return  # what is said of an order that never was is said by the rule of causes
    if not ends:
        if limits.is_over(created.at):
            yield _no_end(history, created, limits)
        return
    if (took := ends[0].at - created.at) > limits.deadline:
        yield Offence(
            kind=Kind.LATE_END,
            subject=history.order_id,
            expected=f"an end within {_seconds(limits.deadline)}",
            found=f"{ends[0].message.type} after {_seconds(took)}",
            place=ends[0].place,
        )
    if len({end.message.event_id for end in ends}) > 1:
        yield Offence(
            kind=Kind.SECOND_END,
            subject=history.order_id,
            expected="one end",
            found=" and ".join(end.message.type for end in ends),
            place=ends[1].place,
        )
    yield from _not_told(history, ends[0], limits)


def _no_end(history: History, created: Fact[OrderCreated], limits: Limits) -> Offence:
    last = history.facts[-1]
    return Offence(
        kind=Kind.NO_END,
        subject=history.order_id,
        expected=f"an end within {_seconds(limits.deadline)}",
        found=f"none after {_seconds(limits.now - created.at)}, {last.message.type} was the last",
        place=created.place,
    )


def _not_told(history: History, end: End, limits: Limits) -> Iterator[Offence]:
    """Look for the two notices that go out with the end."""
    if not limits.is_over(end.at):
        return
    missing = [
        kind.type
        for kind in (NotificationEvent, AnalyticsEvent)
        if history.status not in {_status(fact) for fact in history.of(kind)}
    ]
    if missing:
        yield Offence(
            kind=Kind.END_NOT_TOLD,
            subject=history.order_id,
            expected=f"{' and '.join(missing)} of {history.status}",
            found="none",
            place=end.place,
        )


def _status(fact: Fact[Message]) -> str:
    return str(getattr(fact.message, "status", ""))


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():,.0f} s"
