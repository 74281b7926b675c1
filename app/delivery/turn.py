"""Give way: work that holds the loop for long lets others have it from time to time.

A stage works on a thousand records at a time. If it did not give way, every request would wait for all of
that, and for as much of each other stage, and so again with each of its own steps. It is done only while
there are requests: it costs a twentieth of what a stage can do, and more.
"""

import asyncio
import math
import time

TURN_S = 0.001
"""How long a piece of work may hold the loop, in seconds; a request needs it some ten times."""

LISTENS_S = 1.0
"""How long after a request others are expected."""


class _Requests:
    last = -math.inf


def expect() -> None:
    """Note that somebody waits for an answer: for a while, work gives way."""
    _Requests.last = time.monotonic()


class Turn:
    """Be the time for which a piece of work may hold the loop, from now on."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.monotonic() + TURN_S

    @property
    def over(self) -> bool:
        """Tell whether it is time to give way, and there is anybody to give way to."""
        now = time.monotonic()
        return now > self._until and now - _Requests.last < LISTENS_S

    async def give_way(self) -> None:
        """Let everybody else have a turn, and begin anew."""
        await asyncio.sleep(0)
        self._until = time.monotonic() + TURN_S
