"""Make a batch last: state acknowledged, then RocksDB, then messages acknowledged, then the offset."""

from typing import NamedTuple

from app.delivery.batch import Batch
from app.delivery.ownership import Ownership
from app.delivery.producer import StageProducer
from app.delivery.progress import Progress


class Means(NamedTuple):
    """Be what a stage's batches are made to last with."""

    producer: StageProducer
    progress: Progress
    ownership: Ownership


async def commit(batch: Batch, means: Means) -> None:
    """Take the batch through the steps of delivery, in their order.

    Raises:
        NotHeld: nothing was begun, for the partitions may be another worker's by now.
        Exception: a step failed, and what follows it was not begun.
    """
    await means.ownership.lease.hold()
    await _save(batch, means.producer, means.ownership)
    await means.producer.publish(batch.outgoing)
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
    for callback in batch.afterwards:
        callback()


async def _save(batch: Batch, producer: StageProducer, ownership: Ownership) -> None:
    rows = batch.rows()
    offsets = await producer.publish(
        {(state.changelog, partition): records for (state, partition), records in rows.items()}
    )
    for (state, partition), records in rows.items():
        offset = offsets[state.changelog, partition]
        gap = state.gap(partition, offset, len(records))
        foreign = () if gap is None else await ownership.examine(state, partition, gap)
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
        if foreign:
            await ownership.put_right(state, partition, foreign, producer)
