"""A worker that is killed exactly between two steps of delivery, at every stage, amid orders."""

import asyncio
import signal

import aiohttp
import pytest

from app.delivery.faults import STEPS, VARIABLE
from app.stages import STAGES
from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import System
from tests.faults.judging import Judge
from tests.faults.trial import Trial

STOCK = 100
TOKENS = ("tok_ok", "tok_ok", "tok_declined", "tok_slow") * 3
END_S = 40
TIME = 9  # the first ones may come of what an earlier test has left unsaid
QUICK = dict(zip(STEPS[1::2], STAGES, strict=False))
"""The steps that are tried where there is little time, each at another stage of the saga."""

EVERY = [
    pytest.param(
        (step, stage), id=f"{step}-{stage}", marks=[] if QUICK.get(step) == stage else [pytest.mark.full]
    )
    for step in STEPS
    for stage in STAGES
]


@pytest.mark.parametrize("point", EVERY)
async def test_a_worker_killed_behind_a_step_loses_and_repeats_nothing(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession, point: tuple[str, str]
) -> None:
    doomed, url = await patient.worker(port, {VARIABLE: f"{point[0]}@{point[1]}:{TIME}"})
    sku = new_sku()
    shop, judge = Shop(session, url), Judge(trial, patient, {sku: STOCK})
    await shop.post(f"/inventory/{sku}/restock", {"quantity": STOCK})
    async with asyncio.timeout(END_S):  # else void: the step was never reached
        while all(
            await asyncio.gather(*(judge.accepted(shop, order(item(sku), token=one)) for one in TOKENS))
        ):
            pass
    assert await asyncio.to_thread(doomed.wait_until_done, END_S) == -signal.SIGKILL
    trial.hit(await asyncio.to_thread(judge.in_flight))

    healthy, _ = await patient.worker(port)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0
