"""Records that come twice, again from the beginning, or late: nothing changes, nothing is charged again."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import aiohttp
import pytest

from models.events import OrderCreated, OrderTimedOut, PaymentRefundDelayed
from tests.e2e.shop import Shop, new_sku, until
from tests.e2e.system import System
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.log import records
from tests.faults.regrets import Regrets
from tests.faults.tampering import (
    READ,
    commit,
    committed,
    copied,
    ends,
    read_to_the_end,
    without_members,
)
from tests.faults.trial import Trial

STOCK = 10_000
SCARCE = 5
SKUS = 4
ORDERS = 200
ALL = set(READ) - {OrderTimedOut.type, PaymentRefundDelayed.type}
"""The topics that orders pass through while nothing is late."""


async def stocked(shop: Shop, stock: Mapping[str, int]) -> None:
    """Restock these SKUs."""
    for sku, quantity in stock.items():
        await shop.restock(sku, quantity)


def some_stock() -> dict[str, int]:
    """Return new SKUs, of which the last one will not do for all, and what there is to be of them."""
    return dict.fromkeys([new_sku() for _ in range(SKUS)], STOCK) | {new_sku("scarce"): SCARCE}


@pytest.mark.full
async def test_every_record_twice_changes_nothing(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession
) -> None:
    worker, url = await patient.worker(port)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    regrets = Regrets(judge, shop, skus, trial.random)
    with copied(patient.bootstrap, lambda same: same) as copies:
        await stocked(shop, stock)
        async with Crowd(judge, (shop,), skus, trial.random).shopping(2), regrets.shopping():
            await until(partial(missing, copies), lambda topics: not topics)  # else void
            trial.hit(await asyncio.to_thread(judge.in_flight))
        await sold_again(judge, (shop,), skus[:-1])
    await asyncio.to_thread(read_to_the_end, patient.bootstrap)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(worker.stop) == 0


@pytest.mark.full
@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", ["the beginning", "the beginning after marks were forgotten", "anywhere"])
async def test_a_group_that_reads_again_from_there_changes_nothing(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession, place: str
) -> None:
    doomed, url = await patient.worker(port)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    wanted = await placed(patient) + ORDERS
    async with (
        Crowd(judge, (shop,), skus, trial.random).shopping(4),
        Regrets(judge, shop, skus, trial.random).shopping(),
    ):
        await until(partial(placed, patient), lambda found: found >= wanted)
        if place.endswith("forgotten"):
            await until(partial(forgotten, patient, skus), bool)
        await asyncio.to_thread(doomed.kill)
    since = time.monotonic()
    trial.hit(await asyncio.to_thread(judge.in_flight))
    await asyncio.to_thread(without_members, patient.bootstrap)
    read = await asyncio.to_thread(committed, patient.bootstrap)
    again = {
        where: trial.random.randint(0, read[where]) if place == "anywhere" else 0 for where in sorted(read)
    }
    await asyncio.to_thread(commit, patient.bootstrap, again)

    healthy, _ = await patient.worker(port)
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await asyncio.to_thread(read_to_the_end, patient.bootstrap)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0


async def missing(copies: Counter[str]) -> set[str]:
    """Return of which topics nothing has come twice."""
    return ALL - copies.keys()


async def forgotten(system: System, skus: Sequence[str]) -> bool:
    """Tell whether the stock keeper has forgotten what some order had of each SKU that does for all."""

    def find() -> set[str]:
        rows = records(system.bootstrap, "inventory-changelog")
        gone = ((row.key() or b"").decode().split("/") for row in rows if row.value() is None)
        return {sku for kind, sku, *_ in gone if kind == "hold"}

    return await asyncio.to_thread(find) >= set(skus[:-1])


async def placed(system: System) -> int:
    """Return how many orders there are in the log."""
    found = await asyncio.to_thread(ends, system.bootstrap, [OrderCreated.type])
    return sum(found.values())
