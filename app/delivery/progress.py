"""How far the input has been worked through: what may be committed, once all of it lasts."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from confluent_kafka import Message
from faust.types import TP


class Progress:
    """Remember, by partition, the offset behind the last input whose effects last.

    A stage takes a partition's records in order and a batch as a whole, so one number says it all. Faust
    keeps a list of what was acknowledged, and an interval for every gap, and searches both.
    """

    def __init__(self) -> None:
        self._reached: dict[TP, int] = {}
        self._saved: dict[TP, int] = {}
        self._places: tuple[TP, ...] = ()
        self._behind_since: float | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    def reach(self, records: Iterable[Message]) -> None:
        """Count records as worked through, those of a partition in their order."""
        last = {(record.topic(), record.partition()): record.offset() for record in records}
        self._reached.update(
            (TP(topic or "", partition or 0), (offset or 0) + 1)
            for (topic, partition), offset in last.items()
        )
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        self._wake()

    def start(self, positions: Mapping[TP, int | None]) -> None:
        """Begin anew where Kafka's record of the group says."""
        known = {tp: offset for tp, offset in positions.items() if offset is not None}
        self._reached, self._saved = dict(known), known
        self._places = tuple(positions)
        self._behind_since = None
        self._wake()

    async def pass_by(self, tp: TP, offset: int) -> None:
        """Wait until all inputs of the partition before this offset have been worked through."""
        while self.reached(tp) < offset:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def reached(self, tp: TP) -> int:
        """Return the offset of the next input to work on, 0 where none was worked on yet."""
        return self._reached.get(tp, 0)

    def places(self) -> tuple[TP, ...]:
        """Return the partitions that are worked on."""
        return self._places

    def uncommitted_s(self) -> float:
        """Return for how many seconds there has been something that Kafka has not been told."""
        return 0.0 if self._behind_since is None else time.monotonic() - self._behind_since

    def due(self) -> dict[TP, int]:
        """Return the offsets that Kafka has not been told yet."""
        return {tp: offset for tp, offset in self._reached.items() if self._saved.get(tp) != offset}

    def save(self, offsets: dict[TP, int]) -> None:
        """Remember that Kafka has been told."""
        self._saved.update(offsets)
        self._behind_since = time.monotonic() if self.due() else None

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():  # it may have been woken, or given up
                waiter.set_result(None)
