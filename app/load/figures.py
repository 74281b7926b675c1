"""What is counted and measured while a load runs."""

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

from hdrh.histogram import HdrHistogram

LONGEST_US = 3_600_000_000
DIGITS = 3


@dataclass(frozen=True)
class Summary:
    """Be the latencies of many, in milliseconds."""

    count: int
    avg: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float


class Latencies:
    """Count latencies up to an hour, each kept to three digits."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, LONGEST_US, DIGITS)

    def record(self, seconds: float) -> None:
        """Count one; what two clocks make negative counts as none."""
        self._histogram.record_value(min(max(int(seconds * 1e6), 0), LONGEST_US))

    @property
    def count(self) -> int:
        """Return how many there are."""
        return int(self._histogram.get_total_count())

    def summary(self) -> Summary:
        """Return average, percentiles and maximum; all zero where there is nothing."""
        if not self.count:
            return Summary(0, *[0.0] * 6)
        percentiles = self._histogram.get_percentile_to_value_dict([50, 90, 99, 99.9, 100])
        in_us = (self._histogram.get_mean_value(), *percentiles.values())
        return Summary(self.count, *(round(value / 1000, 3) for value in in_us))


@dataclass
class Tally:
    """Count what became of the requests; latencies are counted from the intended time of sending.

    `unknown` had no answer in time, or lost its connection: it may or may not have been taken in.
    """

    offered: int = 0
    not_sent: int = 0
    unknown: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    accepted_after: Latencies = field(default_factory=Latencies)
    refused_after: Latencies = field(default_factory=Latencies)
    offered_late: Latencies = field(default_factory=Latencies)
    last_answer_at: float = 0.0

    def answered(self, status: int, intended: float, now: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.last_answer_at = now
        after_s = now - intended
        if status == HTTPStatus.ACCEPTED:
            self.accepted_after.record(after_s)
        else:
            self.refused_after.record(after_s)

    @property
    def accepted(self) -> int:
        """Return how many orders were accepted."""
        return self.statuses[HTTPStatus.ACCEPTED]

    @property
    def sent(self) -> int:
        """Return how many went out; of each of them, the answer or that there was none is counted."""
        return self.unknown + self.statuses.total()

    @property
    def open(self) -> int:
        """Return how many are on their way or wait for a connection."""
        return self.offered - self.not_sent - self.sent
