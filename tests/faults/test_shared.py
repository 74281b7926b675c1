"""Two workers that would be one: a second of the same name must not harm the first."""

import asyncio
import socket

import aiohttp
import pytest

from app.processes import Command
from tests.e2e.shop import Shop, new_sku
from tests.e2e.system import READY_S, System, free_port
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.trial import Trial

STOCK = 10_000
SENTENCES = {
    "its port": "error: port {port} of 127.0.0.1: Address already in use; choose another with --web-port",
    "another port": (
        "error: the folder {folder} is in use by another worker: stop that one, or give this one"
        " a name of its own with ORDERS_WORKER_ID"
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("place", SENTENCES)
async def test_a_second_worker_of_the_same_name_is_refused_and_the_first_goes_on(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession, place: str
) -> None:
    first, url = await patient.worker(port)
    skus = [new_sku() for _ in range(4)]
    shop, judge = Shop(session, url), Judge(trial, patient, dict.fromkeys(skus, STOCK))
    for sku in skus:
        await shop.restock(sku, STOCK)
    other = port if place == "its port" else free_port()
    name = f"{socket.gethostname()}-{port}"
    log, environment = patient.folder / f"{place}.log", {**patient.environment, "ORDERS_WORKER_ID": name}
    second = Command("worker", "--web-port", str(other), log=log, environment=environment)
    async with Crowd(judge, [shop], skus, trial.random).shopping():
        second.start()
        assert await asyncio.to_thread(second.wait_until_done, READY_S) == 1
        trial.hit(await asyncio.to_thread(judge.in_flight))
    folder = patient.folder / "data" / f"worker-{name}"
    assert second.last_lines() == SENTENCES[place].format(port=port, folder=folder)

    await sold_again(judge, [shop], skus)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(first.stop) == 0
