"""The order saga as a Moore machine: events move the status, the status alone says what to send.

The shape follows the decider of J. Chassaing: `evolve` folds events into state and `decide` reads the
state. Because `decide` sees nothing else, what an order still needs can be recomputed at any time.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import assert_never

from msgspec.structs import replace

from models import outgoing
from models.commands import RequestPayment, RequestPaymentRefund
from models.deadlines import Overdue
from models.events import (
    InventoryDeducted,
    InventoryInsufficient,
    InventoryReleased,
    InventoryReturned,
    OrderCancelRequested,
    OrderCompleted,
    OrderCreated,
    OrderRefundRequested,
    OrderTimedOut,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefundDelayed,
    PaymentRefunded,
)
from models.messages import AboutStock, Message, derive_id
from models.order import CancelReason, Line, LineStatus, Order, OrderStatus, PaymentKnown, Step

OrderEvent = (
    OrderCreated
    | InventoryDeducted
    | InventoryInsufficient
    | InventoryReleased
    | InventoryReturned
    | PaymentCompleted
    | PaymentFailed
    | PaymentRefundDelayed
    | PaymentRefunded
    | OrderCancelRequested
    | OrderRefundRequested
    | OrderTimedOut
)
"""What an order listens to."""

OrderInput = OrderEvent | Overdue
"""What its agent is given: events, and what its timer finds, which is no event yet."""

_BEFORE_PAID = frozenset({OrderStatus.PENDING, OrderStatus.INVENTORY_DEDUCTED})
_COMPENSATED = frozenset({OrderStatus.CANCELLING, OrderStatus.CANCELLED})

AWAITED_IN: Mapping[type[OrderEvent], frozenset[OrderStatus | None]] = MappingProxyType(
    {
        OrderCreated: frozenset({None}),
        InventoryDeducted: frozenset({OrderStatus.PENDING}) | _COMPENSATED,
        InventoryInsufficient: frozenset({OrderStatus.PENDING, OrderStatus.CANCELLING}),
        InventoryReleased: _COMPENSATED,
        InventoryReturned: frozenset({OrderStatus.REFUNDING}),
        PaymentCompleted: frozenset({OrderStatus.INVENTORY_DEDUCTED}) | _COMPENSATED,
        PaymentFailed: frozenset({OrderStatus.INVENTORY_DEDUCTED}) | _COMPENSATED,
        PaymentRefundDelayed: _COMPENSATED | {OrderStatus.REFUNDING},
        PaymentRefunded: _COMPENSATED | {OrderStatus.REFUNDING},
        OrderCancelRequested: _BEFORE_PAID,
        OrderRefundRequested: frozenset({OrderStatus.COMPLETED}),
        OrderTimedOut: _BEFORE_PAID,
    }
)
"""Where each event counts (None: no order yet); elsewhere it is late or a repeat and changes nothing.

A cancelled order still takes in what arrives late: stock reserved for it after all is released, and a
payment that went through after all is refunded, without its ever leaving CANCELLED.
"""

_LINE_MOVES: Mapping[type[OrderEvent], tuple[frozenset[LineStatus], LineStatus]] = MappingProxyType(
    {
        InventoryDeducted: (frozenset({LineStatus.REQUESTED, LineStatus.REFUSED}), LineStatus.DEDUCTED),
        InventoryInsufficient: (frozenset({LineStatus.REQUESTED}), LineStatus.REFUSED),
        InventoryReleased: (frozenset(LineStatus) - {LineStatus.RELEASED}, LineStatus.RELEASED),
        InventoryReturned: (frozenset({LineStatus.DEDUCTED}), LineStatus.RETURNED),
    }
)
_OUTSTANDING = frozenset({PaymentKnown.UNKNOWN, PaymentKnown.AWAITED})
_UNREFUNDED = frozenset({PaymentKnown.AWAITED, PaymentKnown.COMPLETED})
_OWED = _UNREFUNDED | {PaymentKnown.REFUND_DELAYED}
_PAYMENT_MOVES: Mapping[type[OrderEvent], tuple[frozenset[PaymentKnown], PaymentKnown]] = MappingProxyType(
    {
        PaymentCompleted: (_OUTSTANDING, PaymentKnown.COMPLETED),
        PaymentFailed: (_OUTSTANDING, PaymentKnown.FAILED),
        PaymentRefundDelayed: (_UNREFUNDED, PaymentKnown.REFUND_DELAYED),
        PaymentRefunded: (_OWED, PaymentKnown.REFUNDED),
    }
)
_HOLDS = frozenset({LineStatus.REQUESTED, LineStatus.DEDUCTED})


def evolve(order: Order | None, event: OrderInput) -> Order | None:
    """Return the order after the event; the very same object where the event does not count."""
    if isinstance(event, Overdue):
        return order
    if order is None:
        return _open(event) if isinstance(event, OrderCreated) else None
    if order.status not in AWAITED_IN[type(event)]:
        return order
    match event:
        case InventoryDeducted() | InventoryInsufficient() | InventoryReleased() | InventoryReturned():
            after = _move_line(order, event)
        case PaymentCompleted() | PaymentFailed() | PaymentRefundDelayed() | PaymentRefunded():
            after = _move_payment(order, event)
        case OrderCancelRequested():
            after = _call_off(order)
        case OrderRefundRequested():
            after = replace(order, status=OrderStatus.REFUNDING)
        case OrderTimedOut():
            after = _time_out(order, event)
        case OrderCreated():  # awaited only where there is no order yet
            return order
        case _:
            assert_never(event)
    return order if after is order else _record(order, _advance(after), event)


def decide(order: Order) -> tuple[Message, ...]:
    """Return all that the order's status calls for, from the state alone; never fails."""
    match order.status:
        case OrderStatus.PENDING:
            asked = (line for line in order.lines if line.status is LineStatus.REQUESTED)
            return tuple(outgoing.request_inventory(order, line) for line in asked)
        case OrderStatus.INVENTORY_DEDUCTED:
            return (outgoing.request_payment(order),)
        case OrderStatus.COMPLETED:
            sales = (outgoing.request_sale(order, line) for line in order.lines)
            return (outgoing.completed(order), *sales, *outgoing.tell(order))
        case OrderStatus.CANCELLING:
            return _compensate(order, _HOLDS)
        case OrderStatus.CANCELLED:
            late = _compensate(order, frozenset({LineStatus.DEDUCTED}))
            return (outgoing.cancelled(order), *late, *outgoing.tell(order))
        case OrderStatus.REFUNDING | OrderStatus.REFUNDED:
            return (*_announce_sale(order), *_take_back(order))
        case _:
            assert_never(order.status)


