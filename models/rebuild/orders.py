"""One order made anew: its events folded in an order that explains all it said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from models.commands import (
    RequestInventoryRelease,
    RequestInventoryReturn,
    RequestPayment,
    RequestPaymentRefund,
)
from models.events import OrderCancelled, OrderCompleted, OrderRefunded
from models.messages import Message, derive_id
from models.order import Order, OrderStatus, PaymentKnown
from models.rebuild.interleavings import Means, by_type, interleave
from models.saga import AWAITED_IN, OrderEvent, evolve

SAID_IN: Mapping[type[Message], frozenset[OrderStatus]] = MappingProxyType(
    {
        RequestPayment: frozenset({OrderStatus.INVENTORY_DEDUCTED}),
        OrderCompleted: frozenset({OrderStatus.COMPLETED}),
        RequestInventoryRelease: frozenset({OrderStatus.CANCELLING, OrderStatus.CANCELLED}),
        RequestPaymentRefund: frozenset(
            {OrderStatus.CANCELLING, OrderStatus.CANCELLED, OrderStatus.REFUNDING}
        ),
        RequestInventoryReturn: frozenset({OrderStatus.REFUNDING}),
        OrderCancelled: frozenset({OrderStatus.CANCELLED}),
        OrderRefunded: frozenset({OrderStatus.REFUNDED}),
    }
)
"""What proves how an order came about, and in which statuses it is said: something in all but the first.

The requests for stock prove nothing, for there is but one way into PENDING; notices and sales nothing that
the announcement beside them does not.
"""

RANK: Mapping[type[Message], int] = MappingProxyType({kind: rank for rank, kind in enumerate(AWAITED_IN)})
"""Which of two events that the log dates alike is tried first: a cause before its effects."""


class Word(NamedTuple):
    """Be what one message proves: in one of these statuses, entered by this event at this time."""

    statuses: frozenset[OrderStatus]
    by: str
    at: datetime
    reason: str | None
    awaited: bool


class Story(NamedTuple):
    """Be an order on its way: how it entered each status, and whether it awaited its payment's outcome."""

    order: Order | None = None
    entered: tuple[tuple[OrderStatus, str, datetime], ...] = ()
    awaited: bool = False


class Ground(Enum):
    """Say why an order is taken to be as it was made anew."""

    LOGGED = "in the log's order"
    PROVED = "in another order, which what was said proves"
    UNEXPLAINED = "no order of its events explains what was said"


class Rebuilt(NamedTuple):
    """Be an order made anew; None where its events make none."""

    order: Order | None
    ground: Ground


def rebuild(events: Sequence[OrderEvent], said: Sequence[Message]) -> Rebuilt:
    """Return the order that these events make, of which it has said this; both in the log's order."""
    order, entered = _fold(events)
    if _is_plain(entered, said):
        return Rebuilt(order, Ground.LOGGED)
    words, story = _words(said), Story()
    for event in events:
        story = _step(story, event)
    if _is_told(story, words) and not _unsaid(story, words):
        return Rebuilt(story.order, Ground.LOGGED)
    found = _search(events, words, strict=True) or _search(events, words, strict=False)
    if found is None:
        return Rebuilt(story.order, Ground.UNEXPLAINED)
    return Rebuilt(found.order, Ground.LOGGED if found == story else Ground.PROVED)


def may_be(order: Order, events: Sequence[OrderEvent], said: Sequence[Message]) -> bool:
    """Tell whether the order may have come about as its own timeline says, by these events and no others.

    What proves nothing else leaves open is then open: two events that were read in another order than the
    log's, and of which the later one told nobody.
    """
    known = {*map(_place, events)}
    counted = [place for step in order.history if (place := (step.event_id, step.at)) in known]
    logs = by_type(sorted(events, key=rank))
    story = Story()
    while heads := [log for log in logs if log]:
        passing = (log for log in heads if _passes(story, log[0], counted))  # type: ignore[arg-type]  # as given
        log = next(passing, None) or next((log for log in heads if [_place(log[0])] == counted[:1]), None)
        if log is None:
            return False
        event: OrderEvent = log.pop(0)  # type: ignore[assignment]  # likewise
        after = _step(story, event)
        if after.order is not story.order:
            counted = counted[1:]
        story = after
    return story.order == order and _is_told(story, _words(said))


