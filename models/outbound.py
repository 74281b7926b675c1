"""What an order has for one receiver outside: its messages in their order, and what became of each.

A message is delivered at least once, and told apart by its id, which is the same however often it is sent.
The first that is open is sent; the next only once that is delivered, or given up.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from models.events import NotificationEvent, OrderCompleted, OrderRefunded
from models.value import Value

OutboundEvent = OrderCompleted | OrderRefunded | NotificationEvent
"""The events that are told outside."""


class ParcelStatus(StrEnum):
    """Name where a message stands; OPEN calls for its delivery, GIVEN_UP for a dead letter."""

    OPEN = "OPEN"
    DELIVERED = "DELIVERED"
    SKIPPED = "SKIPPED"
    GIVEN_UP = "GIVEN_UP"
    DEAD = "DEAD"


UNDONE = frozenset({ParcelStatus.OPEN, ParcelStatus.GIVEN_UP})
"""The statuses that call for something."""


_LOST = frozenset({ParcelStatus.GIVEN_UP, ParcelStatus.DEAD})


class Parcel(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Be one message of an order; `kind` tells it from its others, `sequence` is its place among them.

    `at` is when the status was entered, `asked_at` when the log took in the record that it comes of, and
    `offset` where that record is; the event is kept for as long as something is to be done with it.
    """

    id: str
    kind: str
    sequence: int
    at: datetime
    asked_at: datetime
    status: ParcelStatus = ParcelStatus.OPEN
    event: OutboundEvent | None = None
    offset: int = 0
    error: str = ""

    @property
    def undone(self) -> bool:
        """Tell whether something is still to be done about it."""
        return self.status in UNDONE


class Outbox(Value, frozen=True, kw_only=True):
    """Be all that one order has for one receiver, in the order in which it is to be sent."""

    order_id: str
    parcels: tuple[Parcel, ...] = ()

    @property
    def undone(self) -> bool:
        """Tell whether something is still to be done about any of it."""
        return any(parcel.undone for parcel in self.parcels)

    def find(self, kind: str) -> Parcel | None:
        """Return the message of this kind, None where there is none."""
        return next((parcel for parcel in self.parcels if parcel.kind == kind), None)


class Label(NamedTuple):
    """Say what kind of message an event makes, and which of its order's messages it is: 1 is the first."""

    kind: str
    sequence: int


class Offered(Value, frozen=True, kw_only=True):
    """Be a message that is to be delivered, unless it was recorded before `not_before`."""

    order_id: str
    parcel: Parcel
    not_before: datetime


class Delivered(Value, frozen=True, kw_only=True):
    """Be the receiver's word that it has the message."""

    order_id: str
    kind: str
    at: datetime


class Undeliverable(Value, frozen=True, kw_only=True):
    """Be the finding that the message was tried for long enough, or that trying is no use."""

    order_id: str
    kind: str
    at: datetime
    error: str


class Buried(Value, frozen=True, kw_only=True):
    """Be the finding that the message is a dead letter, acknowledged by the log."""

    order_id: str
    kind: str
    at: datetime


Outcome = Delivered | Undeliverable | Buried
"""What may become of a message."""

OutboxInput = Offered | Outcome
"""What an outbox listens to."""

AWAITED_IN: Mapping[type[Outcome], ParcelStatus] = MappingProxyType(
    {
        Delivered: ParcelStatus.OPEN,
        Undeliverable: ParcelStatus.OPEN,
        Buried: ParcelStatus.GIVEN_UP,
    }
)
"""Where each outcome counts; elsewhere it is late or a repeat."""


def offer(event: OutboundEvent, offset: int, label: Label, at: datetime) -> Parcel:
    """Return the message that an event makes, taken in at this time; its id is the event's own."""
    return Parcel(
        id=event.event_id,
        kind=label.kind,
        sequence=label.sequence,
        at=at,
        asked_at=event.at,
        event=event,
        offset=offset,
    )


def evolve(outbox: Outbox | None, given: OutboxInput) -> Outbox | None:
    """Return the outbox after the input; the very same object where the input does not count."""
    if isinstance(given, Offered):
        return _take(outbox or Outbox(order_id=given.order_id), given)
    known = None if outbox is None else outbox.find(given.kind)
    if outbox is None or known is None or known.status is not AWAITED_IN[type(given)]:
        return outbox
    match given:
        case Delivered():
            after = _end(known, ParcelStatus.DELIVERED, given.at)
        case Undeliverable():
            after = replace(known, status=ParcelStatus.GIVEN_UP, at=given.at, error=given.error)
        case Buried():
            after = _end(known, ParcelStatus.DEAD, given.at)
        case _:
            assert_never(given)
    return _put(outbox, after)


def next_parcel(outbox: Outbox) -> Parcel | None:
    """Return the message to be sent now; None where there is none, or the one before it is yet to be read."""
    reached = 0
    for parcel in outbox.parcels:
        if parcel.sequence > reached + 1:
            return None
        if parcel.status is ParcelStatus.OPEN:
            return parcel
        reached = parcel.sequence
    return None


def given_up(outbox: Outbox) -> tuple[Parcel, ...]:
    """Return the messages that are to be dead letters, from the state alone: the same after a crash."""
    return tuple(parcel for parcel in outbox.parcels if parcel.status is ParcelStatus.GIVEN_UP)


def _take(outbox: Outbox, offered: Offered) -> Outbox:
    known, parcel = outbox.find(offered.parcel.kind), offered.parcel
    if known is None:
        late = parcel.asked_at < offered.not_before
        return _put(outbox, _end(parcel, ParcelStatus.SKIPPED, parcel.at) if late else parcel)
    # A dead letter that was put back is a newer record; the old one, read again after a crash, is not. It may
    # be put back before its burial is on record.
    if known.status in _LOST and parcel.asked_at > known.asked_at:
        return _put(outbox, parcel)
    return outbox


def _end(parcel: Parcel, status: ParcelStatus, at: datetime) -> Parcel:
    return replace(parcel, status=status, at=at, event=None, offset=0, error="")


def _put(outbox: Outbox, parcel: Parcel) -> Outbox:
    others = (each for each in outbox.parcels if each.kind != parcel.kind)
    return replace(outbox, parcels=tuple(sorted((*others, parcel), key=lambda each: each.sequence)))
