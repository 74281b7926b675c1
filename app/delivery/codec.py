"""Bytes to values and back: messages and states as JSON, validated on the way in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from msgspec import UNSET, MsgspecError
from msgspec.json import Decoder, Encoder
from msgspec.structs import force_setattr, replace

from app.partitions import partition_of
from models.catalogue import MESSAGES
from models.messages import Message

T = TypeVar("T")

_LOG_ONLY = "recorded_at"
_encode = Encoder().encode


class Undecodable(ValueError):  # noqa: N818  # reads as the verdict on a record
    """Say why a record can't be read; it goes to the dead letters."""


class Coder(Generic[T]):
    """Turn values of one kind into bytes and back."""

    def __init__(self, kind: type[T]) -> None:
        self._decode = Decoder(kind).decode

    def encode(self, value: T) -> bytes:
        """Return the value as JSON."""
        return _encode(value)

    def decode(self, raw: bytes) -> T:
        """Return the value.

        Raises:
            Undecodable: it is no JSON, or not of this shape; unknown fields are tolerated.
        """
        try:
            return self._decode(raw)
        except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable(str(error)) from None


def encode(message: Message) -> bytes:
    """Return a message as it travels: all but what only the log knows."""
    return _encode(replace(message, recorded_at=UNSET) if message.recorded_at else message)


class MessageDecoder:
    """Turn records into the messages of a catalogue, wire name to kind."""

    def __init__(self, catalogue: Mapping[str, type[Message]]) -> None:
        self._coders: dict[str, Coder[Any]] = {name: Coder(kind) for name, kind in catalogue.items()}

    def __call__(self, topic: str, key: bytes | None, raw: bytes | None, timestamp_ms: int) -> Message:
        """Return the message of a record, dated by the log.

        Raises:
            Undecodable: no value, no message of this topic or version, or not under its own key.
        """
        if raw is None:
            raise Undecodable("the record has no value")
        message: Message = self._coders[topic].decode(raw)
        if key != message.key.encode():
            raise Undecodable(f"the record's key {key!r} is not its message's, {message.key!r}")
        # The one write to a frozen message: it is being made here, and nobody else has seen it yet.
        force_setattr(message, _LOG_ONLY, _moment(timestamp_ms))
        return message


def require_home(key: bytes, partition: int, partitions: int) -> None:
    """Make sure that a record is where its key belongs: whoever answers it will not look elsewhere.

    Raises:
        Undecodable: whoever sent it reckons partitions another way, or with another number of them.
    """
    if (home := partition_of(key, partitions)) != partition:
        raise Undecodable(f"the record is in partition {partition}, but its key belongs in {home}")


decode = MessageDecoder(MESSAGES)
"""The decoder of every message there is."""


@lru_cache(maxsize=256)
def _moment(timestamp_ms: int) -> datetime:
    """Return the time; the log gives the same one to all that came to it together."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
