"""The way in, on a real broker: what is assigned arrives, and nothing else ever does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from faust.types import TP

from app.broker import Broker
from app.delivery import source as sources
from app.delivery.source import Source
from app.settings import DeliverySettings, Settings

KAFKA_S = 30
DEADLINE_S = 20
PARTITIONS = 4

Fill = Callable[[int, int], None]


@pytest.fixture
def topic(kafka: Broker, request: pytest.FixtureRequest) -> str:
    """Give an empty topic of the test's own."""
    name = str(request.node.name)[:200]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(KAFKA_S)
    return name


@pytest.fixture
def fill(kafka: Broker, topic: str) -> Fill:
    """Give a function that puts so many records into a partition, numbered on."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    ends = dict.fromkeys(range(PARTITIONS), 0)

    def put(partition: int, count: int) -> None:
        for _ in range(count):
            producer.produce(topic, b"%d" % ends[partition], b"key", partition)
            ends[partition] += 1
        assert producer.flush(KAFKA_S) == 0

    return put


@pytest.fixture
async def source_of(kafka: Broker) -> AsyncIterator[Callable[..., Source]]:
    """Make sources, and close them with the test."""
    made: list[Source] = []

    def make(**bounds: int) -> Source:
        settings = Settings(broker=kafka.bootstrap, delivery=DeliverySettings(**bounds))
        made.append(Source(settings, "test"))
        return made[-1]

    yield make
    for source in made:
        await source.close()


async def read(source: Source, count: int) -> list[tuple[int, int]]:
    """Return partition and offset of the next records, in their order."""
    found: list[tuple[int, int]] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            arrived = await source.take()
            assert arrived.epoch == source.epoch
            found += [(record.partition() or 0, record.offset() or 0) for record in arrived.records]
    return found


async def test_what_is_assigned_arrives_from_where_it_was_left(
    source_of: Callable[..., Source], topic: str, fill: Fill
) -> None:
    for partition in range(PARTITIONS):
        fill(partition, 5)
    source = source_of()
    await source.assign({TP(topic, 0): 3, TP(topic, 2): None})
    assert sorted(await read(source, 7)) == [(0, 3), (0, 4), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]


async def test_one_record_is_not_kept_waiting_for_company(
    source_of: Callable[..., Source], topic: str, fill: Fill
) -> None:
    source = source_of()
    await source.assign({TP(topic, 1): None})
    for number in range(5):
        taking = source.take()
        fill(1, 1)
        async with asyncio.timeout(DEADLINE_S):
            assert [record.offset() for record in (await taking).records] == [number]


async def test_a_take_is_bounded_in_records_and_in_bytes(
    source_of: Callable[..., Source], topic: str, fill: Fill
) -> None:
    fill(0, 2_000)
    for bounds, most in (({"batch_records": 100}, 100), ({"batch_bytes": 1_024}, 600)):
        source = source_of(**bounds)
        await source.assign({TP(topic, 0): 0})
        sizes: list[int] = []
        async with asyncio.timeout(DEADLINE_S):
            while sum(sizes) < 2_000:
                sizes.append(len((await source.take()).records))
        assert sum(sizes) == 2_000, "and nothing is lost between two takes"
        assert max(sizes) <= most


async def test_partitions_that_move_end_the_wait_and_void_what_was_taken(
    source_of: Callable[..., Source], topic: str, fill: Fill
) -> None:
    source = source_of()
    await source.assign({TP(topic, 0): None})
    taking = source.take()
    async with asyncio.timeout(DEADLINE_S):
        await source.revoke()
        arrived = await taking
    assert arrived.records == []
    assert arrived.epoch != source.epoch
    fill(0, 3)
    fill(1, 3)
    await source.assign({TP(topic, 1): 1})
    assert await read(source, 2) == [(1, 1), (1, 2)]


async def test_the_end_of_a_partition_is_known_once_it_was_read(
    source_of: Callable[..., Source], topic: str, fill: Fill
) -> None:
    fill(3, 4)
    source = source_of()
    assert source.end(TP(topic, 3)) is None
    await source.assign({TP(topic, 3): 0})
    await read(source, 4)
    taking = source.take()
    async with asyncio.timeout(DEADLINE_S):
        while source.end(TP(topic, 3)) != 4:  # noqa: ASYNC110  # it is noted from time to time, and tells nobody
            await asyncio.sleep(0.01)
    fill(3, 1)
    await taking


class Unreadable:
    """Be a librdkafka consumer that comes upon what it can't unpack, and upon trouble on the way."""

    def __init__(self, _configuration: Any, **_: Any) -> None:
        fault = KafkaError(KafkaError._BAD_MSG)  # noqa: SLF001  # confluent-kafka's public spelling
        self.found = [Message("topic", 0, offset, error=fault) for offset in (0, 1, OFFSET_INVALID)]
        self.found.append(Message("topic", 0, error=fault))

    def poll(self, _timeout_s: float) -> Message:
        return self.found[0]

    def consume(self, _count: int, **_: Any) -> list[Message]:
        return self.found[1:]

    def close(self) -> None:
        pass


async def test_a_record_that_cannot_be_read_arrives_and_trouble_on_the_way_does_not(
    source_of: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is not told of a record never buries it, nor commits the offset behind it."""
    monkeypatch.setattr(sources, "Consumer", Unreadable)
    arrived = await source_of().take()
    assert [record.offset() for record in arrived.records] == [0, 1]
