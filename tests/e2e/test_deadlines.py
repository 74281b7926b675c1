"""Orders that wait for a payment provider that is away, on a Kafka and with workers of their own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app import broker, topics
from app.processes import Command
from app.settings import load
from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import HOST, READY_S, SHORT_SESSION, System, free_port

PAYING = "INVENTORY_DEDUCTED"
SHORT = timedelta(seconds=4)
NEVER = "1000000"
SETTINGS = {
    "ORDERS_SAGA__PAYING_MS": str(round(SHORT.total_seconds() * 1000)),
    "ORDERS_PAYMENT__BREAKER_FAILURES": NEVER,
}


@dataclass
class Town:
    """Be a system whose provider comes and goes, and whose one worker starts with other settings each time.

    The worker keeps its name and its address, so that it has its partitions back as soon as it is back.
    """

    system: System
    ledger: Path
    provider_port: int
    port: int = field(default_factory=free_port)
    provider: Command | None = None

    async def open(self, **settings: str) -> str:
        """Start the worker with these settings, and return its address."""
        self.system.settings = SETTINGS | settings
        _, url = await self.system.worker(self.port)
        return url

    async def start_provider(self) -> None:
        """Start the provider, with the ledger that it had."""
        arguments = ("simulator", "--port", str(self.provider_port), "--ledger", str(self.ledger))
        self.provider = Command(*arguments, log=self.system.folder / "simulator.log")
        self.provider.start()
        await asyncio.to_thread(self.provider.wait_for, f"{self.system.provider_url}/charges", READY_S)

    async def stop_provider(self) -> None:
        """Stop the provider: nobody listens at its port."""
        if self.provider is not None:
            await asyncio.to_thread(self.provider.stop)
            self.provider = None

    async def kill_worker(self) -> None:
        """End the worker without a chance to tidy up."""
        await asyncio.to_thread(self.system.workers[self.port].kill)

    async def close(self) -> None:
        """End whatever runs."""
        await self.stop_provider()
        for worker in self.system.workers.values():
            await asyncio.to_thread(worker.stop)


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """Give a Kafka in which no other worker shares the partitions."""
    with broker.start(tmp_path_factory.mktemp("own-kafka"), options=broker.QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def own_system(own_kafka: broker.Broker, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Give a town in which nothing runs yet."""
    folder, port = tmp_path_factory.mktemp("town"), free_port()
    topics.ensure(load().model_copy(update={"broker": own_kafka.bootstrap}))
    system = System(folder, own_kafka.bootstrap, f"http://{HOST}:{port}")
    return Town(system, folder / "ledger", port)


@pytest.fixture
async def town(own_system: Town) -> AsyncIterator[Town]:
    """Give the town with its provider, and leave nothing running."""
    try:
        await own_system.start_provider()
        yield own_system
    finally:
        await own_system.close()


async def place_without_provider(town: Town, shop: Shop, sku: str, count: int) -> list[str]:
    """Place orders once the provider is away, and return them once each waits for its payment."""
    await shop.restock(sku, count)
    await town.stop_provider()
    placed = [await shop.place(order(item(sku))) for _ in range(count)]
    for order_id in placed:
        await until(partial(status_of, shop, order_id), lambda status: status == PAYING)
    return placed


async def status_of(shop: Shop, order_id: str) -> str:
    return str((await shop.get(f"/orders/{order_id}"))[1].get("status"))


async def breaker_of(shop: Shop) -> str:
    """Return the state of the payment provider's breaker, which makes no worker unready."""
    status, answer = await shop.get("/health/ready")
    assert status == 200
    return str(answer["providers"]["payment"])


async def timeline_of(shop: Shop, order_id: str) -> list[str]:
    _, timeline = await shop.get(f"/orders/{order_id}/events")
    return [step["type"] for step in timeline["events"]]


async def money_of(town: Town, session: aiohttp.ClientSession, order_id: str) -> list[str]:
    """Return what the provider has really done for the order."""
    async with session.get(f"{town.system.provider_url}/charges") as answer:
        ledger: list[Document] = (await answer.json())["entries"]
    return [
        entry["kind"]
        for entry in ledger
        if entry["idempotency_key"].endswith(order_id) and entry["outcome"] == "completed"
    ]


