"""The interface of every agent: an async iterator of batches that makes each last before the next.

Whatever has arrived while a batch was made to last is the next one: batches of one when idle, larger ones by
themselves under load.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from confluent_kafka import Message
from faust.types import TP
from msgspec.structs import replace

from app import metrics
from app.delivery.batch import Batch, Input
from app.delivery.codec import MessageDecoder, Undecodable, require_home
from app.delivery.committing import Means, commit
from app.delivery.deadletters import DeadLetter
from app.delivery.exits import die
from app.delivery.lag import Lag
from app.delivery.lease import NotHeld
from app.delivery.source import Arrived, Source

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """Be an answer from outside on its way into the stream, valid for one assignment of partitions."""

    partition: int
    message: Any
    epoch: int


class Bounds(NamedTuple):
    """Say how many answers a batch may hold, and when there is room for what more records would begin.

    `partitions` is how many there are to be spread over, anywhere.
    """

    most: int
    room: asyncio.Event
    partitions: int


class Batches:
    """Hand out batches, one at a time; asking for the next one commits the one in hand."""

    def __init__(
        self,
        source: Source,
        means: Means,
        decode: MessageDecoder,
        bounds: Bounds,
    ) -> None:
        self._source = source
        self._decode = decode
        self._means = means
        self._bounds = bounds
        self._again: deque[Batch] = deque()
        self._answers: deque[Answer] = deque()
        self._answered = asyncio.Event()
        self._open = asyncio.Event()
        self._partitions: frozenset[int] = frozenset()
        self._taking: asyncio.Future[Arrived] | None = None
        self._in_hand: Batch | None = None
        self._lag = Lag()
        self._idle = asyncio.Event()
        self._idle.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        await self._finish()
        self._in_hand = self._again.popleft() if self._again else await self._collect()
        return self._in_hand

    @property
    def behind_s(self) -> float:
        """Return how old the records are that are in hand, or were a moment ago, in seconds."""
        return self._lag.now()

    def answer(self, partition: int, message: Any) -> None:
        """Put an answer from outside into the stream.

        It is dropped where partitions move before its turn: whoever owns the partition then asks again.
        """
        self._answers.append(Answer(partition, message, self._source.epoch))
        self._answered.set()

    async def resume(self, positions: Mapping[TP, int | None]) -> None:
        """Work on these partitions, from these offsets on."""
        await self._source.assign(positions)
        self._partitions = frozenset(tp.partition for tp in positions)
        self._open.set()

    async def drain(self) -> None:
        """Begin no batch any more, and wait until none is in hand."""
        self._open.clear()
        await self._idle.wait()

    async def revoke(self) -> None:
        """Let go of the partitions."""
        await self._source.revoke()

    def fail(self, error: Exception) -> None:
        """Take back the batch in hand, whose processing raised: find the input at fault and bury it."""
        batch = self._in_hand
        if batch is None:
            die(f"an agent failed outside any batch: {error!r}")
        self._in_hand = None
        self._means.meter.fail()
        if len(batch.inputs) > 1:
            self._again.extendleft(self._means.begin((given,)) for given in reversed(batch.inputs))
        else:
            logger.error("an input can't be processed", exc_info=error)
            self._again.appendleft(self._means.begin((_as_dead(batch.inputs[0], error),)))

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
            self._lag.done()

    async def _commit(self, batch: Batch) -> None:
        try:
            for letter in batch.letters:
                self._means.note(batch, letter)
                batch.after_commit(metrics.DEAD_LETTERS.labels(letter.topic).inc)
            await commit(batch, self._means)
        except NotHeld as error:
            logger.warning("a batch of %s is given up, and comes again: %s", len(batch.inputs), error)
        except Exception as error:  # whatever it is, nothing of this may be acknowledged
            logger.critical("a batch can't be made to last", exc_info=error)
            die(repr(error))

    async def _collect(self) -> Batch:
        while True:
            await self._open.wait()
            await self._arrival()
            inputs = tuple(self._arrived()) if self._open.is_set() else ()
            if inputs:
                self._idle.clear()
                self._means.meter.take(len(inputs))
                return self._means.begin(inputs)

    async def _arrival(self) -> None:
        """Wait for a record or an answer; without room for records, for room or an answer."""
        if self._taking is None and self._bounds.room.is_set():
            self._taking = self._source.take()
        answered = asyncio.ensure_future(self._answered.wait())
        other: asyncio.Future[Any] = self._taking or asyncio.ensure_future(self._bounds.room.wait())
        awaited: set[asyncio.Future[Any]] = {answered, other}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered.cancel()
            if other is not self._taking:
                other.cancel()

    def _arrived(self) -> Iterator[Input]:
        """Yield what is there; what belongs to an earlier assignment comes again, here or elsewhere."""
        for _ in range(min(len(self._answers), self._bounds.most)):
            answer = self._answers.popleft()
            if answer.epoch == self._source.epoch and answer.partition in self._partitions:
                yield Input(answer.partition, answer.message)
        if not self._answers:
            self._answered.clear()
        if self._taking is not None and self._taking.done():
            epoch, records = self._taking.result()
            self._taking = None
            if epoch == self._source.epoch and records:
                times_ms = [record.timestamp()[1] for record in records]
                self._note_oldest(times_ms)
                yield from map(self._input, records, times_ms)

    def _note_oldest(self, times_ms: Sequence[int]) -> None:
        """Have the lag be that of the oldest, wherever it is: they are of several topics and partitions."""
        recorded = [ms for ms in times_ms if ms > 0]  # what can't be read has none
        if recorded:
            self._lag.take(min(recorded) / 1000)

    def _input(self, record: Message, time_ms: int) -> Input:
        topic, partition, key = record.topic() or "", record.partition() or 0, record.key()
        try:
            if (unreadable := record.error()) is not None:
                raise Undecodable(unreadable.str())  # noqa: TRY301  # one verdict, from wherever it comes
            message = self._decode(topic, key, record.value(), time_ms)
            require_home(key or b"", partition, self._bounds.partitions)
        except Undecodable as error:
            logger.warning("undecodable: %s[%s]@%s: %s", topic, partition, record.offset(), error)
            return Input(partition, None, record, _letter(record, f"Undecodable: {error}"))
        return Input(partition, message, record)


def _letter(record: Message, error: str) -> DeadLetter:
    return DeadLetter(
        topic=record.topic() or "",
        partition=record.partition() or 0,
        offset=record.offset() or 0,
        key=record.key(),
        value=record.value(),
        recorded_ms=record.timestamp()[1],
        error=error,
    )


def _as_dead(given: Input, error: Exception) -> Input:
    if given.source is None:
        kind, order_id = type(given.message).__name__, getattr(given.message, "order_id", "unknown")
        die(f"an answer from outside can't be processed: {kind} of order {order_id}: {error!r}")
    return replace(given, undecodable=_letter(given.source, f"{type(error).__name__}: {error}"))
