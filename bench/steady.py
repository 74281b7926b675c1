"""Steady rates over HTTP: how long orders take from their POST to their end, and what that costs."""

import time

from bench.figures import per_order_us
from bench.open_loop import Load, offer, shortfall, steady_figures
from bench.scenario import Figure
from bench.system import System
from bench.trials import Findings

RATES = (500, 2_000)
SETTLE_S = 60

FIGURES = tuple(
    Figure(f"steady_{rate}_{name}", f"{rate:,}/s: {words}", digits)
    for rate in RATES
    for name, words, digits in (
        ("avg_ms", "average ms", 1),
        ("p50_ms", "P50 ms", 1),
        ("p99_ms", "P99 ms", 1),
        ("late_p99_ms", "generator late, P99 ms", 1),
        ("worker_us", "worker CPU µs/order, POST included", 0),  # micro
        ("broker_us", "broker CPU µs/order", 0),  # micro
        ("cores", "busy cores, whole machine", 1),
    )
)


def measure(system: System, seconds: int, findings: Findings) -> None:
    """Offer each rate for so long, and write down what came of it.

    Raises:
        Failure: not all orders settle in time.
    """
    for rate in RATES:
        _measure(system, Load(rate=rate, seconds=seconds, settle_s=SETTLE_S), findings)


def _measure(system: System, load: Load, findings: Findings) -> None:
    part = f"steady_{load.rate}_"
    start, before = time.monotonic(), system.cpu()
    report = offer(system, load, f"load-{load.rate}")
    used, took_s = system.cpu().since(before), time.monotonic() - start
    findings.figures |= steady_figures(report, part) | {
        f"{part}late_p99_ms": report["late"]["p99"],
        f"{part}worker_us": per_order_us(used.worker, report["accepted"]),
        f"{part}broker_us": per_order_us(used.broker, report["accepted"]),
        f"{part}cores": used.machine / took_s,
    }
    if missing := shortfall(report):
        findings.notes.append(f"{load.rate:,}/s: {missing}")
    system.settle(f"{load.rate:,}/s", SETTLE_S)
