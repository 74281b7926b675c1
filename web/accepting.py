"""Commands in: what is accepted is in Kafka, acknowledged, before the answer says so."""

import logging
from functools import cached_property

from app.delivery.codec import encode
from app.delivery.producer import BatchProducer, Outgoing, Unacknowledged
from app.settings import Settings, current
from models.messages import Message
from web.problems import later

logger = logging.getLogger(__name__)


class Acceptance:
    """Put what customers ask for into Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _producer(self) -> BatchProducer:
        return BatchProducer(self._settings, give_up_after_ms=self._settings.web.accept_timeout_ms)

    async def accept(self, message: Message, **known: str) -> None:
        """Return once the broker has acknowledged the message.

        Raises:
            Problem: 503 when it has not in time; it may still have been taken in.
        """
        record = Outgoing(message.type, message.key.encode(), encode(message))
        try:
            await self._producer.publish([record])
        except Unacknowledged as error:
            logger.warning("%s for %s was not acknowledged: %s", message.type, message.key, error)
            if error.fatal:
                del self._producer
            raise later(
                "the broker has not acknowledged it in time: it may or may not have been taken in",
                self._settings.web.retry_after_s,
                **known,
            ) from error


accept = Acceptance(current()).accept
