"""`/inventory`: what there is of each SKU, and more of it."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson
import uuid_utils
from aiohttp import web
from yarl import URL

from models.events import InventoryRestocked
from models.messages import derive_id
from models.stock import StockItem
from tables import queries
from web.accepting import accept
from web.answers import accepted, json_answer
from web.forwarding import ask_all, forward, is_forwarded, moving
from web.problems import Problem
from web.requests import InventoryQuery, NoQuery, Restock, read_body, read_query
from web.routes import get, post

_SKU = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@get("/inventory", stage="inventory")
async def list_stock(request: web.Request) -> web.StreamResponse:
    """Answer with a page of SKUs by name, gathered from every worker."""
    query = read_query(request, InventoryQuery)
    if not queries.is_ready():
        raise moving(queries.Moving("partitions are being assigned or recovered"))
    items = [_shown(item) for item in queries.find_items(query.cursor, query.limit)]
    if not is_forwarded(request):
        path = URL("/inventory").with_query(cursor=query.cursor, limit=query.limit)
        for body in await ask_all(queries.item_workers(), str(path)):
            items += orjson.loads(body)["items"]
    page = sorted(items, key=lambda item: item["sku"])[: query.limit]
    cursor = page[-1]["sku"] if len(page) == query.limit else None
    return json_answer({"items": page, "cursor": cursor})


@get("/inventory/{sku}", stage="inventory")
async def show_stock(request: web.Request) -> web.StreamResponse:
    """Answer with the SKU's counters."""
    read_query(request, NoQuery)
    sku = request.match_info["sku"]
    try:
        owner = queries.item_owner(sku)
        if owner is not None:
            return await forward(request, owner)
        item = queries.find_item(sku)
    except (queries.Moving, queries.NotHere) as error:
        raise moving(error) from error
    if item is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"SKU {sku!r} was never stocked")
    return json_answer(_shown(item))


@post("/inventory/{sku}/restock", stage="inventory")
async def restock(request: web.Request) -> web.StreamResponse:
    """Accept a restock: 202 once Kafka has it."""
    sku = request.match_info["sku"]
    if not _SKU.fullmatch(sku):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{sku!r} is no SKU: 1 to 64 of A-Z a-z 0-9 . _ : -",
            errors=[{"loc": ["path", "sku"], "msg": f"expected {_SKU.pattern}", "type": "string_pattern"}],
        )
    read_query(request, NoQuery)
    wish = await read_body(request, Restock)
    event = _restocked(sku, wish.quantity)
    await accept(event, restock_id=event.event_id)
    answer = {"restock_id": event.event_id, "sku": sku, "quantity": wish.quantity}
    return accepted(request, answer, f"/inventory/{sku}")


def _restocked(sku: str, quantity: int) -> InventoryRestocked:
    event_id = derive_id(InventoryRestocked.type, sku, str(uuid_utils.uuid7()))
    return InventoryRestocked(
        event_id=event_id,
        occurred_at=datetime.now(UTC),
        correlation_id=event_id,
        causation_id=event_id,
        sku=sku,
        quantity=quantity,
    )


def _shown(item: StockItem) -> dict[str, Any]:
    return {
        "sku": item.sku,
        "available": item.available,
        "reserved": item.reserved,
        "sold": item.sold,
        "restocked": item.restocked,
    }
