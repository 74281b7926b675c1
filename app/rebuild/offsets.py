"""Where partitions end, how far the workers' groups have worked, and whether any worker is in them."""

from collections.abc import Collection

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    OffsetSpec,
)

from app.asking import ANSWER_S, ask
from app.rebuild.layout import READERS
from app.rebuild.reading import Place
from app.settings import Settings
from app.stages import GROUP, STAGES, is_group


class Offsets:
    """Ask Kafka for offsets.

    Raises:
        BrokerUnavailable: any question, where Kafka does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._broker = settings.broker
        self._admin = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})

    def ends(self, places: Collection[Place]) -> dict[Place, int]:
        """Return where the partitions end now."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client's own lack of types
        asked = {TopicPartition(*place): latest for place in places}

        def look() -> dict[Place, int]:
            answers = self._admin.list_offsets(asked, request_timeout=ANSWER_S)
            return {(at.topic, at.partition): answer.result().offset for at, answer in answers.items()}

        return ask(self._broker, look) if asked else {}

    def committed(self) -> dict[Place, int]:
        """Return how far each topic has been worked through by whichever group runs its stage."""
        reached: dict[Place, int] = {}
        for group in self.groups():
            for tp in ask(self._broker, lambda group=group: self._offsets(group)):  # type: ignore[misc]  # a default binds it now
                if tp.offset >= 0 and READERS.get(tp.topic) in _stages_of(group):
                    place = (tp.topic, tp.partition)
                    reached[place] = max(reached.get(place, 0), tp.offset)
        return reached

    def groups(self) -> list[str]:
        """Return the groups of workers that Kafka knows of."""
        found = ask(self._broker, lambda: self._admin.list_consumer_groups(request_timeout=ANSWER_S).result())
        return sorted(group.group_id for group in found.valid if is_group(group.group_id))

    def members(self) -> list[str]:
        """Return who is in these groups, each as GROUP: MEMBER."""
        groups = self.groups()
        if not groups:
            return []
        answers = ask(
            self._broker,
            lambda: [
                answer.result()
                for answer in self._admin.describe_consumer_groups(groups, request_timeout=ANSWER_S).values()
            ],
        )
        return [
            f"{group.group_id}: {member.group_instance_id or member.client_id}"
            for group in answers
            for member in group.members
        ]

    def _offsets(self, group: str) -> list[TopicPartition]:
        asked = [ConsumerGroupTopicPartitions(group)]
        (answer,) = self._admin.list_consumer_group_offsets(asked, request_timeout=ANSWER_S).values()
        found: list[TopicPartition] = answer.result().topic_partitions
        return found


def _stages_of(group: str) -> tuple[str, ...]:
    return STAGES if group == GROUP else tuple(group.split("-")[1:])
