import asyncio
import signal
from collections import Counter
from functools import partial
from typing import Any

import aiohttp

from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import SHORT_SESSION, System

AT_A_TIME = 50
HOP = {"Orders-Hop": "1"}


async def all_of(coroutines: list[Any]) -> list[Any]:
    """Run them some at a time, as a browser's visitors would come."""
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(coroutine: Any) -> Any:
        async with gate:
            return await coroutine

    return list(await asyncio.gather(*(one(coroutine) for coroutine in coroutines)))


async def restocked(shop: Shop, count: int, quantity: int) -> list[str]:
    """Return new SKUs with stock."""
    skus = [new_sku() for _ in range(count)]
    await all_of([shop.restock(sku, quantity) for sku in skus])
    return skus


def bodies(skus: list[str], count: int) -> list[Document]:
    """Return orders of which some are declined and some slow, the last ones slow for sure."""
    tokens = ("tok_ok", "tok_ok", "tok_slow", "tok_ok", "tok_declined")
    mixed = [tokens[number % 5] for number in range(count - 20)] + ["tok_slow"] * 20
    return [order(item(skus[number % len(skus)]), token=token) for number, token in enumerate(mixed)]


async def assert_all_settle(shop: Shop, order_ids: list[str], skus: list[str], stock: int) -> None:
    """Check that each order is settled, and that the stock has moved as the orders say."""
    settled = await all_of([shop.settled(order_id) for order_id in order_ids])
    outcomes = Counter(one["status"] for one in settled)
    counters = await all_of([shop.counters(sku) for sku in skus])
    assert sum(sold for _, _, sold in counters) == outcomes["COMPLETED"]
    assert sum(available for available, _, _ in counters) == stock - outcomes["COMPLETED"]
    assert all(available >= 0 for available, _, _ in counters)


async def assert_in_flight(shop: Shop, order_id: str) -> None:
    """Check that there is work in hand: a fault that hits nothing proves nothing."""
    _, known = await shop.get(f"/orders/{order_id}")
    assert known["status"] not in {"COMPLETED", "CANCELLED"}


async def test_a_worker_killed_amid_a_thousand_orders_settles_them_all_once_it_is_back(
    system: System, worker: str, shop: Shop
) -> None:
    skus = await restocked(shop, 10, 90)
    order_ids = await all_of([shop.place(body) for body in bodies(skus, 1_000)])
    await assert_in_flight(shop, order_ids[-1])
    await system.restart(worker, signal.SIGKILL)
    await assert_all_settle(shop, order_ids, skus, 900)


async def test_a_worker_restarted_amid_orders_settles_them_all(
    system: System, worker: str, shop: Shop
) -> None:
    skus = await restocked(shop, 4, 50)
    order_ids = await all_of([shop.place(body) for body in bodies(skus, 200)])
    await assert_in_flight(shop, order_ids[-1])
    await system.restart(worker, signal.SIGTERM)
    await assert_all_settle(shop, order_ids, skus, 200)


async def test_two_workers_answer_alike_for_what_either_owns(
    system: System, session: aiohttp.ClientSession, shop: Shop
) -> None:
    second, url = await system.worker(environment=SHORT_SESSION)
    other = Shop(session, url)
    await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
    skus = await restocked(shop, 8, 10)
    order_ids = await all_of([shop.place(order(item(sku))) for sku in skus * 4])
    await assert_all_settle(other, order_ids, skus, 80)

    paths = [f"/orders/{order_id}" for order_id in order_ids] + [f"/inventory/{sku}" for sku in skus]
    for path in (*paths, "/inventory?limit=1000"):
        assert await shop.get(path) == await other.get(path)
    owners = [await owners_of(session, path, (shop.url, url)) for path in paths]
    assert all(len(owner) == 1 for owner in owners)
    assert {owner[0] for owner in owners} == {shop.url, url}, "one worker owned it all: nothing was forwarded"

    assert await asyncio.to_thread(second.stop) == 0
    await all_here(shop, paths)
    assert (await shop.buy(order(item(skus[0]))))["status"] == "COMPLETED"


async def all_here(shop: Shop, paths: list[str]) -> None:
    """Wait until the one worker that is left answers for everything, also to the tests that follow."""
    for path in paths:
        await until(partial(shop.get, path), lambda answer: answer[0] == 200)


async def owners_of(session: aiohttp.ClientSession, path: str, urls: tuple[str, ...]) -> list[str]:
    """Return the workers that answer for themselves; one that does not own the key says so."""
    owners = []
    for url in urls:
        async with session.get(f"{url}{path}", headers=HOP) as answer:
            if answer.status == 200:
                owners.append(url)
            else:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    return owners
