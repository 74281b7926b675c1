"""Rows into a changelog that is empty: for a table that was lost altogether."""

from confluent_kafka import KafkaError, Message, Producer

from app.delivery.state import CLAIM
from app.errors import BrokerUnavailable
from app.settings import Settings

FLUSH_S = 60.0
SERVE_EVERY = 1_000
BY = b"rebuild"


class Writing:
    """Write rows, and wait until all of them are acknowledged."""

    def __init__(self, settings: Settings, changelog: str) -> None:
        self._changelog = changelog
        self._failed: KafkaError | None = None
        self._producer = Producer(_configuration(settings))
        self.rows = 0

    def put(self, partition: int, key: bytes, value: bytes) -> None:
        """Write a row.

        Raises:
            BrokerUnavailable: Kafka has not taken an earlier one.
        """
        while True:
            try:
                self._producer.produce(self._changelog, value, key, partition, on_delivery=self._note)
            except BufferError:
                self._producer.poll(0.1)
            else:
                break
        self.rows += 1
        if self.rows % SERVE_EVERY == 0:
            self._producer.poll(0)
            self._require()

    def close(self, partitions: frozenset[int]) -> None:
        """Put a claim behind the rows of each partition, also where there are none, and wait for all.

        A changelog without any record is one that nobody has worked on, and so is refused by workers.

        Raises:
            BrokerUnavailable: Kafka does not take them.
        """
        for partition in partitions:
            self._producer.produce(self._changelog, BY, CLAIM, partition, on_delivery=self._note)
        left = self._producer.flush(FLUSH_S)
        self._require()
        if left:
            raise BrokerUnavailable(f"Kafka has not acknowledged {left} rows of {self._changelog}")

    def _note(self, error: KafkaError | None, _record: Message) -> None:
        self._failed = self._failed or error

    def _require(self) -> None:
        if self._failed is not None:
            raise BrokerUnavailable(f"Kafka does not take rows of {self._changelog}: {self._failed.str()}")


def _configuration(settings: Settings) -> dict[str, str | int | bool]:
    return {
        "bootstrap.servers": settings.broker,
        "enable.idempotence": True,
        "linger.ms": 20,
        "compression.type": settings.kafka.compression,
        "log_level": 0,
    }
