"""What Kafka says of a run of the reference pipeline, independently of the engine: counts and outcomes."""

from collections.abc import Sequence

import orjson

from bench import pipeline
from bench.engines import Engine
from bench.kafka import Kafka
from bench.measures import Outcome

MESSAGES = {"message.timestamp.type": "LogAppendTime"}
CHANGELOG = {"cleanup.policy": "compact"}


class Watcher:
    """Look at a run from outside."""

    def __init__(self, bootstrap: str) -> None:
        self._kafka = Kafka(bootstrap, pipeline.PARTITIONS)

    def start_over(self, engine: Engine) -> None:
        """Delete every topic of the trial before, create the engine's, and see that its group starts anew.

        Raises:
            Failure: Kafka does not do it in time.
        """
        self._kafka.delete_topics()
        self._kafka.create_topics(
            {
                **dict.fromkeys(pipeline.TOPICS, MESSAGES),
                **dict.fromkeys(engine.changelogs, CHANGELOG),
            }
        )
        self._kafka.await_no_offsets(engine.group, pipeline.INPUTS)

    def count(self, topics: Sequence[str]) -> int:
        """Return how many records the topics have."""
        return self._kafka.count(topics)

    def is_committed(self, group: str) -> bool:
        """Tell whether the group has committed every record of the pipeline's input topics."""
        return self._kafka.is_committed(group, pipeline.INPUTS)

    def outcomes(self) -> list[Outcome]:
        """Return every terminal event there is, read from the log itself."""
        return [
            Outcome(
                pipeline.number_of(orjson.loads(record.value() or b"")["order_id"]),
                record.timestamp()[1] / 1000,
            )
            for record in self._kafka.read([pipeline.ORDER_COMPLETED])
        ]
