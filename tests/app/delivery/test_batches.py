"""Batches, one after the other: faults, answers from outside, rebalances and the end of the process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from faust.types import TP

from app.delivery.batch import Batch
from app.delivery.batches import Batches
from app.delivery.codec import encode
from app.delivery.deadletters import DeadLetter
from app.delivery.state import NotHere
from models.events import InventoryRestocked
from tests.app.delivery.fakes import (
    PARTITION,
    POISON,
    RECORDED_MS,
    STEPS,
    Died,
    Log,
    RecordingState,
    Worker,
    restocked,
    state_of,
)
from tests.app.turning import turns, until


@pytest.fixture
def _mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the end of the process end the test's own task."""

    def die(reason: str) -> None:
        raise Died(reason)

    monkeypatch.setattr("app.delivery.batches.die", die)
    monkeypatch.setattr("app.delivery.stages.die", die)


@pytest.fixture
async def worker_of(_mortal: None) -> AsyncIterator[Callable[..., Worker]]:
    """Make workers, and end them with the test."""
    made: list[Worker] = []

    def make(log: Log | None = None, *, awaited: bool = True, **bounds: int) -> Worker:
        made.append(Worker(log or Log(), awaited=awaited, **bounds))
        return made[-1]

    yield make
    for worker in made:
        worker.log.gate.set()  # a commit that is held up would outlive its cancellation
        if worker.task is not None:
            worker.task.cancel()
            await asyncio.gather(worker.task, return_exceptions=True)


MakeWorker = Callable[..., Worker]


