"""What the topics say of one order or one restock, as the rules see it: facts with their places; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from models.commands import RequestInventoryReturn, RequestPaymentRefund
from models.events import (
    InventoryReleased,
    InventoryRestocked,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderRefunded,
    OrderRefundRequested,
    PaymentRefundDelayed,
    PaymentRefunded,
)
from models.messages import Message

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)


class Status(StrEnum):
    """Say how an order stands, as far as the topics tell."""

    OPEN = "OPEN"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


class Place(NamedTuple):
    """Be where a record is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Fact(Generic[M_co]):
    """Be one message and the place of its first record.

    `judged` is false for what was recorded while the audit was looking for the ends of the topics: it is
    evidence, but what came before it need not have been read.
    """

    message: M_co
    place: Place
    judged: bool = True

    @property
    def at(self) -> datetime:
        """Return when the log took it in."""
        return self.message.at


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Be what the rules reckon with: the time now, the deadline of an order, the brokers' clocks' spread.

    `at_rest` where nothing is under way any more: what has not followed by now is never going to.
    """

    now: datetime
    deadline: timedelta
    skew: timedelta = timedelta()
    at_rest: bool = False

    def is_over(self, since: datetime) -> bool:
        """Tell whether what should have followed at this time is overdue."""
        return self.at_rest or self.now > since + self.deadline


class History:
    """Hold what the topics say of one order: each fact once, the earliest first."""

    def __init__(self, order_id: str, facts: Iterable[Fact[Message]]) -> None:
        self.order_id = order_id
        self.facts = tuple(sorted(facts, key=_in_the_log))
        self._by_kind: dict[type[Message], list[Any]] = {}
        for fact in self.facts:
            self._by_kind.setdefault(type(fact.message), []).append(fact)

    def of(self, kind: type[M]) -> list[Fact[M]]:
        """Return the facts of one kind."""
        return self._by_kind.get(kind, [])

    @cached_property
    def created(self) -> Fact[OrderCreated] | None:
        """Return the order as it was placed, None where it never was."""
        return next(iter(self.of(OrderCreated)), None)

    @cached_property
    def ends(self) -> list[Fact[OrderCompleted] | Fact[OrderCancelled]]:
        """Return every end of the order, the first one first; a refund comes on top of one, and is none."""
        return sorted([*self.of(OrderCompleted), *self.of(OrderCancelled)], key=_in_the_log)

    @cached_property
    def status(self) -> Status:
        """Return how the order stands by its first end, and by what was taken back of it."""
        if self.ends and isinstance(self.ends[0].message, OrderCancelled):
            return Status.CANCELLED
        if self.refunded is not None:  # a crash may have it said before ORDER_COMPLETED
            return Status.REFUNDED
        if not self.ends:
            return Status.OPEN
        return Status.REFUNDING if self.granted else Status.COMPLETED

    @cached_property
    def shown(self) -> dict[str, Any]:
        """Return what a worker must show of the order beside its status.

        Why an open one may be on its way to be cancelled, the topics do not tell yet.
        """
        if self.created is None:
            return {}
        placed = self.created.message
        shown: dict[str, Any] = {
            "customer_id": placed.customer_id,
            "items": [
                {"sku": line.sku, "quantity": line.quantity, "unit_price": line.unit_price}
                for line in placed.lines
            ],
            "currency": placed.currency,
            "total": placed.total,
        }
        if self.status is not Status.OPEN:
            end = self.ends[0].message if self.ends else None
            shown["reason"] = end.reason if isinstance(end, OrderCancelled) else None
        return shown

    @cached_property
    def refunded(self) -> Fact[OrderRefunded] | None:
        """Return the word that the order was taken back."""
        return next(iter(self.of(OrderRefunded)), None)

    @cached_property
    def granted(self) -> list[Fact[OrderRefundRequested]]:
        """Return the wishes for a refund of which something came."""
        said = (*self.of(RequestInventoryReturn), *self.of(RequestPaymentRefund))
        causes = {fact.message.causation_id for fact in said}
        return [wish for wish in self.of(OrderRefundRequested) if wish.message.event_id in causes]

    def wish(self, limits: Limits) -> Fact[OrderRefundRequested] | None:
        """Return the first wish for a refund that must be granted.

        One that was read before the order was completed is not: such as have led to nothing, and were
        recorded before ORDER_COMPLETED, so count for nothing.
        """
        completed = self.of(OrderCompleted)
        must = [
            wish
            for wish in self.of(OrderRefundRequested)
            if wish in self.granted or (completed and wish.at > completed[0].at + limits.skew)
        ]
        return next(iter(must), None)

    def lacks_wish(self, fact: Fact[Message], limits: Limits) -> bool:
        """Tell whether something was taken back that nobody had asked to be taken back by then."""
        wishes = self.of(OrderRefundRequested)
        return fact.judged and not any(wish.at <= fact.at + limits.skew for wish in wishes)

    @property
    def retried(self) -> str:
        """Return what to say of money whose refund is being retried, to stand behind what was found."""
        delayed = self.of(PaymentRefundDelayed)
        if not delayed or self.of(PaymentRefunded):
            return ""
        return f"; {PaymentRefundDelayed.type} at {delayed[0].at:%Y-%m-%d %H:%M:%S}: it is being retried"


def content(message: Message) -> Message:
    """Return what two records of one event id must agree in.

    A release that is asked for again after the stock keeper has forgotten it is answered anew, and so with
    another time and another cause. A restock with an idempotency key has the same id whichever worker took
    it in, and two may have, one after the other.
    """
    if isinstance(message, InventoryRestocked):
        return replace(message, recorded_at=UNSET, occurred_at=_NO_TIME)
    if isinstance(message, InventoryReleased):
        return replace(message, recorded_at=UNSET, occurred_at=_NO_TIME, causation_id="")
    return replace(message, recorded_at=UNSET)


def _in_the_log(fact: Fact[Message]) -> tuple[datetime, Place]:
    return fact.at, fact.place


_NO_TIME = datetime.min.replace(tzinfo=UTC)
