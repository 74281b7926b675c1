"""The order as its agent knows it: one value that holds all that must agree about one order."""

from datetime import datetime
from enum import StrEnum

from msgspec import UNSET, UnsetType

from models.value import Value


class OrderStatus(StrEnum):
    """Name where an order stands."""

    PENDING = "PENDING"
    INVENTORY_DEDUCTED = "INVENTORY_DEDUCTED"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


SETTLED = frozenset({OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.REFUNDED})
"""The statuses in which an order waits for nothing; only a refund leads on, from COMPLETED."""


class CancelReason(StrEnum):
    """Say why an order was cancelled."""

    INVENTORY_INSUFFICIENT = "INVENTORY_INSUFFICIENT"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    PAYMENT_TIMEOUT = "PAYMENT_TIMEOUT"
    CUSTOMER_REQUEST = "CUSTOMER_REQUEST"
    SAGA_TIMEOUT = "SAGA_TIMEOUT"


class LineStatus(StrEnum):
    """Say what the order knows about the stock of one line."""

    REQUESTED = "REQUESTED"
    DEDUCTED = "DEDUCTED"
    REFUSED = "REFUSED"
    RELEASED = "RELEASED"
    RETURNED = "RETURNED"


class PaymentKnown(StrEnum):
    """Say what the order knows about its payment; UNKNOWN and AWAITED may still become any other.

    AWAITED is what the customer's wish to cancel makes of a payment that is under way: the order is not
    cancelled before its outcome is known.
    """

    UNKNOWN = "UNKNOWN"
    AWAITED = "AWAITED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    REFUND_DELAYED = "REFUND_DELAYED"
    REFUNDED = "REFUNDED"


class Line(Value, frozen=True, kw_only=True):
    """Be one line of the order and what became of its stock; `unit_price` in minor units."""

    sku: str
    quantity: int
    unit_price: int
    status: LineStatus = LineStatus.REQUESTED


class Step(Value, frozen=True, kw_only=True):
    """Be one event of the order's timeline; `about` is the SKU or the reason where there is one."""

    event_id: str
    type: str
    at: datetime
    causation_id: str
    about: str | None = None


class Order(Value, frozen=True, kw_only=True):
    """Be the state of one order; `total` in minor units, `version` counts the events that counted.

    `entered_at` and `entered_by` are the time and the id of the event that led into the status. What
    the status calls for is dated by them, so that it reads the same however often it is sent.
    `fingerprint` is that of the wish, where it came with an idempotency key.
    """

    order_id: str
    customer_id: str
    currency: str
    lines: tuple[Line, ...]
    total: int
    payment_token: str
    correlation_id: str
    created_at: datetime
    updated_at: datetime
    entered_at: datetime
    entered_by: str
    status: OrderStatus = OrderStatus.PENDING
    reason: CancelReason | None = None
    payment: PaymentKnown = PaymentKnown.UNKNOWN
    version: int = 1
    history: tuple[Step, ...] = ()
    fingerprint: str | UnsetType = UNSET

    @property
    def settled(self) -> bool:
        """Tell whether the order waits for nothing more."""
        return self.status in SETTLED
