"""What waits, by the second since which it does.

Unlike in `app/buckets.py`, what waits no more is taken out at once, so that the oldest is known without a
look at any name. So names are kept in sets, which find one among any number: of a burst all wait since the
same second, and to search their bytes took an eighth of the worker's time.
"""

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from math import floor

SLACK = 64
"""How many seconds that nothing waits since any more are remembered at least before they are tidied away."""


class Waiting:
    """Hold names of each partition, each by the second since which it waits."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], set[bytes]] = {}
        self._oldest_first: list[tuple[int, int]] = []  # a heap of their keys, and of some that are gone

    def put(self, partition: int, name: bytes, since_s: float) -> None:
        """Have the name among what waits; where it is already, nothing changes."""
        where = floor(since_s), partition
        bucket = self._buckets.get(where)
        if bucket is None:
            self._buckets[where] = {name}
            self._remember(where)
        else:
            bucket.add(name)

    def drop(self, partition: int, name: bytes, since_s: float) -> None:
        """Take the name out, wherever it is among what waits since then."""
        where = floor(since_s), partition
        bucket = self._buckets.get(where)
        if bucket is not None:
            bucket.discard(name)
            if not bucket:
                del self._buckets[where]

    def oldest_s(self, partitions: Collection[int]) -> int | None:
        """Return since which second the oldest of these partitions waits; what others have is forgotten."""
        while self._oldest_first:
            where = second, partition = self._oldest_first[0]
            if where in self._buckets and partition in partitions:
                return second
            self._buckets.pop(heappop(self._oldest_first), None)
        return None

    def clear(self) -> None:
        """Forget all names."""
        self._buckets.clear()
        self._oldest_first.clear()

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def _remember(self, where: tuple[int, int]) -> None:
        heappush(self._oldest_first, where)
        if len(self._oldest_first) > 2 * len(self._buckets) + SLACK:
            self._oldest_first = [*self._buckets]
            heapify(self._oldest_first)
