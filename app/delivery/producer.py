"""Kafka's producer, awaited by the batch: one future for however many records.

librdkafka sends, retries and keeps the order; one thread serves its acknowledgements.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.settings import Settings

logger = logging.getLogger(__name__)

POLL_S = 0.5
"""How long the serving thread sleeps when nothing comes; an acknowledgement wakes it at once."""

ANYWHERE = -1
"""librdkafka's word for the partition that the key chooses."""

FOR_EVER = 0
"""librdkafka's word for a record that is sent until it is acknowledged."""


Record = dict[str, Any]
"""One record as librdkafka takes it: `key` and `value`, and `headers` where it has some."""

Bundles = Mapping[tuple[str, int], list[Record]]
"""Records on their way, in order, by topic and partition; `ANYWHERE` lets each one's key choose."""


class Unacknowledged(Exception):  # noqa: N818  # reads as the verdict on a batch
    """Say that the broker did not acknowledge a record: it may or may not be there.

    After a fatal one the producer sends nothing any more.
    """

    def __init__(self, cause: str, *, fatal: bool) -> None:
        super().__init__(cause)
        self.fatal = fatal


Offsets = dict[tuple[str, int], int]
"""The last acknowledged offset by topic and partition."""


class BatchProducer:
    """Publish batches, idempotently and with every replica's acknowledgement, for one stage at a time.

    There are two librdkafka producers, for two ways to learn that all is acknowledged. Each call back takes
    Python's one lock, for which it waits while the loop is busy; a hundred of them a batch took a second.
    Records whose partition is given, rows mostly, are called back about once for each partition, for the
    offset. Those that go by their keys, messages, are called back about when one fails; for all the rest
    a thread waits without the lock.
    """

    def __init__(self, settings: Settings, *, give_up_after_ms: int = FOR_EVER) -> None:
        configuration = _configuration(settings, give_up_after_ms)
        self._placed = Producer(configuration, logger=logger)
        self._keyed = Producer(configuration | {"delivery.report.only.error": True}, logger=logger)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="producer", daemon=True)
        self._thread.start()
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="producer-flush")

    async def publish(self, bundles: Bundles) -> Offsets:
        """Send the records, in order by partition, and return once all are acknowledged.

        Raises:
            Unacknowledged: at least one was not, or there is no room to send it.
        """
        receipt = _Receipt()
        try:
            keyed = [self._send(*where, bundle, receipt) for where, bundle in bundles.items()]
        except KafkaException as error:
            cause: KafkaError = error.args[0]
            ended = cause.fatal() or cause.code() == KafkaError._FATAL  # noqa: SLF001  # their spelling
            raise Unacknowledged(cause.str(), fatal=ended) from error
        if any(keyed):
            await asyncio.get_running_loop().run_in_executor(self._flusher, self._flush)
        return await receipt.offsets()

    async def reaches_broker(self, timeout_s: float) -> bool:
        """Tell whether the broker answers a question within this time."""
        ask = partial(self._placed.list_topics, timeout=timeout_s)
        try:
            await asyncio.get_running_loop().run_in_executor(None, ask)
        except KafkaException:
            return False
        return True

    def close(self) -> None:
        """Let go of the broker; what is not acknowledged by now is not waited for."""
        self._closing.set()
        self._placed.purge()
        self._keyed.purge()
        self._thread.join()
        self._flusher.shutdown()

    def _send(self, topic: str, partition: int, bundle: list[Record], receipt: "_Receipt") -> bool:
        """Hand the bundle over; tell whether its records go by their keys."""
        if partition == ANYWHERE:
            sent = self._keyed.produce_batch(topic, bundle, on_delivery=receipt.refuse)
        elif any("headers" in record for record in bundle):
            sent = len(bundle)
            for record in bundle:  # librdkafka takes headers one record at a time
                self._placed.produce(topic, partition=partition, callback=receipt.expect(), **record)
        else:
            # A partition is acknowledged in its order, and the loss of one record fails those behind it.
            bundle[-1]["callback"] = receipt.expect()
            sent = self._placed.produce_batch(topic, bundle, partition)
        if sent < len(bundle):
            raise KafkaException(next(record["_error"] for record in bundle if "_error" in record))
        return partition == ANYWHERE

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._placed.poll(POLL_S)
            except KafkaException as error:  # the end of the producer, but not of what it has to report
                logger.critical("the producer can send nothing any more: %s", error)

    def _flush(self) -> None:
        left = 1
        while left:
            try:
                left = self._keyed.flush(POLL_S)
            except (KafkaException, SystemError) as error:  # the latter where one is raised amid a call back
                logger.critical("the producer can send nothing any more: %s", error)


Callback = Callable[[KafkaError | None, Message], None]


class _Receipt:
    """Gather what is said about one batch.

    It is said by other threads, perhaps while the batch is still being sent.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._expected = 0
        self._come = 0
        self._complete = False
        self._offsets: Offsets = {}
        self._error: KafkaError | None = None

    def expect(self) -> Callback:
        """Return what is to be called with one more acknowledgement."""
        self._expected += 1
        return self._acknowledge

    def refuse(self, error: KafkaError | None, _message: Message) -> None:
        """Remember that a record was not acknowledged."""
        self._error = self._error or error

    async def offsets(self) -> Offsets:
        """Return the last offsets, once all that is expected has come.

        Raises:
            Unacknowledged: a record was not.
        """
        self._complete = True
        self._look()
        await self._future
        if self._error is not None:
            raise Unacknowledged(self._error.str(), fatal=self._error.fatal())
        return self._offsets

    def _acknowledge(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = self._error or error
        else:
            self._offsets[message.topic() or "", message.partition() or 0] = message.offset() or 0
        self._come += 1
        self._look()

    def _look(self) -> None:
        if self._complete and self._come == self._expected and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def _configuration(settings: Settings, give_up_after_ms: int) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.broker,
        "client.id": f"{settings.member_id}-producer",
        "enable.idempotence": True,
        # A record that can't be sent must stop those behind it: the changelog may end early, with no gap.
        "enable.gapless.guarantee": True,
        "message.timeout.ms": give_up_after_ms,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": settings.kafka.compression,
        "linger.ms": settings.kafka.linger_ms,
        "message.max.bytes": 2_097_152,
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 262_144,
        "topic.metadata.refresh.interval.ms": 60_000,
        "log_level": 3,
    }
