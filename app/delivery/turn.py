"""Give way: work that holds the loop for long lets others have it from time to time.

A stage works on a thousand records at a time. If it did not give way, every request would wait for all of
that, and for as much of each other stage, and so again with each of its own steps. And of a backlog the first
stage would take in far more than the others could settle.
"""

import asyncio
import math
import time

TURN_S = 0.001
"""How long a piece of work may hold the loop while there are requests, which need it some ten times each."""

LONG_TURN_S = 0.005
"""How long it may while there are none: shorter turns cost a twentieth of what a stage can do, and more."""

LISTENS_S = 1.0
"""How long after a request others are expected."""


class _Requests:
    last = -math.inf


def expect() -> None:
    """Note that somebody waits for an answer: for a while, work gives way sooner."""
    _Requests.last = time.monotonic()


class Turn:
    """Be the time for which a piece of work may hold the loop, from now on."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.monotonic()

    @property
    def over(self) -> bool:
        """Tell whether it is time to give way."""
        now = time.monotonic()
        return now - self._since > (TURN_S if now - _Requests.last < LISTENS_S else LONG_TURN_S)

    async def look(self) -> None:
        """Give way where it is time to."""
        if self.over:
            await self.give_way()

    async def give_way(self) -> None:
        """Let everybody else have a turn, and begin anew."""
        await asyncio.sleep(0)
        self._since = time.monotonic()
