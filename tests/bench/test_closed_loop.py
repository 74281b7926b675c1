"""The closed loop: what wrk's script prints, and the loop that stands in for wrk."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.errors import Failure
from bench.closed_loop import Loop, of_wrk
from bench.orders import SKUS, sku

PRINTED = """Running 1s test
{"duration_us":2000000,"requests":100,"refused":10,"failed":1,"p50_us":1500,"p99_us":9000}
"""


def test_what_wrk_prints_is_read() -> None:
    found = of_wrk(PRINTED)
    assert (found.client, found.seconds, found.accepted, found.refused) == ("wrk", 2.0, 90, 11)
    assert (found.p50_ms, found.p99_ms) == (1.5, 9.0)


@contextlib.asynccontextmanager
async def server(statuses: list[int], seen: list[str]) -> AsyncIterator[str]:
    """Serve POST /orders with these statuses in turn, then 202, and note the SKUs."""

    async def answer(request: web.Request) -> web.Response:
        seen.append((await request.json())["items"][0]["sku"])
        return web.json_response({}, status=statuses.pop() if statuses else 202)

    app = web.Application()
    app.add_routes([web.post("/orders", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_loop_goes_on_until_its_time_is_over_and_counts_refusals() -> None:
    seen: list[str] = []
    async with server([503, 429], seen) as url:
        found = await Loop(url).run(connections=2, seconds=0.2)
        await asyncio.sleep(0)
    assert found.refused == 2
    assert 0 < found.accepted <= len(seen) - 2
    assert set(seen) <= {sku(number) for number in range(SKUS)}


async def test_a_loop_without_anybody_to_talk_to_fails() -> None:
    with pytest.raises(Failure, match="nobody answers"):
        await Loop("http://127.0.0.1:9").run(connections=1, seconds=0.1)
