"""Workers that are killed at any moment, under load, and started again."""

import shutil

import pytest

from tests.faults.market import UNBROKEN, Market, Moment, url_of

pytestmark = pytest.mark.timeout(300)

KILLS = 20
AGAIN = 0.25
"""How often another kill follows before all has recovered."""


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_one_of_two_workers_killed_at_any_moment_twenty_times_loses_and_repeats_nothing(
    market: Market,
) -> None:
    market.settings = UNBROKEN  # it is workers that are measured
    await market.open(workers=2)

    async def kill_one() -> Moment:
        await market.a_while()
        port = market.random.choice(market.ports[:2])
        fault = market.kill(port)
        market.launch(port)
        return fault

    kills = 0
    async with market.shopping():
        while kills < KILLS:
            faults = [await kill_one()]
            while market.random.random() < AGAIN:
                faults.append(await kill_one())
            kills += len(faults)
            for fault in faults:
                await market.recovered(fault)
    await market.close()


@pytest.mark.full
async def test_the_other_worker_takes_over_from_one_that_is_killed_and_does_not_come_back(
    market: Market,
) -> None:
    await market.open(workers=2)
    async with market.shopping():
        await market.a_while()
        port = market.random.choice(market.ports[:2])
        market.shops[:] = [shop for shop in market.shops if shop.url != url_of(port)]
        await market.recovered(market.kill(port))
    await market.close()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.full)])
async def test_a_worker_killed_and_without_its_folder_has_its_states_back(
    market: Market, workers: int
) -> None:
    await market.open(workers)
    async with market.shopping():
        for port in market.random.sample(market.ports[:workers], workers):
            await market.a_while()
            fault = market.kill(port)
            shutil.rmtree(market.folder(port))
            await market.start(port)
            await market.recovered(fault)
    await market.close()
