"""Kafka's producer, awaited by the batch: one future for however many records.

librdkafka sends, retries and keeps the order; one thread serves its acknowledgements.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
    """Publish batches to given partitions, idempotently and with every replica's acknowledgement.

    Any number of batches may be under way. A partition is acknowledged in its order, and the loss of one
    record fails those behind it; so only the last record of each is called back about.
    """

    def __init__(self, settings: Settings, *, give_up_after_ms: int = FOR_EVER) -> None:
        self._configuration = _configuration(settings, give_up_after_ms)
        self._producer = Producer(self._configuration, logger=logger)
        self._under_way: set[_Receipt] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="producer", daemon=True)
        self._thread.start()

    async def publish(self, bundles: Bundles) -> Offsets:
        """Send the records, in order by partition; return the last offsets once all are acknowledged.

        Raises:
            Unacknowledged: at least one was not, or there is no room to send it.
        """
        if not bundles:
            return {}
        receipt = _Receipt()
        self._under_way.add(receipt)
        try:
            with _refusals():
                for (topic, partition), bundle in bundles.items():
                    self._send(topic, partition, bundle, receipt)
            return await receipt.offsets()
        finally:
            self._under_way.discard(receipt)

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
        if any("headers" in record for record in bundle):  # librdkafka takes those one record at a time
            for record in bundle:
                self._producer.produce(topic, partition=partition, callback=receipt.expect(), **record)
            return
        bundle[-1]["callback"] = receipt.expect()
        _require_all(bundle, self._producer.produce_batch(topic, bundle, partition))

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._producer.poll(POLL_S)
            except _FATAL as error:
                logger.critical("the producer can send nothing any more: %s", error)
                for receipt in tuple(self._under_way):
                    receipt.fail(str(error))


class StageProducer(BatchProducer):
    """Publish a stage's batches, one at a time: rows to their partitions, messages by their keys.

    Messages have a librdkafka producer of their own, for another way to learn that all is acknowledged. Each
    call back takes Python's one lock, for which it waits while the loop is busy; a hundred of them a batch
    took a second. So messages are called back about when one fails; for all the rest a thread waits without
    the lock until nothing is under way. Therefore one at a time: it would wait for any other batch as well.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._keyed = Producer(self._configuration | {"delivery.report.only.error": True}, logger=logger)
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="producer-flush")

    async def publish(self, bundles: Bundles) -> Offsets:
        """Send the records, in order by partition, and return once all are acknowledged.

        The offsets are those of records whose partition is given.

        Raises:
            Unacknowledged: at least one was not, or there is no room to send it.
        """
        keyed = {topic: bundle for (topic, partition), bundle in bundles.items() if partition == ANYWHERE}
        if not keyed:
            return await super().publish(bundles)
        refused: list[KafkaError] = []

        def refuse(error: KafkaError | None, _message: Message) -> None:
            refused.extend([] if error is None else [error])

        with _refusals():
            for topic, bundle in keyed.items():
                _require_all(bundle, self._keyed.produce_batch(topic, bundle, on_delivery=refuse))
        placed = {where: bundle for where, bundle in bundles.items() if where[1] != ANYWHERE}
        offsets = await super().publish(placed)
        await asyncio.get_running_loop().run_in_executor(self._flusher, self._flush)
        if refused:
            raise Unacknowledged(refused[0].str(), fatal=refused[0].fatal())
        return offsets

    def close(self) -> None:
        """Let go of the broker; what is not acknowledged by now is not waited for."""
        self._keyed.purge()
        self._flusher.shutdown()
        super().close()

    def _flush(self) -> None:
        try:
            while self._keyed.flush(POLL_S):
                pass
        except _FATAL as error:
            raise Unacknowledged(str(error), fatal=True) from error


_FATAL = (KafkaException, SystemError)
"""How the end of a producer is raised.

The latter comes where librdkafka makes a call back on top of the former: that call back is lost, so nothing
may be waited for any more.
"""


@contextmanager
def _refusals() -> Iterator[None]:
    """Have what librdkafka does not take raised as not acknowledged."""
    try:
        yield
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        ended = cause.fatal() or cause.code() == KafkaError._FATAL  # noqa: SLF001  # their spelling
        raise Unacknowledged(cause.str(), fatal=ended) from error


def _require_all(bundle: list[Record], taken: int) -> None:
    if taken < len(bundle):
        raise KafkaException(next(record["_error"] for record in bundle if "_error" in record))


Callback = Callable[[KafkaError | None, Message], None]


class _Receipt:
    """Gather what is said about one batch.

    It is said by another thread, perhaps while the batch is still being sent.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._expected = 0
        self._come = 0
        self._complete = False
        self._offsets: Offsets = {}
        self._error: Unacknowledged | None = None

    def expect(self) -> Callback:
        """Return what is to be called with one more acknowledgement."""
        self._expected += 1
        return self._acknowledge

    async def offsets(self) -> Offsets:
        """Return the last offsets, once all that is expected has come.

        Raises:
            Unacknowledged: a record was not.
        """
        self._complete = True
        self._look()
        await self._future
        if self._error is not None:
            raise self._error
        return self._offsets

    def fail(self, cause: str) -> None:
        """Wait for nothing any more: the producer has ended."""
        self._error = self._error or Unacknowledged(cause, fatal=True)
        self._wake()

    def _acknowledge(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = self._error or Unacknowledged(error.str(), fatal=error.fatal())
        else:
            self._offsets[message.topic() or "", message.partition() or 0] = message.offset() or 0
        self._come += 1
        self._look()

    def _look(self) -> None:
        if self._complete and self._come == self._expected:
            self._wake()

    def _wake(self) -> None:
        if not self._loop.is_closed():
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
