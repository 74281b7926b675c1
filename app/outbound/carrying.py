"""What carries a message outside, and the ways in which that may come to nothing.

NotDelivered
 ├── Unanswered  nobody answered as they should: the breaker counts it
 └── Declined    it was answered, and not taken; tried again, for a person may mend it
      └── Hopeless  no repeat will help: a dead letter at once
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from models.outbound import Parcel


class Shipment(NamedTuple):
    """Be one message of an order on its way."""

    order_id: str
    parcel: Parcel

    @property
    def name(self) -> str:
        """Return what it is told apart by."""
        return f"{self.order_id}/{self.parcel.kind}"


Carry = Callable[[Shipment], Awaitable[None]]
"""Deliver a message, or raise `NotDelivered`; a crash may have it delivered again, same id."""


class NotDelivered(Exception):  # noqa: N818  # what is known of an attempt, not a fault of ours
    """Say why a message was not delivered, without a word of what is in it."""


class Unanswered(NotDelivered):
    """Say that nobody answered as they should."""


class Declined(NotDelivered):
    """Say that the message was not taken."""


class Hopeless(Declined):
    """Say that it never will be."""
