"""Reading the topics of messages: from their beginning up to where they end now, in no consumer group.

The ends of many partitions can't be asked for at one instant. So they are asked for twice. What is judged
lies before the first answers; all that came before any of it had been recorded by then, and so lies before
the second, up to which is read.
"""

import time
from collections.abc import Iterator, Mapping

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    OffsetSpec,
)

from app import leaders, topics
from app.asking import ANSWER_S, ask
from app.audit.book import TOPICS, Record
from app.audit.facts import Place
from app.errors import BrokerUnavailable
from app.settings import Settings

SILENCE_S = 30.0
"""How long Kafka may say nothing while there is something to read."""

AT_ONCE = 2_000
TAKE_S = 0.1
QUEUE_KIB = 16_384
"""How much librdkafka reads ahead of us."""

Ends = dict[tuple[str, int], int]


class Reader:
    """Read on each time from where it stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = [(name, number) for name in TOPICS for number in range(settings.partitions)]
        self._positions: Ends = dict.fromkeys(self._places, 0)
        self._paused: set[tuple[str, int]] = set()
        self._kafka: dict[str, str | int | float | bool] = {
            "bootstrap.servers": settings.broker,
            "log_level": 0,
        }
        self._admin = AdminClient(self._kafka)
        self._consumer = Consumer(
            {
                **self._kafka,
                "group.id": "audit",  # has to be named; nothing is subscribed to, and nothing committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": QUEUE_KIB,
                # The broker answers one fetch after the other: one that waits at an end holds up the next.
                "fetch.wait.max.ms": 10,
            }
        )

    def begin(self) -> None:
        """Make sure that the topics can be read, and stand at their beginning.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            TopicsDiffer: the topics are not there, or not dated by the broker.
        """
        topics.require(self._settings)
        leaders.learn(self._consumer)
        self._consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in self._places])

    def brokers(self) -> int:
        """Return how many brokers there are: each dates its records by a clock of its own."""
        return len(ask(self._settings.broker, lambda: self._admin.list_topics(timeout=ANSWER_S).brokers))

    def ends(self) -> Ends:
        """Return where every partition ends now.

        Raises:
            BrokerUnavailable: Kafka does not answer.
        """
        try:
            return ask(self._settings.broker, self._ends)
        except BrokerUnavailable:
            # This one would ask by the leaders' old epochs when Kafka is back, as of librdkafka 2.16.
            self._admin = AdminClient(self._kafka)
            raise

    def behind(self, ends: Mapping[tuple[str, int], int]) -> int:
        """Return how many records there are up to these ends that have not been read."""
        return sum(max(0, end - self._positions[place]) for place, end in ends.items())

    def read(self, ends: Mapping[tuple[str, int], int]) -> Iterator[list[Record]]:
        """Yield what there is up to these ends, and empty lists while nothing comes.

        Raises:
            BrokerUnavailable: there is more, and Kafka does not give it.
        """
        self._pause_or_resume(ends)
        heard = time.monotonic()
        while self.behind(ends):
            found = [
                record for each in self._consumer.consume(AT_ONCE, TAKE_S) for record in self._taken(each)
            ]
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_S:
                raise BrokerUnavailable(f"the Kafka at {self._settings.broker} has stopped answering")
            self._pause_or_resume(ends)
            yield found

    def close(self) -> None:
        """Let go of Kafka."""
        self._consumer.close()

    def _taken(self, record: Message) -> Iterator[Record]:
        place = (record.topic() or "", record.partition() or 0)
        error = record.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # so it is named
                self._positions[place] = max(self._positions[place], record.offset() or 0)
            return
        offset = record.offset() or 0
        self._positions[place] = offset + 1
        yield Record(Place(*place, offset), record.timestamp()[1], record.key(), record.value())

    def _pause_or_resume(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Fetch nothing beyond the ends: a busy partition would fill the disk while another is read."""
        done = {place for place, end in ends.items() if self._positions[place] >= end}
        if over := done - self._paused:
            self._consumer.pause([TopicPartition(*place) for place in over])
        if again := self._paused - done:
            self._consumer.resume([TopicPartition(*place) for place in again])
        self._paused = done

    def _ends(self) -> Ends:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client's own lack of types
        answers = self._admin.list_offsets(
            {TopicPartition(*place): latest for place in self._places}, request_timeout=ANSWER_S
        )
        return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}
