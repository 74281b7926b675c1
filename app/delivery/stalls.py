"""The end of a worker whose loop does not turn: another thread keeps its membership, so nobody takes over.

A loop stalls where something blocks it: a call that should not be there, a disk that does not answer. What
counts is how often this thread looked in vain, and not the clock: where the whole process was paused, or all
of it was starved, the loop is not to blame, and gets its time when the process goes on.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.delivery.exits import die

SHARE = 0.5
"""How much of its session a worker's loop may stall: a worker that is alive answers long before."""

LOOKS = 20
"""How often is looked in this time."""


class Watch:
    """Look at the running loop from a thread of its own, for as long as there is the loop."""

    def __init__(self, session_s: float) -> None:
        self._limit_s = SHARE * session_s
        self._turned = threading.Event()

    def start(self) -> None:
        """Look at the running loop from now on."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._look, args=(loop,), name="stalls", daemon=True).start()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turned.set()
        missed = 0
        while missed < LOOKS:
            if self._turned.is_set() or _excused:
                missed = 0
                self._turned.clear()
                try:
                    loop.call_soon_threadsafe(self._turned.set)
                except RuntimeError:  # the loop has come to its end
                    return
            else:
                missed += 1
            time.sleep(self._limit_s / LOOKS)
        die(f"the loop has not turned for {self._limit_s:.0f} s")


_excused: set[object] = set()


@contextmanager
def excused() -> Iterator[None]:
    """Let the loop stall for as long as the block takes: it is known to, and to come to an end."""
    reason = object()
    _excused.add(reason)
    try:
        yield
    finally:
        _excused.discard(reason)
