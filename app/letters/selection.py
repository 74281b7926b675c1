"""Which letters are meant, and which of them may go first; pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import nlargest, nsmallest
from operator import attrgetter

from app.errors import LettersRefused
from app.letters.letter import Lane, Letter, LetterId

Turn = tuple[LetterId, LetterId]

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Say which letters are meant: all that pass every filter that is given.

    `order` is an order's id: the key of what is about the order, or somewhere in what is about its stock.
    """

    topic: str | None = None
    key: str | None = None
    order: str | None = None
    error: str | None = None
    since: datetime | None = None

    @property
    def anything(self) -> bool:
        """Tell whether no filter is given."""
        return self == Wanted()

    def __contains__(self, letter: Letter) -> bool:
        return (
            (self.topic is None or (letter.source is not None and letter.source.topic == self.topic))
            and (self.key is None or letter.key == self.key.encode())
            and (self.order is None or _is_about(letter, self.order.encode()))
            and (self.error is None or self.error.lower() in letter.error.lower())
            and (self.since is None or letter.at >= self.since)
        )


@dataclass(frozen=True)
class Page:
    """Be some of the letters that are meant, oldest first and light; `of` is how many there are."""

    letters: tuple[Letter, ...]
    of: int


def newest(letters: Iterable[Letter], wanted: Wanted, limit: int, before: Letter | None = None) -> Page:
    """Return the last of the letters that are meant; those before a given one where it is."""
    counted = _Counted(
        letter for letter in letters if letter in wanted and (not before or letter.moment < before.moment)
    )
    page = nlargest(limit, counted, key=attrgetter("moment"))
    return Page(tuple(reversed(page)), counted.count)


def oldest(letters: Iterable[Letter], wanted: Wanted, limit: int) -> Page:
    """Return the first of the letters that are meant: none of a key stays behind a later one of it."""
    counted = _Counted(letter for letter in letters if letter in wanted)
    return Page(tuple(nsmallest(limit, counted, key=attrgetter("moment"))), counted.count)


def held_back(selected: Collection[Letter], letters: Iterable[Letter]) -> dict[LetterId, LetterId]:
    """Return the selected letters that have an earlier one of their key still open, each with that one.

    What has no key has no order; what came back is as early as it was at first. `letters` are the open ones.
    """
    names = {letter.name for letter in selected}
    lanes = {letter.lane for letter in selected}
    first = _first(letter for letter in letters if letter.lane in lanes and letter.name not in names)
    return {
        letter.id: turn[1]
        for letter in selected
        if (turn := first.get(letter.lane, letter.turn)) < letter.turn
    }


def next_round(letters: Sequence[Letter]) -> tuple[list[Letter], list[Letter]]:
    """Return the letters that may go now, of each key the one whose turn it is, and those that wait."""
    first = _first(letters)
    going = [letter for letter in letters if first.get(letter.lane, letter.turn) == letter.turn]
    waiting = [letter for letter in letters if first.get(letter.lane, letter.turn) != letter.turn]
    return going, waiting


def moment_of(text: str, now: datetime) -> datetime:
    """Return the time that a person wrote, as RFC 3339 or as how long ago: `90s`, `15m`, `2h`, `7d`.

    Raises:
        LettersRefused: it is neither.
    """
    try:
        if ago := re.fullmatch(r"(\d{1,6})([smhd])", text):
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise LettersRefused(
            f"--since {text}: expected a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _first(letters: Iterable[Letter]) -> dict[Lane | None, Turn]:
    """Return whose turn it is, by what goes one behind the other."""
    first: dict[Lane | None, Turn] = {}
    for letter in letters:
        if letter.lane is not None:
            first[letter.lane] = min(letter.turn, first.get(letter.lane, letter.turn))
    return first


class _Counted:
    """Count what passes, and let go of large values: a page is to take little memory."""

    def __init__(self, letters: Iterable[Letter]) -> None:
        self._letters = letters
        self.count = 0

    def __iter__(self) -> Iterator[Letter]:
        for letter in self._letters:
            self.count += 1
            yield letter.light()


def _is_about(letter: Letter, order_id: bytes) -> bool:
    return letter.key == order_id or order_id in (letter.value or b"")
