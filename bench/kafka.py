"""Kafka looked at from outside: topics, ends, committed offsets, records; it takes part in nothing."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from app.errors import Failure

ANSWER_S = 10.0
TOPICS_S = 30.0
READ_S = 60.0
LOOK_AGAIN_S = 0.1
AT_ONCE = 5_000

Offsets = dict[tuple[str, int], int]
"""An offset for each partition of some topics."""


class Kafka:
    """Look at one Kafka whose topics all have the same number of partitions."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def delete_topics(self) -> None:
        """Delete every topic of the trial before.

        Raises:
            Failure: Kafka does not do it in time.
        """
        if left := self.topics():
            for answer in self._admin.delete_topics(sorted(left), request_timeout=TOPICS_S).values():
                answer.result()
        self._await(lambda: not self.topics(), "has not deleted its topics")

    def create_topics(self, configs: Mapping[str, Mapping[str, str]]) -> None:
        """Create these topics.

        Raises:
            Failure: Kafka does not do it in time.
        """
        new = [NewTopic(name, self._partitions, 1, config=dict(config)) for name, config in configs.items()]
        for answer in self._admin.create_topics(new, request_timeout=TOPICS_S).values():
            answer.result()
        self._await(lambda: self.topics() == set(configs), "has not created its topics")

    def await_no_offsets(self, group: str, topics: Sequence[str]) -> None:
        """Wait until Kafka has forgotten what the group had committed in deleted topics of these names.

        Raises:
            Failure: it does not in time.
        """
        self._await(
            lambda: not any(self.committed(group, topics).values()), f"has not forgotten the group {group}"
        )

    def topics(self) -> set[str]:
        """Return the topics there are, without Kafka's own."""
        return {
            name for name in self._admin.list_topics(timeout=ANSWER_S).topics if not name.startswith("__")
        }

    def count(self, topics: Sequence[str]) -> int:
        """Return how many records the topics have had."""
        return sum(self.ends(topics).values())

    def ends(self, topics: Sequence[str]) -> Offsets:
        """Return the offset of the next record of each partition."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = dict.fromkeys(self._all(topics), latest)
        answers = self._admin.list_offsets(asked, request_timeout=ANSWER_S)
        return {(where.topic, where.partition): answer.result().offset for where, answer in answers.items()}

    def committed(self, group: str, topics: Sequence[str]) -> Offsets:
        """Return what the group has committed, 0 where it has committed nothing."""
        consumer = self._consumer(group)  # it only asks: it never joins the group
        try:
            found = consumer.committed(list(self._all(topics)), timeout=ANSWER_S)
        finally:
            consumer.close()
        return {
            (each.topic, each.partition): 0 if each.offset == OFFSET_INVALID else each.offset
            for each in found
        }

    def is_committed(self, group: str, topics: Sequence[str]) -> bool:
        """Tell whether the group has committed every record that the topics have now."""
        ends = self.ends(topics)
        committed = self.committed(group, topics)
        return all(committed[where] >= end for where, end in ends.items() if end)

    def read(self, topics: Sequence[str], start: Offsets | None = None) -> Iterator[Message]:
        """Yield every record that the topics have now, from these offsets on, else from the beginning.

        Raises:
            Failure: they can't be read in time.
        """
        start = start or {}
        left = {where: end for where, end in self.ends(topics).items() if end > start.get(where, 0)}
        consumer = self._consumer("bench")
        consumer.assign([TopicPartition(*where, start.get(where, 0)) for where in left])
        deadline = time.monotonic() + READ_S
        try:
            while left:
                if time.monotonic() > deadline:
                    raise Failure(f"{', '.join(topics)} could not be read within {READ_S:.0f} s")
                for record in consumer.consume(AT_ONCE, LOOK_AGAIN_S):
                    where = (record.topic() or "", record.partition() or 0)
                    if record.error() is None:
                        yield record
                    if (record.offset() or 0) + 1 >= left.get(where, 0):
                        left.pop(where, None)
        finally:
            consumer.close()

    def _await(self, is_so: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + TOPICS_S
        while not is_so():
            if time.monotonic() > deadline:
                raise Failure(f"Kafka {complaint} within {TOPICS_S:.0f} s")
            time.sleep(LOOK_AGAIN_S)

    def _all(self, topics: Iterable[str]) -> Iterable[TopicPartition]:
        return (TopicPartition(topic, number) for topic in topics for number in range(self._partitions))

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
