"""`/orders/{order_id}`: see what became of an order."""

from heapq import merge
from http import HTTPStatus
from itertools import pairwise
from operator import itemgetter
from typing import Any

from aiohttp import web

from app.settings import current
from models.history import as_of
from models.order import Order, Step
from tables import queries
from web.answers import json_answer
from web.forwarding import forward, moving
from web.problems import Problem, later
from web.requests import NoQuery, OrderQuery, read_query
from web.routes import get

_settings = current().web

DEAD_LETTER = "DEAD_LETTER"
"""The type of a step that was none: a record about the order could not be processed."""


@get("/orders/{order_id}", stage="orders")
async def show_order(request: web.Request) -> web.StreamResponse:
    """Answer with the order; with `?wait=` as soon as it is settled, with `?as_of=` as it stood then."""
    query = read_query(request, OrderQuery)
    found = await find(request, 0 if query.as_of else query.wait)
    if isinstance(found, web.Response):
        return found
    order = found if query.as_of is None else as_of(found, query.as_of)
    if order is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"there was no order {found.order_id!r} at {query.as_of}: it came later"
        )
    return json_answer(_shown(order))


@get("/orders/{order_id}/events", stage="orders")
async def show_timeline(request: web.Request) -> web.StreamResponse:
    """Answer with the order's timeline, oldest first."""
    read_query(request, NoQuery)
    found = await _look_up(request, wait_s=0)
    if isinstance(found, web.Response):
        return found
    order_id = request.match_info["order_id"]
    letters = _letters(order_id)
    if found is None and not letters:
        raise _unknown(order_id)
    return json_answer(_timeline(order_id, found, letters))


async def find(request: web.Request, wait_s: float, patience_s: float = 0) -> Order | web.Response:
    """Return the order, once it is settled or `wait_s` are over, or the answer of the worker that has it.

    `patience_s` is what the other worker's answer may take on top of finding the order.

    Raises:
        Problem: 404 where there is no such order, 503 while nobody can tell.
    """
    found = await _look_up(request, wait_s, patience_s)
    if found is None:
        raise _unknown(request.match_info["order_id"])
    return found


async def _look_up(request: web.Request, wait_s: float, patience_s: float = 0) -> Order | web.Response | None:
    """Return the order, None where there is none, or the answer of the worker that has it.

    Raises:
        Problem: 503 while nobody can tell.
    """
    order_id = request.match_info["order_id"]
    try:
        owner = queries.order_owner(order_id)
        if owner is not None:
            patience_s += wait_s + _settings.appear_timeout_ms / 1000
            return await forward(request, owner, patience_s)
        order = await _appeared(order_id)
        if order is None:
            return None
        waited = await queries.order_when(order_id, lambda known: bool(known and known.settled), wait_s)
    except (queries.Moving, queries.NotHere) as error:
        raise moving(error) from error
    return waited or order


async def _appeared(order_id: str) -> Order | None:
    """Return the order; one that has just been accepted may still be on its way into the table."""
    on_its_way = queries.may_appear(order_id)
    patience_s = _settings.appear_timeout_ms / 1000 if on_its_way else 0
    return await queries.order_when(order_id, lambda known: known is not None, patience_s)


def _unknown(order_id: str) -> Problem:
    if queries.may_appear(order_id) and queries.orders_lag(order_id):
        return later(
            "accepted orders are still being taken in, this one may be among them", _settings.retry_after_s
        )
    return Problem(HTTPStatus.NOT_FOUND, f"there is no order {order_id!r}")


def _shown(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "status": order.status,
        "reason": order.reason,
        "items": [
            {"sku": line.sku, "quantity": line.quantity, "unit_price": line.unit_price}
            for line in order.lines
        ],
        "currency": order.currency,
        "total": order.total,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "version": order.version,
    }


def _letters(order_id: str) -> list[queries.Buried]:
    try:
        return queries.find_letters(order_id)
    except queries.NotHere as error:
        raise moving(error) from error


def _timeline(order_id: str, order: Order | None, letters: list[queries.Buried]) -> dict[str, Any]:
    history = order.history if order else ()
    steps = [*merge(map(_shown_step, history), map(_shown_letter, letters), key=itemgetter("at"))]
    for before, step in pairwise([steps[0], *steps]):
        step["since_previous_ms"] = round((step["at"] - before["at"]).total_seconds() * 1000)
    return {"order_id": order_id, "events": steps}


def _shown_step(step: Step) -> dict[str, Any]:
    return {
        "event_id": step.event_id,
        "type": step.type,
        "about": step.about,
        "at": step.at,
        "causation_id": step.causation_id,
    }


def _shown_letter(letter: queries.Buried) -> dict[str, Any]:
    """Return what a customer may know of a letter: what was wrong with it is the operator's."""
    return {
        "event_id": letter.place,
        "type": DEAD_LETTER,
        "about": letter.topic,
        "at": letter.at,
        "causation_id": None,
    }
