"""`/inventory`: what there is of each SKU."""

from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from yarl import URL

from models.stock import StockItem
from tables import queries
from web.answers import json_answer
from web.forwarding import ask_all, forward, is_forwarded, moving
from web.problems import Problem
from web.requests import InventoryQuery, NoQuery, read_query
from web.routes import get


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


def _shown(item: StockItem) -> dict[str, Any]:
    return {
        "sku": item.sku,
        "available": item.available,
        "reserved": item.reserved,
        "sold": item.sold,
        "restocked": item.restocked,
    }
