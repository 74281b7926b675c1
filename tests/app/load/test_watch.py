import asyncio
import time
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from app import topics
from app.broker import Broker
from app.errors import BrokerUnavailable, TopicsDiffer
from app.load.pace import Clock
from app.load.settlements import Ending
from app.load.watch import Watch
from app.settings import Settings, load
from tests.e2e.system import HOST, free_port

DEADLINE_S = 30


@pytest.fixture
def settings(kafka: Broker) -> Settings:
    found = load().model_copy(update={"broker": kafka.bootstrap})
    topics.ensure(found)
    return found


def produce(settings: Settings, *records: tuple[str, str, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": settings.broker})
    for topic, key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(DEADLINE_S) == 0


async def read(watch: Watch, clock: Clock, count: int) -> list[Ending]:
    found, enough = list[Ending](), asyncio.Event()

    def take(ending: Ending) -> None:
        found.append(ending)
        if len(found) == count:
            enough.set()

    following = asyncio.create_task(watch.follow(clock, take))
    async with asyncio.timeout(DEADLINE_S):
        await enough.wait()
    following.cancel()
    return found


async def test_the_ends_of_orders_are_read_with_their_outcome_and_the_brokers_time(
    settings: Settings,
) -> None:
    before, completed, cancelled, odd = (str(uuid4()) for _ in range(4))
    produce(settings, ("ORDER_COMPLETED", before, b"{}"))
    watch = Watch(settings)
    watch.begin()
    clock, began = Clock(), time.monotonic()
    produce(
        settings,
        ("ORDER_COMPLETED", completed, b"{}"),
        ("ORDER_CANCELLED", cancelled, b'{"reason":"PAYMENT_DECLINED"}'),
        ("ORDER_CANCELLED", odd, b"?"),
    )
    found = {ending.order_id: ending for ending in await read(watch, clock, 3)}
    watch.close()
    outcomes = {order_id: ending.outcome for order_id, ending in found.items()}
    assert outcomes == {
        completed: "COMPLETED",
        cancelled: "CANCELLED PAYMENT_DECLINED",
        odd: "CANCELLED",
    }
    took_s = time.monotonic() - began
    assert all(-0.1 < ending.at < took_s + 0.1 for ending in found.values())


def test_a_kafka_that_does_not_answer_is_named() -> None:
    nowhere = f"{HOST}:{free_port()}"
    watch = Watch(load().model_copy(update={"broker": nowhere}))
    with pytest.raises(BrokerUnavailable, match=nowhere):
        watch.begin()
    watch.close()


def test_topics_that_are_not_as_a_worker_needs_them_are_named(settings: Settings) -> None:
    watch = Watch(settings.model_copy(update={"partitions": settings.partitions + 1}))
    with pytest.raises(TopicsDiffer, match="ORDER_COMPLETED"):
        watch.begin()
    watch.close()
