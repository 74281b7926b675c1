"""Orders that want the same goods, and a worker that is killed while it is decided who gets them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.e2e.shop import Document, item, order
from tests.faults.judging import Judge
from tests.faults.market import GOODS, PLENTY, Market

pytestmark = pytest.mark.timeout(300)

BUYERS = 200
AT_A_TIME = 20
TIGHT = 30
KILLS = 3
PAUSE_S = 0.1
CROWD = 8


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2])
async def test_of_two_hundred_orders_for_the_last_unit_one_completes_though_a_worker_is_killed(
    market: Market, workers: int
) -> None:
    await market.open(workers, goods=(1, *(PLENTY,) * GOODS))
    last, *market.skus = market.skus
    contended = Judge(market.trial, market.system, {last: 1})
    gate, placed = asyncio.Semaphore(AT_A_TIME), set[str]()
    half = asyncio.Event()
    enough = market.random.randrange(BUYERS // 4, BUYERS // 2)

    async def buy(number: int) -> None:
        async with gate:
            while not (
                order_id := await market.judge.accepted(market.shops[number % workers], order(item(last)))
            ):
                number += 1
                await asyncio.sleep(PAUSE_S)
            placed.add(order_id)
            if len(placed) >= enough:
                half.set()

    async with market.shopping(), asyncio.TaskGroup() as group:
        for number in range(BUYERS):
            group.create_task(buy(number))
        await half.wait()
        port = market.random.choice(market.ports[:workers])
        fault = market.kill(port)
        await market.start(port)
        await market.recovered(fault)
    assert await asyncio.to_thread(contended.in_flight, fault.at_ms), "void: it was decided already"
    orders = [one for one in await market.close() if one["items"][0]["sku"] == last]
    assert placed <= {one["order_id"] for one in orders}
    ends = Counter((one["status"], one["reason"]) for one in orders)
    assert ends == {("COMPLETED", None): 1, ("CANCELLED", "INVENTORY_INSUFFICIENT"): len(orders) - 1}


@pytest.mark.full
async def test_crossing_orders_for_goods_that_run_out_get_all_or_nothing_though_a_worker_is_killed(
    market: Market,
) -> None:
    await market.open(workers=2, goods=(PLENTY, TIGHT) * 4)
    async with market.shopping(CROWD):
        for _ in range(KILLS):
            await market.a_while()
            port = market.random.choice(market.ports[:2])
            fault = market.kill(port)
            await market.start(port)
            await market.recovered(fault)
    orders = await market.close()
    assert any(gave_back(one, market.plenty) for one in orders), "void: nothing was refused in part"


def gave_back(one: Document, plenty: Sequence[str]) -> bool:
    """Tell whether the order had some of its lines, and gave them back for want of the others."""
    had = any(line["sku"] in plenty for line in one["items"])
    return had and one["reason"] == "INVENTORY_INSUFFICIENT"
