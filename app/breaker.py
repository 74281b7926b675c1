"""A circuit breaker: after failures in a row nobody calls for a while, and then one at a time tries.

It holds what is known and decides; it calls nobody, waits for nothing, and is told the time.
"""

import math
import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """Say whether calls may be made: all, none, or one that tries."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerOpen(Exception):  # noqa: N818  # names what is known: no call was made
    """Say that no call may be made now."""


class Breaker:
    """Judge one provider by the calls to it.

    Whoever calls begins with `begin` and ends with one of `succeed`, `fail` and `abandon`, giving back
    what it was given. What became of a call that was begun before the breaker last opened is old news.
    """

    def __init__(
        self,
        failures: int,
        pause_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._pause_s = pause_s
        self._now = now
        self._watchers: list[Callable[[BreakerState], None]] = []
        self._failures = 0  # in a row
        self._era = 0  # how often it has opened
        self._opened_at: float | None = None
        self._closed_at = -math.inf
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Return whether calls may be made; half-open as soon as one may try."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing or self.wait_s() == 0 else BreakerState.OPEN

    def watch(self, watcher: Callable[[BreakerState], None]) -> None:
        """Tell this one whenever the breaker has opened, or closed."""
        self._watchers.append(watcher)

    def admits(self) -> bool:
        """Tell whether a call may begin now."""
        return self._opened_at is None or self.wait_s() == 0

    def wait_s(self) -> float:
        """Return how long no call may begin; for ever, while one tries and has not ended."""
        if self._opened_at is None:
            return 0
        return math.inf if self._probing else max(0, self._opened_at + self._pause_s - self._now())

    def closed_for(self) -> float:
        """Return for how many seconds calls have been made freely: none while it is not closed."""
        return self._now() - self._closed_at if self._opened_at is None else 0

    def begin(self) -> int:
        """Begin a call.

        Raises:
            BreakerOpen: none may begin now.
        """
        if not self.admits():
            raise BreakerOpen
        self._probing = self._opened_at is not None
        return self._era

    def succeed(self, call: int) -> None:
        """End a call that was answered, whatever the answer says."""
        if call != self._era:
            return
        self._failures = 0
        self._probing = False
        if self._opened_at is not None:
            self._opened_at, self._closed_at = None, self._now()
            self._tell(BreakerState.CLOSED)

    def fail(self, call: int) -> None:
        """End a call that was not answered as it should."""
        if call != self._era:
            return
        self._failures += 1
        self._probing = False
        if self._opened_at is not None or self._failures >= self._most:
            self._opened_at = self._now()
            self._era += 1
            self._failures = 0
            self._tell(BreakerState.OPEN)

    def abandon(self, call: int) -> None:
        """End a call that says nothing of the provider, as one that nobody waits for any more."""
        if call == self._era:
            self._probing = False

    def _tell(self, state: BreakerState) -> None:
        for watcher in self._watchers:
            watcher(state)
