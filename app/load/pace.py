"""The open loop: each order is offered when its turn comes, whatever became of those before it."""

import asyncio
import time
from collections.abc import Callable, Iterator

from app.load.figures import Latencies

TICK_S = 0.001
"""The resolution of the loop's timers: at high rates, some orders are offered at each tick."""


AT_ONCE = 100
"""After so many, answers have their turn: one who catches up must not make those look late, too."""


class Clock:
    """Be the time of one run, in seconds after its start; Kafka dates messages by the wall's clock."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin at zero, now."""
        self._began_s = time.perf_counter()
        self._wall_s = time.time()
        self._cpu_s = time.process_time()

    def now(self) -> float:
        """Return the time."""
        return time.perf_counter() - self._began_s

    def cpu_s(self) -> float:
        """Return how much CPU this process has used."""
        return time.process_time() - self._cpu_s

    def of(self, timestamp_ms: int) -> float:
        """Return when a message was dated."""
        return timestamp_ms / 1000 - self._wall_s


class Pacer:
    """Call `offer` with each moment once it has come, and measure how late that is."""

    def __init__(
        self, clock: Clock, moments: Iterator[float], offer: Callable[[float], None], late: Latencies
    ) -> None:
        self._clock = clock
        self._moments = moments
        self._next = next(moments, None)
        self._offer = offer
        self._late = late

    async def run(self) -> None:
        """Return when the last one was offered."""
        while (wait_s := self._offer_due()) is not None:  # noqa: ASYNC110  # time itself is awaited
            await asyncio.sleep(wait_s)

    def _offer_due(self) -> float | None:
        """Return how long to wait for the next turn; None where there is none."""
        now = self._clock.now()
        for _ in range(AT_ONCE):
            if self._next is None:
                return None
            if self._next > now:
                return max(self._next - now, TICK_S)  # less is rounded to nothing, and the loop would spin
            self._offer(self._next)
            self._late.record(now - self._next)
            self._next = next(self._moments, None)
        return 0.0
