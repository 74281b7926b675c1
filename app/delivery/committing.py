"""Make a batch last: state acknowledged, then RocksDB, then messages acknowledged, then the offset."""

from app.delivery.batch import Batch
from app.delivery.producer import StageProducer
from app.delivery.progress import Progress


async def commit(batch: Batch, producer: StageProducer, progress: Progress) -> None:
    """Take the batch through the steps of delivery, in their order.

    Raises:
        Exception: a step failed, and what follows it was not begun.
    """
    await _save(batch, producer)
    await producer.publish(batch.outgoing)
    progress.reach([given.source for given in batch.inputs if given.source is not None])
    for callback in batch.afterwards:
        callback()


async def _save(batch: Batch, producer: StageProducer) -> None:
    rows = batch.rows()
    offsets = await producer.publish(
        {(state.changelog, partition): records for (state, partition), records in rows.items()}
    )
    for (state, partition), records in rows.items():
        pairs = [(record["key"], record["value"]) for record in records]
        state.write(partition, pairs, offsets[state.changelog, partition])
