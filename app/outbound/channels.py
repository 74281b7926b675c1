"""The channels by which customers hear: the log, mail, or a webhook of whoever knows them better."""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from app.logs import about
from app.outbound.mail import Mail, Mailer
from app.outbound.templates import Text
from app.outbound.webhook import Poster
from app.settings import NotificationSettings, Settings
from models.events import NotificationEvent
from models.notification import words
from models.outbound import Parcel

logger = logging.getLogger(__name__)

TOLD = "order %s: its customer is told that it is %s"
"""What the log says; the demo counts by it."""


class Notice(NamedTuple):
    """Be what one customer is told, and where."""

    parcel: Parcel
    event: NotificationEvent
    to: str
    text: Text


Channel = Callable[[Notice], Awaitable[None]]
"""Tell a customer, or raise `NotDelivered`."""


def channel_of(settings: Settings) -> Channel:
    """Return the channel that the settings choose."""
    chosen = settings.notifications
    if chosen.channel == "smtp":
        return _by_mail(chosen)
    if chosen.channel == "webhook":
        return _by_webhook(Poster(chosen, settings))
    return _to_log


async def _to_log(notice: Notice) -> None:
    """Say that there is something to say; not to whom, for logs are read by others."""
    event = notice.event
    logger.info(TOLD, event.order_id, notice.parcel.kind, extra=about(event))


def _by_mail(settings: NotificationSettings) -> Channel:
    mailer = Mailer(settings.smtp, settings.timeout_ms / 1_000)

    async def send(notice: Notice) -> None:
        subject, text = notice.text
        at = notice.event.occurred_at
        await mailer.send(Mail(notice.parcel.id, settings.sender, notice.to, subject, text, at))

    return send


def _by_webhook(poster: Poster) -> Channel:
    async def post(notice: Notice) -> None:
        data = {
            **words(notice.event),
            "sequence": notice.parcel.sequence,
            "to": notice.to,
            "subject": notice.text.subject,
            "text": notice.text.text,
        }
        event = notice.event
        payload = {"type": event.type, "timestamp": event.occurred_at, "data": data}
        await poster.post(notice.parcel.id, payload)

    return post
