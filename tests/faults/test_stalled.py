"""A worker whose loop turns no more, while another thread of it keeps its place in the group."""

import asyncio

import aiohttp
import pytest

from app.delivery.faults import VARIABLE
from tests.e2e.shop import Shop, new_sku
from tests.e2e.system import System
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.trial import Trial

STOCK = 10_000
END_S = 60
EXIT_CODE = 70


@pytest.mark.full
async def test_a_worker_whose_loop_has_stalled_ends_and_leaves_its_work_to_the_next(
    patient: System, trial: Trial, port: int, session: aiohttp.ClientSession
) -> None:
    stalling, url = await patient.worker(port, {VARIABLE: "begun@inventory:20:stall"})
    skus = [new_sku() for _ in range(4)]
    shop, judge = Shop(session, url), Judge(trial, patient, dict.fromkeys(skus, STOCK))
    for sku in skus:
        await shop.post(f"/inventory/{sku}/restock", {"quantity": STOCK})
    async with Crowd(judge, [shop], skus, trial.random).shopping():
        assert await asyncio.to_thread(stalling.wait_until_done, END_S) == EXIT_CODE
    assert "the loop has not turned for 5 s" in stalling.last_lines(2)
    trial.hit(await asyncio.to_thread(judge.in_flight))

    healthy, _ = await patient.worker(port)
    await sold_again(judge, [shop], skus)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0
