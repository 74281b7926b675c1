"""Reading partitions from one offset up to another, as fast as they come; in no consumer group."""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from app import leaders
from app.errors import BrokerUnavailable
from app.settings import Settings

SILENCE_S = 30.0
"""How long Kafka may say nothing while there is something to read."""

AT_ONCE = 5_000
TAKE_S = 0.1
QUEUE_KIB = 32_768
"""How much librdkafka reads ahead of a process."""

LARGEST_BYTES = 4 * 1024 * 1024

Place = tuple[str, int]


class Span(NamedTuple):
    """Be a part of a partition: its first offset, and the one behind its last."""

    first: int
    end: int


Spans = Mapping[Place, Span]


def size(spans: Spans) -> int:
    """Return how many records there are at most."""
    return sum(max(0, span.end - span.first) for span in spans.values())


def read(settings: Settings, spans: Spans) -> Iterator[list[Message]]:
    """Yield the records, those of a partition in their order, and empty lists while nothing comes.

    Raises:
        BrokerUnavailable: there is more, and Kafka does not give it.
    """
    left = {place: span.end for place, span in spans.items() if span.first < span.end}
    if not left:
        return
    consumer = Consumer(_configuration(settings))
    try:
        leaders.learn(consumer)
        consumer.assign([TopicPartition(*place, spans[place].first) for place in left])
        heard = time.monotonic()
        while left:
            taken = consumer.consume(AT_ONCE, TAKE_S)
            if taken:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_S:
                raise BrokerUnavailable(f"the Kafka at {settings.broker} has stopped answering")
            yield _within(taken, left, consumer)
    finally:
        consumer.close()


def _within(taken: list[Message], left: dict[Place, int], consumer: Consumer) -> list[Message]:
    """Return what lies before the ends, and note and let go of the partitions that are done with."""
    found: list[Message] = []
    done: dict[Place, TopicPartition] = {}
    for record in taken:
        place = (record.topic() or "", record.partition() or 0)
        end, offset, error = left.get(place, 0), record.offset() or 0, record.error()
        if error is None and offset < end:
            found.append(record)
        is_over = offset + 1 >= end if error is None else error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001  # so it is named
        if is_over and place in left:
            done[place] = TopicPartition(*place)
    for place in done:
        del left[place]
    if done:
        consumer.pause(list(done.values()))
    return found


def _configuration(settings: Settings) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": settings.broker,
        "group.id": "rebuild",  # has to be named; nothing is subscribed to, and nothing committed
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": QUEUE_KIB,
        "fetch.message.max.bytes": LARGEST_BYTES,
        "fetch.error.backoff.ms": 50,
        # The broker answers one fetch after the other: one that waits at an end holds up the next.
        "fetch.wait.max.ms": 10,
        "log_level": 0,
    }
