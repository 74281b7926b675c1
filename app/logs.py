"""The log of a worker: lines for people, or a JSON object a line for whatever collects them."""

import logging
from typing import Any

import orjson
import structlog

from app.settings import Settings

QUIET = {
    "aiokafka": logging.ERROR,
    "aiohttp.access": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "stamina": logging.ERROR,
}
"""Loggers that say below these levels what only a developer of theirs wants to know.

aiokafka and Faust would otherwise build a line for each request, and aiohttp one for each order.
"""

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def set_up(settings: Settings) -> None:
    """Log to standard error, in the form and from the level on that the settings say."""
    handler = logging.StreamHandler()
    handler.setFormatter(_json() if settings.log_format == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def about(subject: Any) -> dict[str, str]:
    """Return the fields, as `extra`, of a line about a message, or about anything that has an order's id.

    An order's id is its correlation id. Neither is personal; whose the order is stays out of every line.
    """
    order_id: str | None = getattr(subject, "order_id", None)
    fields = {"order_id": order_id, "correlation_id": getattr(subject, "correlation_id", order_id)}
    return {name: value for name, value in fields.items() if value is not None}


def _json() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
    )


def _dump(event: dict[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
