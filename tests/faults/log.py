"""What is in the topics, read by another client than the system's own."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from app import leaders

KAFKA_S = 30
TO_THE_END = {"enable.partition.eof": True, "fetch.wait.max.ms": 50, "auto.offset.reset": "earliest"}


def values(bootstrap: str, topic: str, until_ms: float = math.inf) -> Iterator[Any]:
    """Yield what every record of a topic says that was there at this time; no document says nothing."""
    for record in records(bootstrap, topic):
        if record.timestamp()[1] > until_ms:
            continue
        try:
            said = json.loads(record.value() or b"null")
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            yield said


def newest_values(bootstrap: str, topic: str) -> dict[bytes, bytes]:
    """Return what a compacted topic holds, by key."""
    found = {record.key() or b"": record.value() for record in records(bootstrap, topic)}
    return {key: value for key, value in found.items() if value is not None}


def records(bootstrap: str, topic: str) -> Iterator[Message]:
    """Yield every record of a topic, up to where its partitions end now."""
    partitions = (
        AdminClient({"bootstrap.servers": bootstrap}).list_topics(topic, KAFKA_S).topics[topic].partitions
    )
    return records_of(
        bootstrap, [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions]
    )


def records_of(bootstrap: str, places: Sequence[TopicPartition]) -> Iterator[Message]:
    """Yield every record of these partitions from there on, up to where they end now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", **TO_THE_END})
    try:
        leaders.learn(consumer)
        consumer.assign([*places])
        left = {(place.topic, place.partition) for place in places}
        while left:
            record = consumer.poll(KAFKA_S)
            assert record is not None, f"{left} can't be read to their ends"
            error = record.error()
            if error is None:
                yield record
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001  # its public name
                left.discard((record.topic() or "", record.partition() or 0))
    finally:
        consumer.close()
