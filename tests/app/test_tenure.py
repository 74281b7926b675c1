"""When a worker may say that it knows all of a partition, on a real Kafka."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from faust.types import TP

from app.broker import Broker
from app.delivery.progress import Progress
from app.main import App
from app.routing import Moving
from app.settings import Settings, WebSettings
from app.tenure import Tenures

TOPIC = "tenure"
PARTITIONS = 2
KAFKA_S = 30
WRITTEN = TP(TOPIC, 1)


@pytest.fixture(scope="module")
def written(kafka: Broker) -> Broker:
    """Give a Kafka that has three records in one of two partitions."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(KAFKA_S)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for _ in range(3):
        producer.produce(TOPIC, b"", partition=1)
    assert producer.flush(KAFKA_S) == 0
    return kafka


class Worker:
    """Be a worker as far as its tenure goes: its place in the group, and how far it has read."""

    def __init__(self, bootstrap: str, accept_timeout_ms: int = 5_000, appear_timeout_ms: int = 1) -> None:
        self.lease = SimpleNamespace(held=True)
        self.progress = Progress()
        delivery = SimpleNamespace(progress=self.progress, ownership=SimpleNamespace(lease=self.lease))
        self.app = SimpleNamespace(rebalancing=False, rebalancing_count=1, delivery=delivery)
        web = WebSettings(accept_timeout_ms=accept_timeout_ms, appear_timeout_ms=appear_timeout_ms)
        settings = Settings(broker=bootstrap, partitions=PARTITIONS, web=web)
        self.tenures = Tenures(cast("App", self.app), settings, TOPIC)

    def read(self, offset: int) -> None:
        """Have worked on the written partition's records before this offset."""
        self.progress.start({WRITTEN: offset})


@pytest.fixture
def worker(written: Broker) -> Worker:
    return Worker(written.bootstrap)


async def test_a_worker_knows_a_partition_once_it_has_read_what_was_there_when_it_came_to_it(
    worker: Worker,
) -> None:
    worker.read(2)
    with pytest.raises(Moving, match="still being taken in"):
        await worker.tenures.hold(*WRITTEN)
    worker.read(3)
    assert (await worker.tenures.hold(*WRITTEN)).ends == {TP(TOPIC, 0): 0, WRITTEN: 3}


async def test_a_worker_waits_for_a_moment_until_it_has_read_so_far(written: Broker) -> None:
    worker = Worker(written.bootstrap, appear_timeout_ms=KAFKA_S * 1000)
    worker.read(2)
    knowing = asyncio.ensure_future(worker.tenures.hold(*WRITTEN))
    await asyncio.wait({knowing}, timeout=0.01)
    assert not knowing.done()
    worker.read(3)
    assert (await knowing).ends[WRITTEN] == 3


async def test_a_worker_whose_partitions_move_while_it_waits_knows_nothing(written: Broker) -> None:
    worker = Worker(written.bootstrap, appear_timeout_ms=KAFKA_S * 1000)
    worker.read(3)
    await worker.tenures.hold(*WRITTEN)
    worker.read(2)
    knowing = asyncio.ensure_future(worker.tenures.hold(*WRITTEN))
    await asyncio.sleep(0)
    worker.app.rebalancing_count += 1
    worker.read(3)
    with pytest.raises(Moving, match="partitions move"):
        await knowing


async def test_a_partition_in_which_nothing_is_was_read_to_its_end(worker: Worker) -> None:
    await worker.tenures.hold(TOPIC, 0)


async def test_kafka_is_asked_once_an_assignment(worker: Worker) -> None:
    worker.read(3)
    tenures = await asyncio.gather(*(worker.tenures.hold(*WRITTEN) for _ in range(5)))
    assert all(tenure is tenures[0] for tenure in tenures)
    worker.app.rebalancing_count += 1
    assert (await worker.tenures.hold(*WRITTEN)).assignment == tenures[0].assignment + 1


async def test_whoever_waits_while_kafka_does_not_answer_is_told_at_once_with_the_others() -> None:
    worker = Worker("127.0.0.1:1")
    told = await asyncio.gather(*(worker.tenures.hold(*WRITTEN) for _ in range(5)), return_exceptions=True)
    assert isinstance(told[0], Moving)
    assert "Kafka does not say" in str(told[0])
    assert all(each is told[0] for each in told), "it was asked once, and not for each in turn"


async def test_a_worker_whose_lease_has_run_out_knows_nothing(worker: Worker) -> None:
    worker.read(3)
    await worker.tenures.hold(*WRITTEN)
    worker.lease.held = False
    with pytest.raises(Moving, match="heartbeat"):
        await worker.tenures.hold(*WRITTEN)


async def test_while_partitions_move_a_worker_knows_nothing(worker: Worker) -> None:
    worker.app.rebalancing = True
    with pytest.raises(Moving, match="partitions move"):
        await worker.tenures.hold(*WRITTEN)


async def test_soon_after_an_assignment_a_record_of_the_owner_before_may_still_come(worker: Worker) -> None:
    assert not worker.tenures.is_sure(await worker.tenures.hold(TOPIC, 0))


async def test_later_a_worker_is_sure_for_as_long_as_its_lease_and_its_assignment_last(
    written: Broker,
) -> None:
    worker = Worker(written.bootstrap, accept_timeout_ms=1)
    tenure = await worker.tenures.hold(TOPIC, 0)
    async with asyncio.timeout(KAFKA_S):
        while not worker.tenures.is_sure(tenure):  # noqa: ASYNC110  # time itself is what is waited for
            await asyncio.sleep(0.001)
    worker.lease.held = False
    assert not worker.tenures.is_sure(tenure)
    worker.lease.held = True
    assert worker.tenures.is_sure(tenure)
    worker.app.rebalancing_count += 1
    assert not worker.tenures.is_sure(tenure)
