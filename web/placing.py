"""`POST /orders`: place an order, with an idempotency key or without."""

from datetime import UTC, datetime
from typing import Any

import uuid_utils
from aiohttp import web
from msgspec import UNSET, UnsetType
from yarl import URL

from app.settings import current
from models.events import OrderCreated, OrderLine
from models.idempotency import Key, fingerprint
from models.messages import derive_id
from models.order import Order
from tables import queries
from web.accepting import accept
from web.answers import accepted
from web.keyed import First
from web.keys import read_key
from web.lateness import behind_s
from web.once import respond
from web.problems import too_much
from web.requests import NoQuery, PlaceOrder, read_body, read_query
from web.routes import post, require_here

_settings = current().web

SCOPE = "POST /orders"


@post("/orders")
async def place_order(request: web.Request) -> web.StreamResponse:
    """Accept an order: 202 once Kafka has it."""
    read_query(request, NoQuery)
    key = read_key(request, SCOPE)
    if key is not None:
        require_here("orders")  # its table knows what was made with the key
        return await respond(request, KeyedOrder(key, await read_body(request, PlaceOrder)))
    _require_room()
    wish = await read_body(request, PlaceOrder)
    order_id = str(uuid_utils.uuid7())
    created_at = datetime.now(UTC)
    await accept(_created(wish, order_id, created_at), order_id=order_id)
    return accepted(request, _answer(order_id, created_at), f"/orders/{order_id}")


class KeyedOrder:
    """Be an order that is to be placed once, whose home is its key's."""

    id_name = "order_id"

    def __init__(self, key: Key, wish: PlaceOrder) -> None:
        self.key = key
        self.body = wish.model_dump_json().encode()
        self.fingerprint = fingerprint(self.body)
        self._wish = wish
        self._name = key.name
        self._home = queries.partition_of(self._name)

    def owner(self) -> URL | None:
        """Return the worker that has the key; None where it is this one."""
        return queries.order_owner(self._name)

    async def hold(self) -> queries.Tenure:
        """Return under which assignment this worker speaks for the key."""
        return await queries.hold_orders(self._name)

    def fits(self, name: str) -> bool:
        """Tell whether an order of this id is at home with the key."""
        return queries.partition_of(name) == self._home

    @staticmethod
    def find(name: str) -> First | None:
        """Return the order that was placed under this id; whoever keeps this does not keep the wish."""
        return _first(queries.find_order(name))

    async def appeared(self, name: str) -> First | None:
        """Return the order that was placed under this id, once the table has it."""
        patience_s = _settings.appear_timeout_ms / 1000
        return _first(await queries.order_when(name, lambda order: order is not None, patience_s))

    def location(self, first: First) -> str:
        """Return where the order is."""
        return f"/orders/{first.id}"

    def begin(self, name: str, at: datetime) -> First:
        """Return the order that is placed now, where there is room for one."""
        _require_room()
        return First(name, self.fingerprint, at, _answer(name, at))

    def message(self, first: First) -> OrderCreated:
        """Return the news of the order."""
        return _created(self._wish, first.id, first.at, self.fingerprint)


def _first(order: Order | None) -> First | None:
    if order is None:
        return None
    return First(
        order.order_id,
        order.fingerprint or None,
        order.created_at,
        _answer(order.order_id, order.created_at),
    )


def _answer(order_id: str, created_at: datetime) -> dict[str, Any]:
    return {"order_id": order_id, "status": "PENDING", "created_at": created_at}


def _require_room() -> None:
    """Refuse an order that would have to wait for longer than customers should.

    Raises:
        Problem: 429 while orders are too late.
    """
    late_s = behind_s()
    if late_s * 1000 > _settings.max_lag_ms:
        raise too_much(
            f"orders are being worked on {late_s:.0f} s late: no more are accepted until that is less",
            _settings.retry_after_s,
        )


def _created(
    wish: PlaceOrder, order_id: str, created_at: datetime, wished: str | UnsetType = UNSET
) -> OrderCreated:
    lines = tuple(
        OrderLine(sku=item.sku, quantity=item.quantity, unit_price=item.unit_price) for item in wish.items
    )
    # Two workers may send the news of one keyed order: no two events with one id, and only the first counts.
    attempt = (wished, created_at.isoformat()) if wished else ()
    event_id = derive_id(OrderCreated.type, order_id, *attempt)
    return OrderCreated(
        event_id=event_id,
        occurred_at=created_at,
        correlation_id=order_id,
        causation_id=event_id,
        order_id=order_id,
        customer_id=wish.customer_id,
        currency=str(wish.currency),
        lines=lines,
        total=sum(line.quantity * line.unit_price for line in lines),
        payment_token=wish.payment.token,
        fingerprint=wished,
    )
