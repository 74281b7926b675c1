"""What the demo's customers make of answers other than 202."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.demo.customers import Customers
from app.errors import Failure

ACCEPTED = {"order_id": "order-1"}
SETTLED = {
    "order_id": "order-1",
    "status": "COMPLETED",
    "reason": None,
    "items": [{"sku": "kettle", "quantity": 1}],
}


@asynccontextmanager
async def customers_of(statuses: Iterator[int]) -> AsyncIterator[tuple[Customers, Callable[[], int]]]:
    """Give customers of a worker that answers orders so, and how often it was asked."""
    asked = 0

    async def place(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response(ACCEPTED, status=next(statuses), headers={"Retry-After": "0"})

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(SETTLED)

    app = web.Application()
    app.add_routes([web.post("/orders", place), web.get("/orders/order-1", show)])
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Customers(session, (str(server.make_url("")).rstrip("/"),)), lambda: asked


async def test_what_is_too_much_for_now_is_ordered_again() -> None:
    async with customers_of(iter((429, 429, 202))) as (customers, asked):
        assert [outcome.order_id async for outcome in customers.buy_all(1)] == ["order-1"]
        assert asked() == 3


@pytest.mark.parametrize("status", [400, 503])
async def test_what_may_have_been_taken_in_is_not_ordered_again(status: int) -> None:
    async with customers_of(iter((status,))) as (customers, asked):
        with pytest.raises(Failure, match=f"POST /orders was answered {status}"):
            assert [outcome async for outcome in customers.buy_all(1)] == []
        assert asked() == 1
