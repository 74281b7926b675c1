"""What became of the orders of a test, by the log, by the system's word and by the provider's own books."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
from confluent_kafka import Consumer, TopicPartition

from app.processes import Command
from models.events import OrderCancelled, OrderCompleted, OrderCreated
from tests.e2e.shop import Document, Shop
from tests.e2e.system import System

ENDS = (OrderCompleted.type, OrderCancelled.type)
KAFKA_S = 30
AUDIT_S = 60


class Judge:
    """Remember what was accepted, and look at how all that wanted these SKUs has ended."""

    def __init__(self, session: aiohttp.ClientSession, system: System, stocked: Mapping[str, int]) -> None:
        self._session = session
        self._system = system
        self._stocked = stocked
        self._accepted: set[str] = set()

    async def place(self, shop: Shop, body: Document) -> bool:
        """Place an order; False where the worker is not there. No answer is unknown, not refused."""
        try:
            status, answer = await shop.post("/orders", body)
        except aiohttp.ClientError:
            return False
        if status == 202:
            self._accepted.add(answer["order_id"])
        return True

    def in_flight(self) -> int:
        """Return how many of the orders in the log have no end there."""
        ended = {each["order_id"] for topic in ENDS for each in records(self._system, topic)}
        return len(self._created() - ended)

    async def all_is_well(self, shop: Shop) -> None:
        """Check that nothing is lost, every order settled and charged as it ended, and the stock moved so."""
        created = await asyncio.to_thread(self._created)
        assert self._accepted <= created, "an order that was accepted is not in the log"
        orders = await asyncio.gather(*map(shop.settled, created))
        charged, sold = await self._charged(), Counter[str]()
        for order in orders:
            found, completed = charged[order["order_id"]], order["status"] == "COMPLETED"
            assert found == int(completed), f"{order} is charged {found} times"
            sold.update({line["sku"]: line["quantity"] for line in order["items"] if completed})
        for sku, stock in self._stocked.items():
            assert sold[sku] <= stock
            assert await shop.counters(sku) == (stock - sold[sku], 0, sold[sku])
        await self._audit(shop)

    async def _audit(self, shop: Shop) -> None:
        """Have the auditor look at the topics, and at the tables beside them."""
        log = self._system.folder / "audit.log"
        audit = Command("audit", "--worker", shop.url, log=log, environment=self._system.environment)
        audit.start()
        code = await asyncio.to_thread(audit.wait_until_done, AUDIT_S)
        assert code == 0, audit.last_lines(40)

    def _created(self) -> set[str]:
        """Return the orders in the log that want what the test has stocked."""
        return {
            created["order_id"]
            for created in records(self._system, OrderCreated.type)
            if any(line["sku"] in self._stocked for line in created["lines"])
        }

    async def _charged(self) -> Mapping[str, int]:
        """Return how often each order is charged by the provider's books, less what was given back."""
        async with self._session.get(f"{self._system.provider_url}/charges") as answer:
            entries = (await answer.json())["entries"]
        charged: defaultdict[str, int] = defaultdict(int)
        for entry in entries:
            if entry["outcome"] == "completed":
                key = entry["idempotency_key"]
                charged[key.removeprefix("refund-")] += 1 if entry["kind"] == "charge" else -1
        return charged


def records(system: System, topic: str) -> Iterator[Any]:
    """Yield what every record of a topic says, up to where it ends now."""
    consumer = Consumer({"bootstrap.servers": system.bootstrap, "group.id": "none"})
    try:
        partitions = consumer.list_topics(topic, KAFKA_S).topics[topic].partitions
        places = [TopicPartition(topic, partition, 0) for partition in partitions]
        count = sum(consumer.get_watermark_offsets(place, KAFKA_S)[1] for place in places)
        consumer.assign(places)
        while count > 0:
            found = consumer.consume(min(count, 1_000), KAFKA_S)
            assert found, f"{count} records of {topic} can't be read"
            count -= len(found)
            for record in found:
                yield json.loads(record.value() or b"null")
    finally:
        consumer.close()
