"""What is in the topics, read by another client than the system's own."""

import json
import math
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

KAFKA_S = 30
TO_THE_END = {"enable.partition.eof": True, "fetch.wait.max.ms": 50}


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
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", **TO_THE_END})
    try:
        partitions = consumer.list_topics(topic, KAFKA_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        left = set(partitions)
        while left:
            record = consumer.poll(KAFKA_S)
            assert record is not None, f"{topic} can't be read to its end"
            error = record.error()
            if error is None:
                yield record
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001  # its public name
                left.discard(record.partition() or 0)
    finally:
        consumer.close()
