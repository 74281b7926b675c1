"""How much a trial consists of, and what its outcomes come to; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bench.engines import Engine
from bench.figures import percentile

STEADY_S = 20
QUICK_STEADY_S = 3
QUICK = 10
"""By what the rest of a quick run is smaller."""


class Outcome(NamedTuple):
    """Be one terminal event: which order it ended, and when the log took it in (Unix time)."""

    number: int
    at_s: float


@dataclass(frozen=True)
class Size:
    """Be how much a trial consists of."""

    warm_up: int
    burst: int
    rate: int
    steady_s: int

    @property
    def steady(self) -> int:
        """Return the orders of the steady part."""
        return self.rate * self.steady_s

    @property
    def total(self) -> int:
        """Return all orders of the trial."""
        return self.warm_up + self.burst + self.steady


def size_of(engine: Engine, *, quick: bool) -> Size:
    """Return how much the engine is given."""
    if quick:
        return Size(engine.warm_up // QUICK, engine.orders // QUICK, engine.rate, steady_s=QUICK_STEADY_S)
    return Size(engine.warm_up, engine.orders, engine.rate, steady_s=STEADY_S)


def burst_figures(outcomes: Iterable[Outcome], numbers: range, start_s: float) -> dict[str, float]:
    """Return the orders a second of a burst, from its start to its last terminal event."""
    ended = [outcome.at_s for outcome in outcomes if outcome.number in numbers]
    return {"orders_per_s": len(numbers) / (max(ended) - start_s)} if ended else {}


def latency_figures(outcomes: Iterable[Outcome], intended: Mapping[int, float]) -> dict[str, float]:
    """Return how long orders took from when each was meant to be placed to its first terminal event."""
    ended: dict[int, float] = {}
    for outcome in outcomes:
        ended[outcome.number] = min(outcome.at_s, ended.get(outcome.number, outcome.at_s))
    latencies = [(ended[number] - due) * 1000 for number, due in intended.items() if number in ended]
    if not latencies:
        return {}
    return {
        "latency_avg_ms": sum(latencies) / len(latencies),
        "latency_p50_ms": percentile(latencies, 50),
        "latency_p99_ms": percentile(latencies, 99),
    }
