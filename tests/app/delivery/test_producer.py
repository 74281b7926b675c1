"""The producer on a real broker: acknowledgements, order, giving up, and what is sent again."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from app.broker import Broker
from app.delivery.produce_requests import Produce
from app.delivery.producer import ANYWHERE, BatchProducer, Place, Record, StageProducer, Unacknowledged
from app.partitions import partition_of
from app.settings import Settings

KAFKA_S = 30
DEADLINE_S = 20
PARTITIONS = 8

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def settings(kafka: Broker) -> Settings:
    return Settings(broker=kafka.bootstrap, partitions=PARTITIONS)


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Give what opens producers, and closes them with the test."""
    opened: list[BatchProducer] = []

    def open_one(kind: type[BatchProducer], *arguments: Any, **options: Any) -> BatchProducer:
        opened.append(kind(*arguments, **options))
        return opened[-1]

    yield open_one
    for producer in opened:
        await producer.close()


@pytest.fixture
def producer(make: Make, settings: Settings) -> BatchProducer:
    """Give a stage's producer."""
    opened: BatchProducer = make(StageProducer, settings)
    return opened


def create(settings: Settings, name: str, **config: str) -> str:
    """Create an empty topic."""
    admin = AdminClient({"bootstrap.servers": settings.broker})
    new = NewTopic(
        name, PARTITIONS, 1, config={key.replace("_", "."): value for key, value in config.items()}
    )
    admin.create_topics([new])[name].result(KAFKA_S)
    return name


@pytest.fixture
def topic(settings: Settings, request: pytest.FixtureRequest) -> str:
    """Give an empty topic of the test's own."""
    return create(settings, request.node.name[:200].replace("[", "-").replace("]", ""))


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


def end(settings: Settings, topic: str, partition: int) -> int:
    """Return how many records a partition has."""
    consumer = Consumer({"bootstrap.servers": settings.broker, "group.id": "none"})
    try:
        _, after_last = consumer.get_watermark_offsets(TopicPartition(topic, partition), KAFKA_S)
        return int(after_last)
    finally:
        consumer.close()


async def test_records_that_may_go_anywhere_go_where_their_keys_belong(
    producer: BatchProducer, settings: Settings, topic: str
) -> None:
    keys = [b"key-%d" % number for number in range(50)]
    offsets = await producer.publish(
        {(topic, ANYWHERE): [record(key) for key in keys], (topic, 3): [record()]}
    )
    assert offsets.keys() == {(topic, partition_of(key, PARTITIONS)) for key in keys} | {(topic, 3)}
    for _, partition in offsets:
        wanted = [key for key in keys if partition_of(key, PARTITIONS) == partition]
        found = records(settings, topic, partition, len(wanted) + (partition == 3))
        assert [each.key() for each in found if each.key() != b"key"] == wanted


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


async def test_what_is_not_acknowledged_holds_up_nothing_else(
    make: Make, settings: Settings, topic: str
) -> None:
    patient = make(BatchProducer, settings)
    verdicts: dict[Place, int | Unacknowledged] = {}
    both = {("no-such-topic", 0): [record()], (topic, 0): [record()]}
    stuck = asyncio.create_task(patient.offer(both, verdicts.__setitem__))
    async with asyncio.timeout(DEADLINE_S):
        while not verdicts:  # noqa: ASYNC110  # a dictionary tells nobody
            await asyncio.sleep(0.01)
        assert await patient.publish({(topic, 0): [record()]}) == {(topic, 0): 1}
    assert (verdicts, stuck.done()) == ({(topic, 0): 0}, False)
    stuck.cancel()


