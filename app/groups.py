"""The workers' groups as Kafka knows them: who is in them, and how far they have worked."""

from collections.abc import Collection, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.asking import ANSWER_S, ask
from app.settings import Settings
from app.stages import is_group, stages_of

Place = tuple[str, int]
"""A topic and a partition."""


class Groups:
    """Ask Kafka for the groups of workers, and put them back.

    Raises:
        BrokerUnavailable: any question, where Kafka does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._broker = settings.broker
        self._admin = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})

    def names(self) -> list[str]:
        """Return the groups of workers that Kafka knows of."""
        found = ask(self._broker, lambda: self._admin.list_consumer_groups(request_timeout=ANSWER_S).result())
        return sorted(group.group_id for group in found.valid if is_group(group.group_id))

    def running(self, stage: str) -> list[str]:
        """Return those of them whose workers run the stage."""
        return [name for name in self.names() if stage in stages_of(name)]

    def members(self, groups: Collection[str]) -> list[str]:
        """Return who is in these groups, each as GROUP: MEMBER."""
        if not groups:
            return []
        answers = ask(
            self._broker,
            lambda: [
                answer.result()
                for answer in self._admin.describe_consumer_groups(
                    [*groups], request_timeout=ANSWER_S
                ).values()
            ],
        )
        return [
            f"{group.group_id}: {member.group_instance_id or member.client_id}"
            for group in answers
            for member in group.members
        ]

    def committed(self, group: str) -> dict[Place, int]:
        """Return how far a group has worked, where it has said so."""
        asked = [ConsumerGroupTopicPartitions(group)]

        def look() -> list[TopicPartition]:
            (answer,) = self._admin.list_consumer_group_offsets(asked, request_timeout=ANSWER_S).values()
            found: list[TopicPartition] = answer.result().topic_partitions
            return found

        return {(tp.topic, tp.partition): tp.offset for tp in ask(self._broker, look) if tp.offset >= 0}

    def put_back(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Have a group without members go on from these offsets."""
        places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group, places)]

        def alter() -> None:
            (answer,) = self._admin.alter_consumer_group_offsets(asked, request_timeout=ANSWER_S).values()
            for tp in answer.result().topic_partitions:
                if tp.error is not None:
                    raise KafkaException(tp.error)

        ask(self._broker, alter)
