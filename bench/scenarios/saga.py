"""The whole saga through one worker: a burst, doing nothing, and two steady rates over HTTP."""

import time
from collections.abc import Iterator, Mapping
from functools import partial

from bench import steady
from bench.audit import CHECKS
from bench.burst import burst
from bench.evidence import gather
from bench.scenario import Bench, Figure, Row
from bench.system import System
from bench.trials import Findings, rows, warm_up

NAME = "saga"
COMPARES = "the whole saga through one worker, over time: a burst, doing nothing, steady rates over HTTP"
SUBJECTS = ("worker",)
FIGURES = (
    Figure("orders_per_s", "burst: settled orders/s"),
    Figure("worker_us", "burst: worker CPU µs/order", 1),  # micro
    Figure("simulator_us", "burst: simulator CPU µs/order", 1),
    Figure("broker_us", "burst: broker CPU µs/order", 1),
    Figure("rss_mib", "burst: worker RSS MiB after it"),
    Figure("peak_rss_mib", "burst: worker peak RSS MiB"),
    Figure("idle_percent", "idle: worker CPU % of a core", 2),
    *steady.FIGURES,
    *CHECKS,
)

BURST = 20_000
QUICK_BURST = 2_000
BURST_S = 90.0
IDLE_S = 15.0
QUICK_IDLE_S = 3.0
REST_S = 2.0
"""Between the last commit and the measuring of nothing."""


def run(bench: Bench) -> Iterator[Row]:
    """Take one worker through all parts, each repetition from the beginning."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return what one core could do, by the CPU of a burst."""
    cpu = medians.get("worker", {}).get("worker_us")
    return [f"a core of worker CPU is worth {1e6 / cpu:,.0f} orders/s at the burst"] if cpu else []


def _measure(bench: Bench, system: System, _: str, findings: Findings) -> None:
    system.start_worker()
    first = warm_up(system, quick=bench.quick)
    burst(system, range(first, first + (QUICK_BURST if bench.quick else BURST)), BURST_S, findings)
    findings.figures["idle_percent"] = _idle(system, QUICK_IDLE_S if bench.quick else IDLE_S)
    steady.measure(system, bench.steady_s, findings)
    findings.note_checks(gather(system))


def _idle(system: System, seconds: float) -> float:
    """Return how much of a core a worker takes that has nothing to do, in per cent."""
    time.sleep(REST_S)
    start, before = time.monotonic(), system.cpu()
    time.sleep(seconds)
    return system.cpu().since(before).worker / (time.monotonic() - start) * 100
