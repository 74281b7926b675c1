"""A worker that is paused for longer than its session, and goes on: it must not write what is another's."""

import asyncio
import signal
import time

import aiohttp
import pytest

from tests.e2e.shop import until
from tests.e2e.system import SHORT_SESSION
from tests.faults.crowd import sold_again
from tests.faults.market import Market, Moment

SESSION_S = int(SHORT_SESSION["ORDERS_KAFKA__SESSION_TIMEOUT_MS"]) / 1000


@pytest.mark.full
@pytest.mark.timeout(240)
async def test_a_worker_that_goes_on_after_its_session_changes_nothing_that_is_anothers(
    market: Market,
) -> None:
    market.settings = SHORT_SESSION
    await market.open(workers=2)
    awake, asleep = market.ports[:2]
    at_both = [*market.shops]
    async with market.shopping():
        await market.a_while()
        market.shops[:] = at_both[:1]  # else customers would wait where nobody answers
        fault = Moment()
        market.worker(asleep).signal(signal.SIGSTOP)
        await sold_again(market.judge, market.shops, market.plenty)
        market.trial.recovered(fault.since)
        await asyncio.sleep(fault.since + 2 * SESSION_S - time.monotonic())
        market.worker(asleep).signal(signal.SIGCONT)
        await until(lambda: has_found_out(market, asleep), bool)
        await sold_again(market.judge, market.shops, market.plenty)
    await market.hit(fault)
    if market.worker(asleep).exit_code is None:
        market.shops[:] = at_both
    else:
        assert market.worker(asleep).exit_code == 70
        await market.start(asleep)
    await sold_again(market.judge, market.shops, market.plenty)
    assert awake in market.running
    await market.close()


async def has_found_out(market: Market, port: int) -> bool:
    """Tell whether the worker that was paused has ended, or has its place in the group again."""
    if market.worker(port).exit_code is not None:
        return True
    try:
        return (await market.at(port).get("/health/ready"))[0] == 200
    except aiohttp.ClientError:
        return False
