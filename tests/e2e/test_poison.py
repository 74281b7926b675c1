"""Poison on the topics: kept for the operator as it was, and nobody behind it is held up."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from confluent_kafka import Consumer, Producer, TopicPartition

from app.delivery.codec import encode
from app.partitions import partition_of
from models.commands import RequestInventory
from models.events import OrderCreated, OrderLine
from models.messages import AboutOrder, AboutStock, derive_id
from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System

DEAD_LETTERS = "DEAD_LETTERS"
KAFKA_S = 30
STOCK = 1_000
Headers = list[tuple[str, bytes]]
NO_SETTINGS: Mapping[str, Any] = {}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Poison:
    """Be a record that cannot be read, and what there is to say about it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    error: str


@dataclass(frozen=True)
class Letter:
    """Be a dead letter as the operator finds it."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]


def order_created(order_id: str, sku: str) -> OrderCreated:
    event_id = derive_id("poison", order_id)
    return OrderCreated(
        event_id=event_id,
        occurred_at=LONG_AGO,
        correlation_id=order_id,
        causation_id=event_id,
        order_id=order_id,
        customer_id="customer-1",
        currency="EUR",
        lines=(OrderLine(sku=sku, quantity=1, unit_price=1),),
        total=1,
        payment_token="tok_ok",
    )


def inventory_requested(order_id: str, sku: str) -> RequestInventory:
    event_id = derive_id("poison", order_id, sku)
    return RequestInventory(
        event_id=event_id,
        occurred_at=LONG_AGO,
        correlation_id=order_id,
        causation_id=event_id,
        sku=sku,
        order_id=order_id,
        quantity=1,
    )


def poisons(message: AboutOrder | AboutStock, partition: int) -> list[Poison]:
    """Return what cannot be read of this message's topic."""
    key, good = message.key.encode(), encode(message)
    newer = json.dumps({**json.loads(good), "version": 2}).encode()
    return [
        Poison(message.type, partition, key, b"{not json \xff", "Undecodable: JSON is malformed"),
        Poison(message.type, partition, b"another", good, "Undecodable: the record's key b'another' is not"),
        Poison(message.type, partition, key, None, "Undecodable: the record has no value"),
        Poison(message.type, partition, key, newer, "Undecodable: Invalid enum value 2 - at `$.version`"),
    ]


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, KAFKA_S).topics[topic].partitions)


def ends(system: System, topic: str) -> list[TopicPartition]:
    """Return where a topic ends now."""
    consumer = Consumer({"bootstrap.servers": system.bootstrap, "group.id": "none"})
    try:
        places = [TopicPartition(topic, partition) for partition in partitions_of(consumer, topic)]
        for place in places:
            _, place.offset = consumer.get_watermark_offsets(place, KAFKA_S)
        return places
    finally:
        consumer.close()


def spread(
    system: System, records: list[Poison], settings: Mapping[str, Any] = NO_SETTINGS
) -> dict[tuple[str, int, int], Poison]:
    """Put the records on their topics; return where each of them is."""
    producer = Producer({"bootstrap.servers": system.bootstrap, **settings})
    places: dict[tuple[str, int, int], Poison] = {}

    def put(poison: Poison) -> None:
        def arrived(error: Any, record: Any) -> None:
            assert error is None
            places[poison.topic, poison.partition, record.offset()] = poison

        producer.produce(
            poison.topic, poison.value, poison.key, partition=poison.partition, on_delivery=arrived
        )

    for poison in records:
        put(poison)
    assert producer.flush(KAFKA_S) == 0
    return places


def letters(system: System, since: list[TopicPartition], until_now: list[TopicPartition]) -> list[Letter]:
    """Return the dead letters between two points."""
    count = sum(end.offset - start.offset for start, end in zip(since, until_now, strict=True))
    consumer = Consumer({"bootstrap.servers": system.bootstrap, "group.id": "none"})
    consumer.assign(since)
    try:
        found = consumer.consume(count, KAFKA_S) if count else []
        assert len(found) == count
        return [
            Letter(
                record.partition() or 0,
                record.key(),
                record.value(),
                {name: value.decode() for name, value in cast("Headers", record.headers() or [])},
            )
            for record in found
        ]
    finally:
        consumer.close()


async def test_poison_is_kept_as_it_was_and_the_orders_behind_it_settle(shop: Shop, system: System) -> None:
    sku = new_sku("antidote")
    await shop.restock(sku, STOCK)
    before = await asyncio.to_thread(ends, system, DEAD_LETTERS)
    poisoned = [
        poison
        for number, place in enumerate(before)
        for message in (order_created(f"poison-{number}", sku), inventory_requested(f"poison-{number}", sku))
        for poison in poisons(message, place.partition)
    ]
    places = await asyncio.to_thread(spread, system, poisoned)

    order_ids: list[str] = []
    while len({partition_of(order_id.encode(), len(before)) for order_id in order_ids}) < len(before):
        order_ids.append(await shop.place(order(item(sku))))
    settled = await asyncio.gather(*(shop.settled(order_id) for order_id in order_ids))
    assert {one["status"] for one in settled} == {"COMPLETED"}
    assert await shop.counters(sku) == (STOCK - len(order_ids), 0, len(order_ids))

    async def count() -> int:
        now = await asyncio.to_thread(ends, system, DEAD_LETTERS)
        return sum(place.offset for place in now) - sum(place.offset for place in before)

    await until(count, lambda found: found >= len(poisoned))
    now = await asyncio.to_thread(ends, system, DEAD_LETTERS)
    found = {source_of(letter): letter for letter in await asyncio.to_thread(letters, system, before, now)}
    assert found.keys() == places.keys()
    for place, poison in places.items():
        letter = found[place]
        assert (letter.key, letter.value, letter.partition) == (poison.key, poison.value, poison.partition)
        assert letter.headers.keys() == {"error", "source_topic", "source_partition", "source_offset"}
        assert letter.headers["error"].startswith(poison.error)


def source_of(letter: Letter) -> tuple[str, int, int]:
    """Return where the record was."""
    headers = letter.headers
    return headers["source_topic"], int(headers["source_partition"]), int(headers["source_offset"])
