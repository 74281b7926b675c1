"""Batches as Kafka takes them: what goes in comes out, in order, numbered on."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.record_batches import BATCH_BYTES, NOBODY, SMALL_BYTES, Identity, following, pack

KEYS = st.none() | st.binary(max_size=20)
VALUES = st.none() | st.binary(max_size=200) | st.integers(1, 600_000).map(bytes)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2)
RECORDS = st.lists(
    st.fixed_dictionaries({"key": KEYS, "value": VALUES}, optional={"headers": HEADERS}),
    min_size=1,
    max_size=12,
)


def unpack(data: bytearray) -> Any:
    records = MemoryRecords(bytes(data))
    batch: Any = records.next_batch()
    assert batch.validate_crc()
    assert not records.has_next(), "Kafka takes one batch of a partition with a request"
    return batch


@given(records=RECORDS, compression=st.sampled_from(["none", "gzip", "snappy", "lz4", "zstd"]))
def test_what_is_packed_can_be_read_and_is_numbered_on(records: list[Any], compression: str) -> None:
    who, sequence = Identity(7, 3), 2**31 - 4
    found: list[Any] = []
    for data, count in pack(records, compression, who, sequence):
        batch = unpack(data)
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (*who, sequence)
        content = [(each.key, each.value, each.headers) for each in batch]
        assert len(content) == count
        assert count == 1 or sum(len(value or b"") for _, value, _ in content) <= BATCH_BYTES
        sequence = following(sequence, count)
        found += content
    assert found == [(each["key"], each["value"], each.get("headers", [])) for each in records]


def test_only_a_batch_that_is_worth_it_is_compressed() -> None:
    for size, compression in ((SMALL_BYTES // 2, 0), (SMALL_BYTES * 2, DefaultRecordBatch.CODEC_LZ4)):
        (packed,) = pack([{"key": b"key", "value": b"1" * size}], "lz4", NOBODY, -1)
        assert unpack(packed.data).compression_type == compression


@pytest.mark.parametrize(
    ("sequence", "count", "after"), [(0, 3, 3), (2**31 - 1, 1, 0), (2**31 - 2, 4, 2), (-1, 5, -1)]
)
def test_numbers_begin_again_where_kafkas_do(sequence: int, count: int, after: int) -> None:
    assert following(sequence, count) == after


def test_records_of_a_producer_that_is_nobody_have_no_numbers() -> None:
    (packed,) = pack([{"key": b"key", "value": b"value"}] * 3, "none", NOBODY, -1)
    batch = unpack(packed.data)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (-1, -1, -1)
