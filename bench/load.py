"""The load generator: orders at once, or at a fixed schedule."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from confluent_kafka import Producer

from app.errors import Failure
from bench import pipeline

TICK_S = 0.005
"""How often the schedule is looked at; what is due is sent then, so an order may leave this much late."""

FLUSH_S = 60


class Generator:
    """Place orders; each has a number, and numbers are never used twice in a run."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": 0,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 3,
            }
        )

    def burst(self, numbers: Sequence[int]) -> None:
        """Place these orders as fast as may be, and return when Kafka has them."""
        now = time.time()
        for number in numbers:
            self._place(number, now)
        self._flush()

    def steady(self, numbers: Sequence[int], rate: float) -> dict[int, float]:
        """Place these orders at this rate, and return when each was meant to be placed (Unix time).

        The schedule is fixed beforehand: a generator that falls behind does not make an engine look faster.
        """
        start = time.time()
        intended = {number: start + index / rate for index, number in enumerate(numbers)}
        sent = 0
        while sent < len(numbers):
            due = min(len(numbers), int((time.time() - start) * rate) + 1)
            for number in numbers[sent:due]:
                self._place(number, intended[number])
            sent = due
            self._producer.poll(0)
            time.sleep(TICK_S)
        self._flush()
        return intended

    def _place(self, number: int, when: float) -> None:
        occurred_at = datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds")
        order = pipeline.order(number, occurred_at.replace("+00:00", "Z"))
        self._producer.produce(pipeline.ORDERS_IN, orjson.dumps(order), order["sku"])

    def _flush(self) -> None:
        if left := self._producer.flush(FLUSH_S):
            raise Failure(f"Kafka has not taken {left} orders within {FLUSH_S} s")
