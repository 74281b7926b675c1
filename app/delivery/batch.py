"""One unit of work: what came in, what it changed, and what is to be sent because of it."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple

from app.delivery.codec import encode
from app.delivery.deadletters import DeadLetter
from app.delivery.producer import Outgoing
from app.delivery.state import State

MAX_RECORD_BYTES = 900_000
"""Kafka's own limit is 1 MiB a batch, with its frame."""


class Place(Enum):
    """Say where a row stands among the rows of its batch."""

    FIRST = "first"
    IN_TURN = "in turn"
    LAST = "last"


class Input(NamedTuple):
    """Be one thing to work on: a record of a topic, or an answer from outside (which has no `source`)."""

    partition: int
    message: Any
    source: Any = None
    undecodable: DeadLetter | None = None


class Batch:
    """Collect the effects of some inputs; nothing of it lasts before it is committed.

    Iterating gives `(partition, message)`. Reads see what the batch itself has written.
    """

    def __init__(self, inputs: tuple[Input, ...]) -> None:
        self.inputs = inputs
        self._written: dict[tuple[State, int, bytes], bytes | None] = {}
        self._rows: list[tuple[State, int, bytes, bytes | None]] = []
        self._first: dict[tuple[State, int, bytes], bytes | None] = {}
        self._last: dict[tuple[State, int, bytes], bytes | None] = {}
        self._outgoing: list[Outgoing] = []
        self._afterwards: list[Callable[[], None]] = []
        for given in inputs:
            if given.undecodable is not None:
                self.bury(given.undecodable)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return ((given.partition, given.message) for given in self.inputs if given.undecodable is None)

    def read(self, state: State, partition: int, key: bytes) -> bytes | None:
        """Return the value under the key as it stands within this batch."""
        try:
            return self._written[state, partition, key]
        except KeyError:
            return state.get(partition, key)

    def written(self, state: State, partition: int, key: bytes) -> bytes | None:
        """Return what this batch itself has written under the key, None where it has not."""
        return self._written.get((state, partition, key))

    def write(
        self, state: State, partition: int, key: bytes, value: bytes | None, *, place: Place = Place.IN_TURN
    ) -> None:
        """Write a row, or delete it with None.

        A crash keeps the changelog up to some record, so the places of the records are part of what they
        mean. In turn, each write is a record of its own, even of a key that was written before; first and
        last, only the key's final value is written, ahead of all other rows or behind them.
        """
        _require_room(key, value)
        where = (state, partition, key)
        self._written[where] = value
        if place is Place.FIRST:
            self._first[where] = value
        elif place is Place.LAST:
            self._last[where] = value
        else:
            self._rows.append((*where, value))

    def send(self, *messages: Any) -> None:
        """Send messages once the states that call for them are safe."""
        for message in messages:
            record = Outgoing(message.type, message.key.encode(), encode(message))
            _require_room(record.key, record.value)
            self._outgoing.append(record)

    def bury(self, letter: DeadLetter) -> None:
        """Send a record to the dead letters."""
        self._outgoing.append(letter.record())

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once all of this batch lasts; never where the batch is given up."""
        self._afterwards.append(callback)

    @property
    def outgoing(self) -> list[Outgoing]:
        """Return what is to be sent."""
        return self._outgoing

    @property
    def afterwards(self) -> list[Callable[[], None]]:
        """Return whom to call once it lasts."""
        return self._afterwards

    def rows(self) -> list[tuple[State, int, bytes, bytes | None]]:
        """Return what is to be written, in the order in which the changelog is to have it."""
        first = [(*where, value) for where, value in self._first.items()]
        last = [(*where, value) for where, value in self._last.items()]
        return [*first, *self._rows, *last]


def _require_room(key: bytes | None, value: bytes | None) -> None:
    """Refuse what no topic would take, while the input that it comes of can still be named.

    Raises:
        ValueError: the record is too large.
    """
    size = len(key or b"") + len(value or b"")
    if size > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {size} bytes is more than the {MAX_RECORD_BYTES} that a topic takes")
