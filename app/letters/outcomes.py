"""What was done about a letter: who did what, when and why; kept in DEAD_LETTER_OUTCOMES for ever."""

import getpass
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from app.delivery.codec import Coder
from app.errors import LettersRefused
from app.letters.letter import Letter, LetterId, Source


class What(StrEnum):
    """Say what was done."""

    RETRIED = "RETRIED"
    DROPPED = "DROPPED"


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Be one thing that was done; `sent` is where the record was put again, `edited` that it was changed."""

    letter: str
    what: What
    by: str
    at: datetime
    reason: str = ""
    sent: Source | None = None
    edited: bool = False

    def __str__(self) -> str:
        where = f" as {self.sent}" if self.sent else ""
        edited = ", edited" if self.edited else ""
        reason = f": {self.reason}" if self.reason else ""
        when = f"{self.at:%Y-%m-%d %H:%M:%S}"
        return f"{self.what.lower()}{where}{edited} by {self.by} at {when} UTC{reason}"


outcomes = Coder(Outcome)


class Returns:
    """Know of each letter that came back which it was at first, from what was done about the letters."""

    def __init__(self, known: Iterable[tuple[bytes, Outcome]]) -> None:
        self._before: dict[bytes, tuple[bytes, LetterId]] = {}
        for name, outcome in known:
            with suppress(LettersRefused):  # not of our making, so it says nothing about a letter
                if outcome.sent is not None:
                    self._before[str(outcome.sent).encode()] = (name, LetterId.parse(outcome.letter))

    def placed(self, letter: Letter) -> Letter:
        """Return the letter with what it was at first."""
        name, first = letter.name, letter.id
        while (before := self._before.get(name)) and before[1] < first:
            name, first = before
        return letter if first == letter.id else replace(letter, first=first)


def retried(letter: Letter, by: str, sent: Source, *, edited: bool) -> Outcome:
    """Return that the letter's record is on its topic again."""
    return Outcome(
        letter=str(letter.id), what=What.RETRIED, by=by, at=datetime.now(UTC), sent=sent, edited=edited
    )


def dropped(letter: Letter, by: str, reason: str) -> Outcome:
    """Return that nothing more is to be done about the letter."""
    return Outcome(letter=str(letter.id), what=What.DROPPED, by=by, at=datetime.now(UTC), reason=reason)


def operator() -> str:
    """Return who this is, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
