"""Keys and their partitions: the same as every other producer's."""

from typing import Any

from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.broker import Broker
from app.partitions import partition_of

KAFKA_S = 30
PARTITIONS = 8
KEYS = st.text(min_size=1, max_size=64).map(str.encode)


@given(key=KEYS, partitions=st.integers(1, 64))
def test_a_keys_partition_is_the_one_that_fausts_producer_chooses(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


def test_a_keys_partition_is_the_one_that_librdkafkas_producer_chooses(kafka: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic("partitions", PARTITIONS, 1)])["partitions"].result(KAFKA_S)
    keys: set[bytes] = set()

    @given(key=KEYS)
    @examples(max_examples=200, database=None)
    def collect(key: bytes) -> None:
        keys.add(key)

    collect()
    chosen: dict[bytes, int] = {}

    def arrived(error: Any, record: Any) -> None:
        assert error is None
        chosen[record.key()] = record.partition()

    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for key in keys:
        producer.produce("partitions", b"", key, on_delivery=arrived)
    assert producer.flush(KAFKA_S) == 0
    assert chosen == {key: partition_of(key, PARTITIONS) for key in keys}
    assert len(set(chosen.values())) > 1, "keys that all go the same way prove nothing"
