"""How requests share acknowledgements: in groups, each with what became of its own."""

import asyncio
from datetime import UTC, datetime
from typing import Self

import pytest

from app.delivery.producer import Bundles, Settle, Unacknowledged
from app.partitions import partition_of
from app.settings import Settings
from models.events import InventoryRestocked
from web import accepting
from web.accepting import Acceptance
from web.problems import Problem

DEADLINE_S = 10


class Kafka:
    """Be a producer whose groups are acknowledged when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.verdicts: list[asyncio.Future[None]] = []
        self.settles: list[Settle] = []

    def __call__(self, _settings: Settings, *, give_up_after_ms: int) -> Self:
        assert give_up_after_ms == Settings().web.accept_timeout_ms
        return self

    async def offer(self, bundles: Bundles, settle: Settle) -> None:
        self.batches.append([record["key"].decode() for bundle in bundles.values() for record in bundle])
        self.verdicts.append(asyncio.get_running_loop().create_future())
        self.settles.append(settle)
        try:
            await self.verdicts[-1]
        except Unacknowledged as refusal:
            for place in bundles:
                settle(place, refusal)
        else:
            for place in bundles:
                settle(place, 0)

    async def batch(self, number: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.batches) <= number:  # noqa: ASYNC110  # a list tells nobody
                await asyncio.sleep(0)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    fake = Kafka()
    monkeypatch.setattr(accepting, "BatchProducer", fake)
    return fake


@pytest.fixture
def acceptance() -> Acceptance:
    return Acceptance(Settings(partitions=1))


def restocked(sku: str) -> InventoryRestocked:
    return InventoryRestocked(
        event_id=f"event of {sku}",
        occurred_at=datetime.now(UTC),
        correlation_id="correlation",
        causation_id="causation",
        sku=sku,
        quantity=1,
    )


def start(acceptance: Acceptance, *skus: str) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(acceptance.accept(restocked(sku), restock_id=sku)) for sku in skus]


async def test_one_that_is_alone_is_sent_at_once_and_waits_for_its_acknowledgement(
    acceptance: Acceptance, kafka: Kafka
) -> None:
    (request,) = start(acceptance, "a")
    await kafka.batch(0)
    assert not request.done()
    kafka.verdicts[0].set_result(None)
    await request
    assert kafka.batches == [["a"]]


async def test_what_arrives_while_a_group_is_under_way_makes_up_the_next(
    acceptance: Acceptance, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "LATE_S", DEADLINE_S)
    first = start(acceptance, "a", "b")
    await kafka.batch(0)
    second = start(acceptance, "c", "d", "e")
    await asyncio.sleep(0)
    assert kafka.batches == [["a", "b"]]
    kafka.verdicts[0].set_result(None)
    await asyncio.gather(*first)
    await kafka.batch(1)
    assert not any(request.done() for request in second)
    kafka.verdicts[1].set_result(None)
    await asyncio.gather(*second)
    assert kafka.batches == [["a", "b"], ["c", "d", "e"]]


async def test_a_group_that_is_late_holds_up_no_other(
    acceptance: Acceptance, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "LATE_S", 0.01)
    late = start(acceptance, "a")
    await kafka.batch(0)
    others = start(acceptance, "b")
    await kafka.batch(1)
    kafka.verdicts[1].set_result(None)
    await asyncio.gather(*others)
    assert not late[0].done()
    kafka.verdicts[0].set_result(None)
    await asyncio.gather(*late)


async def test_what_one_partition_lacks_holds_up_no_other_of_its_group(kafka: Kafka) -> None:
    acceptance = Acceptance(Settings(partitions=2))
    here, there = (
        next(sku for sku in "abcdef" if partition_of(sku.encode(), 2) == which) for which in (0, 1)
    )
    stuck, other, another = start(acceptance, here, there, there)
    await kafka.batch(0)
    assert kafka.batches == [[here, there, there]]
    kafka.settles[0]((InventoryRestocked.type, 1), 17)
    await asyncio.gather(other, another)
    assert not stuck.done()
    kafka.settles[0]((InventoryRestocked.type, 0), Unacknowledged("no leader"))
    with pytest.raises(Problem):
        await stuck


async def test_each_request_of_a_group_that_is_not_acknowledged_is_told_so_by_its_own_name(
    acceptance: Acceptance, kafka: Kafka
) -> None:
    requests = start(acceptance, "a", "b")
    await kafka.batch(0)
    kafka.verdicts[0].set_exception(Unacknowledged("timed out"))
    problems = await asyncio.gather(*requests, return_exceptions=True)
    assert [(p.status, p.extra) for p in problems if isinstance(p, Problem)] == [
        (503, {"restock_id": "a"}),
        (503, {"restock_id": "b"}),
    ]
    again = start(acceptance, "c")
    await kafka.batch(1)
    kafka.verdicts[1].set_result(None)
    await asyncio.gather(*again)


async def test_a_request_that_was_given_up_leaves_its_group_alone(
    acceptance: Acceptance, kafka: Kafka
) -> None:
    gone, other = start(acceptance, "a", "b")
    await kafka.batch(0)
    gone.cancel()
    await asyncio.wait({gone})
    kafka.verdicts[0].set_result(None)
    await other
    assert kafka.batches == [["a", "b"]]


async def test_a_fault_that_nobody_foresaw_reaches_every_request_of_the_group(
    acceptance: Acceptance, kafka: Kafka
) -> None:
    requests = start(acceptance, "a", "b")
    await kafka.batch(0)
    kafka.verdicts[0].set_exception(ZeroDivisionError("what?"))
    faults = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(fault) for fault in faults] == [ZeroDivisionError] * 2
