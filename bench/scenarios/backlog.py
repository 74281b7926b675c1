"""A backlog: what a worker holds in memory when 200,000 orders wait for it."""

import time
from collections.abc import Iterator, Mapping
from functools import partial

from bench.audit import CHECKS
from bench.evidence import gather_unsettled, stock
from bench.orders import placed
from bench.scenario import Bench, Figure, Row
from bench.system import ENDS, GROUP, PLACED, System
from bench.trials import Findings, rows, warm_up

NAME = "backlog"
COMPARES = "a worker's memory after a warm-up, and while it works on a backlog of orders for a time"
SUBJECTS = ("worker",)
FIGURES = (
    Figure("orders", "orders waiting at the start"),
    Figure("before_rss_mib", "worker RSS MiB after the warm-up"),
    Figure("before_peak_mib", "worker peak RSS MiB after the warm-up"),
    Figure("rss_mib", "worker RSS MiB with the backlog, at the end"),
    Figure("peak_rss_mib", "worker peak RSS MiB with the backlog"),
    Figure("taken_per_s", "orders/s taken in meanwhile"),
    Figure("orders_per_s", "settled orders/s meanwhile"),
    Figure("left", "orders not settled at the end"),
    *CHECKS,
)

ORDERS = 200_000
QUICK_ORDERS = 20_000
SECONDS = 30.0
QUICK_SECONDS = 5.0


def run(bench: Bench) -> Iterator[Row]:
    """Let a backlog build up anew each repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return what the backlog adds to the memory of a worker."""
    found = medians.get("worker", {})
    if "peak_rss_mib" not in found:
        return []
    more = found["peak_rss_mib"] - found["before_peak_mib"]
    return [f"peak RSS: {more:+,.0f} MiB with the backlog"]


def _measure(bench: Bench, system: System, _: str, findings: Findings) -> None:
    orders, seconds = (QUICK_ORDERS, QUICK_SECONDS) if bench.quick else (ORDERS, SECONDS)
    system.start_worker()
    first = warm_up(system, quick=bench.quick)
    findings.figures |= {
        "orders": orders,
        "before_rss_mib": system.rss_mib,
        "before_peak_mib": system.peak_rss_mib,
    }
    system.stop_worker()  # not paused: the backlog takes longer to make than its session lasts
    system.produce(placed(range(first, first + orders)))
    ended, taken = system.count(ENDS), _taken_in(system)
    system.start_worker()
    start = time.monotonic()
    time.sleep(seconds)
    settled, took_s = system.count(ENDS) - ended, time.monotonic() - start
    system.require_worker()
    findings.figures |= {
        "rss_mib": system.rss_mib,
        "peak_rss_mib": system.peak_rss_mib,
        "taken_per_s": (_taken_in(system) - taken) / took_s,
        "orders_per_s": settled / took_s,
        "left": system.count(PLACED) - system.count(ENDS),
    }
    if not findings.figures["left"]:
        findings.notes.append("the backlog was worked off before the time was over")
    shelves = stock(system)
    system.stop_worker()
    findings.note_checks(gather_unsettled(system, shelves))


def _taken_in(system: System) -> int:
    """Return how many orders the worker has taken in for good."""
    return sum(system.kafka.committed(GROUP, PLACED).values())
