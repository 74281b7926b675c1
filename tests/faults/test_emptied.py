"""A changelog that was lost: nobody may work on as if there had never been anything."""

import asyncio
import shutil

import aiohttp
import pytest
from confluent_kafka.admin import AdminClient

from app import topics
from app.processes import Command
from app.settings import load
from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import READY_S, System, free_port

EXIT_CODE = 70


@pytest.mark.parametrize("folder", ["kept", pytest.param("gone", marks=pytest.mark.full)])
async def test_a_worker_does_not_start_on_a_changelog_that_was_emptied(
    separate: System, session: aiohttp.ClientSession, folder: str
) -> None:
    port, sku = free_port(), new_sku()
    worker, url = await separate.worker(port)
    shop = Shop(session, url)
    await shop.restock(sku, 1)
    assert (await shop.buy(order(item(sku))))["status"] == "COMPLETED"
    assert await asyncio.to_thread(worker.stop) == 0
    await asyncio.to_thread(make_anew, separate, "orders-changelog")
    if folder == "gone":
        shutil.rmtree(separate.folder / "data")

    for _ in range(2):  # the first start must not leave anything behind that makes the second one pass
        again = Command("worker", "--web-port", str(port), log=worker.log, environment=separate.environment)
        again.start()
        assert await asyncio.to_thread(again.wait_until_done, READY_S) == EXIT_CODE
        assert "orders-changelog[" in again.last_lines(3)
        assert "the topic was emptied or made anew" in again.last_lines(3)


def make_anew(system: System, topic: str) -> None:
    """Delete the topic and create it again."""
    admin = AdminClient({"bootstrap.servers": system.bootstrap})
    admin.delete_topics([topic])[topic].result(READY_S)
    while topic in admin.list_topics(timeout=READY_S).topics:
        pass
    topics.ensure(load().model_copy(update={"broker": system.bootstrap}))
