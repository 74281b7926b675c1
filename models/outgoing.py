"""What an order sends: each message made from the order's state alone, the same each time."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypedDict

from models.commands import (
    RequestInventory,
    RequestInventoryRelease,
    RequestInventoryReturn,
    RequestInventorySale,
    RequestPayment,
    RequestPaymentRefund,
)
from models.events import (
    AnalyticsEvent,
    InventoryDeducted,
    NotificationEvent,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderRefunded,
    OrderTimedOut,
    PaymentCompleted,
    PaymentFailed,
    UnitsOf,
)
from models.messages import Envelope, Message, derive_id
from models.order import Line, Order, OrderStatus, PaymentKnown

ENDS: Mapping[OrderStatus, type[Message]] = MappingProxyType(
    {
        OrderStatus.COMPLETED: OrderCompleted,
        OrderStatus.CANCELLED: OrderCancelled,
        OrderStatus.REFUNDED: OrderRefunded,
    }
)
"""By the status in which an order has ended, what announces it."""

_PAID = frozenset({PaymentCompleted.type, PaymentFailed.type})


def request_inventory(order: Order, line: Line) -> RequestInventory:
    """Ask the SKU's home to reserve the line."""
    return RequestInventory(
        **_envelope(order, RequestInventory.type, line.sku),
        sku=line.sku,
        order_id=order.order_id,
        quantity=line.quantity,
    )


def request_release(order: Order, line: Line) -> RequestInventoryRelease:
    """Ask the SKU's home to give the line back."""
    return RequestInventoryRelease(
        **_envelope(order, RequestInventoryRelease.type, line.sku, order.status),
        sku=line.sku,
        order_id=order.order_id,
        quantity=line.quantity,
    )


def request_sale(order: Order, line: Line) -> RequestInventorySale:
    """Ask the SKU's home to count the line as sold."""
    return RequestInventorySale(
        **_envelope(order, RequestInventorySale.type, line.sku),
        sku=line.sku,
        order_id=order.order_id,
        quantity=line.quantity,
    )


def request_return(order: Order, line: Line) -> RequestInventoryReturn:
    """Ask the SKU's home to take the line back."""
    return RequestInventoryReturn(
        **_envelope(order, RequestInventoryReturn.type, line.sku),
        sku=line.sku,
        order_id=order.order_id,
        quantity=line.quantity,
    )


def request_payment(order: Order) -> RequestPayment:
    """Ask for the order's total to be charged."""
    return RequestPayment(
        **_envelope(order, RequestPayment.type),
        order_id=order.order_id,
        amount=order.total,
        currency=order.currency,
        payment_token=order.payment_token,
    )


def request_refund(order: Order) -> RequestPaymentRefund:
    """Ask for the charge to be given back; while it is not known to be there, for none to be made."""
    # Two ids, for both may be sent: the first means nothing to a payment that is under way.
    awaited = (order.payment,) if order.payment is PaymentKnown.AWAITED else ()
    return RequestPaymentRefund(
        **_envelope(order, RequestPaymentRefund.type, *awaited),
        order_id=order.order_id,
        amount=order.total,
        currency=order.currency,
    )


def timed_out(order: Order, at: datetime) -> OrderTimedOut:
    """Announce that the order has waited too long in its status, the same however often it is found out."""
    return OrderTimedOut(
        event_id=derive_id(OrderTimedOut.type, order.order_id, order.entered_by),
        occurred_at=at,
        correlation_id=order.correlation_id,
        causation_id=order.entered_by,
        order_id=order.order_id,
        entered_by=order.entered_by,
    )


def completed(order: Order) -> OrderCompleted:
    """Announce the sale."""
    lines = (
        OrderLine(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in order.lines
    )
    return OrderCompleted(
        **_envelope(order, OrderCompleted.type),
        order_id=order.order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        lines=tuple(lines),
        total=order.total,
    )


def cancelled(order: Order) -> OrderCancelled:
    """Announce that there is no sale, and why."""
    return OrderCancelled(
        **_envelope(order, OrderCancelled.type),
        order_id=order.order_id,
        customer_id=order.customer_id,
        reason=str(order.reason),
    )


def refunded(order: Order) -> OrderRefunded:
    """Announce that the sale was taken back."""
    return OrderRefunded(
        **_envelope(order, OrderRefunded.type),
        order_id=order.order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        total=order.total,
    )


def tell(order: Order) -> tuple[NotificationEvent, AnalyticsEvent]:
    """Tell the customer, and the statistics, how the order ended."""
    notification = NotificationEvent(
        **_envelope(order, NotificationEvent.type, order.status),
        order_id=order.order_id,
        customer_id=order.customer_id,
        status=order.status,
        reason=order.reason,
    )
    analytics = AnalyticsEvent(
        **_envelope(order, AnalyticsEvent.type, order.status),
        order_id=order.order_id,
        status=order.status,
        reason=order.reason,
        currency=order.currency,
        total=order.total,
        units=sum(line.quantity for line in order.lines),
        lines=tuple(UnitsOf(sku=line.sku, quantity=line.quantity) for line in order.lines),
        **_times(order),
    )
    return (notification, analytics)


class Times(TypedDict):
    """Be how long an order took, in milliseconds."""

    reserved_in_ms: int | None
    paid_in_ms: int | None
    settled_in_ms: int


def _times(order: Order) -> Times:
    """Return how long the order took for each step, by its timeline up to the end that is told of."""
    end = next(number for number, step in enumerate(order.history) if step.type == ENDS[order.status].type)
    life = order.history[:end]
    deducted = [step.at for step in life if step.type == InventoryDeducted.type]
    paid = [step.at for step in life if step.type in _PAID]
    reserved = deducted[-1] if len(deducted) == len(order.lines) else None
    return {
        "reserved_in_ms": None if reserved is None else _ms(order.created_at, reserved),
        "paid_in_ms": None if reserved is None or not paid else _ms(reserved, paid[-1]),
        "settled_in_ms": _ms(order.created_at, order.entered_at),
    }


def _ms(since: datetime, until: datetime) -> int:
    # Two clocks, the broker's and the HTTP server's: a quick order may seem settled before it was placed.
    return max(0, round((until - since).total_seconds() * 1000))


def _envelope(order: Order, wire_name: str, *parts: str) -> Envelope:
    return {
        "event_id": derive_id(wire_name, order.order_id, *parts),
        "occurred_at": order.entered_at,
        "correlation_id": order.correlation_id,
        "causation_id": order.entered_by,
    }