async def test_whatever_waits_is_one_batch_and_later_input_another(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(*range(1, 6))
    await worker.begin()
    await until(lambda: worker.acknowledged == [0, 1, 2, 3, 4])
    worker.put(6)
    await until(lambda: worker.acknowledged[-1:] == [5])
    assert worker.seen == [[1, 2, 3, 4, 5], [6]]
    assert worker.state.rows == {(0, b"sku-1"): b"21"}
    assert worker.sent == [1, 2, 3, 4, 5, 6]


async def test_a_batch_is_bounded(worker_of: MakeWorker) -> None:
    worker = worker_of(batch_records=10)
    worker.put(*[1] * 100)
    for _ in range(20):
        worker.delivery.answer("restock", 0, restocked(2))
    await worker.begin()
    await until(lambda: len(worker.acknowledged) == 100)
    assert max(map(len, worker.seen)) == 10


async def test_an_input_at_fault_is_found_and_buried_and_the_others_go_through(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1, 2, POISON, 4, 5)
    await worker.begin()
    await until(lambda: worker.acknowledged == [0, 1, 2, 3, 4])
    assert worker.sent == [1, 2, 4, 5]
    assert worker.state.rows == {(0, b"sku-1"): b"12"}
    (buried,) = worker.buried
    assert (buried.key, buried.value) == (b"sku-1", encode(restocked(POISON)))
    assert dict(buried.headers) == {
        "error": b"ValueError: beyond counting",
        "source_topic": b"INVENTORY_RESTOCKED",
        "source_partition": b"0",
        "source_offset": b"2",
    }


async def test_a_batch_that_is_taken_back_calls_nobody_back(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1, 2, POISON)
    await worker.begin()
    await until(lambda: worker.acknowledged == [0, 1, 2])
    assert [done for done in worker.log.done if done.startswith("done")] == ["done 1", "done 2"]


async def test_new_input_waits_until_the_batch_at_fault_is_through(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1, POISON, 3)
    await worker.begin()
    await until(lambda: worker.acknowledged[:1] == [0])
    worker.put(4)
    await until(lambda: len(worker.acknowledged) == 4)
    assert worker.acknowledged == [0, 1, 2, 3]
    assert worker.sent == [1, 3, 4]


async def test_several_inputs_at_fault_are_each_buried(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(POISON, 2, POISON, POISON, 5, POISON)
    await worker.begin()
    await until(lambda: len(worker.acknowledged) == 6)
    assert (worker.sent, len(worker.buried)) == ([2, 5], 4)


async def test_whoever_wants_to_know_of_letters_writes_with_the_batch_that_buries_them(
    worker_of: MakeWorker,
) -> None:
    worker = worker_of()
    state = state_of(worker.log)

    @worker.delivery.on_buried
    def note(batch: Batch, letter: DeadLetter) -> None:
        batch.write(state, letter.partition, b"%d" % letter.offset, letter.error.encode())

    worker.put(POISON, 2)
    worker.put(3, content=b"{")
    await worker.begin()
    await until(lambda: len(worker.acknowledged) == 3)
    written = cast("RecordingState", state).rows
    assert written.keys() == {(0, b"0"), (0, b"2")}
    assert written[0, b"0"] == b"ValueError: beyond counting"
    assert len(worker.buried) == 2


async def test_a_letter_that_can_not_be_noted_is_not_acknowledged(worker_of: MakeWorker) -> None:
    worker = worker_of()

    @worker.delivery.on_buried
    def note(_batch: Batch, _letter: DeadLetter) -> None:
        raise NotHere("partition 0 is not open on this worker")

    worker.put(1, content=b"{")
    await worker.begin()
    assert "is not open on this worker" in await worker.died()
    assert worker.acknowledged == []


async def test_what_cannot_be_read_is_buried_without_the_agent_seeing_it(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1)
    worker.put(2, content=b"{")
    worker.put(3, about=b"another")
    worker.put(4, content=None)
    worker.put(5)
    await worker.begin()
    await until(lambda: len(worker.acknowledged) == 5)
    assert (worker.seen, worker.sent) == ([[1, 5]], [1, 5])
    assert [(record.key, record.value) for record in worker.buried] == [
        (b"sku-1", b"{"),
        (b"another", encode(restocked(3))),
        (b"sku-1", None),
    ]
    assert all(dict(record.headers)["error"].startswith(b"Undecodable: ") for record in worker.buried)


async def test_a_record_in_a_partition_that_is_not_its_key_s_is_buried_with_its_place(
    worker_of: MakeWorker,
) -> None:
    worker = worker_of()
    worker.put(1)
    worker.put(2, where=1)
    worker.put(3)
    await worker.begin()
    await until(lambda: len(worker.acknowledged) == 3)
    assert worker.seen == [[1, 3]]
    (buried,) = worker.buried
    assert (buried.partition, buried.key, buried.value) == (1, b"sku-1", encode(restocked(2)))
    headers = dict(buried.headers)
    assert headers["error"] == b"Undecodable: the record is in partition 1, but its key belongs in 0"
    assert headers["source_partition"] == b"1"


async def test_a_record_of_an_earlier_assignment_is_dropped_unread(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1, epoch=-1)
    worker.put(2)
    await worker.begin()
    await until(lambda: worker.acknowledged == [1])
    assert worker.seen == [[2]]


async def test_a_record_that_the_client_cannot_unpack_is_buried_with_its_place(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1, content=None, fault="Unsupported compression")
    worker.put(2)
    await worker.begin()
    await until(lambda: worker.acknowledged == [0, 1])
    (buried,) = worker.buried
    assert dict(buried.headers)["error"] == b"Undecodable: Unsupported compression"
    assert worker.seen == [[2]]


async def test_nothing_is_worked_on_between_a_rebalance_and_the_next_assignment(
    worker_of: MakeWorker,
) -> None:
    worker = worker_of()
    await worker.begin()
    await worker.drain()
    worker.put(1)
    worker.delivery.answer("restock", 0, restocked(2))
    await turns()
    assert (worker.seen, worker.log.done) == ([], ["committed"])
    await worker.resume()
    await until(lambda: worker.acknowledged == [0])
    assert [quantity for batch in worker.seen for quantity in batch] == [2, 1]


async def test_partitions_that_move_again_are_not_taken_up(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1)
    worker.start()
    await turns()

    def moving() -> None:
        raise RuntimeError("again")

    with pytest.raises(RuntimeError, match="again"):
        await worker.delivery.resume({PARTITION: None}, moving)
    await turns()
    assert (worker.source.positions, worker.seen) == ({}, [])


async def test_an_answer_from_outside_is_worked_on_like_any_input(worker_of: MakeWorker) -> None:
    worker = worker_of()
    await worker.begin(TP(InventoryRestocked.type, 6))
    await turns()
    worker.delivery.answer("restock", 6, restocked(9))
    await until(lambda: worker.log.done[-1:] == ["done 9"])
    assert worker.state.rows == {(6, b"sku-1"): b"9"}
    assert worker.acknowledged == []


async def test_without_room_a_stage_is_given_answers_alone_and_each_may_make_room(
    worker_of: MakeWorker,
) -> None:
    worker = worker_of()
    room = asyncio.Event()
    worker.delivery.stage(InventoryRestocked, room=room)(worker.restock)
    worker.put(1)
    await worker.begin()
    await turns()
    assert worker.seen == []
    for quantity in (8, 9):
        worker.delivery.answer("restock", 0, restocked(quantity))
        await until(lambda quantity=quantity: [quantity] in worker.seen)  # type: ignore[misc]
    room.set()
    await until(lambda: worker.acknowledged == [0])
    assert worker.seen == [[8], [9], [1]]


async def test_room_that_is_made_without_an_answer_is_used(worker_of: MakeWorker) -> None:
    """A call that is refused or dropped has no answer, and makes room all the same."""
    worker = worker_of()
    room = asyncio.Event()
    worker.delivery.stage(InventoryRestocked, room=room)(worker.restock)
    worker.put(1)
    await worker.begin()
    await turns()
    assert worker.seen == []
    room.set()
    await until(lambda: worker.acknowledged == [0])


async def test_an_answer_for_a_partition_that_went_elsewhere_is_dropped(worker_of: MakeWorker) -> None:
    """One that comes between the old assignment and the new one may be about either."""
    worker = worker_of()
    await worker.begin()
    await worker.drain()
    worker.delivery.answer("restock", 6, restocked(9))
    worker.delivery.answer("restock", 0, restocked(2))
    worker.put(1)
    await worker.resume()
    await until(lambda: worker.acknowledged == [0])
    assert [quantity for batch in worker.seen for quantity in batch] == [2, 1]


async def test_an_answer_to_an_earlier_assignment_is_dropped(worker_of: MakeWorker) -> None:
    worker = worker_of()
    await worker.begin()
    await worker.drain()
    worker.source.epoch -= 1
    worker.delivery.answer("restock", 6, restocked(9))
    worker.source.epoch += 1
    worker.put(1)
    await worker.resume()
    await until(lambda: worker.acknowledged == [0])
    assert worker.seen == [[1]]


async def test_an_answer_to_a_stage_that_does_not_run_is_dropped(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.delivery.answer("restock", 6, restocked(9))
    await worker.begin()
    worker.put(1)
    await until(lambda: worker.acknowledged == [0])
    assert worker.seen == [[1]]


async def test_an_answer_at_fault_ends_the_process_for_it_has_no_dead_letter(worker_of: MakeWorker) -> None:
    worker = worker_of()
    await worker.begin(TP(InventoryRestocked.type, 6))
    await turns()
    worker.delivery.answer("restock", 6, restocked(POISON))
    assert "an answer from outside can't be processed" in await worker.died()


@pytest.mark.parametrize("step", STEPS[:-1])
async def test_a_commit_that_fails_ends_the_process_with_nothing_acknowledged(
    worker_of: MakeWorker, step: str
) -> None:
    worker = worker_of(Log(fails_at=step))
    worker.put(1, 2)
    await worker.begin()
    assert f"{step}: not today" in await worker.died()
    assert worker.acknowledged == []
    assert [done for done in worker.log.done if done in STEPS] == STEPS[: STEPS.index(step)]


async def test_a_dead_letter_that_cannot_be_sent_ends_the_process(worker_of: MakeWorker) -> None:
    worker = worker_of(Log(fails_at="messages acknowledged"))
    worker.put(1, content=b"{")
    await worker.begin()
    assert "messages acknowledged: not today" in await worker.died()
    assert worker.acknowledged == []


@pytest.mark.usefixtures("_mortal")
async def test_a_stage_that_takes_no_more_batches_ends_the_process() -> None:
    worker = Worker(Log())

    async def weary(_batches: Batches) -> None:
        """Take nothing."""

    worker.delivery.stage(InventoryRestocked)(weary)
    worker.start()
    assert await worker.died() == "stage weary stopped taking batches"


@pytest.mark.usefixtures("_mortal")
async def test_a_stage_that_fails_outside_any_batch_ends_the_process() -> None:
    worker = Worker(Log())

    async def broken(_batches: Batches) -> None:
        raise RuntimeError("before it began")

    worker.delivery.stage(InventoryRestocked)(broken)
    worker.start()
    assert "before it began" in await worker.died()


@pytest.mark.usefixtures("_mortal")
async def test_a_stage_that_reads_what_this_worker_does_not_hold_ends_the_process() -> None:
    worker = Worker(Log())

    async def stranger(_batches: Batches) -> None:
        raise NotHere("partition 3 of orders is not open on this worker")

    worker.delivery.stage(InventoryRestocked)(stranger)
    worker.start()
    assert "partition 3 of orders is not open" in await worker.died()
    assert worker.acknowledged == []


@pytest.mark.parametrize("step", ["states sent", "messages sent"])
async def test_a_commit_under_way_is_finished_although_the_agent_is_cancelled(
    worker_of: MakeWorker, step: str
) -> None:
    worker = worker_of(Log(holds_at=step))
    worker.put(1)
    await worker.begin()
    await until(lambda: worker.log.done[-1:] == [step])
    assert worker.task is not None
    worker.task.cancel()
    await turns()
    worker.log.gate.set()
    await asyncio.wait([worker.task])
    assert worker.task.cancelled()
    assert (worker.acknowledged, worker.sent) == ([0], [1])


async def test_draining_waits_for_the_batch_in_hand(worker_of: MakeWorker) -> None:
    worker = worker_of(Log(holds_at="messages sent"))
    worker.put(1)
    await worker.begin()
    await until(lambda: worker.log.done[-1:] == ["messages sent"])
    draining = asyncio.ensure_future(worker.drain())
    await turns()
    assert not draining.done()
    worker.log.gate.set()
    await draining
    assert worker.acknowledged == [0]


async def test_draining_waits_for_a_batch_that_was_taken_apart(worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.put(1, POISON, 3)
    await worker.begin()
    await until(lambda: bool(worker.seen))
    await worker.drain()
    assert worker.acknowledged == [0, 1, 2]


async def test_draining_an_idle_worker_is_done_at_once(worker_of: MakeWorker) -> None:
    worker = worker_of()
    await worker.begin()
    await turns()
    await worker.drain()


async def test_a_batch_that_takes_too_long_to_drain_ends_the_process(worker_of: MakeWorker) -> None:
    worker = worker_of(Log(holds_at="states sent"), drain_timeout_ms=20)
    worker.put(1)
    await worker.begin()
    await until(lambda: worker.log.done[-1:] == ["states sent"])
    with pytest.raises(Died, match="a batch took longer than 20 ms to finish"):
        await worker.drain()
    worker.log.gate.set()


async def test_lag_is_what_has_not_been_worked_through_yet(worker_of: MakeWorker) -> None:
    worker = worker_of()
    assert worker.delivery.lag(*PARTITION) == 1, "unknown counts as behind"
    worker.source.ends[PARTITION] = 3
    worker.start()
    await worker.resume({PARTITION: 1})
    assert worker.delivery.lag(*PARTITION) == 2
    worker.offset = 1
    worker.put(2, 3)
    await until(lambda: worker.acknowledged == [1, 2])
    assert worker.delivery.lag(*PARTITION) == 0


@pytest.mark.parametrize("awaited", [True, False])
async def test_a_worker_is_late_where_a_stage_is_that_orders_wait_for(
    worker_of: MakeWorker, *, awaited: bool
) -> None:
    worker = worker_of(Log(holds_at="states sent"), awaited=awaited)
    await worker.begin()
    assert worker.delivery.behind_s() == 0
    worker.put(2)
    await until(lambda: worker.log.done[-1:] == ["states sent"])
    late_s = time.time() - RECORDED_MS / 1000
    assert worker.delivery.behind_s() == (pytest.approx(late_s, rel=0.01) if awaited else 0)


async def test_a_worker_is_as_late_as_the_oldest_record_in_hand_wherever_in_the_batch_it_is(
    worker_of: MakeWorker,
) -> None:
    worker = worker_of(Log(holds_at="states sent"))
    now = time.time()
    for age_s in (0, 60, 5):
        worker.put(1, recorded_ms=int((now - age_s) * 1_000))
    await worker.begin()
    await until(lambda: worker.log.done[-1:] == ["states sent"])
    assert worker.seen == [[1, 1, 1]], "one batch"
    assert worker.delivery.behind_s() == pytest.approx(60, abs=5)


async def test_a_record_that_nobody_can_date_makes_no_worker_late(worker_of: MakeWorker) -> None:
    worker = worker_of(Log(holds_at="states sent"))
    worker.put(1, recorded_ms=int(time.time() * 1_000))
    worker.put(1, fault="bad checksum", recorded_ms=-1)
    await worker.begin()
    await until(lambda: worker.log.done[-1:] == ["states sent"])
    assert worker.delivery.behind_s() < 5


async def test_kafka_is_asked_once_whether_it_answers_however_many_stages_run(worker_of: MakeWorker) -> None:
    worker = worker_of()
    assert not await worker.delivery.reaches_broker(), "nobody can ask it yet"

    async def another(batches: Batches) -> None:
        await worker.restock(batches)

    worker.start()
    first = worker.task
    worker.delivery.stage(InventoryRestocked)(another)
    worker.start()
    await turns()
    assert await worker.delivery.reaches_broker()
    assert worker.producer.asked == 1
    assert first is not None
    first.cancel()
    await asyncio.wait([first])
    assert await worker.delivery.reaches_broker(), "the other one still runs"


async def test_a_stage_that_ends_lets_go_of_its_producer_and_nobody_asks_it_any_more(
    worker_of: MakeWorker,
) -> None:
    worker = worker_of()
    worker.source.ends[PARTITION] = 3
    await worker.begin()
    assert worker.task is not None
    worker.task.cancel()
    await asyncio.wait([worker.task])
    await until(lambda: worker.producer.closed)
    assert not await worker.delivery.reaches_broker()
    assert worker.delivery.lag(*PARTITION) == 1, "unknown counts as behind"
    worker.delivery.answer("restock", 0, restocked(2))
