"""What goes back to Kafka: a letter's record, and what was done about a letter."""

import time

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.errors import LettersRefused
from app.letters.letter import Letter, Source
from app.letters.outcomes import Outcome, outcomes
from app.settings import Settings
from app.topics import DEAD_LETTER_OUTCOMES

GIVE_UP_S = 30.0
LARGEST_BYTES = 64 * 1024 * 1024
"""What this end lets pass; the topic says what it takes."""

POLL_S = 0.1


class Writer:
    """Put one record after the other, each acknowledged before the next."""

    def __init__(self, settings: Settings) -> None:
        self._broker = settings.broker
        self._producer = Producer(
            {
                "bootstrap.servers": settings.broker,
                "enable.idempotence": True,
                "compression.type": settings.kafka.compression,
                "message.max.bytes": LARGEST_BYTES,
                "message.timeout.ms": int(GIVE_UP_S * 1000),
                "linger.ms": 0,
                "log_level": 0,
            }
        )

    def put(self, source: Source, key: bytes | None, value: bytes | None) -> Source:
        """Put a record into the partition that it came from, and return where it is now.

        Raises:
            LettersRefused: Kafka did not acknowledge it.
        """
        return self._put(source.topic, source.partition, key, value)

    def record(self, letter: Letter, outcome: Outcome) -> None:
        """Write down what was done about a letter, beside it: under its name, in its partition.

        Raises:
            LettersRefused: Kafka did not acknowledge it.
        """
        self._put(DEAD_LETTER_OUTCOMES, letter.id.partition, letter.name, outcomes.encode(outcome))

    def _put(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> Source:
        told: list[tuple[KafkaError | None, Message]] = []
        try:
            self._producer.produce(
                topic, value, key, partition=partition, on_delivery=lambda *report: told.append(report)
            )
        except KafkaException as error:
            raise _unacknowledged(topic, partition, error.args[0].str()) from error
        deadline = time.monotonic() + GIVE_UP_S + 1
        while not told and time.monotonic() < deadline:
            self._producer.poll(POLL_S)
        if not told:
            raise _unacknowledged(topic, partition, "no answer")
        fault, record = told[0]
        if fault is not None:
            raise _unacknowledged(topic, partition, fault.str())
        return Source(topic, partition, record.offset() or 0)


def _unacknowledged(topic: str, partition: int, why: str) -> LettersRefused:
    return LettersRefused(
        f"Kafka did not acknowledge a record for {topic}/{partition}, which may be there all the same: {why}"
    )
