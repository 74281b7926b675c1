"""Claims on a real broker: an owner finds what others write, and whoever is not the owner any more ends."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from faust.types import TP

from app.broker import Broker
from app.delivery import ownership
from app.delivery.ownership import Ownership
from app.delivery.producer import StageProducer
from app.delivery.state import CLAIM, Gap, NotHere, State
from app.settings import Settings
from tests.app.delivery.fakes import Died

KAFKA_S = 30


class Table(State):
    """Be a table in memory."""

    def __init__(self, changelog: str) -> None:
        self.name, self.changelog = changelog, changelog
        self.rows: dict[bytes, bytes | None] = {}
        self.reached = -1
        self._ends: dict[int, int] = {}

    def get(self, _partition: int, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def write(self, partition: int, rows: Any, offset: int) -> None:
        self.recover(partition, rows, offset)
        self._ends[partition] = offset + 1

    def recover(self, _partition: int, rows: Any, offset: int) -> None:
        self.rows |= dict(rows)
        self.reached = offset


@pytest.fixture
def settings(kafka: Broker) -> Settings:
    return Settings(broker=kafka.bootstrap, worker_id="this")


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[StageProducer]:
    opened = StageProducer(settings)
    yield opened
    await opened.close()


@pytest.fixture
def table(kafka: Broker, request: pytest.FixtureRequest) -> Table:
    """Give a table with an empty changelog of the test's own."""
    name = f"{request.node.name}-changelog"[:200]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(KAFKA_S)
    return Table(name)


@pytest.fixture(autouse=True)
def deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the end of the process raised."""

    def die(reason: str) -> None:
        raise Died(reason)

    monkeypatch.setattr(ownership, "die", die)


def others(kafka: Broker, table: Table, *rows: tuple[bytes, bytes | None]) -> None:
    """Have another worker write to partition 0."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for key, value in rows:
        producer.produce(table.changelog, value, key, 0)
    assert producer.flush(KAFKA_S) == 0


def content(kafka: Broker, table: Table) -> dict[bytes, bytes | None]:
    """Return what partition 0 of the changelog says last."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "none"})
    try:
        place = TopicPartition(table.changelog, 0, 0)
        _, end = consumer.get_watermark_offsets(place, KAFKA_S)
        consumer.assign([place])
        return {each.key() or b"": each.value() for each in consumer.consume(end, KAFKA_S)}
    finally:
        consumer.close()


async def write(table: Table, producer: StageProducer, key: bytes, value: bytes) -> Gap | None:
    """Write one row as a batch does; return what was found before it."""
    offsets = await producer.publish({(table.changelog, 0): [{"key": key, "value": value}]})
    gap = table.gap(0, offsets[table.changelog, 0], 1)
    table.write(0, [(key, value)], offsets[table.changelog, 0])
    return gap


async def test_claims_say_where_each_partition_begins_to_be_this_workers(
    kafka: Broker, settings: Settings, table: Table
) -> None:
    others(kafka, table, (b"a", b"1"), (b"b", b"1"))
    claims = await Ownership(settings).claim({TP(table.changelog, 0), TP(table.changelog, 1)})
    assert claims == {TP(table.changelog, 0): 2, TP(table.changelog, 1): 0}
    assert content(kafka, table) == {b"a": b"1", b"b": b"1", CLAIM: b"this"}


async def test_an_owner_that_writes_alone_finds_nothing_of_others(
    settings: Settings, table: Table, producer: StageProducer
) -> None:
    claims = await Ownership(settings).claim({TP(table.changelog, 0)})
    table.begin(0, claims[TP(table.changelog, 0)])
    assert [await write(table, producer, b"a", b"%d" % number) for number in range(3)] == [None] * 3


async def test_a_partition_that_was_not_claimed_is_not_written(table: Table) -> None:
    with pytest.raises(NotHere):
        table.gap(0, 5, 1)


async def test_what_an_earlier_owner_writes_late_is_put_right(
    kafka: Broker, settings: Settings, table: Table, producer: StageProducer
) -> None:
    owner = Ownership(settings)
    table.rows = {b"a": b"old", b"b": b"old"}
    table.begin(0, (await owner.claim({TP(table.changelog, 0)}))[TP(table.changelog, 0)])
    await write(table, producer, b"a", b"new")
    others(kafka, table, (b"a", b"stale"), (b"b", b"stale"), (b"c", b"stale"), (b"d", b"stale"))
    gap = await write(table, producer, b"c", b"new")
    assert gap == Gap(2, 6)
    foreign = await owner.examine(table, 0, gap)
    assert set(foreign) == {b"a", b"b", b"c", b"d"}
    await owner.put_right(table, 0, foreign, producer)
    right = {b"a": b"new", b"b": b"old", b"c": b"new", b"d": None}
    assert content(kafka, table) == {CLAIM: b"this", **right}
    assert table.reached == 10
    assert await write(table, producer, b"a", b"newer") is None


async def test_whoever_finds_a_later_claim_ends(
    kafka: Broker, settings: Settings, table: Table, producer: StageProducer
) -> None:
    late, owner = Ownership(settings), Ownership(settings.model_copy(update={"worker_id": "other"}))
    table.begin(0, (await late.claim({TP(table.changelog, 0)}))[TP(table.changelog, 0)])
    await owner.claim({TP(table.changelog, 0)})
    others(kafka, table, (b"a", b"theirs"))
    gap = await write(table, producer, b"a", b"stale")
    assert gap == Gap(1, 3)
    with pytest.raises(Died, match="b'other' owns"):
        await late.examine(cast("State", table), 0, gap)