def rank(event: Message) -> tuple[datetime, int]:
    """Return where an event stands in the log's order."""
    return event.at, RANK[type(event)]


def _fold(events: Sequence[OrderEvent]) -> tuple[Order | None, dict[OrderStatus, tuple[str, datetime]]]:
    """Return the order in the log's order of its events, and how it entered each status."""
    order, entered = None, dict[OrderStatus, tuple[str, datetime]]()
    for event in events:
        before, order = order, evolve(order, event)
        if order is not None and (before is None or order.status is not before.status):
            entered[order.status] = order.entered_by, order.entered_at
    return order, entered


def _is_plain(entered: Mapping[OrderStatus, tuple[str, datetime]], said: Sequence[Message]) -> bool:
    """Tell whether each status but the first has said one thing, and nothing else was said.

    So it is with nearly every order that is completed, and is found out at a tenth of the cost.
    """
    if len(said) != len(entered) - 1:
        return False
    for message in said:
        status = _ONLY_IN.get(type(message))
        if status is None or entered.get(status) != (message.causation_id, message.occurred_at):
            return False
    return True


_ONLY_IN = {RequestPayment: OrderStatus.INVENTORY_DEDUCTED, OrderCompleted: OrderStatus.COMPLETED}


def _passes(story: Story, event: OrderEvent, counted: Sequence[tuple[str, datetime]]) -> bool:
    """Tell whether the event may be read now because it counts neither now nor later."""
    return _place(event) not in counted and evolve(story.order, event) is story.order


def _place(event: Message) -> tuple[str, datetime]:
    """Return what a timeline knows the event by."""
    return event.event_id, event.at


def _step(story: Story, event: OrderEvent) -> Story:
    before, after = story.order, evolve(story.order, event)
    if after is before or after is None:
        return story
    if before is not None and before.status is after.status:
        return Story(after, story.entered, story.awaited)
    entry = (after.status, after.entered_by, after.entered_at)
    return Story(after, (*story.entered, entry), story.awaited or after.payment is PaymentKnown.AWAITED)


def _search(events: Sequence[OrderEvent], words: frozenset[Word], *, strict: bool) -> Story | None:
    """Look for an order of the events that explains the words; a strict one leaves no status unsaid."""

    def step(story: Story, event: OrderEvent) -> Story | None:
        after = _step(story, event)
        if len(after.entered) == len(story.entered) or after.entered[-1][0] is OrderStatus.PENDING:
            return after
        status, by, at = after.entered[-1]
        said = any(status in word.statuses and (word.by, word.at) == (by, at) for word in words)
        must_be = strict or any(word.statuses == {status} for word in words)
        return after if said or not must_be else None

    logs: list[list[OrderEvent]] = by_type(sorted(events, key=rank))  # type: ignore[assignment]  # as given
    return interleave(logs, Story(), Means(step, lambda story: _is_told(story, words), rank))


def _words(said: Sequence[Message]) -> frozenset[Word]:
    return frozenset(
        Word(
            statuses=SAID_IN[type(message)],
            by=message.causation_id,
            at=message.occurred_at,
            reason=message.reason if isinstance(message, OrderCancelled) else None,
            awaited=isinstance(message, RequestPaymentRefund) and _is_awaited(message),
        )
        for message in said
    )


def _is_awaited(refund: RequestPaymentRefund) -> bool:
    awaited = derive_id(RequestPaymentRefund.type, refund.order_id, PaymentKnown.AWAITED)
    return refund.event_id == awaited


def _is_told(story: Story, words: frozenset[Word]) -> bool:
    """Tell whether the story explains every word."""
    reason = None if story.order is None else str(story.order.reason)
    return all(
        any(status in word.statuses and (by, at) == (word.by, word.at) for status, by, at in story.entered)
        and word.reason in (None, reason)
        and (story.awaited or not word.awaited)
        for word in words
    )


def _unsaid(story: Story, words: frozenset[Word]) -> bool:
    """Tell whether some status of the story has said nothing."""
    return any(
        status is not OrderStatus.PENDING
        and not any(status in word.statuses and (by, at) == (word.by, word.at) for word in words)
        for status, by, at in story.entered
    )
