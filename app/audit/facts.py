"""What the topics say of one order or one restock, as the rules see it: facts with their places; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from models.events import InventoryReleased, OrderCancelled, OrderCompleted, OrderCreated
from models.messages import Message

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)


class Status(StrEnum):
    """Say how an order stands, as far as the topics tell."""

    OPEN = "OPEN"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


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
    """Be what the rules reckon with: the time now, the deadline of an order, the brokers' clocks' spread."""

    now: datetime
    deadline: timedelta
    skew: timedelta = timedelta()

    def is_over(self, since: datetime) -> bool:
        """Tell whether what should have followed at this time is overdue."""
        return self.now > since + self.deadline


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
        """Return every end of the order, the first one first."""
        return sorted([*self.of(OrderCompleted), *self.of(OrderCancelled)], key=_in_the_log)

    @cached_property
    def status(self) -> Status:
        """Return how the order stands by its first end."""
        if not self.ends:
            return Status.OPEN
        return Status.COMPLETED if isinstance(self.ends[0].message, OrderCompleted) else Status.CANCELLED


def content(message: Message) -> Message:
    """Return what two records of one event id must agree in.

    A release that is asked for again after the stock keeper has forgotten it is answered anew, and so with
    another time and another cause.
    """
    if isinstance(message, InventoryReleased):
        return replace(message, recorded_at=UNSET, occurred_at=_NO_TIME, causation_id="")
    return replace(message, recorded_at=UNSET)


def _in_the_log(fact: Fact[Message]) -> tuple[datetime, Place]:
    return fact.at, fact.place


_NO_TIME = datetime.min.replace(tzinfo=UTC)
