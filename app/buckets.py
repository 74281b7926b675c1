"""What is due, by the second: names in buckets, at the cost of their bytes, and no object for any of them."""

from collections import defaultdict
from math import ceil

END = b"\xff"
"""What ends a name: it is in no UTF-8."""


class Due:
    """Hold names of each partition until the second in which they are due.

    Nothing is ever looked for or taken out early: who takes a name finds out whether it still matters.
    """

    def __init__(self) -> None:
        self._buckets: defaultdict[tuple[int, int], bytearray] = defaultdict(bytearray)

    def put(self, partition: int, name: bytes, at_s: float) -> None:
        """Have the name, which is UTF-8, taken once this time has come, and up to a second later."""
        bucket = self._buckets[ceil(at_s), partition]
        bucket += name
        bucket += END

    def take(self, now_s: float, most: int) -> tuple[int, list[bytes]] | None:
        """Return some names of one partition that are due, each once; None where none are."""
        first = min(self._buckets, default=None)
        if first is None or first[0] > now_s:
            return None
        *names, rest = self._buckets.pop(first).split(END, most)
        if rest:
            self._buckets[first] = rest
        return first[1], list(dict.fromkeys(map(bytes, names)))

    def clear(self) -> None:
        """Forget all names."""
        self._buckets.clear()

    @property
    def held_bytes(self) -> int:
        """Return how many bytes the names take."""
        return sum(map(len, self._buckets.values()))
