"""More orders than a worker can work on: refused with 429 before they are too late, and none is lost."""

import asyncio
import time

import aiohttp

from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System
from tests.faults.judging import Judge
from tests.faults.trial import Trial

STOCK = 100_000
WAVES = 400
WAVE = 25


async def test_orders_that_would_be_late_are_refused_and_the_others_settle(
    trial: Trial, patient: System, session: aiohttp.ClientSession, port: int
) -> None:
    worker, url = await patient.worker(port, {"ORDERS_WEB__MAX_LAG_MS": "50"})
    shop, sku = Shop(session, url), new_sku()
    judge = Judge(trial, patient, {sku: STOCK})
    await shop.restock(sku, STOCK)
    accepted: list[str] = []
    refused: list[tuple[str, str]] = []

    async def place() -> None:
        async with session.post(f"{url}/orders", json=order(item(sku))) as answer:
            document = await answer.json(content_type=None)
            if answer.status == 202:
                accepted.append(document["order_id"])
            else:
                assert answer.status == 429, document
                refused.append((answer.headers["Retry-After"], document["detail"]))

    for _ in range(WAVES):
        await asyncio.gather(*(place() for _ in range(WAVE)))
        if refused and accepted:  # on a busy machine the restock may be late already
            break
    at_ms = time.time() * 1000
    assert refused, "void: the worker was never late"
    assert accepted, "void: the worker was late the whole time"
    assert refused[0][0] == "1"
    assert "late" in refused[0][1]
    trial.hit(await asyncio.to_thread(judge.in_flight, at_ms))
    await until(lambda: judge.accepted(shop, order(item(sku))), bool)
    orders = await judge.all_is_well(shop)
    assert {one["order_id"] for one in orders} > {*accepted}
    assert {one["status"] for one in orders} == {"COMPLETED"}
    assert await asyncio.to_thread(worker.stop) == 0
