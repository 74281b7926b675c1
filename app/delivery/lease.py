"""How long this worker may surely say that its partitions are its own.

The group takes a member's partitions away when it has not heard of it for the session's time. A worker that
was paused, or cut off, does not hear of that; so it may begin to write only while the last heartbeat that was
answered is younger. The idea is the lease of C. Gray and D. Cheriton (1989).
"""

import asyncio
import time

SHARE = 0.8
"""How much of the session the lease lasts: the rest is for what was begun to reach Kafka."""


class NotHeld(Exception):  # noqa: N818  # reads as the verdict on a claim
    """Say that the partitions may be another worker's by now."""


class Lease:
    """Know until when no other worker can have been given this one's partitions."""

    def __init__(self, session_s: float) -> None:
        self._lasts_s = SHARE * session_s
        self._until = 0.0
        self._ending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    @property
    def held(self) -> bool:
        """Tell whether the partitions are this worker's, for a moment at least."""
        return time.monotonic() < self._until

    def renew(self, asked_at: float) -> None:
        """Take in that the group has answered what was asked at this time (monotonic); from any thread."""
        self._until = asked_at + self._lasts_s
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    def begin(self) -> None:
        """Work on partitions anew."""
        self._ending = False

    def end(self) -> None:
        """Wait for no answer any more: the partitions are about to be given up."""
        self._ending = True
        self._news.set()

    async def hold(self) -> None:
        """Return while the lease is held, which may be after the next answer.

        Raises:
            NotHeld: the partitions are given up before there was one.
        """
        while not self.held:
            if self._ending:
                raise NotHeld("no heartbeat was answered for too long")
            self._loop = asyncio.get_running_loop()
            self._news.clear()
            if not self.held:  # an answer may just have come, in the other thread
                await self._news.wait()
