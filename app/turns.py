"""A queue in which what was tried before takes turns with what is new.

A provider may do what it is asked and never say so in time. If all that is new came first, it would be
called for new things again and again, while asking what became of the old ones is answered at once. If what
was tried came first, a few things that fail each time would keep the others waiting.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Hold what waits, in two lines."""

    def __init__(self) -> None:
        self._new: deque[T] = deque()
        self._again: deque[T] = deque()
        self._new_is_next = True

    def __len__(self) -> int:
        return len(self._new) + len(self._again)

    def put(self, item: T, *, again: bool = False) -> None:
        """Queue what is new, or was tried before."""
        (self._again if again else self._new).append(item)

    def take(self) -> T:
        """Return what comes next: of either line in turn, as long as both have something.

        Raises:
            IndexError: nothing waits.
        """
        from_new = bool(self._new) and (self._new_is_next or not self._again)
        self._new_is_next = not from_new
        return (self._new if from_new else self._again).popleft()

    def clear(self) -> None:
        """Forget all that waits."""
        self._new.clear()
        self._again.clear()
