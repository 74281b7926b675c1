"""The producer on a real broker: acknowledgements, order, giving up, and which partition a key has."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.broker import Broker
from app.delivery import producer as producers
from app.delivery.producer import ANYWHERE, BatchProducer, Record, StageProducer, Unacknowledged
from app.partitions import partition_of
from app.settings import Settings

KAFKA_S = 30
DEADLINE_S = 20
PARTITIONS = 8
KEYS = st.text(min_size=1, max_size=64)


@given(key=KEYS, partitions=st.integers(1, 64))
def test_a_keys_partition_is_the_one_that_fausts_producer_chooses(key: str, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key.encode(), every, every)


@pytest.fixture(scope="module")
def settings(kafka: Broker) -> Settings:
    return Settings(broker=kafka.bootstrap)


@pytest.fixture(scope="module")
def producer(settings: Settings) -> Iterator[StageProducer]:
    """Give a producer that never gives up."""
    opened = StageProducer(settings)
    yield opened
    opened.close()


@pytest.fixture
def topic(settings: Settings, request: pytest.FixtureRequest) -> str:
    """Give an empty topic of the test's own."""
    name = request.node.name[:200]
    admin = AdminClient({"bootstrap.servers": settings.broker})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(KAFKA_S)
    return str(name)


def record(key: bytes | None = b"key", value: bytes | None = b"value") -> Record:
    return {"key": key, "value": value}


