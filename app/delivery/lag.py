"""How late a stage works on what it is sent."""

import time
from collections.abc import Callable

FADES_S = 1.0
"""How long the last batch speaks for a stage that has nothing in hand: between two it is no quicker."""


class Lag:
    """Tell how long ago what a stage has in hand was put into Kafka.

    The records' times are Kafka's: where its clock and this machine's differ, so does the figure.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._oldest: float | None = None
        self._last_s = 0.0
        self._ended_at = 0.0

    def take(self, recorded_at: float) -> None:
        """Take a record in hand that was put into Kafka at this time, in seconds since 1970."""
        self._oldest = recorded_at if self._oldest is None else min(self._oldest, recorded_at)

    def done(self) -> None:
        """Have nothing in hand any more."""
        if self._oldest is not None:
            self._last_s, self._ended_at, self._oldest = self.now(), self._clock(), None

    def now(self) -> float:
        """Return how late the stage is, in seconds; 0 where it has had nothing to do of late."""
        now = self._clock()
        if self._oldest is not None:
            return max(0.0, now - self._oldest)
        return self._last_s if now - self._ended_at < FADES_S else 0.0