class Lossy:
    """Lose answers: the broker has taken what was sent, and the producer does not hear of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: int) -> None:
        self.lost = 0
        send = AIOKafkaClient.send

        async def lose(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
            answer = await send(client, node, request, **options)
            if self.lost < answers and isinstance(request, Produce):
                self.lost += 1
                raise KafkaConnectionError("the line went dead")
            return answer

        monkeypatch.setattr(AIOKafkaClient, "send", lose)


async def test_a_stages_record_that_is_sent_again_is_taken_once(
    producer: BatchProducer, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.publish({(topic, 0): [record()]})
    lossy = Lossy(monkeypatch, 2)
    assert await producer.publish({(topic, 0): [record(), record()], (topic, 1): [record()]}) == {
        (topic, 0): 2,
        (topic, 1): 0,
    }
    assert await producer.publish({(topic, 0): [record()]}) == {(topic, 0): 3}
    assert (lossy.lost, end(settings, topic, 0), end(settings, topic, 1)) == (2, 4, 1)


async def test_a_plain_producers_record_that_is_sent_again_may_be_taken_twice(
    make: Make, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what it sends has to be such that a repeat does nothing."""
    plain = make(BatchProducer, settings)
    await plain.publish({(topic, 0): [record()]})
    Lossy(monkeypatch, 1)
    await plain.publish({(topic, 0): [record()]})
    assert end(settings, topic, 0) == 3


async def test_more_than_fits_one_batch_arrives_whole_and_in_order(
    producer: BatchProducer, settings: Settings, topic: str
) -> None:
    values = [b"%d" % number + os.urandom(400_000) for number in range(6)]
    assert await producer.publish({(topic, 0): [record(b"key", value) for value in values]}) == {
        (topic, 0): 5
    }
    assert [each.value() for each in records(settings, topic, 0, 6)] == values


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_can_be_read(
    make: Make, settings: Settings, topic: str, compression: str
) -> None:
    kafka = settings.kafka.model_copy(update={"compression": compression})
    producer = make(StageProducer, settings.model_copy(update={"kafka": kafka}))
    values = [b"value" * 1_000, b"%d" % len(topic)]
    await producer.publish({(topic, 0): [record(b"key", value) for value in values]})
    assert [each.value() for each in records(settings, topic, 0, 2)] == values


async def test_a_record_that_kafka_refuses_fails_alone_in_a_plain_producer(
    make: Make, settings: Settings, topic: str
) -> None:
    producer, small = (
        make(BatchProducer, settings),
        create(settings, f"{topic}-small", max_message_bytes="1000"),
    )
    verdicts: dict[Place, int | Unacknowledged] = {}
    offered = {(small, 0): [record()], (small, 1): [record(value=os.urandom(5_000))]}
    await producer.offer(offered, verdicts.__setitem__)
    assert verdicts[small, 0] == 0
    assert "MessageSizeTooLarge" in str(verdicts[small, 1])
    assert await producer.publish({(small, 1): [record()]}) == {(small, 1): 0}


async def test_after_a_record_that_kafka_refuses_a_stages_producer_sends_nothing(
    producer: BatchProducer, settings: Settings, topic: str
) -> None:
    """What follows it might be a row that stands on it."""
    small = create(settings, f"{topic}-small", max_message_bytes="1000")
    assert await producer.publish({(small, 0): [record()]}) == {(small, 0): 0}
    with pytest.raises(Unacknowledged, match="MessageSizeTooLarge"):
        await producer.publish({(small, 0): [record(value=os.urandom(5_000))]})
    with pytest.raises(Unacknowledged, match="an earlier record was not acknowledged"):
        await producer.publish({(small, 0): [record()]})
    assert end(settings, small, 0) == 1


async def test_a_stages_producer_that_was_interrupted_sends_nothing_more(
    producer: BatchProducer, topic: str
) -> None:
    await producer.publish({(topic, 0): [record()]})
    sending = asyncio.create_task(producer.publish({(topic, 0): [record()]}))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait({sending})
    with pytest.raises(Unacknowledged, match="an earlier record was not acknowledged"):
        await producer.publish({(topic, 0): [record()]})


@pytest.fixture
def nowhere() -> Iterator[Settings]:
    """Give the settings of a broker that is away."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens, and nobody else will
        yield Settings(broker=f"127.0.0.1:{taken.getsockname()[1]}")


async def test_with_the_broker_away_a_producer_gives_up_in_its_time(make: Make, nowhere: Settings) -> None:
    hasty = make(BatchProducer, nowhere, give_up_after_ms=200)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(Unacknowledged, match=r"no acknowledgement within 0\.2 s"):
            await hasty.publish({("topic", 0): [record() for _ in range(10)]})


async def test_a_producer_tells_whether_the_broker_answers(
    make: Make, producer: BatchProducer, nowhere: Settings
) -> None:
    assert await producer.reaches_broker(KAFKA_S)
    assert not await make(StageProducer, nowhere).reaches_broker(0.2)
