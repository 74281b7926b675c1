"""`POST /inventory/{sku}/restock`: more of a SKU, with an idempotency key or without."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import uuid_utils
from aiohttp import web
from yarl import URL

from app.settings import current
from models.events import InventoryRestocked
from models.idempotency import Key, fingerprint
from models.messages import derive_id
from models.stock import Hold
from tables import queries
from web.accepting import accept
from web.answers import accepted
from web.keyed import First
from web.keys import read_key
from web.once import respond
from web.problems import Problem
from web.requests import NoQuery, Restock, read_body, read_query
from web.routes import post

_settings = current().web
_SKU = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@post("/inventory/{sku}/restock", stage="inventory")
async def restock(request: web.Request) -> web.StreamResponse:
    """Accept a restock: 202 once Kafka has it."""
    sku = _read_sku(request)
    read_query(request, NoQuery)
    key = read_key(request, f"POST /inventory/{sku}/restock")
    wish = await read_body(request, Restock)
    if key is not None:
        return await respond(request, KeyedRestock(key, sku, wish))
    restock_id = derive_id(InventoryRestocked.type, sku, str(uuid_utils.uuid7()))
    await accept(_restocked(restock_id, sku, wish.quantity, datetime.now(UTC)), restock_id=restock_id)
    return accepted(request, _answer(restock_id, sku, wish.quantity), f"/inventory/{sku}")


class KeyedRestock:
    """Be a restock that is to be made once, whose home is its SKU's."""

    id_name = "restock_id"

    def __init__(self, key: Key, sku: str, wish: Restock) -> None:
        self.key = key
        self.body = wish.model_dump_json().encode()
        self.fingerprint = _fingerprint(wish.quantity)
        self._sku = sku
        self._quantity = wish.quantity

    def owner(self) -> URL | None:
        """Return the worker that keeps the SKU; None where it is this one."""
        return queries.item_owner(self._sku)

    async def hold(self) -> queries.Tenure:
        """Return under which assignment this worker speaks for the SKU."""
        return await queries.hold_item(self._sku)

    def fits(self, name: str) -> bool:
        """Tell that any id will do: the SKU says where a restock is at home."""
        return bool(name)

    def find(self, name: str) -> First | None:
        """Return the restock that was made under this id."""
        return _first(queries.find_restock(self._sku, name))

    async def appeared(self, name: str) -> First | None:
        """Return the restock that was made under this id, once the table has it."""
        patience_s = _settings.appear_timeout_ms / 1000
        return _first(await queries.restock_when(self._sku, name, lambda hold: hold is not None, patience_s))

    def location(self, first: First) -> str:
        """Return where the SKU is."""
        del first
        return f"/inventory/{self._sku}"

    def begin(self, name: str, at: datetime) -> First:
        """Return the restock that is made now."""
        return First(name, self.fingerprint, at, _answer(name, self._sku, self._quantity))

    def message(self, first: First) -> InventoryRestocked:
        """Return the news of the restock."""
        return _restocked(first.id, self._sku, self._quantity, first.at)


def _read_sku(request: web.Request) -> str:
    sku = request.match_info["sku"]
    if not _SKU.fullmatch(sku):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{sku!r} is no SKU: 1 to 64 of A-Z a-z 0-9 . _ : -",
            errors=[{"loc": ["path", "sku"], "msg": f"expected {_SKU.pattern}", "type": "string_pattern"}],
        )
    return sku


def _first(hold: Hold | None) -> First | None:
    if hold is None:
        return None
    answer = _answer(hold.holder, hold.sku, hold.quantity)
    return First(hold.holder, _fingerprint(hold.quantity), hold.at, answer)


def _fingerprint(quantity: int) -> str:
    """Return what tells restocks of a SKU apart: there is nothing else to them."""
    return fingerprint(str(quantity).encode())


def _answer(restock_id: str, sku: str, quantity: int) -> dict[str, Any]:
    return {"restock_id": restock_id, "sku": sku, "quantity": quantity}


def _restocked(event_id: str, sku: str, quantity: int, at: datetime) -> InventoryRestocked:
    return InventoryRestocked(
        event_id=event_id,
        occurred_at=at,
        correlation_id=event_id,
        causation_id=event_id,
        sku=sku,
        quantity=quantity,
    )
