"""A changelog that was lost: nobody may work on as if there had never been anything."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial

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
from app.receiver import SECRET
from app.settings import load
from tests.e2e.outside import Warehouse, figure
from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import READY_S, SHORT_SESSION, System, free_port
from tests.faults.tampering import ends

EXIT_CODE = 70
COMMAND_S = 30


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

    await does_not_start(separate, worker, port, "the topic was emptied or made anew")


@pytest.mark.full
@pytest.mark.parametrize("left", ["nothing", "some"])
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

    await does_not_start(separate, worker, port, "records were deleted from the topic")


async def does_not_start(system: System, worker: Command, port: int, reason: str) -> None:
    """Check that a worker ends for what the orders' changelog lacks, and does so again."""
    for _ in range(2):  # the first start must not leave anything behind that makes the second one pass
        again = Command("worker", "--web-port", str(port), log=worker.log, environment=system.environment)
        again.start()
        assert await asyncio.to_thread(again.wait_until_done, READY_S) == EXIT_CODE
        assert "orders-changelog[" in again.last_lines(3)
        assert reason in again.last_lines(3)


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


@pytest.mark.full
async def test_statistics_whose_changelog_is_lost_are_counted_anew(
    separate: System, session: aiohttp.ClientSession
) -> None:
    separate.settings |= SHORT_SESSION
    worker, url = await separate.worker(port := free_port())
    shop, sku = Shop(session, url), new_sku()
    await shop.restock(sku, 3)
    for token in ("tok_ok", "tok_ok", "tok_declined"):
        await shop.buy(order(item(sku), token=token))
    before = await counted(shop, 3)
    await lose(separate, worker, "analytics")

    await start_again(separate, port, "analytics")
    after = await counted(shop, 3)
    assert (after["total"], after["minutes"]) == (before["total"], before["minutes"])
    await shop.buy(order(item(sku)))
    await counted(shop, 4)


@pytest.mark.full
async def test_a_warehouse_is_told_nothing_twice_after_the_changelog_of_what_it_was_told_is_lost(
    separate: System, session: aiohttp.ClientSession
) -> None:
    separate.settings |= SHORT_SESSION | {
        "ORDERS_TRANSFER__URL": f"{separate.provider_url}/transfers",
        "ORDERS_TRANSFER__SECRET": SECRET,
        "ORDERS_TRANSFER__SINCE": "2020-01-01T00:00:00Z",
        "ORDERS_OUTBOUND__PRIVATE_ADDRESSES": "true",
    }
    worker, url = await separate.worker(port := free_port())
    shop, warehouse, sku = Shop(session, url), Warehouse(session, separate.provider_url), new_sku()
    await shop.restock(sku, 9)
    sold = [str((await shop.buy(order(item(sku))))["order_id"]) for _ in range(5)]
    for order_id in sold:
        await until(partial(warehouse.kinds, order_id), lambda kinds: kinds == ["ORDER_COMPLETED"])
    await until(partial(figure, shop, "transfer", "open"), lambda found: found == 0)
    loss = datetime.now(UTC) + timedelta(seconds=1)
    await lose(separate, worker, "transfer")

    separate.settings["ORDERS_TRANSFER__SINCE"] = f"{loss:%Y-%m-%dT%H:%M:%SZ}"
    await start_again(separate, port, "transfer")
    await until(partial(figure, shop, "transfer", "skipped_total"), lambda found: found == len(sold))
    later = str((await shop.buy(order(item(sku))))["order_id"])
    await until(partial(warehouse.kinds, later), lambda kinds: kinds == ["ORDER_COMPLETED"])
    told = [message for order_id in sold for message in await warehouse.told(order_id)]
    assert [message["deliveries"] for message in told] == [1] * len(sold)


async def counted(shop: Shop, orders: int) -> Document:
    """Return the statistics, once they know of so many orders."""
    found: Document
    _, found = await until(
        partial(shop.get, "/analytics/summary"),
        lambda answer: answer[0] == 200 and answer[1]["total"]["orders"] == orders,
    )
    return found


async def lose(system: System, worker: Command, stage: str) -> None:
    """Stop the worker, and make the changelog anew: nothing is rewound before, and no worker starts after."""
    assert await rewound(system, stage) == 1
    assert "workers are running" in (system.folder / "rewind.log").read_text()
    assert await asyncio.to_thread(worker.stop) == 0
    await asyncio.to_thread(make_anew, system, f"{stage}-changelog")
    shutil.rmtree(system.folder / "data")
    worker.start()
    assert await asyncio.to_thread(worker.wait_until_done, READY_S) == EXIT_CODE
    assert f"{stage}-changelog[" in worker.last_lines(3)


async def start_again(system: System, port: int, stage: str) -> None:
    """Do as the runbook says: rewind the stage, once Kafka has forgotten the worker, and start that."""
    await until(partial(rewound, system, stage), lambda code: code == 0)
    await system.worker(port)


async def rewound(system: System, stage: str) -> int | None:
    """Return how a rewind of the stage ends."""
    log = system.folder / "rewind.log"
    rewind = Command("rewind", stage, "--yes", log=log, environment=system.environment)
    rewind.start()
    return await asyncio.to_thread(rewind.wait_until_done, COMMAND_S)


def make_anew(system: System, topic: str) -> None:
    """Delete the topic and create it again."""
    admin = AdminClient({"bootstrap.servers": system.bootstrap})
    admin.delete_topics([topic])[topic].result(READY_S)
    while topic in admin.list_topics(timeout=READY_S).topics:
        pass
    topics.ensure(load().model_copy(update={"broker": system.bootstrap}))
