"""A worker that is paused for longer than its session, and goes on: it must not write what is another's."""

import asyncio
import signal

import aiohttp

from app.processes import Command
from tests.e2e.shop import Shop, item, order, until
from tests.e2e.system import SHORT_SESSION, System
from tests.e2e.test_workers import all_of, assert_all_settle, bodies, owners_of, restocked

STOCK = 200
END_S = 60


async def has_ended_or_is_ready(shop: Shop, paused: Command) -> bool:
    """Tell whether the paused worker has found out, one way or the other."""
    if paused.exit_code is not None:
        return True
    try:
        return (await shop.get("/health/ready"))[0] == 200
    except aiohttp.ClientError:
        return False


async def test_a_worker_that_goes_on_after_its_session_changes_nothing_that_is_anothers(
    system: System, session: aiohttp.ClientSession, shop: Shop
) -> None:
    second, url = await system.worker(environment=SHORT_SESSION)
    await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
    skus = await restocked(shop, 8, STOCK)
    placed = [await all_of([shop.place(body) for body in bodies(skus, 300)])]
    second.signal(signal.SIGSTOP)
    mine = [order_id for order_id in placed[0] if not await is_settled(shop, order_id)]
    assert mine, "void: nothing was in the paused worker's hands"

    paths = [f"/orders/{order_id}" for order_id in placed[0]]
    await until(lambda: owners_of(session, paths[0], (shop.url,)), bool)
    for path in paths:  # the other worker has all of it now
        await until(lambda path=path: owners_of(session, path, (shop.url,)), bool)  # type: ignore[misc]
    placed.append(await all_of([shop.place(order(item(sku))) for sku in skus * 20]))
    second.signal(signal.SIGCONT)
    placed.append(await all_of([shop.place(order(item(sku))) for sku in skus * 20]))

    other = Shop(session, url)
    async with asyncio.timeout(END_S):
        await until(lambda: has_ended_or_is_ready(other, second), bool)
    await assert_all_settle(shop, [one for group in placed for one in group], skus, 8 * STOCK)
    assert await asyncio.to_thread(second.stop) in {0, 70}
    bought = await all_of([shop.buy(order(item(sku))) for sku in skus * 4])
    assert {one["status"] for one in bought} == {"COMPLETED"}, "its partitions have their owner again"


async def is_settled(shop: Shop, order_id: str) -> bool:
    """Tell whether the order is known to be settled; no answer is no."""
    try:
        async with asyncio.timeout(0.5):
            status, known = await shop.get(f"/orders/{order_id}")
    except TimeoutError:
        return False
    return status == 200 and known["status"] in {"COMPLETED", "CANCELLED"}
