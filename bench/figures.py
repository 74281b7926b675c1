"""The arithmetic of a measurement, pure: percentiles, spreads and the order of the repetitions."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

MICROSECONDS = 1_000_000


class Spread(NamedTuple):
    """Be what the repetitions of one figure came to."""

    least: float
    median: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Return the least, the median and the most of the values, of which there must be one."""
    ordered = sorted(values)
    return Spread(ordered[0], statistics.median(ordered), ordered[-1])


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that this many percent of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def rotated(things: Sequence[T], turn: int) -> tuple[T, ...]:
    """Return the things in their order, beginning with another one each turn.

    What a machine does beside the benchmark drifts; so no subject is always the first or the last.
    """
    if not things:
        return ()
    start = turn % len(things)
    return (*things[start:], *things[:start])


def per_order_us(seconds: float, orders: int) -> float:
    """Return what one order took of these seconds, in microseconds; of no orders, nothing."""
    return seconds * MICROSECONDS / orders if orders else 0.0
