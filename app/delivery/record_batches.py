"""Records as Kafka takes them: in batches, each of one partition, compressed, with the producer's numbers."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

Record = dict[str, Any]
"""One record: `key` and `value`, bytes or None, and `headers` where it has some."""

BATCH_BYTES = 1_000_000
"""A batch is closed before it grows beyond this, uncompressed; Kafka's own limit is 1 MiB."""

SEQUENCES = 2**31
"""Kafka counts a producer's records in each partition up to here, and then from 0 again."""

_MAGIC = 2
_CODECS = {
    "none": DefaultRecordBatch.CODEC_NONE,
    "gzip": DefaultRecordBatch.CODEC_GZIP,
    "snappy": DefaultRecordBatch.CODEC_SNAPPY,
    "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}


class Identity(NamedTuple):
    """Be who the broker knows a producer as, so that it can tell a repeated batch."""

    producer_id: int
    epoch: int


NOBODY = Identity(-1, -1)
"""What a producer is called whose repeated batches may be taken twice."""


class Packed(NamedTuple):
    """Be one batch, ready to be sent, and how many records it has."""

    data: bytearray
    records: int


def pack(records: list[Record], compression: str, who: Identity, sequence: int) -> Iterator[Packed]:
    """Yield the records in as few batches as hold them; `sequence` is the first one's number."""
    now_ms, codec = int(time.time() * 1000), _CODECS[compression]

    def begin() -> DefaultRecordBatchBuilder:
        return DefaultRecordBatchBuilder(_MAGIC, codec, 0, who.producer_id, who.epoch, sequence, BATCH_BYTES)

    builder, count = begin(), 0
    for record in records:
        key, value, headers = record["key"], record["value"], record.get("headers") or []
        if builder.append(count, now_ms, key, value, headers) is None:  # it is full
            yield Packed(builder.build(), count)
            sequence = following(sequence, count)
            builder, count = begin(), 0
            builder.append(0, now_ms, key, value, headers)
        count += 1
    yield Packed(builder.build(), count)


def following(sequence: int, count: int) -> int:
    """Return the number after so many more records; what has none (-1) stays so."""
    return sequence if sequence < 0 else (sequence + count) % SEQUENCES
