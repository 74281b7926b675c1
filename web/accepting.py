"""Commands in: what is accepted is in Kafka, acknowledged, before the answer says so.

What arrives while a group of messages waits for its acknowledgement makes up the next group: many requests
share one acknowledgement when there are many, and one that is alone waits for nobody.
"""

import asyncio
import logging
from collections import defaultdict
from functools import cached_property

from app.delivery.codec import encode
from app.delivery.producer import ANYWHERE, BatchProducer, Bundles, Record, Unacknowledged
from app.settings import Settings, current
from models.messages import Message
from web.problems import later

logger = logging.getLogger(__name__)

LATE_S = 0.05
"""How long a group waits for the one before it: what Kafka is slow to take must not hold up the rest."""

Verdict = Exception | None
"""What became of a group: nothing to say, or why it is not acknowledged."""


class Acceptance:
    """Put what customers ask for into Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: list[tuple[str, Record, asyncio.Future[Verdict]]] = []
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
        verdict = await self._receipt(message.type, record)
        if isinstance(verdict, Unacknowledged):
            logger.warning("%s for %s was not acknowledged: %s", message.type, message.key, verdict)
            raise later(
                "the broker has not acknowledged it in time: it may or may not have been taken in",
                self._settings.web.retry_after_s,
                **known,
            )
        if verdict is not None:
            raise verdict

    def _receipt(self, topic: str, record: Record) -> asyncio.Future[Verdict]:
        receipt: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((topic, record, receipt))
        if self._dispatch is None:
            self._dispatch = asyncio.create_task(self._send_all())
        return receipt

    async def _send_all(self) -> None:
        while self._waiting:
            sending = asyncio.create_task(self._send())
            self._under_way.add(sending)
            sending.add_done_callback(self._under_way.discard)
            await asyncio.wait((sending,), timeout=LATE_S)
        self._dispatch = None

    async def _send(self) -> None:
        group, self._waiting = self._waiting, []
        bundles: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        for topic, record, _ in group:
            bundles[topic, ANYWHERE].append(record)
        verdict = await self._publish(bundles)
        for _, _, receipt in group:
            if not receipt.done():  # its request may have been given up
                receipt.set_result(verdict)

    async def _publish(self, bundles: Bundles) -> Verdict:
        try:
            producer = self._producer
            await producer.publish(bundles)
        except Unacknowledged as error:
            if error.fatal and self._producer is producer:  # groups that were under way with it die as well
                del self._producer
            return error
        except Exception as error:  # noqa: BLE001  # every request of the group has to be told
            return error
        return None


accept = Acceptance(current()).accept