def respond(before: Order | None, after: Order | None, event: OrderInput) -> tuple[Message, ...]:
    """Return what to send after an event: what became due by it, and on a repeat the same once more.

    A repeat means that what the event made due may never have been sent. The event that led into a status is
    answered with all that is due by it, and so is whoever asks from outside (customer, timer) by the one
    that led into this status; an answer of another stage with what concerns its own line or payment: to send
    more would answer each repeat with several, and those with several again.
    """
    if after is None:
        return ()
    if isinstance(event, Overdue):
        return _heed(after, event)
    due = decide(after)
    if before is None or before.status is not after.status:
        return tuple(message for message in due if message.causation_id == event.event_id)
    if before is after:
        return tuple(
            message
            for message in due
            if message.causation_id == event.event_id or _concerns(event, message, after)
        )
    sent = {message.event_id for message in decide(before)}
    return tuple(message for message in due if message.event_id not in sent)


def _heed(order: Order, finding: Overdue) -> tuple[Message, ...]:
    """Time the order out where that counts, else ask again for what it waits for; nothing if it moved on."""
    if order.entered_by != finding.entered_by or order.settled:
        return ()
    if order.status in AWAITED_IN[OrderTimedOut]:
        return (outgoing.timed_out(order, finding.at),)
    return tuple(
        message
        for message in decide(order)
        if order.status is OrderStatus.CANCELLING or message.causation_id == order.entered_by
    )


def _concerns(event: OrderEvent, message: Message, order: Order) -> bool:
    match event:
        case InventoryDeducted() | InventoryInsufficient() | InventoryReleased() | InventoryReturned():
            return isinstance(message, AboutStock) and message.sku == event.sku
        case PaymentCompleted() | PaymentFailed() | PaymentRefunded():
            return isinstance(message, RequestPayment | RequestPaymentRefund)
        case PaymentRefundDelayed():  # it asks for nothing, and would be said again to whoever asks again
            return False
        case OrderCreated() | OrderCancelRequested() | OrderRefundRequested():
            return message.causation_id == order.entered_by
        case OrderTimedOut():  # about a status that the order has left, it comes too late for anything
            return event.entered_by == order.entered_by == message.causation_id
        case _:
            assert_never(event)


