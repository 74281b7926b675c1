"""Records as Kafka takes them: in batches, each of one partition, compressed, with the producer's numbers.

aiokafka lays a batch out, but it compresses as thoroughly as a codec can, which with lz4 takes five times as
long for a tenth less. So it is told of no codec, and what it laid out is compressed here. Leans on aiokafka
0.14's `codec` and `record.util`.
"""

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

Record = dict[str, Any]
"""One record: `key` and `value`, bytes or None, and `headers` where it has some."""

BATCH_BYTES = 1_000_000
"""A batch is closed before it grows beyond this, uncompressed; Kafka's own limit is 1 MiB."""

SMALL_BYTES = 1_024
"""A batch that is no larger goes as it is: to compress it takes longer than to pack it."""

SEQUENCES = 2**31
"""Kafka counts a producer's records in each partition up to here, and then from 0 again."""

_MAGIC = 2
_LENGTH, _CRC, _ATTRIBUTES = 8, 17, 21
"""Where a batch has these fields, of 4, 4 and 2 bytes."""

_AFTER_LENGTH, _HEADER = 12, 61
"""Where that begins which the length counts, and where the records begin."""


class _Codec(NamedTuple):
    number: int
    compress: Callable[[bytes], bytes]


_CODECS: Mapping[str, _Codec | None] = MappingProxyType(
    {
        "none": None,
        "gzip": _Codec(DefaultRecordBatch.CODEC_GZIP, partial(gzip_encode, compresslevel=1)),
        "snappy": _Codec(DefaultRecordBatch.CODEC_SNAPPY, snappy_encode),
        "lz4": _Codec(DefaultRecordBatch.CODEC_LZ4, partial(lz4_encode, level=1)),
        "zstd": _Codec(DefaultRecordBatch.CODEC_ZSTD, partial(zstd_encode, level=1)),
    }
)


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
        return DefaultRecordBatchBuilder(_MAGIC, 0, 0, who.producer_id, who.epoch, sequence, BATCH_BYTES)

    builder, count = begin(), 0
    for record in records:
        key, value, headers = record["key"], record["value"], record.get("headers") or []
        if builder.append(count, now_ms, key, value, headers) is None:  # it is full
            yield Packed(_compressed(builder.build(), codec), count)
            sequence = following(sequence, count)
            builder, count = begin(), 0
            builder.append(0, now_ms, key, value, headers)
        count += 1
    yield Packed(_compressed(builder.build(), codec), count)


def following(sequence: int, count: int) -> int:
    """Return the number after so many more records; what has none (-1) stays so."""
    return sequence if sequence < 0 else (sequence + count) % SEQUENCES


def _compressed(batch: bytearray, codec: _Codec | None) -> bytearray:
    """Return the batch with its records compressed, or as it is where that is not worth it."""
    if codec is None or len(batch) <= SMALL_BYTES:
        return batch
    records = codec.compress(bytes(memoryview(batch)[_HEADER:]))
    if len(records) >= len(batch) - _HEADER:
        return batch
    batch[_HEADER:] = records
    struct.pack_into(">i", batch, _LENGTH, len(batch) - _AFTER_LENGTH)
    struct.pack_into(">h", batch, _ATTRIBUTES, codec.number)
    struct.pack_into(">I", batch, _CRC, calc_crc32c(batch[_ATTRIBUTES:]))
    return batch
