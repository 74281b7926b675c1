"""Give way: work that holds the loop for long lets others have it from time to time.

A stage works on a thousand records at a time. If it did not give way, every request would wait for all of
that, and for as much of each other stage, and so again with each of its own steps.
"""

import asyncio
import time

TURN_S = 0.001
"""How long a piece of work may hold the loop, in seconds; a request needs it some ten times."""


class Turn:
    """Be the time for which a piece of work may hold the loop, from now on."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.monotonic() + TURN_S

    @property
    def over(self) -> bool:
        """Tell whether it is time to give way."""
        return time.monotonic() > self._until

    async def give_way(self) -> None:
        """Let everybody else have a turn, and begin anew."""
        await asyncio.sleep(0)
        self._until = time.monotonic() + TURN_S
