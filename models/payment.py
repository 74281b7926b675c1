"""The payment of one order: the intent first, the provider's answer after, and what to say of it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from msgspec.structs import replace

from models.commands import RequestPayment, RequestPaymentRefund
from models.events import PaymentCompleted, PaymentFailed, PaymentRefundDelayed, PaymentRefunded
from models.messages import Envelope, Message, derive_id
from models.value import Value


class PaymentStatus(StrEnum):
    """Name where a payment stands; CHARGING and REFUNDING are open intents."""

    CHARGING = "CHARGING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


OPEN = frozenset({PaymentStatus.CHARGING, PaymentStatus.REFUNDING})
"""The statuses that call for the provider."""

WITHDRAWN = "withdrawn"
"""The reason of a payment that was called off before the provider was asked."""


class Charged(Value, frozen=True, kw_only=True):
    """The provider's answer: the money was taken."""

    order_id: str
    reference: str
    at: datetime


class Declined(Value, frozen=True, kw_only=True):
    """The provider's answer: no money was taken, and none will be."""

    order_id: str
    reference: str
    at: datetime


class Refunded(Value, frozen=True, kw_only=True):
    """The provider's answer: the money was given back."""

    order_id: str
    reference: str
    at: datetime


Answer = Charged | Declined | Refunded
"""What the provider may say; `reference` is its id for it, or its reason. A time-out is no answer."""


class RefundDelayed(Value, frozen=True, kw_only=True):
    """Be what the worker finds that asked for a refund in vain: it is not made, and is asked for again."""

    order_id: str
    at: datetime


class Reminder(Value, frozen=True, kw_only=True):
    """Be a repeat made by the worker itself: what the payment has to say may not have been said."""

    order_id: str


PaymentInput = RequestPayment | RequestPaymentRefund | Answer | RefundDelayed | Reminder
"""What a payment listens to."""


class Payment(Value, frozen=True, kw_only=True):
    """Be the state of one order's payment; `amount` in minor units, the order id is the key at the provider.

    `settled_at` is when the status was entered; `reference` is what the provider called its last answer;
    `delayed_since` is when a refund was first asked for in vain; `paid` is how it was when it was COMPLETED,
    once it no longer is.
    """

    order_id: str
    amount: int
    currency: str
    payment_token: str
    correlation_id: str
    causation_id: str
    settled_at: datetime
    status: PaymentStatus = PaymentStatus.CHARGING
    reference: str = ""
    delayed_since: datetime | None = None
    paid: "Payment | None" = None

    @property
    def open(self) -> bool:
        """Tell whether the provider has still to be called."""
        return self.status in OPEN

    @property
    def refund_delayed(self) -> bool:
        """Tell whether a refund is under way that was asked for in vain at least once."""
        return self.status is PaymentStatus.REFUNDING and self.delayed_since is not None


AWAITED_IN: Mapping[type[PaymentInput], frozenset[PaymentStatus | None]] = MappingProxyType(
    {
        RequestPayment: frozenset({None}),
        Charged: frozenset({PaymentStatus.CHARGING}),
        Declined: frozenset({PaymentStatus.CHARGING}),
        RequestPaymentRefund: frozenset({None, PaymentStatus.COMPLETED}),
        Refunded: frozenset({PaymentStatus.REFUNDING}),
        RefundDelayed: frozenset({PaymentStatus.REFUNDING}),
        Reminder: frozenset(),
    }
)
"""Where each input counts (None: no payment yet); elsewhere it is late or a repeat."""


def evolve(payment: Payment | None, event: PaymentInput) -> Payment | None:
    """Return the payment after the input; the very same object where the input does not count."""
    if payment is None:
        return _begin(event)
    if payment.status not in AWAITED_IN[type(event)]:
        return payment
    match event:
        case Charged():
            after = _move(payment, PaymentStatus.COMPLETED, event.at, event.reference)
        case Declined():
            after = _move(payment, PaymentStatus.FAILED, event.at, event.reference)
        case Refunded():
            after = _move(payment, PaymentStatus.REFUNDED, event.at, event.reference)
        case RequestPaymentRefund():
            refunding = _move(payment, PaymentStatus.REFUNDING, event.at, payment.reference)
            after = replace(refunding, causation_id=event.event_id, paid=payment)
        case RefundDelayed():
            after = replace(payment, delayed_since=event.at) if payment.delayed_since is None else payment
        case RequestPayment() | Reminder():  # awaited only where there is no payment yet, and nowhere
            after = payment
        case _:
            assert_never(event)
    return after


def respond(payment: Payment, event: PaymentInput) -> tuple[Message, ...]:
    """Return what to say after an input; to a reminder also what a refund may have come before.

    The charge and the wish to have it back may meet in one batch, of which a crash leaves the rows alone.
    """
    unsaid = payment.paid if isinstance(event, Reminder) else None
    return (*(() if unsaid is None else decide(unsaid)), *decide(payment))


def decide(payment: Payment) -> tuple[Message, ...]:
    """Return what the payment's status has to say, from the state alone; an open charge says nothing yet."""
    match payment.status:
        case PaymentStatus.CHARGING:
            return ()
        case PaymentStatus.REFUNDING:
            return () if payment.delayed_since is None else (_delayed(payment, payment.delayed_since),)
        case PaymentStatus.COMPLETED:
            return (
                PaymentCompleted(
                    **_envelope(payment, PaymentCompleted.type),
                    order_id=payment.order_id,
                    amount=payment.amount,
                    currency=payment.currency,
                    charge_id=payment.reference,
                ),
            )
        case PaymentStatus.FAILED:
            return (
                PaymentFailed(
                    **_envelope(payment, PaymentFailed.type),
                    order_id=payment.order_id,
                    reason=payment.reference,
                ),
            )
        case PaymentStatus.REFUNDED:
            return (
                PaymentRefunded(
                    **_envelope(payment, PaymentRefunded.type),
                    order_id=payment.order_id,
                    amount=payment.amount,
                    currency=payment.currency,
                    refund_id=payment.reference,
                ),
            )
        case _:
            assert_never(payment.status)


def _delayed(payment: Payment, since: datetime) -> PaymentRefundDelayed:
    envelope = _envelope(payment, PaymentRefundDelayed.type)
    envelope["occurred_at"] = since
    return PaymentRefundDelayed(**envelope, order_id=payment.order_id)


def _begin(event: PaymentInput) -> Payment | None:
    match event:
        case RequestPayment():
            return _open(event)
        case RequestPaymentRefund():
            return _withdrawn(event)
        case _:
            return None


def _withdrawn(event: RequestPaymentRefund) -> Payment:
    """Leave a mark: the order was cancelled before its request came, which then charges nothing."""
    return Payment(
        order_id=event.order_id,
        amount=event.amount,
        currency=event.currency,
        payment_token="",
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        settled_at=event.at,
        status=PaymentStatus.FAILED,
        reference=WITHDRAWN,
    )


def _open(event: RequestPayment) -> Payment:
    return Payment(
        order_id=event.order_id,
        amount=event.amount,
        currency=event.currency,
        payment_token=event.payment_token,
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        settled_at=event.at,
    )


def _move(payment: Payment, status: PaymentStatus, at: datetime, reference: str) -> Payment:
    return replace(payment, status=status, settled_at=at, reference=reference)


def _envelope(payment: Payment, wire_name: str) -> Envelope:
    return {
        "event_id": derive_id(wire_name, payment.order_id),
        "occurred_at": payment.settled_at,
        "correlation_id": payment.correlation_id,
        "causation_id": payment.causation_id,
    }
