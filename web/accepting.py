"""Commands in: what is accepted is in Kafka, acknowledged, before the answer says so.

What arrives while a group of messages waits for its acknowledgement makes up the next group: many requests
share one acknowledgement when there are many, and one that is alone waits for nobody. Each partition of a
group has an acknowledgement of its own, for its leader may be away while those of others are there.
"""

import asyncio
import logging
from collections import defaultdict
from functools import cached_property

from app.delivery.codec import encode
from app.delivery.producer import BatchProducer, Record, Unacknowledged
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

Place = tuple[str, int]
"""A topic and a partition of it."""


class Acceptance:
    """Put what customers ask for into Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: defaultdict[Place, list[tuple[Record, Receipt]]] = defaultdict(list)
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
        record = {"key": message.key.encode(), "value": encode(message)}
        place = message.type, partition_of(message.key, self._settings.partitions)
        verdict = await self._receipt(place, record)
        if isinstance(verdict, Unacknowledged):
            logger.warning("%s for %s was not acknowledged: %s", message.type, message.key, verdict)
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
            sending = [asyncio.create_task(self._send(place, sent)) for place, sent in group.items()]
            for each in sending:
                self._under_way.add(each)
                each.add_done_callback(self._under_way.discard)
            await asyncio.wait(sending, timeout=LATE_S)
        self._dispatch = None

    async def _send(self, place: Place, sent: list[tuple[Record, Receipt]]) -> None:
        verdict = await self._publish(place, [record for record, _ in sent])
        for _, receipt in sent:
            if not receipt.done():  # its request may have been given up
                receipt.set_result(verdict)

    async def _publish(self, place: Place, records: list[Record]) -> Verdict:
        try:
            producer = self._producer
            await producer.publish({place: records})
        except Unacknowledged as error:
            if error.fatal and self._producer is producer:  # groups that were under way with it die as well
                del self._producer
            return error
        except Exception as error:  # noqa: BLE001  # every request of the group has to be told
            return error
        return None


accept = Acceptance(current()).accept
