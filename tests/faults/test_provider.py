"""A payment provider that is away, slow, or charges and never answers, while orders come all the time."""

import asyncio
import time
from functools import partial

import pytest

from tests.e2e.shop import Shop, until
from tests.faults.market import Market, Moment

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

AWAY_S = 20
LOAD_S = 10
CROWD = 8


async def breaker_of(shop: Shop) -> str:
    """Return the state of the payment provider's breaker; a worker stays ready whatever it is."""
    status, answer = await shop.get("/health/ready")
    assert status == 200, answer
    return str(answer["providers"]["payment"])


async def test_orders_wait_for_a_provider_that_is_away_and_settle_once_it_is_back(market: Market) -> None:
    await market.open(workers=2)
    async with market.shopping():
        await market.a_while()
        fault = Moment()
        market.system.simulator.kill()
        async with asyncio.timeout(AWAY_S):  # else void: it was never missed
            for shop in market.shops:
                await until(partial(breaker_of, shop), lambda state: state != "closed")
        await asyncio.sleep(fault.since + AWAY_S - time.monotonic())
        market.system.start_simulator()
        await market.recovered(fault)
        for shop in market.shops:
            await until(partial(breaker_of, shop), lambda state: state == "closed")
    orders = await market.close()
    assert {one["reason"] for one in orders} <= {None, "PAYMENT_DECLINED"}


async def test_a_slow_provider_holds_up_no_order_for_longer_than_it_takes(market: Market) -> None:
    market.tokens = {"tok_slow": 1}
    await market.open(workers=2)
    async with market.shopping(CROWD):
        await asyncio.sleep(LOAD_S)
        await market.recovered(Moment())
    orders = await market.close()
    assert {one["status"] for one in orders} == {"COMPLETED"}


async def test_a_provider_that_charges_and_never_answers_has_charged_each_order_once(market: Market) -> None:
    market.tokens = {"tok_timeout": 1}
    await market.open(workers=2)
    async with market.shopping(CROWD):
        await asyncio.sleep(LOAD_S)
        await market.recovered(Moment())
    orders = await market.close()
    assert {one["status"] for one in orders} == {"COMPLETED"}
