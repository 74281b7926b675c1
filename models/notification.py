"""What a customer is told of an order: how it ended, and why."""

from models.events import NotificationEvent
from models.order import OrderStatus
from models.outbound import Label

SEQUENCE = {OrderStatus.COMPLETED: 1, OrderStatus.CANCELLED: 1, OrderStatus.REFUNDED: 2}
"""The ends that customers hear of, each once; an order that is refunded was completed before."""

WORDS = ("order_id", "customer_id", "status", "reason")
"""What a template may name."""


def label(event: NotificationEvent) -> Label:
    """Return which message of its order this is.

    Raises:
        ValueError: there is nothing to say about this status.
    """
    status = OrderStatus(event.status)
    if status not in SEQUENCE:
        raise ValueError(f"{status} is no end of an order")
    return Label(status, SEQUENCE[status])


def words(event: NotificationEvent) -> dict[str, str]:
    """Return what there is for each of the words."""
    return {
        "order_id": event.order_id,
        "customer_id": event.customer_id,
        "status": event.status.lower(),
        "reason": (event.reason or "").replace("_", " ").lower(),
    }