async def after(moment: datetime) -> None:
    """Wait until the clock, which is the broker's as well, is past the moment."""

    async def now() -> datetime:
        return datetime.now(UTC)

    await until(now, lambda known: known > moment)


def outcome(settled: Document) -> tuple[Any, Any]:
    return settled["status"], settled["reason"]


async def test_an_order_that_can_not_be_paid_in_time_is_cancelled_and_no_charge_is_left(
    town: Town, session: aiohttp.ClientSession
) -> None:
    shop = Shop(session, await town.open())
    sku = new_sku()
    (order_id,) = await place_without_provider(town, shop, sku, 1)
    assert outcome(await shop.settled(order_id)) == ("CANCELLED", "PAYMENT_TIMEOUT")
    assert await shop.counters(sku) == (1, 0, 0)
    assert "ORDER_TIMED_OUT" in await timeline_of(shop, order_id)

    await town.start_provider()  # whose charge, which was asked for, comes too late
    await until(lambda: money_of(town, session, order_id), lambda known: known == ["charge", "refund"])
    await until(
        lambda: timeline_of(shop, order_id),
        lambda known: known[-2:] == ["PAYMENT_COMPLETED", "PAYMENT_REFUNDED"],
    )
    assert outcome(await shop.settled(order_id)) == ("CANCELLED", "PAYMENT_TIMEOUT")


async def test_orders_whose_deadline_passes_while_no_worker_runs_are_cancelled_once_one_is_back(
    town: Town, session: aiohttp.ClientSession
) -> None:
    shop = Shop(session, await town.open(ORDERS_SAGA__PAYING_MS="60000"))
    sku = new_sku()
    placed = await place_without_provider(town, shop, sku, 5)
    await town.kill_worker()
    await after(datetime.now(UTC) + SHORT)
    await town.open()
    for order_id in placed:
        assert outcome(await shop.settled(order_id)) == ("CANCELLED", "PAYMENT_TIMEOUT")
        assert (await timeline_of(shop, order_id)).count("ORDER_TIMED_OUT") == 1
    assert await shop.counters(sku) == (5, 0, 0)


async def test_while_the_breaker_is_open_orders_wait_and_all_complete_once_the_provider_is_back(
    town: Town, session: aiohttp.ClientSession
) -> None:
    url = await town.open(ORDERS_PAYMENT__BREAKER_FAILURES="3", ORDERS_PAYMENT__BREAKER_PAUSE_MS="500")
    shop = Shop(session, url)
    assert await breaker_of(shop) == "closed"
    sku = new_sku()
    placed = await place_without_provider(town, shop, sku, 10)
    await until(partial(breaker_of, shop), lambda state: state != "closed")
    await after(datetime.now(UTC) + 2 * SHORT)
    assert {await status_of(shop, order_id) for order_id in placed} == {PAYING}

    await town.start_provider()
    for order_id in placed:
        assert outcome(await shop.settled(order_id)) == ("COMPLETED", None)
        assert await money_of(town, session, order_id) == ["charge"]
        assert "ORDER_TIMED_OUT" not in await timeline_of(shop, order_id)
    assert await breaker_of(shop) == "closed"
    assert await shop.counters(sku) == (0, 0, 10)


async def test_orders_of_a_worker_that_stays_away_are_cancelled_by_the_one_that_takes_over(
    town: Town, session: aiohttp.ClientSession
) -> None:
    shop = Shop(session, await town.open(ORDERS_SAGA__PAYING_MS="60000", **SHORT_SESSION))
    sku = new_sku()
    placed = await place_without_provider(town, shop, sku, 5)
    await town.kill_worker()
    town.port = free_port()
    shop = Shop(session, await town.open())
    for order_id in placed:
        assert outcome(await shop.settled(order_id)) == ("CANCELLED", "PAYMENT_TIMEOUT")
    assert await shop.counters(sku) == (5, 0, 0)
