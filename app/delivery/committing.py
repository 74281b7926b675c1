"""Make a batch last: state acknowledged, then RocksDB, then messages acknowledged, then the offset."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

from app.delivery.batch import Batch, Input
from app.delivery.deadletters import DeadLetter
from app.delivery.faults import Reach, nowhere
from app.delivery.meter import Meter
from app.delivery.ownership import Ownership
from app.delivery.producer import Record, StageProducer
from app.delivery.progress import Progress
from app.delivery.state import State

Note = Callable[[Batch, DeadLetter], None]
"""What writes into a batch that one of its inputs is buried with it."""


Begin = Callable[[tuple[Input, ...]], Batch]
"""What makes a batch of inputs."""


def no_note(_batch: Batch, _letter: DeadLetter) -> None:
    """Write nothing."""


class Means(NamedTuple):
    """Be what a stage's batches are made to last with."""

    producer: StageProducer
    progress: Progress
    ownership: Ownership
    meter: Meter
    reach: Reach = nowhere
    note: Note = no_note
    begin: Begin = Batch

    def reached(self, step: str) -> None:
        """Note that the batch in hand has come so far."""
        self.meter.reach(step)
        self.reach(step)


async def commit(batch: Batch, means: Means) -> None:
    """Take the batch through the steps of delivery, in their order.

    Raises:
        NotHeld: nothing was begun, for the partitions may be another worker's by now.
        Exception: a step failed, and what follows it was not begun.
    """
    await means.ownership.lease.hold()
    means.reached("begun")
    await _save(batch, means)
    await means.producer.publish(batch.outgoing)
    means.reached("messages acknowledged")
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
    means.reached("input acknowledged")
    for callback in batch.afterwards:
        callback()


async def _save(batch: Batch, means: Means) -> None:
    rows = batch.rows()
    async with AsyncExitStack() as turns:  # of two stages, each has to find its rows where it expects them
        for state in {state for state, _ in rows if state.shared}:
            await turns.enter_async_context(state.turn)
        await _write(rows, means)


async def _write(rows: Mapping[tuple[State, int], list[Record]], means: Means) -> None:
    offsets = await means.producer.publish(
        {(state.changelog, partition): records for (state, partition), records in rows.items()}
    )
    means.reached("states acknowledged")
    for (state, partition), records in rows.items():
        offset = offsets[state.changelog, partition]
        gap = state.gap(partition, offset, len(records))
        foreign = () if gap is None else await means.ownership.examine(state, partition, gap)
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
        means.reached("some rows written")
        if foreign:
            await means.ownership.put_right(state, partition, foreign, means.producer)
    means.reached("rows written")
