"""One batch: what it holds, and the order in which it is made to last."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, cast

import pytest

from app.delivery import turn
from app.delivery.batch import Batch, Input, Place
from app.delivery.codec import encode
from app.delivery.committing import Means, commit
from app.delivery.lease import NotHeld
from app.delivery.meter import Meter
from app.delivery.producer import ANYWHERE, Bundles, Offsets
from app.delivery.state import Gap, State
from models.events import InventoryRestocked
from tests.app.delivery.fakes import (
    STEPS,
    FakeOwnership,
    Log,
    Record,
    RecordingProducer,
    RecordingProgress,
    RecordingState,
    letter,
    restocked,
    sent,
    state_of,
)
from tests.app.turning import turns, until


async def test_a_batch_gives_what_can_be_read_and_buries_the_rest() -> None:
    batch = Batch((Input(0, "one"), Input(3, None, None, letter()), Input(1, "two")))
    assert [each async for each in batch] == [(0, "one"), (1, "two")]
    assert batch.outgoing == {("DEAD_LETTERS", 3): [letter().record()]}


async def test_a_batch_knows_the_offset_of_the_input_in_hand_alone() -> None:
    batch = Batch((Input(0, "record", Record(7, b"", b"")), Input(0, "answer")))
    assert batch.offset is None
    assert [(message, batch.offset) async for _, message in batch] == [("record", 7), ("answer", None)]
    assert batch.offset is None


class Others:
    """Count the turns that somebody else has."""

    def __init__(self) -> None:
        self.turns = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _go_on(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


THREE = (Input(0, "one"), Input(0, "two"), Input(0, "three"))


@pytest.mark.parametrize(
    ("asked", "longest"), [(True, "TURN_S"), (False, "LONG_TURN_S")], ids=["requests", "no requests"]
)
async def test_what_takes_long_gives_way_to_others(
    monkeypatch: pytest.MonkeyPatch, *, asked: bool, longest: str
) -> None:
    for name, value in {
        "TURN_S": 60,
        "LONG_TURN_S": 60,
        "LISTENS_S": 60 if asked else 0,
        longest: -1,
    }.items():
        monkeypatch.setattr(turn, name, value)
    turn.expect()
    async with Others() as others:
        found = [others.turns async for _ in Batch(THREE)]
    assert found == sorted(set(found)), "somebody else had a turn between any two inputs"


@pytest.mark.parametrize("listens_s", [0, 60], ids=["no requests", "requests"])
async def test_what_is_quick_is_done_in_one_turn(monkeypatch: pytest.MonkeyPatch, listens_s: int) -> None:
    for name, value in {"TURN_S": 60, "LONG_TURN_S": 60, "LISTENS_S": listens_s}.items():
        monkeypatch.setattr(turn, name, value)
    turn.expect()
    async with Others() as others:
        found = [others.turns async for _ in Batch(THREE)]
    assert found == [0, 0, 0]


def test_a_dead_letter_is_the_record_as_it_was_and_says_where_it_came_from_and_why() -> None:
    assert letter().record() == {
        "key": b"\xff",
        "value": None,
        "headers": [
            ("error", b"what was wrong"),
            ("source_topic", b"ORDER_CREATED"),
            ("source_partition", b"3"),
            ("source_offset", b"7"),
        ],
    }


def test_a_batch_reads_what_it_has_written_and_else_what_is_there() -> None:
    state, batch = state_of(Log()), Batch(())
    cast("RecordingState", state).rows = {(0, b"there"): b"old", (0, b"gone"): b"old"}
    for place in Place:
        batch.write(state, 0, place.value.encode(), b"new", place=place)
        assert batch.read(state, 0, place.value.encode()) == b"new"
    batch.write(state, 0, b"gone", None)
    assert batch.read(state, 0, b"there") == b"old"
    assert batch.read(state, 0, b"gone") is None
    assert batch.read(state, 0, b"never") is None


def test_a_batch_tells_tables_and_partitions_apart() -> None:
    one, other, batch = state_of(Log()), state_of(Log()), Batch(())
    batch.write(one, 0, b"key", b"new")
    assert [batch.read(state, partition, b"key") for state, partition in ((one, 1), (other, 0))] == [
        None,
        None,
    ]
    assert batch.written(one, 0, b"key") == b"new"
    assert batch.written(one, 1, b"key") is None


def test_rows_stand_first_in_turn_and_last() -> None:
    state, batch = state_of(Log()), Batch(())
    batch.write(state, 0, b"counters", b"1", place=Place.LAST)
    batch.write(state, 0, b"row", b"1")
    batch.write(state, 0, b"list", b"1", place=Place.FIRST)
    batch.write(state, 0, b"counters", b"2", place=Place.LAST)
    batch.write(state, 0, b"row", b"2")
    batch.write(state, 0, b"list", b"2", place=Place.FIRST)
    batch.write(state, 0, b"row", None)
    (records,) = batch.rows().values()
    assert [(record["key"], record["value"]) for record in records] == [
        (b"list", b"2"),
        (b"row", b"1"),
        (b"row", b"2"),
        (b"row", None),
        (b"counters", b"2"),
    ]


def test_what_is_written_last_again_stays_ahead_of_what_was_written_last_behind_it() -> None:
    state, batch = state_of(Log()), Batch(())
    batch.write(state, 0, b"counters", b"1", place=Place.LAST)
    batch.write(state, 0, b"mark", None, place=Place.LAST)
    batch.write(state, 0, b"counters", b"2", place=Place.LAST)
    (records,) = batch.rows().values()
    assert [(record["key"], record["value"]) for record in records] == [(b"counters", b"2"), (b"mark", None)]


@pytest.mark.parametrize("place", [Place.FIRST, Place.IN_TURN, Place.LAST])
def test_what_was_to_be_written_last_does_not_undo_what_was_written_after_it(place: Place) -> None:
    state, batch = state_of(Log()), Batch(())
    batch.write(state, 0, b"row", b"1", place=place)
    batch.write(state, 0, b"row", None, place=Place.LAST)
    batch.write(state, 0, b"row", b"2", place=place)
    (records,) = batch.rows().values()
    assert (records[-1]["key"], records[-1]["value"]) == (b"row", b"2")
    assert batch.read(state, 0, b"row") == b"2"


def test_messages_leave_in_the_order_in_which_they_were_sent() -> None:
    batch = Batch(())
    batch.send(restocked(1), restocked(2))
    batch.bury(letter())
    batch.send(restocked(3))
    assert batch.outgoing == {
        (InventoryRestocked.type, ANYWHERE): [
            {"key": b"sku-1", "value": encode(restocked(quantity))} for quantity in (1, 2, 3)
        ],
        ("DEAD_LETTERS", 3): [letter().record()],
    }


def means(log: Log, producer: RecordingProducer, ownership: FakeOwnership | None = None) -> Means:
    claims = cast("Any", ownership or FakeOwnership(log))
    return Means(cast("Any", producer), RecordingProgress(log), claims, Meter("test"))


@dataclass
class Work:
    """Be a batch that does everything a batch can do, with all that it meets on its way."""

    log: Log
    producer: RecordingProducer = field(init=False)
    state: State = field(init=False)
    batch: Batch = field(init=False)

    def __post_init__(self) -> None:
        self.producer = RecordingProducer(self.log)
        self.state = state_of(self.log)
        record = Record(0, encode(restocked()), b"sku-1")
        self.batch = Batch((Input(0, restocked(), record),))
        self.batch.write(self.state, 0, b"key", b"value")
        self.batch.send(restocked())
        self.batch.after_commit(lambda: self.log.add("called back"))

    @property
    def steps(self) -> list[str]:
        return [done for done in self.log.done if done in STEPS]

    def commit(self) -> Coroutine[Any, Any, None]:
        return commit(self.batch, means(self.log, self.producer))


def test_before_its_commit_a_batch_has_no_effect() -> None:
    work = Work(Log())
    assert (work.log.done, work.producer.published) == ([], [])
    assert cast("RecordingState", work.state).rows == {}


async def test_a_commit_takes_its_steps_in_order() -> None:
    work = Work(Log())
    await work.commit()
    assert work.steps == STEPS
    assert cast("RecordingState", work.state).rows == {(0, b"key"): b"value"}


@pytest.mark.parametrize("step", ["states sent", "messages sent"])
async def test_nothing_follows_before_the_broker_has_acknowledged(step: str) -> None:
    work = Work(Log(holds_at=step))
    committing = asyncio.ensure_future(work.commit())
    await until(lambda: work.steps[-1:] == [step])
    await turns()
    assert work.steps == STEPS[: STEPS.index(step) + 1]
    work.log.gate.set()
    await committing
    assert work.steps == STEPS


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_fails_stops_what_follows(step: str) -> None:
    work = Work(Log(fails_at=step))
    with pytest.raises(RuntimeError, match=step):
        await work.commit()
    assert work.steps == STEPS[: STEPS.index(step)]


async def test_nothing_is_begun_before_the_partitions_are_surely_its_own() -> None:
    work = Work(Log(holds_at="held"))
    committing = asyncio.ensure_future(work.commit())
    await turns()
    assert work.log.done == []
    work.log.gate.set()
    await committing
    assert work.steps == STEPS


async def test_nothing_is_begun_where_the_partitions_may_be_anothers() -> None:
    work = Work(Log(fails_at="held"))
    with pytest.raises(NotHeld):
        await work.commit()
    assert work.log.done == []


async def test_anothers_rows_are_looked_at_before_the_disk_is_written_and_put_right_before_messages() -> None:
    log = Log()
    state, batch, ownership = RecordingState(log), Batch(()), FakeOwnership(log, [b"theirs"])
    state.gaps = {1: Gap(3, 5)}
    batch.write(cast("State", state), 1, b"ours", b"value")
    batch.send(restocked())
    await commit(batch, means(log, RecordingProducer(log), ownership))
    assert [done for done in log.done if not done.startswith("ack")] == [
        "states sent",
        "states acknowledged",
        "examined 1 3 to 5",
        "rows written",
        "put right 1 [b'theirs']",
        "messages sent",
        "messages acknowledged",
        "input acknowledged",
    ]


async def test_stages_that_share_a_table_take_turns_at_it() -> None:
    log = Log(holds_at="states sent")
    state = RecordingState(log, shared=True)
    batches = [Batch(()), Batch(())]
    for number, batch in enumerate(batches):
        batch.write(cast("State", state), 0, b"%d" % number, b"value")
    commits = [asyncio.ensure_future(commit(batch, means(log, RecordingProducer(log)))) for batch in batches]
    await turns()
    assert log.done == ["states sent"], "the second waits until the first is written"
    log.gate.set()
    await asyncio.gather(*commits)
    assert [done for done in log.done if done in {"states sent", "rows written"}] == [
        "states sent",
        "rows written",
    ] * 2


async def test_rows_are_written_with_the_changelog_offset_that_they_reach_up_to() -> None:
    log = Log()
    state, batch, offsets = (
        RecordingState(log),
        Batch(()),
        {("stock-changelog", 0): 41, ("stock-changelog", 5): 7},
    )

    class Acknowledging(RecordingProducer):
        async def publish(self, bundles: Bundles) -> Offsets:
            self.published += sent(bundles)
            return offsets if bundles else {}

    for partition, key in ((0, b"a"), (5, b"b"), (0, b"c")):
        batch.write(cast("State", state), partition, key, b"value")
    producer = Acknowledging(log)
    await commit(batch, means(log, producer))
    assert state.offsets == [41, 7]
    assert [(record.key, record.partition) for record in producer.published] == [
        (b"a", 0),
        (b"c", 0),
        (b"b", 5),
    ]
