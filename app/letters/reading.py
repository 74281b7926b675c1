"""Reading DEAD_LETTERS and what was done about them, up to where they end now; in no consumer group."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.delivery.codec import Undecodable
from app.errors import BrokerUnavailable, LettersRefused
from app.letters.letter import Letter, LetterId, Source, letter_of
from app.letters.outcomes import Outcome, Returns, outcomes
from app.settings import Settings
from app.topics import DEAD_LETTER_OUTCOMES, DEAD_LETTERS

ANSWER_S = 5.0
SILENCE_S = 30.0
"""How long Kafka may say nothing while there is something to read."""

AT_ONCE = 500
TAKE_S = 0.1
QUEUE_KIB = 16_384
"""How much librdkafka reads ahead of us, and so about how much memory reading takes."""

LARGEST_BYTES = 4 * 1024 * 1024

T = TypeVar("T")
Tick = Callable[[int], None]
"""What is told how many records more have been read."""


class Span(NamedTuple):
    """Be a part of a partition: its first offset, and the one behind its last."""

    first: int
    end: int


def _untold(_count: int) -> None:
    """Tell nobody."""


class Reader:
    """Read one partition after the other, so that what is known of one alone is held in memory."""

    def __init__(self, settings: Settings, tick: Tick = _untold) -> None:
        self._broker = settings.broker
        self._tick = tick
        self._layout: dict[str, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.broker,
                "group.id": "dead-letters",  # has to be named; nothing is subscribed to or committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": QUEUE_KIB,
                "fetch.message.max.bytes": LARGEST_BYTES,
                "fetch.error.backoff.ms": 50,
                # The broker answers one fetch after the other: one that waits at an end holds up the next.
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        """Find out which topics there are.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            LettersRefused: the topics of dead letters are not there.
        """
        try:
            self._look_around()
        except BaseException:
            self._consumer.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of Kafka."""
        self._consumer.close()

    @property
    def partitions(self) -> range:
        """Return the partitions of DEAD_LETTERS."""
        return range(self._layout[DEAD_LETTERS])

    def has(self, topic: str, partition: int) -> bool:
        """Tell whether there is such a partition."""
        return partition < self._layout.get(topic, 0)

    def size(self, since: datetime | None = None) -> int:
        """Return about how many records a look at all letters has to read."""
        spans = (self._span(DEAD_LETTERS, partition, since) for partition in self.partitions)
        return sum(max(0, span.end - span.first) for span in spans)

    def end(self, partition: int) -> int:
        """Return the offset that the next letter of the partition will have."""
        return self._span(DEAD_LETTERS, partition).end

    def open(self, partition: int, since: datetime | None = None) -> Iterator[Letter]:
        """Yield the letters of a partition that nothing was done about, each once, in their order."""
        known: set[bytes] = set()

        def noted() -> Iterator[tuple[bytes, Outcome]]:
            for name, outcome in self.outcomes(partition):
                known.add(name)
                yield name, outcome

        returns = Returns(noted())
        for letter in self.letters(partition, since=since):
            if letter.name not in known:
                known.add(letter.name)
                yield returns.placed(letter)

    def letters(self, partition: int, first: int = 0, since: datetime | None = None) -> Iterator[Letter]:
        """Yield every letter of a partition from an offset on, also what was dealt with, in their order."""
        span = self._span(DEAD_LETTERS, partition, since)
        for record in self._records(DEAD_LETTERS, partition, Span(max(first, span.first), span.end)):
            self._tick(1)
            yield letter_of(record)

    def outcomes(self, partition: int) -> Iterator[tuple[bytes, Outcome]]:
        """Yield what was done about the letters of a partition, each under its letter's name, in order."""
        if not self.has(DEAD_LETTER_OUTCOMES, partition):
            return
        span = self._span(DEAD_LETTER_OUTCOMES, partition)
        for record in self._records(DEAD_LETTER_OUTCOMES, partition, span):
            try:
                yield record.key() or b"", outcomes.decode(record.value() or b"")
            except Undecodable:  # not of our making, so it says nothing about a letter
                continue

    def find(self, letter_id: LetterId) -> Letter:
        """Return one letter.

        Raises:
            LettersRefused: there is none of this id.
        """
        record = self._at(DEAD_LETTERS, *letter_id)
        if record is None:
            raise LettersRefused(f"there is no letter {letter_id}")
        return letter_of(record)

    def find_source(self, source: Source) -> tuple[bytes | None, bytes | None]:
        """Return key and value of a record where it came from.

        Raises:
            LettersRefused: it is not there any more.
        """
        record = self._at(*source)
        if record is None:
            raise LettersRefused(f"the record {source} is not there any more")
        return record.key(), record.value()

    def _look_around(self) -> None:
        with self._asking():
            found = self._consumer.list_topics(timeout=ANSWER_S).topics
        self._layout = {name: len(topic.partitions) for name, topic in found.items() if not topic.error}
        for needed in (DEAD_LETTERS, DEAD_LETTER_OUTCOMES):
            if needed not in self._layout:
                raise LettersRefused(f"there is no topic {needed}: create it with `python -m app topics`")

    def _at(self, topic: str, partition: int, offset: int) -> Message | None:
        if not self.has(topic, partition):
            return None
        span = self._span(topic, partition)
        if not span.first <= offset < span.end:
            return None
        record = next(self._records(topic, partition, Span(offset, offset + 1)), None)
        return record if record is not None and record.offset() == offset else None

    def _span(self, topic: str, partition: int, since: datetime | None = None) -> Span:
        place = TopicPartition(topic, partition)
        with self._asking():
            first, end = self._consumer.get_watermark_offsets(place, ANSWER_S)
            if since is not None:
                place.offset = max(0, int(since.timestamp() * 1000))
                found = self._consumer.offsets_for_times([place], ANSWER_S)[0].offset
                first = found if found >= 0 else end
        return Span(first, end)

    def _records(self, topic: str, partition: int, span: Span) -> Iterator[Message]:
        if span.first >= span.end:
            return
        self._consumer.assign([TopicPartition(topic, partition, span.first)])
        heard = time.monotonic()
        while True:
            taken = self._take()
            if taken:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_S:
                raise BrokerUnavailable(f"the Kafka at {self._broker} has stopped answering")
            for record in taken:
                if (error := record.error()) is not None:
                    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # so it is named
                        return
                    continue
                if (record.offset() or 0) < span.end:
                    yield record
                if (record.offset() or 0) + 1 >= span.end:
                    return

    def _take(self) -> list[Message]:
        first = self._consumer.poll(TAKE_S)  # which consume() would not return before its time is over
        return [] if first is None else [first, *self._consumer.consume(AT_ONCE, 0)]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise BrokerUnavailable(
                f"no Kafka answers at {self._broker}: start one with `python -m app broker`,"
                " or set ORDERS_BROKER"
            ) from error


def open_letters(reader: Reader, since: datetime | None = None) -> Iterator[Letter]:
    """Yield the letters that nothing was done about, partition by partition."""
    for partition in reader.partitions:
        yield from reader.open(partition, since)


def count_open(settings: Settings) -> dict[str, int]:
    """Return how many letters nothing was done about, by the topic that they came from.

    It reads all of DEAD_LETTERS: not for every scrape of a metric.

    Raises:
        Failure: Kafka does not answer, or the topics are not there.
    """
    counts: dict[Any, int] = {}
    with Reader(settings) as reader:
        for letter in open_letters(reader):
            topic = letter.source.topic if letter.source else ""
            counts[topic] = counts.get(topic, 0) + 1
    return counts
