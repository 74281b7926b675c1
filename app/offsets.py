"""Where partitions end, how far the workers' groups have worked, and whether any worker is in them."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import get_args

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    OffsetSpec,
)

from app.asking import ANSWER_S, ask
from app.groups import Groups, Place
from app.settings import Settings
from app.stages import stages_of
from models.messages import Message
from models.rebuild import orders, payments
from models.stock import StockMessage


def _types(kinds: Iterable[type[Message]]) -> list[str]:
    return [kind.type for kind in kinds]


READERS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_types(orders.RANK), "orders"),
        **dict.fromkeys(_types(payments.HEARD), "payments"),
        **dict.fromkeys(_types(get_args(StockMessage)), "inventory"),
    }
)
"""Which of the stages that orders wait for works on the records of a topic."""


class Offsets:
    """Ask Kafka for offsets.

    Raises:
        BrokerUnavailable: any question, where Kafka does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._broker = settings.broker
        self._admin = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})
        self._groups = Groups(settings)

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
        for group in self._groups.names():
            for place, offset in self._groups.committed(group).items():
                if READERS.get(place[0]) in stages_of(group):
                    reached[place] = max(reached.get(place, 0), offset)
        return reached

    def members(self) -> list[str]:
        """Return who is in these groups, each as GROUP: MEMBER."""
        return self._groups.members(self._groups.names())
