"""Idempotency keys with two workers: whichever is asked, and whichever of them dies."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from itertools import cycle
from uuid import uuid4

import aiohttp
import pytest

from app.processes import Command
from tests.e2e.shop import Answer, Shop, item, new_sku, order, until
from tests.e2e.system import SHORT_SESSION, System
from tests.e2e.test_workers import all_here, all_of, owners_of

KEYS = 24
AT_ONCE = 50
IN_FLIGHT = 200


@pytest.fixture
async def second(
    system: System, session: aiohttp.ClientSession, shop: Shop
) -> AsyncIterator[tuple[Command, Shop]]:
    """Give another worker, and have the first own everything again in the end."""
    command, url = await system.worker(environment=SHORT_SESSION)
    await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
    yield command, Shop(session, url)
    await asyncio.to_thread(system.workers[command_port(url)].stop)
    await all_here(shop, [f"/inventory/{sku}" for sku in await stocked(shop)])


def command_port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def stocked(shop: Shop) -> list[str]:
    """Return SKUs whose homes are all over the partitions, in stock."""
    skus = [new_sku() for _ in range(KEYS)]
    await all_of([answered(shop, f"/inventory/{sku}/restock", {"quantity": 100}, sku) for sku in skus])
    return skus


LATER = {429, 503}
"""What says: not now, ask again."""


async def answered(shop: Shop, path: str, body: object, key: str) -> Answer:
    """Ask with the key until there is an answer."""

    async def ask() -> Answer:
        try:
            return await shop.post_once(path, body, key)
        except aiohttp.ClientError as error:
            return Answer(503, str(error).encode(), replayed=False)

    found: Answer = await until(ask, lambda answer: answer.status not in LATER)
    return found


async def test_a_key_is_answered_alike_by_whichever_worker_is_asked(
    shop: Shop, session: aiohttp.ClientSession, second: tuple[Command, Shop]
) -> None:
    _, other = second
    skus = await stocked(shop)
    asked = [
        *(("/orders", order(item(sku)), order(item(sku), customer="another")) for sku in skus),
        *((f"/inventory/{sku}/restock", {"quantity": 5}, {"quantity": 6}) for sku in skus),
    ]
    places: list[str] = []
    for (path, body, another), shops in zip(asked, cycle([(shop, other), (other, shop)]), strict=False):
        key = str(uuid4())
        first = await answered(shops[0], path, body, key)
        assert (first.status, first.replayed) == (202, False)
        again = await answered(shops[1], path, body, key)
        assert (again.status, again.raw, again.replayed) == (202, first.raw, True)
        assert (await answered(shops[1], path, another, key)).status == 422
        places.append(
            f"/orders/{first.document['order_id']}" if path == "/orders" else path[: -len("/restock")]
        )
    for sku in skus:
        await shop.stock(sku, lambda known: (known["restocked"], known["sold"]) == (105, 1))
    for group in (places[:KEYS], places[KEYS:]):
        owners = [await owners_of(session, place, (shop.url, other.url)) for place in group]
        assert {url for found in owners for url in found} == {shop.url, other.url}, "one worker owned it all"


async def test_many_requests_at_once_through_both_workers_make_one_order_and_take_stock_once(
    shop: Shop, second: tuple[Command, Shop]
) -> None:
    _, other = second
    skus = await stocked(shop)
    for sku in skus[:8]:
        body, key = order(item(sku)), str(uuid4())
        shops = [shop, other] * (AT_ONCE // 2)
        answers = await asyncio.gather(*(answered(each, "/orders", body, key) for each in shops))
        assert {answer.status for answer in answers} == {202}
        assert len({answer.raw for answer in answers}) == 1
        assert sorted(answer.replayed for answer in answers) == [False, *[True] * (AT_ONCE - 1)]
        assert (await other.settled(answers[0].document["order_id"]))["status"] == "COMPLETED"
        assert await shop.counters(sku) == (99, 0, 1)


async def test_a_key_is_remembered_when_its_owner_is_killed_and_when_another_takes_over(
    system: System, shop: Shop, second: tuple[Command, Shop]
) -> None:
    _, other = second
    skus = await stocked(shop)
    keys = [str(uuid4()) for _ in range(IN_FLIGHT)]
    bodies = [order(item(skus[number % KEYS])) for number in range(IN_FLIGHT)]

    async def ask(number: int) -> Answer | None:
        try:
            return await (shop, other)[number % 2].post_once("/orders", bodies[number], keys[number])
        except aiohttp.ClientError:
            return None

    asked = [asyncio.ensure_future(ask(number)) for number in range(IN_FLIGHT)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    restarted = asyncio.ensure_future(system.restart(other.url, signal.SIGKILL))
    first = await asyncio.gather(*asked)
    unknown = [number for number, answer in enumerate(first) if answer is None or answer.status == 503]
    assert 0 < len(unknown) < IN_FLIGHT, "void: it was killed too early or too late"
    await restarted

    again = await all_of(
        [answered(shop, "/orders", body, key) for body, key in zip(bodies, keys, strict=True)]
    )
    assert {answer.status for answer in again} == {202}
    for before, after in zip(first, again, strict=True):
        if before is not None and before.status == 202:
            assert (after.raw, after.replayed) == (before.raw, True)

    await asyncio.to_thread(system.workers[command_port(other.url)].kill)
    await until(partial(shop.get, f"/orders/{again[0].document['order_id']}"), lambda found: found[0] == 200)
    last = await all_of(
        [answered(shop, "/orders", body, key) for body, key in zip(bodies, keys, strict=True)]
    )
    assert [(answer.raw, answer.replayed) for answer in last] == [(answer.raw, True) for answer in again]
    assert (await answered(shop, "/orders", order(item("another")), keys[0])).status == 422
    settled = await all_of([shop.settled(answer.document["order_id"]) for answer in last])
    assert {each["status"] for each in settled} == {"COMPLETED"}
    counters = await all_of([shop.counters(sku) for sku in skus])
    assert sum(sold for _, _, sold in counters) == IN_FLIGHT
