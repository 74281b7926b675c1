"""Make a batch last: state acknowledged, then RocksDB, then messages acknowledged, then the offset."""

from typing import NamedTuple

from app.delivery.batch import Batch
from app.delivery.faults import Reach, nowhere
from app.delivery.ownership import Ownership
from app.delivery.producer import StageProducer
from app.delivery.progress import Progress


class Means(NamedTuple):
    """Be what a stage's batches are made to last with."""

    producer: StageProducer
    progress: Progress
    ownership: Ownership
    reach: Reach = nowhere


async def commit(batch: Batch, means: Means) -> None:
    """Take the batch through the steps of delivery, in their order.

    Raises:
        NotHeld: nothing was begun, for the partitions may be another worker's by now.
        Exception: a step failed, and what follows it was not begun.
    """
    await means.ownership.lease.hold()
    means.reach("begun")
    await _save(batch, means)
    await means.producer.publish(batch.outgoing)
    means.reach("messages acknowledged")
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
    means.reach("input acknowledged")
    for callback in batch.afterwards:
        callback()


async def _save(batch: Batch, means: Means) -> None:
    rows = batch.rows()
    offsets = await means.producer.publish(
        {(state.changelog, partition): records for (state, partition), records in rows.items()}
    )
    means.reach("states acknowledged")
    for (state, partition), records in rows.items():
        offset = offsets[state.changelog, partition]
        gap = state.gap(partition, offset, len(records))
        foreign = () if gap is None else await means.ownership.examine(state, partition, gap)
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
        means.reach("some rows written")
        if foreign:
            await means.ownership.put_right(state, partition, foreign, means.producer)
    means.reach("rows written")
