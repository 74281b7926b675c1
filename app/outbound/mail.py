"""Mail over SMTP: one connection a message, whose Message-ID is the same however often it is sent."""

from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from typing import NamedTuple

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPStatus,
)

from app.outbound.carrying import Declined, Hopeless, Unanswered
from app.settings import SmtpSettings

TAKING_S = 600.0
"""How long a server may take to say that it has a mail, as RFC 5321 wants it (4.5.3.2.6).

It looks for spam meanwhile, and delivers the mail however soon nobody waits any more for the answer.
"""

_FOR_GOOD = 500
"""From which code on a server says no for good; what is below is for now."""


class Mail(NamedTuple):
    """Be one message to one person; `id` goes into its Message-ID."""

    id: str
    sender: str
    to: str
    subject: str
    text: str
    at: datetime


class Mailer:
    """Send by one server."""

    def __init__(self, settings: SmtpSettings, timeout_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s

    async def send(self, mail: Mail) -> None:
        """Send one mail.

        Raises:
            Unanswered: there is no server, or it is busy, or went away; it may have the mail.
            Declined: it does not take the mail, as things are.
            Hopeless: it will never take mail to this address, or there can be no such address.
        """
        settings = self._settings
        try:
            message = _written(mail)
            async with _Client(
                hostname=settings.host,
                port=settings.port,
                username=settings.username or None,
                password=settings.password.get_secret_value() or None,
                use_tls=settings.security == "tls",
                start_tls=settings.security == "starttls",
                timeout=self._timeout_s,
            ) as client:
                await client.send_message(message)
        except (SMTPException, OSError) as error:
            raise _verdict(error) from None


class _Client(SMTP):
    """Wait longer for the answer to a mail than for any other."""

    async def data(self, message: str | bytes, /, **_: object) -> SMTPResponse:
        return await super().data(message, timeout=TAKING_S)


def _written(mail: Mail) -> EmailMessage:
    message = EmailMessage()
    try:
        message["From"] = mail.sender
        message["To"] = _address(mail.to)
        message["Subject"] = mail.subject
        message["Date"] = mail.at
        message["Message-ID"] = f"<{mail.id}@{mail.sender.rpartition('@')[2]}>"
    except (ValueError, IndexError, MessageError):
        raise Hopeless("no such address can be written") from None
    message.set_content(mail.text)
    return message


def _address(to: str) -> Address:
    """Return the address with its first part quoted, where it would else be read as something else.

    Raises:
        ValueError: there can be no such address.
    """
    local, _, domain = to.rpartition("@")
    if not (local and domain):
        raise ValueError("half of an address")
    return Address(username=local, domain=domain)


def _verdict(error: Exception) -> Exception:
    """Return what an attempt came to, by the code alone: what a server says may name the customer."""
    if isinstance(error, SMTPRecipientsRefused):
        return _verdict(error.recipients[0])
    if not isinstance(error, SMTPResponseException) or error.code == SMTPStatus.domain_unavailable:
        return Unanswered(type(error).__name__)
    what = f"{type(error).__name__} {error.code}"
    if isinstance(error, SMTPRecipientRefused) and error.code >= _FOR_GOOD:
        return Hopeless(what)
    return Declined(what)
