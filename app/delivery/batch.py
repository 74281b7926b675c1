"""One unit of work: what came in, what it changed, and what is to be sent because of it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Any, TypeVar

from msgspec import Struct

from app.delivery.codec import Coder, encode
from app.delivery.deadletters import DeadLetter
from app.delivery.producer import ANYWHERE, Record
from app.delivery.state import State
from app.delivery.turn import Turn
from app.topics import DEAD_LETTERS

T = TypeVar("T")

MAX_RECORD_BYTES = 900_000
"""Kafka's own limit is 1 MiB a batch, with its frame."""


class Place(Enum):
    """Say where a row stands among the rows of its batch."""

    FIRST = "first"
    IN_TURN = "in turn"
    LAST = "last"


class Input(Struct, frozen=True, gc=False):
    """Be one thing to work on: a record of a topic, or an answer from outside (which has no `source`)."""

    partition: int
    message: Any
    source: Any = None
    undecodable: DeadLetter | None = None


class Rows:
    """Be what a batch writes into one partition of a table, in the order of its places."""

    def __init__(self) -> None:
        self.written: dict[bytes, bytes | None] = {}
        self.values: dict[bytes, Any] = {}
        self._first: dict[bytes, Record] = {}
        self._in_turn: list[Record] = []
        self._last: dict[bytes, Record] = {}

    def add(self, key: bytes, value: bytes | None, place: Place) -> None:
        """Write a row; what was to stand behind all others is not to undo it.

        What is written last again keeps its place there: a mark goes behind the counters, not ahead of them.
        """
        self.written[key] = value
        self.values.pop(key, None)
        row = {"key": key, "value": value}
        if place is Place.LAST:
            self._last[key] = row
            return
        self._last.pop(key, None)
        if place is Place.FIRST:
            self._first[key] = row
        else:
            self._in_turn.append(row)

    def records(self) -> list[Record]:
        """Return the rows in the order in which the changelog is to have them."""
        return [*self._first.values(), *self._in_turn, *self._last.values()]


class Batch:
    """Collect the effects of some inputs; nothing of it lasts before it is committed.

    Iterating gives `(partition, message)`, and gives way to others between two of them where it takes long.
    Reads see what the batch itself has written.
    """

    def __init__(self, inputs: tuple[Input, ...]) -> None:
        self.inputs = inputs
        self.outgoing: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self.letters: list[DeadLetter] = []
        self.afterwards: list[Callable[[], None]] = []
        self._in_hand: Input | None = None
        self._rows: defaultdict[tuple[State, int], Rows] = defaultdict(Rows)
        for given in inputs:
            if given.undecodable is not None:
                self.bury(given.undecodable)

    async def __aiter__(self) -> AsyncIterator[tuple[int, Any]]:
        turn = Turn()
        for given in self.inputs:
            if given.undecodable is None:
                self.take(given)
                yield given.partition, given.message
                await turn.look()
        self.take(None)

    @property
    def offset(self) -> int | None:
        """Return the offset of the input in hand, None where it is an answer from outside."""
        return (
            None if self._in_hand is None or self._in_hand.source is None else self._in_hand.source.offset()
        )

    def take(self, given: Input | None) -> None:
        """Take an input in hand, or none any more."""
        self._in_hand = given

    def read(self, state: State, partition: int, key: bytes) -> bytes | None:
        """Return the value under the key as it stands within this batch."""
        written = self._rows[state, partition].written
        return written[key] if key in written else state.get(partition, key)

    def written(self, state: State, partition: int, key: bytes) -> bytes | None:
        """Return what this batch itself has written under the key, None where it has not."""
        return self._rows[state, partition].written.get(key)

    def load(self, state: State, partition: int, key: bytes, coder: Coder[T]) -> T | None:
        """Return what the value under the key stands for, as it is within this batch."""
        values = self._rows[state, partition].values
        if key in values:
            value: T = values[key]
            return value
        raw = self.read(state, partition, key)
        return None if raw is None else coder.decode(raw)

    def save(  # noqa: PLR0913  # where, what, and in what form
        self, state: State, partition: int, key: bytes, value: T, coder: Coder[T], *, place: Place
    ) -> None:
        """Write a row that stands for a value, which the next `load` need not read."""
        self.write(state, partition, key, coder.encode(value), place=place)
        self._rows[state, partition].values[key] = value

    def write(
        self, state: State, partition: int, key: bytes, value: bytes | None, *, place: Place = Place.IN_TURN
    ) -> None:
        """Write a row, or delete it with None.

        A crash keeps the changelog up to some record, so the places of the records are part of what they
        mean. In turn, each write is a record of its own, even of a key that was written before; first and
        last, only the key's final value is written, ahead of all other rows or behind them.
        """
        if value is not None:
            _check_size(key, value)
        self._rows[state, partition].add(key, value, place)

    def send(self, *messages: Any) -> None:
        """Send messages once the states that call for them are safe."""
        for message in messages:
            key, value = message.key.encode(), encode(message)
            _check_size(key, value)
            self.outgoing[message.type, ANYWHERE].append({"key": key, "value": value})

    def bury(self, letter: DeadLetter) -> None:
        """Send a record to the dead letters."""
        self.letters.append(letter)
        self.outgoing[DEAD_LETTERS, letter.partition].append(letter.record())

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once all of this batch lasts; never where the batch is given up."""
        self.afterwards.append(callback)

    def rows(self) -> dict[tuple[State, int], list[Record]]:
        """Return what is to be written, in the changelog's order, by table and partition."""
        return {where: records for where, rows in self._rows.items() if (records := rows.records())}


def _check_size(key: bytes, value: bytes) -> None:
    """Refuse what no topic would take, while the input that it comes of can still be named."""
    if (size := len(key) + len(value)) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {size} bytes is more than the {MAX_RECORD_BYTES} that a topic takes")
