"""Workers that come and go in order, under load: restarted one after the other, more of them, fewer."""

import pytest

from tests.faults.market import Market, Moment

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

ROUNDS = 2


async def test_workers_restarted_one_after_the_other_lose_nothing_and_end_in_order(market: Market) -> None:
    await market.open(workers=2)
    async with market.shopping():
        for port in (*market.ports[:2],) * ROUNDS:
            await market.a_while()
            fault = Moment()
            await market.stop(port)
            await market.start(port)
            await market.recovered(fault)
    await market.close()


async def test_one_worker_more_and_then_two_fewer_lose_nothing(market: Market) -> None:
    await market.open(workers=2)
    async with market.shopping():
        await market.a_while()
        fault = Moment()
        await market.start(market.ports[2])
        await market.recovered(fault)
        for port in market.random.sample(market.ports, 2):
            await market.a_while()
            fault = Moment()
            await market.leave(port)
            await market.recovered(fault)
    await market.close()
