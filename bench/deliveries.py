"""Whether those outside were told what they had to be told, each of it once; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from bench.scenario import Figure

CHECKS = (
    Figure("missing", "messages missing (must be 0)"),
    Figure("twice", "messages twice (must be 0)"),
    Figure("miscounted", "ends miscounted (must be 0)"),
)
"""What is shown of deliveries below the figures."""

WORDS = {
    "missing": "messages are missing",
    "twice": "messages are there twice, or nobody's",
    "miscounted": "ends are miscounted in the statistics",
}


class Delivery(NamedTuple):
    """Be what one receiver's own record comes to; a repeat came under an id that it knew."""

    missing: int
    twice: int
    repeats: int


def compare(due: AbstractSet[str], told: Sequence[Mapping[str, Any]]) -> Delivery:
    """Return how what a receiver was told differs from one message for each of these orders."""
    messages = Counter(each["order_id"] for each in told)
    return Delivery(
        missing=len(due - set(messages)),
        twice=messages.total() - len(due & set(messages)),
        repeats=sum(each["deliveries"] - 1 for each in told),
    )


def miscounted(totals: Mapping[str, int], completed: int, cancelled: int) -> int:
    """Return by how many ends the totals of the statistics are wrong."""
    return abs(totals["completed"] - completed) + abs(totals["cancelled"] - cancelled)
