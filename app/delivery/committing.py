"""Make a batch last: state acknowledged, then RocksDB, then messages acknowledged, then the offset."""

from collections import defaultdict

from app.delivery.batch import Batch
from app.delivery.producer import BatchProducer, Outgoing
from app.delivery.progress import Progress
from app.delivery.state import State


async def commit(batch: Batch, producer: BatchProducer, progress: Progress) -> None:
    """Take the batch through the steps of delivery, in their order.

    Raises:
        Exception: a step failed, and what follows it was not begun.
    """
    await _save(batch, producer)
    await producer.publish(batch.outgoing)
    progress.reach(given.source for given in batch.inputs if given.source is not None)
    for callback in batch.afterwards:
        callback()


async def _save(batch: Batch, producer: BatchProducer) -> None:
    rows = batch.rows()
    changelog = [Outgoing(state.changelog, key, value, partition) for state, partition, key, value in rows]
    offsets = await producer.publish(changelog)
    by_partition: defaultdict[tuple[State, int], list[tuple[bytes, bytes | None]]] = defaultdict(list)
    for state, partition, key, value in rows:
        by_partition[state, partition].append((key, value))
    for (state, partition), pairs in by_partition.items():
        state.write(partition, pairs, offsets[state.changelog, partition])
