"""What was done about a letter: who did what, when and why; kept in DEAD_LETTER_OUTCOMES for ever."""

import getpass
import os
import socket
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from app.delivery.codec import Coder
from app.letters.letter import Letter, Source


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
