"""Kafka's producer, awaited by the batch: one future for however many records.

librdkafka sends, retries and keeps the order; one thread serves its acknowledgements.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
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
    """Publish batches, idempotently and with every replica's acknowledgement."""

    def __init__(self, settings: Settings, *, give_up_after_ms: int = FOR_EVER) -> None:
        self._producer = Producer(_configuration(settings, give_up_after_ms), logger=logger)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="producer", daemon=True)
        self._thread.start()

    async def publish(self, bundles: Bundles) -> Offsets:
        """Send the records, in order by partition, and return once all are acknowledged.

        Raises:
            Unacknowledged: at least one was not, or there is no room to send it.
        """
        if not bundles:
            return {}
        receipt = _Receipt()
        try:
            for (topic, partition), bundle in bundles.items():
                self._send(topic, partition, bundle, receipt)
        except KafkaException as error:
            cause: KafkaError = error.args[0]
            ended = cause.fatal() or cause.code() == KafkaError._FATAL  # noqa: SLF001  # their spelling
            raise Unacknowledged(cause.str(), fatal=ended) from error
        receipt.complete()
        return await receipt.future

    async def reaches_broker(self, timeout_s: float) -> bool:
        """Tell whether the broker answers a question within this time."""
        ask = partial(self._producer.list_topics, timeout=timeout_s)
        try:
            await asyncio.get_running_loop().run_in_executor(None, ask)
        except KafkaException:
            return False
        return True

    def close(self) -> None:
        """Let go of the broker; what is not acknowledged by now is not waited for."""
        self._closing.set()
        self._producer.purge()
        self._thread.join()

    def _send(self, topic: str, partition: int, bundle: list[Record], receipt: "_Receipt") -> None:
        if partition == ANYWHERE:  # each may be the last of its partition
            sent = self._producer.produce_batch(topic, bundle, on_delivery=receipt.expect(len(bundle)))
        elif any("headers" in record for record in bundle):
            sent = len(bundle)
            for record in bundle:  # librdkafka takes headers one record at a time
                self._producer.produce(topic, partition=partition, callback=receipt.expect(1), **record)
        else:
            # A partition is acknowledged in its order, and the loss of one record fails those behind it.
            bundle[-1]["callback"] = receipt.expect(1)
            sent = self._producer.produce_batch(topic, bundle, partition)
        if sent < len(bundle):
            raise KafkaException(next(record["_error"] for record in bundle if "_error" in record))

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._producer.poll(POLL_S)
            except KafkaException as error:  # the end of the producer, but not of what it has to report
                logger.critical("the producer can send nothing any more: %s", error)


Callback = Callable[[KafkaError | None, Message], None]


class _Receipt:
    """Gather the acknowledgements of one batch.

    They come in by another thread, perhaps while the batch is still being sent.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Offsets] = self._loop.create_future()
        self._expected = 0
        self._come = 0
        self._complete = False
        self._offsets: Offsets = {}
        self._error: KafkaError | None = None

    def expect(self, count: int) -> Callback:
        """Return what is to be called with each of so many more acknowledgements."""
        self._expected += count
        return self._acknowledge

    def complete(self) -> None:
        """Say that no more acknowledgements are to be expected."""
        self._complete = True
        self._look()

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
        if self.future.done():
            return
        if self._error is not None:
            self.future.set_exception(Unacknowledged(self._error.str(), fatal=self._error.fatal()))
        else:
            self.future.set_result(self._offsets)


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
