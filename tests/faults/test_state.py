"""A worker's folder that is not as the worker left it: gone, of an earlier time, or of another Kafka."""

import asyncio
import shutil
import time
from functools import partial

import aiohttp
import pytest

from app.processes import Command
from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import READY_S, System
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.test_repeated import ORDERS, placed, some_stock, stocked
from tests.faults.trial import Trial

EXIT_CODE = 70


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("folder", ["gone", "as it was before"])
async def test_a_worker_whose_folder_was_changed_while_it_was_away_goes_on_as_if_it_had_not_been(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession, folder: str
) -> None:
    worker, url = await patient.worker(port)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    await sold_again(judge, (shop,), skus[:-1])
    assert await asyncio.to_thread(worker.stop) == 0
    (state,) = (patient.folder / "data").glob(f"worker-*-{port}")
    before = shutil.copytree(state, patient.folder / trial.fault)

    doomed, _ = await patient.worker(port)
    wanted = await placed(patient) + ORDERS
    async with Crowd(judge, (shop,), skus, trial.random).shopping():
        await until(partial(placed, patient), lambda found: found >= wanted)
        await asyncio.to_thread(doomed.kill)
    since = time.monotonic()
    trial.hit(await asyncio.to_thread(judge.in_flight))
    shutil.rmtree(state)
    if folder == "as it was before":
        shutil.copytree(before, state)

    healthy, _ = await patient.worker(port)
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_a_worker_refuses_the_folder_of_another_kafka_and_goes_on_without_it(
    trial: Trial, patient: System, separate: System, port: int, session: aiohttp.ClientSession
) -> None:
    stranger, url = await separate.worker()
    await Shop(session, url).restock(sku := new_sku(), 1)
    assert (await Shop(session, url).buy(order(item(sku))))["status"] == "COMPLETED"
    assert await asyncio.to_thread(stranger.stop) == 0

    doomed, url = await patient.worker(port)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    wanted = await placed(patient) + ORDERS
    async with Crowd(judge, (shop,), skus, trial.random).shopping():
        await until(partial(placed, patient), lambda found: found >= wanted)
        await asyncio.to_thread(doomed.kill)
    since = time.monotonic()
    trial.hit(await asyncio.to_thread(judge.in_flight))
    (own,) = (patient.folder / "data").glob(f"worker-*-{port}")
    (foreign,) = (separate.folder / "data").iterdir()
    shutil.rmtree(own)
    shutil.copytree(foreign, own)

    refused = Command("worker", "--web-port", str(port), log=doomed.log, environment=patient.environment)
    for _ in range(2):  # the first start must not leave anything behind that makes the second one pass
        refused.start()
        assert await asyncio.to_thread(refused.wait_until_done, READY_S) == EXIT_CODE
        assert f"delete {own}" in refused.last_lines(1)
    shutil.rmtree(own)
    healthy, _ = await patient.worker(port)
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0
