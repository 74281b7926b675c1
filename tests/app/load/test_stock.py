from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.errors import LoadRefused
from app.load.stock import restock
from tests.e2e.system import HOST, free_port


class Warehouse:
    """Take goods in as a worker does: they are seen a few questions after they were accepted."""

    def __init__(self) -> None:
        self.stock = Counter[str]()
        self.coming = Counter[str]()
        self.questions = 0

    async def show(self, request: web.Request) -> web.Response:
        """Answer with what is there; now and then nobody can tell."""
        sku = request.match_info["sku"]
        self.questions += 1
        if self.questions % 3 == 1:
            return web.json_response({}, status=503)
        seen = self.stock[sku]
        self.stock[sku] += self.coming.pop(sku, 0)
        return web.json_response({"restocked": seen}, status=200 if seen else 404)

    async def take(self, request: web.Request) -> web.Response:
        """Accept goods."""
        self.coming[request.match_info["sku"]] += (await request.json())["quantity"]
        return web.json_response({}, status=202)


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse()


@pytest.fixture
async def url(warehouse: Warehouse) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/inventory/{sku}", warehouse.show)
    app.router.add_post("/inventory/{sku}/restock", warehouse.take)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_every_sku_is_restocked_and_seen(warehouse: Warehouse, url: str) -> None:
    warehouse.stock["b"] = 5
    await restock(url, ["a", "b", "c"], 10)
    assert warehouse.stock == {"a": 10, "b": 15, "c": 10}
    assert not warehouse.coming


async def test_a_refusal_ends_the_load_with_what_the_worker_says() -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"detail": "no room"}, status=422)

    app = web.Application()
    app.router.add_post("/inventory/a/restock", refuse)
    async with TestServer(app) as server:
        with pytest.raises(LoadRefused, match=r"answered 422: .*no room"):
            await restock(str(server.make_url("")).rstrip("/"), ["a"], 10)


async def test_where_nobody_listens_is_said() -> None:
    url = f"http://{HOST}:{free_port()}"
    with pytest.raises(LoadRefused, match=f"{url} can't be restocked"):
        await restock(url, ["a"], 10)
