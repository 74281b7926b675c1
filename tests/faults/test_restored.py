"""A table that was lost altogether is put back from the topics, as the runbook says, and all goes on."""

import asyncio
import shutil
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import SHORT_SESSION, System, free_port
from tests.e2e.test_rebuild import all_kinds, rebuild
from tests.faults.judging import Judge
from tests.faults.test_emptied import make_anew
from tests.faults.trial import Trial

PATIENCE_S = 40
REFUSED = 2
MANY = 6


@pytest.fixture
def lost(separate: System) -> System:
    """Give a system of the test's own: its topics are deleted."""
    separate.settings |= SHORT_SESSION
    return separate


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("table", ["orders", "inventory", "payments"])
async def test_a_table_that_was_lost_is_put_back_and_all_orders_settle(
    trial: Trial, lost: System, session: aiohttp.ClientSession, tmp_path: Path, table: str
) -> None:
    port, sku, folder = free_port(), new_sku(), tmp_path / "scratch"
    folder.mkdir()
    worker, url = await lost.worker(port)
    shop, judge = Shop(session, url), Judge(trial, lost, {sku: 2 * MANY})
    settled = await all_kinds(shop)
    before = [await shop.get(f"/orders/{order_id}") for order_id in settled]
    await shop.restock(sku, 2 * MANY)
    tokens = ("tok_ok", "tok_slow", "tok_declined") * MANY
    under_way = [await judge.accepted(shop, order(item(sku), token=token)) for token in tokens]
    assert await asyncio.to_thread(worker.stop) == 0
    trial.hit(await asyncio.to_thread(judge.in_flight))

    await asyncio.to_thread(make_anew, lost, f"{table}-changelog")
    await put_back(lost, folder, table)
    code, found, out = await rebuild(lost, folder)
    assert (code, found["differences"]) == (0, []), out
    code, _, out = await rebuild(lost, folder, "--write", table)
    assert (code, "is not empty" in out) == (REFUSED, True), out
    shutil.rmtree(lost.folder / "data")
    await lost.worker(port)

    ends = await judge.all_is_well(shop)
    assert {one["order_id"] for one in ends} == {*under_way}
    assert {one["status"] for one in ends} == {"COMPLETED", "CANCELLED"}
    assert [await shop.get(f"/orders/{order_id}") for order_id in settled] == before


async def put_back(system: System, folder: Path, table: str) -> None:
    """Write the table, as soon as Kafka has forgotten the workers."""
    code, found, out = await rebuild(system, folder, "--write", table)
    async with asyncio.timeout(PATIENCE_S):
        while "workers are running" in out:
            assert code == REFUSED
            await asyncio.sleep(1)
            code, found, out = await rebuild(system, folder, "--write", table)
    assert code == 0, out
    assert found["written"] > 0
