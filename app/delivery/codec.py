"""Bytes to values and back: messages and states as JSON, validated on the way in."""

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from models.catalogue import MESSAGES
from models.messages import Message

T = TypeVar("T")

_OPTIONS = orjson.OPT_UTC_Z
_LOG_ONLY = "recorded_at"


class Undecodable(ValueError):  # noqa: N818  # reads as the verdict on a record
    """Say why a record can't be read; it goes to the dead letters."""


class Coder(Generic[T]):
    """Turn values of one frozen dataclass into bytes and back."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def encode(self, value: T) -> bytes:
        """Return the value as JSON."""
        return orjson.dumps(value, option=_OPTIONS)

    def decode(self, raw: bytes) -> T:
        """Return the value.

        Raises:
            Undecodable: it is no JSON, or not of this shape; unknown fields are tolerated.
        """
        try:
            return self._adapter.validate_json(raw, strict=True)
        except ValidationError as error:
            raise Undecodable(_first_fault(error)) from None


_CODERS: dict[str, Coder[Any]] = {name: Coder(kind) for name, kind in MESSAGES.items()}


def encode(message: Message) -> bytes:
    """Return a message as it travels: all but what only the log knows."""
    fields = {name: value for name, value in vars(message).items() if name != _LOG_ONLY}
    return orjson.dumps(fields, option=_OPTIONS)


def decode(topic: str, key: bytes | None, raw: bytes | None, timestamp_ms: int) -> Message:
    """Return the message of a record, dated by the log.

    Raises:
        Undecodable: no value, no message of this topic or version, or not under its own key.
    """
    if raw is None:
        raise Undecodable("the record has no value")
    message: Message = _CODERS[topic].decode(raw)
    if key != message.key.encode():
        raise Undecodable(f"the record's key {key!r} is not its message's, {message.key!r}")
    # The one write to a frozen message: it is being made here, and replace() costs more than decoding.
    message.__dict__[_LOG_ONLY] = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    return message


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])
