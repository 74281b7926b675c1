"""The order as it was: folded anew from its own timeline, up to a time."""

from datetime import datetime
from typing import Any

from models.catalogue import MESSAGES
from models.events import OrderCreated, OrderLine, OrderTimedOut
from models.order import Order, Step
from models.outgoing import ENDS
from models.saga import OrderEvent, evolve

_ANNOUNCED = frozenset(kind.type for kind in ENDS.values())
"""The steps that are no event the order listened to: what it said itself when it was settled."""


def as_of(order: Order, at: datetime) -> Order | None:
    """Return the order as it stood at this time, by the log's clock; None before it was there.

    What led it on is in the timeline: all that counted, in the order in which it did.
    """
    then: Order | None = None
    for step in order.history:
        if step.at > at:
            break
        if step.type not in _ANNOUNCED:
            then = evolve(then, _event(order, then, step))
    return then


def _event(order: Order, then: Order | None, step: Step) -> OrderEvent:
    """Return the event of a step, with all of it that an order looks at."""
    envelope = {
        "event_id": step.event_id,
        "occurred_at": step.at,
        "recorded_at": step.at,
        "correlation_id": order.correlation_id,
        "causation_id": step.causation_id,
        "order_id": order.order_id,
    }
    if step.type == OrderCreated.type:
        return _created(order, envelope)
    kind: Any = MESSAGES[step.type]
    known = {
        "sku": step.about,
        "quantity": next((line.quantity for line in order.lines if line.sku == step.about), 0),
        "entered_by": then.entered_by if then and kind is OrderTimedOut else "",
        "amount": order.total,
        "currency": order.currency,
        "charge_id": "",
        "refund_id": "",
        "reason": "",
    }
    event: OrderEvent = kind(
        **envelope, **{name: known[name] for name in known.keys() & set(kind.__struct_fields__)}
    )
    return event


def _created(order: Order, envelope: dict[str, Any]) -> OrderCreated:
    lines = tuple(
        OrderLine(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in order.lines
    )
    return OrderCreated(
        **{**envelope, "occurred_at": order.created_at},
        customer_id=order.customer_id,
        currency=order.currency,
        lines=lines,
        total=order.total,
        payment_token=order.payment_token,
        fingerprint=order.fingerprint,
    )
