"""A changelog that was lost: nobody may work on as if there had never been anything."""

import asyncio
import shutil

import aiohttp
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from app import topics
from app.processes import Command
from app.settings import load
from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import READY_S, System, free_port
from tests.faults.tampering import ends

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


@pytest.mark.parametrize("left", ["nothing", pytest.param("some", marks=pytest.mark.full)])
async def test_a_worker_does_not_start_without_what_was_deleted_from_a_changelog(
    separate: System, session: aiohttp.ClientSession, left: str
) -> None:
    port, sku = free_port(), new_sku()
    worker, url = await separate.worker(port)
    shop = Shop(session, url)
    await shop.restock(sku, 1)
    bought = await shop.buy(order(item(sku)))
    assert bought["status"] == "COMPLETED"
    assert await asyncio.to_thread(worker.stop) == 0
    await asyncio.to_thread(delete_records, separate, "orders-changelog", left)
    worker, url = await separate.worker(port)
    shop = Shop(session, url)
    assert (await shop.settled(bought["order_id"]))["status"] == "COMPLETED", "its folder has all of it"
    assert await asyncio.to_thread(worker.stop) == 0
    shutil.rmtree(separate.folder / "data")

    for _ in range(2):  # the first start must not leave anything behind that makes the second one pass
        again = Command("worker", "--web-port", str(port), log=worker.log, environment=separate.environment)
        again.start()
        assert await asyncio.to_thread(again.wait_until_done, READY_S) == EXIT_CODE
        assert "orders-changelog[" in again.last_lines(3)
        assert "records were deleted from the topic" in again.last_lines(3)


def delete_records(system: System, topic: str, left: str) -> None:
    """Delete what there is in the topic, or but for the last record of each partition.

    Kafka refuses to where a topic is only compacted, so its policy is another meanwhile.
    """
    admin = AdminClient({"bootstrap.servers": system.bootstrap})
    upto = {place: end - (left == "some") for place, end in ends(system.bootstrap, [topic]).items()}
    assert any(upto.values()), "void: nothing is deleted"
    set_policy(admin, topic, "compact,delete")
    asked = admin.delete_records([TopicPartition(*place, offset) for place, offset in upto.items()])
    for place, deleted in asked.items():
        assert deleted.result(READY_S).low_watermark == place.offset
    set_policy(admin, topic, "compact")


def set_policy(admin: AdminClient, topic: str, policy: str) -> None:
    """Say how the topic is cleaned."""
    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(READY_S)


def make_anew(system: System, topic: str) -> None:
    """Delete the topic and create it again."""
    admin = AdminClient({"bootstrap.servers": system.bootstrap})
    admin.delete_topics([topic])[topic].result(READY_S)
    while topic in admin.list_topics(timeout=READY_S).topics:
        pass
    topics.ensure(load().model_copy(update={"broker": system.bootstrap}))
