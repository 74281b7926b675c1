"""What waits, by the second since which it does: names in buckets, at the cost of their bytes.

Unlike in `app/buckets.py`, what waits no more is taken out at once, so that the oldest is known without a
look at any name.
"""

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from math import floor

END = b"\xff"
"""What stands before and behind each name: it is in no UTF-8."""

SLACK = 64
"""How many seconds that nothing waits since any more are remembered at least before they are tidied away."""


class Waiting:
    """Hold names of each partition, each by the second since which it waits."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], bytearray] = {}
        self._oldest_first: list[tuple[int, int]] = []  # a heap of their keys, and of some that are gone

    def put(self, partition: int, name: bytes, since_s: float) -> None:
        """Have the name, which is UTF-8, among what waits; where it is already, nothing changes."""
        where = floor(since_s), partition
        bucket = self._buckets.get(where)
        if bucket is None:
            bucket = self._buckets[where] = bytearray(END)
            self._remember(where)
        if END + name + END not in bucket:
            bucket += name + END

    def drop(self, partition: int, name: bytes, since_s: float) -> None:
        """Take the name out, wherever it is among what waits since then."""
        where = floor(since_s), partition
        bucket = self._buckets.get(where, bytearray())
        first = bucket.find(END + name + END)
        if first >= 0:
            del bucket[first : first + len(END + name)]
            if bucket == END:
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

    @property
    def held_bytes(self) -> int:
        """Return how many bytes the names take."""
        return sum(map(len, self._buckets.values()))

    def _remember(self, where: tuple[int, int]) -> None:
        heappush(self._oldest_first, where)
        if len(self._oldest_first) > 2 * len(self._buckets) + SLACK:
            self._oldest_first = [*self._buckets]
            heapify(self._oldest_first)
