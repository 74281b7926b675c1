"""Commands in: what is accepted is in Kafka, acknowledged, before the answer says so.

What arrives while a group of messages waits for its acknowledgement makes up the next group: many requests
share one acknowledgement when there are many, and one that is alone waits for nobody. Each partition of a
group has an acknowledgement of its own, for its leader may be away while those of others are there.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from app import tracing
from app.delivery.codec import encode
from app.delivery.producer import BatchProducer, Place, Record, Unacknowledged
from app.logs import about
from app.partitions import partition_of
from app.settings import Settings, current
from models.messages import Message
from web.problems import later

logger = logging.getLogger(__name__)

LATE_S = 0.05
"""How long a group waits for the one before it: what Kafka is slow to take must not hold up the rest."""

Verdict = Exception | None
"""What became of a message: nothing to say, or why it is not acknowledged."""

Receipt = asyncio.Future[Verdict]
"""The verdict to come."""

Group = defaultdict[Place, list[tuple[Record, Receipt]]]
"""Messages that are sent together, by partition."""


class Acceptance:
    """Put what customers ask for into Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._traces = tracing.current()
        self._waiting: Group = defaultdict(list)
        self._under_way: set[asyncio.Task[None]] = set()
        self._dispatch: asyncio.Task[None] | None = None

    @cached_property
    def _producer(self) -> BatchProducer:
        return BatchProducer(self._settings, give_up_after_ms=self._settings.web.accept_timeout_ms)

    async def accept(self, message: Message, **known: str) -> None:
        """Return once the broker has acknowledged the message.

        Raises:
            Problem: 503 when it has not in time; it may still have been taken in.
        """
        record: Record = {"key": message.key.encode(), "value": encode(message)}
        if self._traces is not None:
            self._traces.note_order(message)
            record["headers"] = self._traces.headers()
        place = message.type, partition_of(record["key"], self._settings.partitions)
        verdict = await self._receipt(place, record)
        if isinstance(verdict, Unacknowledged):
            said = "%s for %s was not acknowledged: %s"
            logger.warning(said, message.type, message.key, verdict, extra=about(message))
            raise later(
                "the broker has not acknowledged it in time: it may or may not have been taken in",
                self._settings.web.retry_after_s,
                **known,
            )
        if verdict is not None:
            raise verdict

    def _receipt(self, place: Place, record: Record) -> Receipt:
        receipt: Receipt = asyncio.get_running_loop().create_future()
        self._waiting[place].append((record, receipt))
        if self._dispatch is None:
            self._dispatch = asyncio.create_task(self._send_all())
        return receipt

    async def _send_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, defaultdict(list)
            sending = asyncio.create_task(self._send(group))
            self._under_way.add(sending)
            sending.add_done_callback(self._under_way.discard)
            await asyncio.wait((sending,), timeout=LATE_S)
        self._dispatch = None

    async def _send(self, group: Group) -> None:
        def settle(place: Place, verdict: int | Unacknowledged) -> None:
            _tell(group.pop(place), verdict if isinstance(verdict, Unacknowledged) else None)

        bundles = {place: [record for record, _ in sent] for place, sent in group.items()}
        try:
            await self._producer.offer(bundles, settle)
        except Exception as error:  # noqa: BLE001  # every request of the group has to be told
            for sent in group.values():
                _tell(sent, error)


def _tell(sent: Iterable[tuple[Record, Receipt]], verdict: Verdict) -> None:
    for _, receipt in sent:
        if not receipt.done():  # its request may have been given up
            receipt.set_result(verdict)


accept = Acceptance(current()).accept
