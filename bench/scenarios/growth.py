"""Growth: what an order costs when there are a thousand, a hundred thousand and a million before it."""

from collections.abc import Iterator, Mapping
from functools import partial

from app.topics import changelog_of
from bench.audit import CHECKS
from bench.burst import burst
from bench.evidence import gather
from bench.orders import settled
from bench.scenario import Bench, Figure, Row
from bench.system import System
from bench.trials import Findings, rows, warm_up

NAME = "growth"
COMPARES = "the same burst through one worker with 10^3, 10^5 and 10^6 orders already in the orders' table"
BEFORE = {"10^3": 1_000, "10^5": 100_000, "10^6": 1_000_000}
SUBJECTS = tuple(BEFORE)
FIGURES = (
    Figure("before", "orders in the table before"),
    Figure("worker_us", "worker CPU µs/order", 1),  # micro
    Figure("simulator_us", "simulator CPU µs/order", 1),
    Figure("broker_us", "broker CPU µs/order", 1),
    Figure("orders_per_s", "settled orders/s"),
    Figure("rss_mib", "worker RSS MiB after it"),
    Figure("peak_rss_mib", "worker peak RSS MiB"),
    *CHECKS,
)

QUICK = 10
"""By what a quick run is smaller."""

BURST = 10_000
FIRST = 10_000_000
"""The number of the first order that is in the table before; those of bursts are below."""

BURST_S = 60.0
READY_S = 180.0


def run(bench: Bench) -> Iterator[Row]:
    """Fill the table anew for each size and repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how the last size compares with the first."""
    first, last = (medians.get(subject, {}).get("worker_us") for subject in (SUBJECTS[0], SUBJECTS[-1]))
    if not first or not last:
        return []
    return [f"worker CPU per order: {SUBJECTS[-1]}/{SUBJECTS[0]} {last / first:.2f}"]


def _measure(bench: Bench, system: System, subject: str, findings: Findings) -> None:
    smaller = QUICK if bench.quick else 1
    before = BEFORE[subject] // smaller
    findings.figures["before"] = before
    system.produce(settled(changelog_of("orders"), range(FIRST, FIRST + before)))
    system.start_worker(READY_S)
    first = warm_up(system, quick=bench.quick)
    burst(system, range(first, first + BURST // smaller), BURST_S, findings)
    findings.note_checks(gather(system))
