"""What an external system, such as a warehouse's, is told of an order: that it was sold, or taken back."""

from models.events import OrderCompleted, OrderRefunded
from models.outbound import Label, Parcel

TransferEvent = OrderCompleted | OrderRefunded
"""What is transferred. A cancelled order is not: the other system has never heard of it."""

SEQUENCE = {OrderCompleted: 1, OrderRefunded: 2}


def label(event: TransferEvent) -> Label:
    """Return which message of its order this is: a refund is always behind its sale."""
    return Label(event.type, SEQUENCE[type(event)])


def payload(parcel: Parcel) -> dict[str, object]:
    """Return what the other system is told, the same each time."""
    event = parcel.event
    assert isinstance(event, OrderCompleted | OrderRefunded), "nothing else is transferred"
    data: dict[str, object] = {
        "order_id": event.order_id,
        "sequence": parcel.sequence,
        "customer_id": event.customer_id,
        "currency": event.currency,
        "total": event.total,
    }
    if isinstance(event, OrderCompleted):
        data["lines"] = event.lines
    return {"type": event.type, "timestamp": event.occurred_at, "data": data}
