"""The ends of orders as Kafka has them: read from the topics, so that no worker is asked."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import orjson
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from app import topics
from app.errors import BrokerUnavailable
from app.load.pace import Clock
from app.load.settlements import Ending
from app.settings import Settings
from models.events import OrderCancelled, OrderCompleted
from models.order import OrderStatus

TOPICS = (OrderCompleted.type, OrderCancelled.type)
ANSWER_S = 5.0
LOOK_AGAIN_S = 0.05
AT_ONCE = 200
"""How many records are taken in one go: few enough not to make the sending of orders late."""

TAKE_S = 0.1


class Watch:
    """Read the ends of orders, from where the topics end when the watch begins; in no consumer group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._using = threading.Lock()
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.broker,
                "group.id": "load",  # has to be named; nothing is subscribed to, and nothing committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # Few, large answers: the broker has other work, and the records are dated anyway.
                "fetch.min.bytes": 65_536,
                "fetch.wait.max.ms": 250,
                "log_level": 0,
            }
        )

    def begin(self) -> None:
        """Settle where reading begins: behind all that is there now.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            TopicsDiffer: the topics are not there, or not dated by the broker.
        """
        topics.require(self._settings)
        try:
            with self._using:
                self._consumer.assign([self._end(name, number) for name, number in self._partitions()])
        except KafkaException as error:
            raise BrokerUnavailable(
                f"the Kafka at {self._settings.broker} does not answer: {error}"
            ) from error

    async def follow(self, clock: Clock, ended: Callable[[Ending], None]) -> None:
        """Call `ended` with each end of an order, until cancelled."""
        while True:
            for record in await asyncio.to_thread(self._take):
                if record.error() is None:
                    ended(_ending(record, clock))

    def close(self) -> None:
        """Let go of Kafka."""
        with self._using:  # a thread outlives the coroutine that waited for it
            self._consumer.close()

    def _take(self) -> list[Message]:
        with self._using:
            return self._consumer.consume(AT_ONCE, TAKE_S)

    def _partitions(self) -> Iterator[tuple[str, int]]:
        return ((name, number) for name in TOPICS for number in range(self._settings.partitions))

    def _end(self, topic: str, partition: int) -> TopicPartition:
        # OFFSET_END would be looked up later, when the first orders may already have ended.
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S)
            except KafkaException:  # a topic that was created a moment ago may not have its leader yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_AGAIN_S)
            else:
                return TopicPartition(topic, partition, end)


def _ending(record: Message, clock: Clock) -> Ending:
    order_id = (record.key() or b"").decode("utf-8", "replace")
    _, dated_ms = record.timestamp()  # by the broker, as the topics are required to be
    return Ending(order_id, _outcome(record), clock.of(dated_ms))


def _outcome(record: Message) -> str:
    if record.topic() == OrderCompleted.type:
        return OrderStatus.COMPLETED.value
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        return f"{OrderStatus.CANCELLED} {orjson.loads(record.value() or b'')['reason']}"
    return OrderStatus.CANCELLED.value  # not as we write it; that is not for a load to judge
