"""What a client's idempotency key stands for: the id that its wish gets, and for how long that counts.

A key counts for a while, its lifetime; after that it may be used again. So its uses are numbered, by the day
and the turn within the day, and the id of each is derived from key, day and turn alone. Whoever is asked
again knows under which few ids to look, and two who take in the same wish give it one id. No id is used
again: days pass, and a turn is only left for the next.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import count
from typing import Generic, NamedTuple, Protocol, TypeVar

from uuid_utils import uuid8

DAY = timedelta(days=1)

SKEW = timedelta(seconds=10)
"""How far apart the clocks may be by which a wish is numbered, dated and looked for."""

ID_VERSION = 8
"""What tells an id that was derived from a key from one that was drawn: RFC 9562's for uses of one's own."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAIL = 12


class Key(NamedTuple):
    """Be a key as a client chose it, and for what: method and path."""

    scope: str
    value: str

    @property
    def name(self) -> str:
        """Return what the key is called inside, which tells nothing of it."""
        return _hash(self).hexdigest()


class Turn(NamedTuple):
    """Be one use of a key: the day since 1970, and the how manieth of that day."""

    day: int
    number: int


class Dated(Protocol):
    """Be what was made of a wish, at some time."""

    @property
    def at(self) -> datetime:
        """Return when it was taken in."""


D = TypeVar("D", bound=Dated)


class Use(NamedTuple, Generic[D]):
    """Be how a key stands: the turn it is in, and what was made of it; None where the turn is still free."""

    turn: Turn
    first: D | None


def fingerprint(wish: bytes) -> str:
    """Return what tells this wish from others, when it is written in one way alone."""
    return blake2b(wish, digest_size=16).hexdigest()


def derive(key: Key, turn: Turn, fits: Callable[[str], bool]) -> str:
    """Return the id of what is wished with the key in this turn: the first that fits, from its hash on.

    It is a UUID, of 122 bits that nobody finds without the key.
    """
    number = int.from_bytes(_hash((*key, str(turn.day), str(turn.number))).digest(), "big")
    start = str(uuid8(number >> 80, number >> 64 & 0xFFF, number & 0x3FFF_FFFF_FFFF_FFFF))
    # One in so many fits as there are partitions; so all but the last digits, 48 bits, is written once.
    head, tail = start[:-_TAIL], int(start[-_TAIL:], 16)
    names = (f"{head}{(tail + nonce) % 16**_TAIL:0{_TAIL}x}" for nonce in count())
    return next(filter(fits, names))


def find_use(look: Callable[[Turn], D | None], now: datetime, lifetime: timedelta) -> Use[D]:
    """Return how the key stands, from what was made of it in each turn."""
    today = _day(now)
    free = Turn(today, 0)
    for day in range(_day(now + SKEW), _day(now - lifetime - SKEW) - 1, -1):
        last = _last(look, day)
        if last.first is not None and now - last.first.at < lifetime:
            return last
        if day == today:
            free = Turn(day, last.turn.number + 1)
    return Use(free, None)


def needed(lifetime: timedelta) -> timedelta:
    """Return how long a turn has to be remembered: the later ones of its day are found only behind it."""
    return lifetime + DAY + 2 * SKEW


def _last(look: Callable[[Turn], D | None], day: int) -> Use[D]:
    """Return the last use of the key on this day; its number is -1 where there is none."""
    last: Use[D] = Use(Turn(day, -1), None)
    while (first := look(turn := Turn(day, last.turn.number + 1))) is not None:
        last = Use(turn, first)
    return last


def _day(at: datetime) -> int:
    return (at - _EPOCH) // DAY


def _hash(parts: Iterable[str]) -> blake2b:
    return blake2b("\0".join(parts).encode(), digest_size=16)