def records(settings: Settings, topic: str, partition: int, count: int) -> list[Any]:
    """Return the first records of a partition."""
    consumer = Consumer({"bootstrap.servers": settings.broker, "group.id": "none"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    try:
        found: list[Any] = []
        while len(found) < count:
            arrived = consumer.consume(count - len(found), KAFKA_S)
            assert arrived, f"{len(found)} of {count} records, and no more"
            found += arrived
        return found
    finally:
        consumer.close()


async def test_a_keys_partition_is_the_one_that_kafkas_producer_chooses(
    producer: StageProducer, settings: Settings, topic: str
) -> None:
    keys: set[str] = set()

    @given(key=KEYS)
    @examples(max_examples=200, database=None)
    def collect(key: str) -> None:
        keys.add(key)

    collect()
    await producer.publish({(topic, ANYWHERE): [record(key.encode(), b"") for key in keys]})
    consumer = Consumer({"bootstrap.servers": settings.broker, "group.id": "none"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    try:
        found = consumer.consume(len(keys), KAFKA_S)
    finally:
        consumer.close()
    partitions = {(each.key() or b"").decode(): each.partition() for each in found}
    assert partitions == {key: partition_of(key, PARTITIONS) for key in keys}
    assert len(set(partitions.values())) > 1, "keys that all go the same way prove nothing"


async def test_publishing_returns_the_last_offset_of_each_partition(
    producer: BatchProducer, topic: str
) -> None:
    for first in (0, 1):
        batch = {(topic, 0): [record() for _ in range(3)], (topic, 1): [record()]}
        assert await producer.publish(batch) == {(topic, 0): 3 * first + 2, (topic, 1): first}


async def test_publishing_nothing_is_done_at_once(producer: BatchProducer) -> None:
    assert await producer.publish({}) == {}


async def test_what_is_published_can_be_read_by_the_time_it_is_acknowledged(
    producer: BatchProducer, settings: Settings, topic: str
) -> None:
    headers = [("error", b"what"), ("error", b"\x00\xff")]
    await producer.publish({(topic, 3): [record(None, None) | {"headers": headers}, record()]})
    first, second = records(settings, topic, 3, 2)
    assert (first.key(), first.value(), first.headers()) == (None, None, headers)
    assert (second.key(), second.value(), second.headers()) == (b"key", b"value", None)


async def test_batches_published_at_once_keep_their_order(
    producer: BatchProducer, settings: Settings, topic: str
) -> None:
    batches = [[record(b"key", b"%d.%d" % (one, two)) for two in range(100)] for one in range(30)]
    offsets = await asyncio.gather(*(producer.publish({(topic, 0): batch}) for batch in batches))
    assert [reached[topic, 0] for reached in offsets] == [100 * count + 99 for count in range(30)]
    found = [each.value() for each in records(settings, topic, 0, 3_000)]
    assert found == [each["value"] for batch in batches for each in batch]


async def test_what_is_not_acknowledged_holds_up_nothing_else(settings: Settings, topic: str) -> None:
    patient = BatchProducer(settings)
    try:
        stuck = asyncio.create_task(patient.publish({("no-such-topic", 0): [record()]}))
        for offset in range(3):
            async with asyncio.timeout(DEADLINE_S):
                assert await patient.publish({(topic, 0): [record()]}) == {(topic, 0): offset}
        assert not stuck.done()
        stuck.cancel()
    finally:
        patient.close()


class Ending:
    """Be a librdkafka producer that comes to its end, and loses a call back by it."""

    def __init__(self, _configuration: Any, **_: Any) -> None:
        self.sent = threading.Event()

    def produce_batch(self, _topic: str, bundle: list[Record], *_: Any, **__: Any) -> int:
        self.sent.set()
        return len(bundle)

    def _end(self, timeout_s: float) -> int:
        if self.sent.wait(timeout_s):
            self.sent.clear()
            raise SystemError("returned a result with an exception set")
        return 1

    poll = flush = _end

    def purge(self) -> None:
        pass


@pytest.mark.parametrize("partition", [0, ANYWHERE])
async def test_the_end_of_a_producer_ends_the_wait_for_what_was_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, partition: int
) -> None:
    monkeypatch.setattr(producers, "Producer", Ending)
    ending = StageProducer(settings)
    try:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(Unacknowledged, match="exception set") as verdict:
                await ending.publish({("topic", partition): [record()]})
        assert verdict.value.fatal
    finally:
        ending.close()


async def test_a_record_that_is_too_large_is_not_acknowledged_and_harms_no_later_one(
    producer: BatchProducer, topic: str
) -> None:
    with pytest.raises(Unacknowledged, match="Message size too large") as verdict:
        await producer.publish({(topic, 0): [record(b"key", b"x" * 3_000_000)]})
    assert not verdict.value.fatal
    assert await producer.publish({(topic, 0): [record()]}) == {(topic, 0): 0}


async def test_a_message_that_kafka_refuses_fails_its_batch(settings: Settings, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": settings.broker})
    small = f"{topic}-small"
    admin.create_topics([NewTopic(small, 2, 1, config={"max.message.bytes": "1000"})])[small].result(KAFKA_S)
    own = StageProducer(settings)
    try:
        await own.publish({(small, ANYWHERE): [record(b"%d" % number, b"ok") for number in range(50)]})
        with pytest.raises(Unacknowledged):
            await own.publish({(small, ANYWHERE): [record(), record(value=os.urandom(5_000)), record()]})
    finally:
        own.close()


async def test_a_record_that_kafka_refuses_fails_those_behind_it(settings: Settings, topic: str) -> None:
    """Only the last of a partition's records is asked about: it must not pass where one before it is lost."""
    admin = AdminClient({"bootstrap.servers": settings.broker})
    small = f"{topic}-small"
    admin.create_topics([NewTopic(small, 1, 1, config={"max.message.bytes": "1000"})])[small].result(KAFKA_S)
    own = BatchProducer(settings)
    try:
        for size in (500, 5_000):
            values = [os.urandom(size if number == 3 else 10) for number in range(7)]
            batch = {(small, 0): [record(b"key", value) for value in values]}
            if size > 1_000:
                with pytest.raises(Unacknowledged):
                    await own.publish(batch)
            else:
                assert await own.publish(batch) == {(small, 0): 6}
        with pytest.raises(Unacknowledged) as later:
            await own.publish({(small, 0): [record()]})
        assert later.value.fatal
    finally:
        own.close()


@pytest.fixture
def nowhere() -> Iterator[Settings]:
    """Give the settings of a broker that is away."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens, and nobody else will
        yield Settings(broker=f"127.0.0.1:{taken.getsockname()[1]}")


async def test_with_the_broker_away_a_producer_gives_up_in_its_time(nowhere: Settings) -> None:
    hasty = BatchProducer(nowhere, give_up_after_ms=200)
    try:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(Unacknowledged) as verdict:
                await hasty.publish({("topic", 0): [record() for _ in range(10)]})
        assert not verdict.value.fatal
    finally:
        hasty.close()


async def test_a_producer_tells_whether_the_broker_answers(
    producer: BatchProducer, nowhere: Settings
) -> None:
    assert await producer.reaches_broker(KAFKA_S)
    lonely = BatchProducer(nowhere)
    try:
        assert not await lonely.reaches_broker(0.2)
    finally:
        lonely.close()
