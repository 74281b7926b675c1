"""What the outbound stages need before a worker starts: found out at once, not with the first message."""

from base64 import b64decode
from datetime import datetime

from yarl import URL

from app.errors import SettingsError
from app.outbound.templates import Templates
from app.settings import Settings, WebhookSettings

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""How long a secret is, as Standard Webhooks say; what is shorter can be guessed."""


def require(settings: Settings) -> None:
    """Make sure that whatever is switched on can work.

    Raises:
        SettingsError: something is missing or wrong; or all stages that the worker is to run are off.
    """
    if not settings.active_stages:
        raise SettingsError(
            f"stages = {settings.stages!r}: all off; notifications.channel and transfer.url switch them on"
        )
    if "transfer" in settings.active_stages:
        _require_webhook("transfer", settings.transfer, settings)
        since_of(settings)
    if "notifications" in settings.active_stages:
        if settings.notifications.channel == "webhook":
            _require_webhook("notifications", settings.notifications, settings)
        Templates(settings.notifications.templates)


def since_of(settings: Settings) -> datetime:
    """Return from when on orders are transferred.

    Raises:
        SettingsError: nothing says so, or it is no time.
    """
    try:
        return datetime.fromisoformat(settings.transfer.since)
    except ValueError:
        raise SettingsError(
            f"transfer.since = {settings.transfer.since!r}: expected a time such as 2026-11-23T00:00:00Z,"
            " from which on orders are transferred; without it all there ever were would be"
        ) from None


def _require_webhook(name: str, settings: WebhookSettings, everywhere: Settings) -> None:
    if not settings.url:
        raise SettingsError(f"{name}.url is empty: expected where to post to")
    allowed, host = everywhere.outbound.allowed_hosts, URL(settings.url).host or ""
    if allowed and host not in allowed.split(","):
        raise SettingsError(f"{name}.url: its host {host!r} is none of outbound.allowed_hosts")
    if not _is_secret(settings.secret.get_secret_value()):
        expected = f'"{PREFIX}" and the base64 of {LEAST_BYTES} to {MOST_BYTES} bytes'
        raise SettingsError(f"{name}.secret: expected {expected}")


def _is_secret(text: str) -> bool:
    """Tell whether it has the form of Standard Webhooks, whose library makes a key of nearly anything."""
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(PREFIX) and LEAST_BYTES <= len(key) <= MOST_BYTES