def _open(event: OrderCreated) -> Order:
    return Order(
        order_id=event.order_id,
        customer_id=event.customer_id,
        currency=event.currency,
        lines=tuple(
            Line(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in event.lines
        ),
        total=event.total,
        payment_token=event.payment_token,
        correlation_id=event.correlation_id,
        created_at=event.occurred_at,
        updated_at=event.at,
        entered_at=event.at,
        entered_by=event.event_id,
        history=(_step(event, None),),
        fingerprint=event.fingerprint,
    )


def _move_line(
    order: Order, event: InventoryDeducted | InventoryInsufficient | InventoryReleased | InventoryReturned
) -> Order:
    sources, target = _LINE_MOVES[type(event)]
    lines = tuple(
        replace(line, status=target) if line.sku == event.sku and line.status in sources else line
        for line in order.lines
    )
    return order if lines == order.lines else replace(order, lines=lines)


def _move_payment(
    order: Order, event: PaymentCompleted | PaymentFailed | PaymentRefundDelayed | PaymentRefunded
) -> Order:
    sources, target = _PAYMENT_MOVES[type(event)]
    return replace(order, payment=target) if order.payment in sources else order


def _call_off(order: Order) -> Order:
    """Cancel for the customer, who is told that it is done only once it is known that no charge is left."""
    if order.status is OrderStatus.INVENTORY_DEDUCTED:
        order = replace(order, payment=PaymentKnown.AWAITED)
    return _cancel(order, CancelReason.CUSTOMER_REQUEST)


def _time_out(order: Order, event: OrderTimedOut) -> Order:
    if event.entered_by != order.entered_by:
        return order
    paying = order.status is OrderStatus.INVENTORY_DEDUCTED
    return _cancel(order, CancelReason.PAYMENT_TIMEOUT if paying else CancelReason.SAGA_TIMEOUT)


def _cancel(order: Order, reason: CancelReason) -> Order:
    return replace(order, status=OrderStatus.CANCELLING, reason=reason)


def _advance(order: Order) -> Order:
    """Follow what the order now knows into the status that it belongs in."""
    lines = {line.status for line in order.lines}
    if order.status is OrderStatus.PENDING and LineStatus.REFUSED in lines:
        order = _cancel(order, CancelReason.INVENTORY_INSUFFICIENT)
    elif order.status is OrderStatus.PENDING and lines == {LineStatus.DEDUCTED}:
        return replace(order, status=OrderStatus.INVENTORY_DEDUCTED)
    elif order.status is OrderStatus.INVENTORY_DEDUCTED and order.payment is PaymentKnown.COMPLETED:
        return replace(order, status=OrderStatus.COMPLETED)
    elif order.status is OrderStatus.INVENTORY_DEDUCTED and order.payment is PaymentKnown.FAILED:
        order = _cancel(order, CancelReason.PAYMENT_DECLINED)
    nothing_held = not lines & _HOLDS and order.payment not in _OWED
    if order.status is OrderStatus.CANCELLING and nothing_held:
        return replace(order, status=OrderStatus.CANCELLED)
    taken_back = lines == {LineStatus.RETURNED} and order.payment is PaymentKnown.REFUNDED
    if order.status is OrderStatus.REFUNDING and taken_back:
        return replace(order, status=OrderStatus.REFUNDED)
    return order


def _record(before: Order, after: Order, event: OrderEvent) -> Order:
    """Date the change, and write it into the timeline."""
    entered = before.status is not after.status
    history = (*before.history, _step(event, getattr(event, "sku", None)))
    if after.settled and entered:
        history = (*history, _last_step(after, event))
    return replace(
        after,
        version=before.version + 1,
        updated_at=max(before.updated_at, event.at),
        entered_at=event.at if entered else before.entered_at,
        entered_by=event.event_id if entered else before.entered_by,
        history=history,
    )


def _step(event: OrderEvent, about: str | None) -> Step:
    return Step(
        event_id=event.event_id,
        type=event.type,
        at=event.at,
        causation_id=event.causation_id,
        about=about,
    )


def _last_step(order: Order, event: OrderEvent) -> Step:
    ended = outgoing.ENDS[order.status]
    return Step(
        event_id=derive_id(ended.type, order.order_id),
        type=ended.type,
        at=event.at,
        causation_id=event.event_id,
        about=order.reason,
    )


def _compensate(order: Order, held: frozenset[LineStatus]) -> tuple[Message, ...]:
    releases = tuple(outgoing.request_release(order, line) for line in order.lines if line.status in held)
    refund = (outgoing.request_refund(order),) if order.payment in _OWED else ()
    return (*releases, *refund)


def _take_back(order: Order) -> tuple[Message, ...]:
    if order.status is OrderStatus.REFUNDED:
        return (outgoing.refunded(order), *outgoing.tell(order))
    sold = (line for line in order.lines if line.status is LineStatus.DEDUCTED)
    refund = (outgoing.request_refund(order),) if order.payment in _OWED else ()
    return (*(outgoing.request_return(order, line) for line in sold), *refund)


def _announce_sale(order: Order) -> tuple[Message, ...]:
    """Say of an order that is no longer COMPLETED that it was: a crash may have kept it from saying so.

    No sale is asked for any more: what is taken back is so whether it was counted as sold or not.
    """
    end = next(step for step in order.history if step.type == OrderCompleted.type)
    sold = replace(order, status=OrderStatus.COMPLETED, entered_at=end.at, entered_by=end.causation_id)
    return (outgoing.completed(sold), *outgoing.tell(sold))
