"""The interface of every agent: an async iterator of batches that makes each last before the next.

Underneath is the queue of Faust's own stream. It is read here and not through `async for`, because
Faust's iterator acknowledges an event whose processing failed (docs/adr/0002). Whatever waits in the
queue becomes one batch: batches of one when idle, larger ones by themselves under load.
Leans on faust 0.15.3: `stream.channel.queue`, `Message.tracked`, `Consumer.track_message`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import faust

from app.delivery.batch import Batch, Input
from app.delivery.codec import Undecodable, decode
from app.delivery.committing import commit
from app.delivery.deadletters import DeadLetter
from app.delivery.exits import die
from app.delivery.producer import BatchProducer
from app.settings import DeliverySettings

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """Be an answer from outside on its way into the stream, valid for one assignment of partitions."""

    partition: int
    message: Any
    generation_id: int


class Batches:
    """Hand out batches, one at a time; asking for the next one commits the one in hand."""

    def __init__(
        self,
        app: faust.App,
        stream: Any,
        producer: BatchProducer,
        settings: DeliverySettings,
        reached: dict[Any, int],
    ) -> None:
        self._app = app
        self._queue = stream.channel.queue
        self._producer = producer
        self._settings = settings
        self._reached = reached
        self._again: deque[Batch] = deque()
        self._answers: deque[Answer] = deque()
        self._answered = asyncio.Event()
        self._getter: asyncio.Task[Any] | None = None
        self._in_hand: Batch | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        await self._finish()
        self._in_hand = self._again.popleft() if self._again else await self._collect()
        return self._in_hand

    def answer(self, partition: int, message: Any) -> None:
        """Put an answer from outside into the stream.

        It is dropped where partitions move before its turn: whoever owns the partition then asks again.
        """
        self._answers.append(Answer(partition, message, self._app.consumer_generation_id))
        self._answered.set()

    def close(self) -> None:
        """Stop waiting for input."""
        if self._getter is not None:
            self._getter.cancel()

    def fail(self, error: Exception) -> None:
        """Take back the batch in hand, whose processing raised: find the input at fault and bury it."""
        batch = self._in_hand
        if batch is None:
            die(f"an agent failed outside any batch: {error!r}")
        self._in_hand = None
        if len(batch.inputs) > 1:
            self._again.extendleft(Batch((given,)) for given in reversed(batch.inputs))
        else:
            logger.error("an input can't be processed", exc_info=error)
            self._again.appendleft(Batch((_as_dead(batch.inputs[0], error),)))

    async def idle(self) -> None:
        """Wait until no batch is in hand."""
        await self._idle.wait()

    async def _finish(self) -> None:
        if self._in_hand is not None:
            done = asyncio.ensure_future(self._commit(self._in_hand))
            try:
                await asyncio.shield(done)
            except asyncio.CancelledError:
                await done
                raise
            finally:
                self._in_hand = None
        if not self._again:
            self._idle.set()

    async def _commit(self, batch: Batch) -> None:
        try:
            await commit(batch, self._producer, self._app.consumer)
        except Exception as error:  # whatever it is, nothing of this may be acknowledged
            logger.critical("a batch can't be made to last", exc_info=error)
            die(repr(error))
        for given in batch.inputs:
            if given.source is not None:
                self._reached[given.source.tp] = given.source.offset + 1

    async def _collect(self) -> Batch:
        while True:
            first = await self._first()
            arrived = [*first, *self._rest(len(first))]
            inputs = tuple(self._input(thing) for thing in arrived if self._is_current(thing))
            if inputs:
                self._idle.clear()
                return Batch(inputs)

    async def _first(self) -> list[Any]:
        """Wait for a record or an answer; return the record where it is one."""
        if self._getter is None:
            self._getter = asyncio.ensure_future(self._queue.get())
        answered = asyncio.ensure_future(self._answered.wait())
        await asyncio.wait({self._getter, answered}, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        await self._app.flow_control.acquire()
        if not self._getter.done():
            return []
        getter, self._getter = self._getter, None
        return [getter.result()]

    def _rest(self, count: int) -> Iterator[Any]:
        """Yield what else has arrived, up to the bounds of a batch that holds so many already."""
        size = 0
        while self._answers and count < self._settings.batch_records:
            count += 1
            yield self._answers.popleft()
        if not self._answers:
            self._answered.clear()
        while not self._queue.empty() and count < self._settings.batch_records:
            event = self._queue.get_nowait()
            count += 1
            size += len(event.message.value or b"")
            yield event
            if size >= self._settings.batch_bytes:
                return

    def _is_current(self, thing: Any) -> bool:
        """Tell whether the partition is still this worker's; what is not comes again elsewhere."""
        generation_id = thing.generation_id if isinstance(thing, Answer) else thing.message.generation_id
        return bool(generation_id == self._app.consumer_generation_id)

    def _input(self, thing: Any) -> Input:
        if isinstance(thing, Answer):
            return Input(thing.partition, thing.message)
        record = thing.message
        record.tracked = True
        self._app.consumer.track_message(record)
        try:
            timestamp_ms = round(record.timestamp * 1000)
            message = decode(record.topic, record.key, record.value, timestamp_ms)
        except Undecodable as error:
            logger.warning("undecodable: %s[%s]@%s: %s", record.topic, record.partition, record.offset, error)
            return Input(record.partition, None, record, _letter(record, f"Undecodable: {error}"))
        return Input(record.partition, message, record)


def _letter(record: Any, error: str) -> DeadLetter:
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        error=error,
    )


def _as_dead(given: Input, error: Exception) -> Input:
    if given.source is None:
        die(f"an answer from outside can't be processed: {given.message!r}: {error!r}")
    return given._replace(undecodable=_letter(given.source, f"{type(error).__name__}: {error}"))
