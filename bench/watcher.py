"""What Kafka says of a run, independently of the engine: topics, counts, offsets, outcomes."""

import time
from collections.abc import Iterable, Sequence

import orjson
from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from app.errors import Failure
from bench import pipeline
from bench.engines import Engine
from bench.measures import Outcome

ANSWER_S = 10.0
TOPICS_S = 30.0
LOOK_AGAIN_S = 0.1

MESSAGES = {"message.timestamp.type": "LogAppendTime"}
CHANGELOG = {"cleanup.policy": "compact"}


class Watcher:
    """Look at a run from outside."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def start_over(self, engine: Engine) -> None:
        """Delete every topic of the trial before, create the engine's, and see that its group starts anew.

        Raises:
            Failure: Kafka does not do it in time.
        """
        if left := self._topics():
            for answer in self._admin.delete_topics(left, request_timeout=TOPICS_S).values():
                answer.result()
        self._await_topics(set())
        configs = {
            **dict.fromkeys(pipeline.TOPICS, MESSAGES),
            **dict.fromkeys(engine.changelogs, CHANGELOG),
        }
        new = [NewTopic(name, pipeline.PARTITIONS, 1, config=config) for name, config in configs.items()]
        for answer in self._admin.create_topics(new, request_timeout=TOPICS_S).values():
            answer.result()
        self._await_topics(set(configs))
        self._await_no_offsets(engine.group)

    def count(self, topics: Sequence[str]) -> int:
        """Return how many records the topics have."""
        return sum(self._ends(topics).values())

    def is_committed(self, group: str) -> bool:
        """Tell whether the group has committed every record of the pipeline's input topics."""
        ends = self._ends(pipeline.INPUTS)
        committed = self._committed(group)
        return all(committed[where] >= end for where, end in ends.items() if end)

    def outcomes(self) -> list[Outcome]:
        """Return every terminal event there is, read from the log itself."""
        ends = self._ends([pipeline.ORDER_COMPLETED])
        consumer = self._consumer("bench-watcher")
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
        found: list[Outcome] = []
        deadline = time.monotonic() + TOPICS_S
        while len(found) < sum(ends.values()):
            if time.monotonic() > deadline:
                raise Failure(f"{pipeline.ORDER_COMPLETED} could not be read within {TOPICS_S:.0f} s")
            for record in consumer.consume(5_000, LOOK_AGAIN_S):
                order_id = orjson.loads(record.value() or b"")["order_id"]
                found.append(Outcome(pipeline.number_of(order_id), record.timestamp()[1] / 1000))
        consumer.close()
        return found

    def _topics(self) -> list[str]:
        return [
            name for name in self._admin.list_topics(timeout=ANSWER_S).topics if not name.startswith("__")
        ]

    def _await_topics(self, wanted: set[str]) -> None:
        deadline = time.monotonic() + TOPICS_S
        while set(self._topics()) != wanted:
            if time.monotonic() > deadline:
                raise Failure(f"Kafka has not changed its topics within {TOPICS_S:.0f} s")
            time.sleep(LOOK_AGAIN_S)

    def _await_no_offsets(self, group: str) -> None:
        """Wait until Kafka has forgotten what the group had committed in the deleted topics."""
        deadline = time.monotonic() + TOPICS_S
        while any(offset > 0 for offset in self._committed(group).values()):
            if time.monotonic() > deadline:
                raise Failure(f"the group {group} still has its old offsets after {TOPICS_S:.0f} s")
            time.sleep(LOOK_AGAIN_S)

    def _ends(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = dict.fromkeys(_partitions(topics), latest)
        answers = self._admin.list_offsets(asked, request_timeout=ANSWER_S)
        return {(where.topic, where.partition): answer.result().offset for where, answer in answers.items()}

    def _committed(self, group: str) -> dict[tuple[str, int], int]:
        consumer = self._consumer(group)  # it only asks: it never joins the group
        try:
            found = consumer.committed(list(_partitions(pipeline.INPUTS)), timeout=ANSWER_S)
        finally:
            consumer.close()
        return {
            (each.topic, each.partition): 0 if each.offset == OFFSET_INVALID else each.offset
            for each in found
        }

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": group, "enable.auto.commit": False}
        )


def _partitions(topics: Iterable[str]) -> Iterable[TopicPartition]:
    return (TopicPartition(topic, number) for topic in topics for number in range(pipeline.PARTITIONS))
