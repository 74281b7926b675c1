"""Kafka's producer, awaited by the batch: one future for however many records.

librdkafka sends, retries and keeps the order; one thread serves its acknowledgements.
"""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.settings import Settings

logger = logging.getLogger(__name__)

POLL_S = 0.5
"""How long the serving thread sleeps when nothing comes; an acknowledgement wakes it at once."""

ANYWHERE = -1
"""librdkafka's word for the partition that the key chooses."""

FOR_EVER = 0
"""librdkafka's word for a record that is sent until it is acknowledged."""


class Outgoing(NamedTuple):
    """Be one record on its way; a partition of None is found by the key (murmur2, as Faust's)."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


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

    async def publish(self, records: Sequence[Outgoing]) -> Offsets:
        """Send the records, in order by partition, and return once all are acknowledged.

        Raises:
            Unacknowledged: at least one was not, or there is no room to send it.
        """
        if not records:
            return {}
        receipt = _Receipt()
        try:
            self._send(records, receipt)
            receipt.complete()
        except BufferError as error:
            raise Unacknowledged("too many records wait to be sent", fatal=False) from error
        except KafkaException as error:
            cause: KafkaError = error.args[0]
            ended = cause.fatal() or cause.code() == KafkaError._FATAL  # noqa: SLF001  # their spelling
            raise Unacknowledged(cause.str(), fatal=ended) from error
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

    def _send(self, records: Sequence[Outgoing], receipt: "_Receipt") -> None:
        bundles: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for record in records:
            topic, key, value, partition, headers = record
            if headers:
                self._send_one(record, receipt.expect())
            elif partition is None:  # each may be the last of its partition
                by_key = {"key": key, "value": value, "callback": receipt.expect()}
                bundles[topic, ANYWHERE].append(by_key)
            else:
                bundles[topic, partition].append({"key": key, "value": value})
        for (topic, partition), bundle in bundles.items():
            # A partition is acknowledged in its order, and the loss of one record fails those behind it.
            if partition != ANYWHERE:
                bundle[-1]["callback"] = receipt.expect()
            if self._producer.produce_batch(topic, bundle, partition) < len(bundle):
                raise KafkaException(next(entry["_error"] for entry in bundle if "_error" in entry))

    def _send_one(self, record: Outgoing, callback: "Callback") -> None:
        """Send a record with headers, which librdkafka takes one at a time."""
        topic, key, value, partition, headers = record
        where = ANYWHERE if partition is None else partition
        self._producer.produce(topic, value, key, where, callback, headers=list(headers))

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

    def expect(self) -> Callback:
        """Return what is to be called with one more acknowledgement."""
        self._expected += 1
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
