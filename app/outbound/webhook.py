"""Webhooks as Standard Webhooks say: signed, under an id that a repeat has again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPMethod, HTTPStatus
from typing import Any

from msgspec.json import encode
from standardwebhooks import Webhook
from yarl import URL

from app.http_client import CallFailed
from app.outbound.addresses import resolver
from app.outbound.carrying import Declined, Unanswered
from app.settings import Settings, WebhookSettings
from app.tracing.following import client_kind

_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class Poster:
    """Post to one URL; a connection is kept between two posts."""

    def __init__(self, settings: WebhookSettings, everywhere: Settings) -> None:
        url = URL(settings.url)
        self._path = url.raw_path_qs
        self._signer = Webhook(settings.secret.get_secret_value())
        self._client = client_kind()(
            url,
            limit=settings.max_in_flight,
            timeout_s=settings.timeout_ms / 1_000,
            resolve=resolver(private=everywhere.outbound.private_addresses),
        )

    async def post(self, message_id: str, payload: Mapping[str, Any]) -> None:
        """Post the payload under the id, signed for this very moment.

        Raises:
            Unanswered: there was no answer, or one that says to come again.
            Declined: the answer is another than 2xx; a redirect is one, and not followed.
        """
        body = encode(payload)
        now = datetime.now(UTC)
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message_id, now, body.decode()),
        }
        try:
            reply = await self._client.call(HTTPMethod.POST, self._path, headers, body)
        except (CallFailed, TimeoutError) as error:
            raise Unanswered(str(error) or type(error).__name__) from None
        _require_taken(reply.status)


def _require_taken(status: int) -> None:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
        raise Unanswered(f"status {status}")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise Declined(f"status {status}")
