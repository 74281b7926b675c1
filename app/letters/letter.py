"""A dead letter as the operator has it: which one it is, where its record came from, what was wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, cast

from confluent_kafka import Message

from app.errors import LettersRefused

LIGHT_BYTES = 4_096
"""More than most messages have."""


class LetterId(NamedTuple):
    """Be the name of a letter: where it is in DEAD_LETTERS."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name that a person wrote.

        Raises:
            LettersRefused: it is none.
        """
        partition, colon, offset = text.partition(":")
        if not (colon and partition.isdecimal() and offset.isdecimal()):
            raise LettersRefused(f"{text!r} is no letter's id: expected PARTITION:OFFSET, such as 3:17")
        return cls(int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Source(NamedTuple):
    """Be the place of a record: where a letter's came from, or where it was put again."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


Lane = tuple[int, bytes]
"""A key in its partition."""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """Be one letter; `source` is None where its headers don't say, and `left_out` what it had no room for.

    A letter that is not `whole` has a value, which is not held in memory. One that was put back and came back
    has in `first` which letter its record was at first.
    """

    id: LetterId
    at: datetime
    source: Source | None
    key: bytes | None
    value: bytes | None
    error: str
    left_out: int = 0
    whole: bool = True
    first: LetterId | None = None

    @property
    def name(self) -> bytes:
        """Return what outcomes know it by: its source, for a crash may leave the same letter twice."""
        return str(self.source or self.id).encode()

    @property
    def turn(self) -> tuple[LetterId, LetterId]:
        """Return its place among the letters of its key: what comes back keeps the one it had."""
        return self.first or self.id, self.id

    @property
    def lane(self) -> Lane | None:
        """Return what it shares with those that go back one behind the other; what has no key goes alone."""
        return None if self.key is None else (self.id.partition, self.key)

    def light(self) -> Self:
        """Return the letter without its value where that is large: thousands are held in memory at a time."""
        if self.value is None or len(self.value) <= LIGHT_BYTES:
            return self
        return replace(self, value=None, whole=False)

    @property
    def moment(self) -> tuple[datetime, LetterId]:
        """Return its place among all letters; those of one partition keep their order."""
        return self.at, self.id


def letter_of(record: Message) -> Letter:
    """Return the letter that a record of DEAD_LETTERS is, whatever it holds."""
    pairs = cast("list[tuple[str, Any]]", record.headers() or [])
    headers = {name: value.decode("utf-8", "replace") for name, value in pairs if isinstance(value, bytes)}
    return Letter(
        id=LetterId(record.partition() or 0, record.offset() or 0),
        at=datetime.fromtimestamp(record.timestamp()[1] / 1000, UTC),
        source=_source(headers),
        key=record.key(),
        value=record.value(),
        error=headers.get("error", ""),
        left_out=int(left_out) if (left_out := headers.get("left_out_bytes", "")).isdecimal() else 0,
    )


def _source(headers: Mapping[str, str]) -> Source | None:
    topic, *place = (headers.get(f"source_{part}", "") for part in ("topic", "partition", "offset"))
    if topic and all(number.isdecimal() for number in place):
        return Source(topic, *map(int, place))
    return None
