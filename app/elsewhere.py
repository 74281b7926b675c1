"""How late the stages are that this worker does not run, as Kafka shows it.

Kafka says where a topic ends and how far its stage has committed, and not how long the rest has waited. So
both are looked at again and again: what a topic had grown to at a look, and is not worked through yet, has
waited since.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from app.errors import BrokerUnavailable
from app.groups import Place
from app.offsets import READERS
from app.settings import Settings

logger = logging.getLogger(__name__)

HURRIED = frozenset({"orders", "inventory"})
"""The stages that orders wait for, and that wait for nobody outside."""

EVERY_S = 1.0
"""How often Kafka is asked."""

MOST = 1_000
"""How many looks are remembered; what has waited for longer than those counts as old as the first of them."""

SPARE = 1
"""How many records are no lag: somebody else's transaction leaves a marker at the end that no stage gets."""


class Asked(Protocol):
    """Be what knows of offsets: `app.offsets.Offsets` does."""

    def ends(self, places: Collection[Place]) -> Mapping[Place, int]:
        """Return where the partitions end."""

    def committed(self) -> Mapping[Place, int]:
        """Return how far they have been worked through."""


class Growth:
    """Remember what a partition had grown to when, until that is worked through."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=MOST)

    def look(self, at: float, end: int, reached: int) -> None:
        """Take in where the partition ends, and up to where it is worked through."""
        if not self._marks or end > self._marks[-1][1]:
            self._marks.append((at, end))
        while self._marks and self._marks[0][1] - SPARE <= reached:
            self._marks.popleft()

    @property
    def since(self) -> float | None:
        """Return when what waits was there at the latest; None where nothing does."""
        return self._marks[0][0] if self._marks else None


class Elsewhere:
    """Watch how late others' stages are."""

    def __init__(self, settings: Settings, asked: Asked, clock: Callable[[], float] = time.monotonic) -> None:
        self._asked = asked
        self._clock = clock
        missing = HURRIED.difference(settings.active_stages)
        topics = [topic for topic, stage in READERS.items() if stage in missing]
        self._places = [(topic, number) for topic in topics for number in range(settings.partitions)]
        self._growth: defaultdict[Place, Growth] = defaultdict(Growth)
        self._oldest: float | None = None

    async def watch(self) -> None:
        """Look for as long as this worker runs; not at all where it runs each of these stages itself."""
        while self._places:
            try:
                await asyncio.to_thread(self.look)
            except BrokerUnavailable as error:
                logger.warning("how late other workers are is not known: %s", error)
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Ask Kafka once.

        Raises:
            BrokerUnavailable: Kafka does not answer.
        """
        ends, at = self._asked.ends(self._places), self._clock()
        reached = self._asked.committed()
        for place, end in ends.items():
            self._growth[place].look(at, end, reached.get(place, 0))
        self._oldest = min(
            (since for each in self._growth.values() if (since := each.since) is not None), default=None
        )

    def behind_s(self) -> float:
        """Return for how long the oldest of what waits has done so, in seconds; 0 where nothing does."""
        return 0.0 if self._oldest is None else self._clock() - self._oldest
