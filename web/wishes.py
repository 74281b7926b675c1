"""`/orders/{order_id}/cancel` and `/refund`: what a customer may still wish of an order.

The order's stage alone decides. The status that the order is seen in only says what there is no sense in
asking for. The answer waits briefly for what the stage makes of the wish: until then, a customer who looks
sees the order as it was before.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

import uuid_utils
from aiohttp import web

from app.settings import current
from models.events import OrderCancelRequested, OrderRefundRequested
from models.messages import AboutOrder, Envelope, derive_id
from models.order import Order, OrderStatus
from models.saga import AWAITED_IN
from tables import queries
from web.accepting import accept
from web.answers import accepted
from web.orders import find
from web.problems import Problem
from web.requests import NoQuery, read_no_body, read_query
from web.routes import post

_settings = current().web


class Wish(NamedTuple):
    """Be what a customer may ask: the event, where it counts, where it is granted, what to say elsewhere."""

    event: Callable[[str], AboutOrder]
    counts_in: frozenset[OrderStatus | None]
    granted_in: frozenset[OrderStatus]
    refusal: str


def _cancel_requested(order_id: str) -> OrderCancelRequested:
    return OrderCancelRequested(**_envelope(OrderCancelRequested.type, order_id), order_id=order_id)


CANCEL = Wish(
    _cancel_requested,
    AWAITED_IN[OrderCancelRequested],
    frozenset({OrderStatus.CANCELLING, OrderStatus.CANCELLED}),
    "only an order that is not completed yet can be cancelled",
)


def _refund_requested(order_id: str) -> OrderRefundRequested:
    return OrderRefundRequested(**_envelope(OrderRefundRequested.type, order_id), order_id=order_id)


REFUND = Wish(
    _refund_requested,
    AWAITED_IN[OrderRefundRequested],
    frozenset({OrderStatus.REFUNDING, OrderStatus.REFUNDED}),
    "only a completed order can be refunded",
)


@post("/orders/{order_id}/cancel", stage="orders")
async def cancel_order(request: web.Request) -> web.StreamResponse:
    """Accept the wish to cancel: 202 once Kafka has it, or where the order is being cancelled already."""
    return await _ask(request, CANCEL)


@post("/orders/{order_id}/refund", stage="orders")
async def refund_order(request: web.Request) -> web.StreamResponse:
    """Accept the wish for a refund: 202 once Kafka has it, or where the order is being refunded already."""
    return await _ask(request, REFUND)


async def _ask(request: web.Request, wish: Wish) -> web.StreamResponse:
    """Return the answer to the wish, or that of the worker that has the order.

    Raises:
        Problem: 404 where there is no such order, 409 where the wish is too late, 503 while nobody can tell.
    """
    read_query(request, NoQuery)
    await read_no_body(request)
    patience_s = (_settings.accept_timeout_ms + _settings.appear_timeout_ms) / 1000
    order = await find(request, wait_s=0, patience_s=patience_s)
    if not isinstance(order, Order):
        return order
    if order.status in wish.counts_in:
        await accept(wish.event(order.order_id), order_id=order.order_id)
        order = await _heard(wish, order)
    elif order.status not in wish.granted_in:
        raise _refused(wish, order)
    answer = {"order_id": order.order_id, "status": order.status}
    return accepted(request, answer, f"/orders/{order.order_id}")


async def _heard(wish: Wish, order: Order) -> Order:
    """Return the order once its stage has taken in the wish, or as it was when patience ended.

    Raises:
        Problem: 409 where something else was first, after which the wish means nothing.
    """
    patience_s = _settings.appear_timeout_ms / 1000
    try:
        after = await queries.order_when(
            order.order_id, lambda known: known is not None and known.status not in wish.counts_in, patience_s
        )
    except queries.NotHere:  # another worker has it now, and the wish with it
        return order
    if after is None or after.status in wish.counts_in:
        return order
    if after.status not in wish.granted_in:
        raise _refused(wish, after)
    return after


def _refused(wish: Wish, order: Order) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, f"the order is {order.status}: {wish.refusal}", order_id=order.order_id
    )


def _envelope(wire_name: str, order_id: str) -> Envelope:
    event_id = derive_id(wire_name, order_id, str(uuid_utils.uuid7()))
    return {
        "event_id": event_id,
        "occurred_at": datetime.now(UTC),
        "correlation_id": order_id,
        "causation_id": event_id,
    }
