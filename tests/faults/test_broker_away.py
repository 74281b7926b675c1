"""A broker that is stopped, killed or slow while orders come all the time, and then is back."""

import asyncio
import signal
import time

import pytest

from app.delivery.faults import VARIABLE
from tests.e2e.shop import Shop, item, order
from tests.faults.crowd import sold_again
from tests.faults.market import Market, Moment
from tests.faults.node import Node

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

AWAY_S = 30
CROWD = 40
KILLS = 3
STAGES = ("orders", "inventory", "payments")
TIMES = (5, 20)
END_S = 60
GROWTH = 1.5
"""How much more memory a worker may hold after the broker was away: it holds a bounded number of orders."""


async def refusal(shop: Shop, sku: str) -> int:
    """Return how an order is refused: with what status, and never without saying when to come again."""
    async with shop.session.post(f"{shop.url}/orders", json=order(item(sku))) as answer:
        assert int(answer.headers["Retry-After"]) >= 1, await answer.text()
        return answer.status


async def test_while_the_broker_is_away_orders_are_refused_and_what_was_accepted_settles_later(
    fair: Market, node: Node
) -> None:
    await fair.open(workers=2)
    async with fair.shopping():
        await fair.a_while()
        await sold_again(fair.judge, fair.shops, fair.plenty)
        before_mib = fair.rss_mib()
        fault = Moment()
        await node.stop()
        refusals = set[int]()
        async with fair.shopping(CROWD):
            while time.monotonic() < fault.since + AWAY_S:
                refusals.update(await asyncio.gather(*(refusal(shop, fair.skus[0]) for shop in fair.shops)))
        away_mib = fair.rss_mib()
        await node.start()
        await fair.recovered(fault)
        after_mib = fair.rss_mib()
    assert 503 in refusals
    assert refusals <= {503, 429}  # which says that what was accepted earlier is late by now
    fair.trial.memory = f"{before_mib:.0f}, {away_mib:.0f}, {after_mib:.0f} MiB"
    assert max(away_mib, after_mib) < GROWTH * before_mib
    assert len(fair.running) == 2
    await fair.close()


async def test_a_broker_that_is_killed_and_started_again_has_lost_nothing(fair: Market, node: Node) -> None:
    await fair.open(workers=2)
    async with fair.shopping():
        for _ in range(KILLS):
            await fair.a_while()
            fault = Moment()
            node.kill()
            await node.start()
            await fair.recovered(fault)
    await fair.close()


@pytest.mark.parametrize("step", ["states acknowledged", "messages acknowledged"])
async def test_a_worker_killed_behind_a_step_while_the_broker_stutters_loses_and_repeats_nothing(
    fair: Market, node: Node, step: str
) -> None:
    await fair.open(workers=1)
    port, point = fair.ports[1], f"{step}@{fair.random.choice(STAGES)}:{fair.random.randint(*TIMES)}"
    async with fair.shopping(), node.stuttering():
        doomed = fair.launch(port, {VARIABLE: point})
        assert await asyncio.to_thread(doomed.wait_until_done, END_S) == -signal.SIGKILL
        fault = Moment()
        await fair.start(port)
        await fair.recovered(fault)
    await fair.close()
