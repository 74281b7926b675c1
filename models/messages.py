"""What every event and command carries, and how a message gets the same id each time it is made."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, TypedDict

from msgspec import UNSET, Meta, StructMeta, UnsetType
from uuid_utils import UUID, uuid5

from models.value import Value

NAMESPACE = UUID("6f0f5a52-4b0c-5d2b-9a51-9a8d1c0f6c11")

Quantity = Annotated[int, Meta(ge=1)]
"""A number of units; checked wherever a message comes from outside."""


def derive_id(wire_name: str, *parts: str) -> str:
    """Return the id of the one message of this type about these parts: the same cause, the same id."""
    return str(uuid5(NAMESPACE, "/".join((wire_name, *parts))))


class Envelope(TypedDict):
    """Be the part of a message that does not depend on its type."""

    event_id: str
    occurred_at: datetime
    correlation_id: str
    causation_id: str


class MessageKind(StructMeta):
    """Let the tag of a kind of message, under which it travels, be known as its `type`."""

    def __new__(  # noqa: PYI034  # no metaclass may speak of Self, says mypy
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, tag: str = "", **config: Any
    ) -> "MessageKind":
        """Make the class of one kind of message."""
        return super().__new__(cls, name, bases, {**namespace, "type": tag}, tag=tag or None, **config)


class Message(Value, frozen=True, kw_only=True, metaclass=MessageKind):
    """Be the envelope of every event and command; the wire name in `type` is also its topic.

    `occurred_at` is when the fact came about, `recorded_at` when the log took it in: the broker's one
    clock, set by whoever reads the log, absent from the wire and unknown before the message is sent.
    """

    type: ClassVar[str]

    version: int = 1
    event_id: str
    occurred_at: datetime
    correlation_id: str
    causation_id: str
    recorded_at: datetime | UnsetType = UNSET

    @property
    def key(self) -> str:
        """Return the partition key: what this message is about."""
        raise NotImplementedError

    @property
    def at(self) -> datetime:
        """Return the time to reckon with: the log's where it is known, else the sender's."""
        return self.recorded_at or self.occurred_at


class AboutOrder(Message, frozen=True, kw_only=True):
    """Be a message whose home is its order's partition."""

    order_id: str

    @property
    def key(self) -> str:
        """Return the order's id."""
        return self.order_id


class AboutStock(Message, frozen=True, kw_only=True):
    """Be a message whose home is its SKU's partition."""

    sku: str

    @property
    def key(self) -> str:
        """Return the SKU."""
        return self.sku
