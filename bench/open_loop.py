"""`python -m app load`, run as a process of its own, and what its report comes to."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bench.system import System

MORE_S = 60
"""What it may take beyond offering and settling: its start, the restock, the last answers."""


@dataclass(frozen=True)
class Load:
    """Be one load: so many orders a second for so long, and how long to wait for their ends."""

    rate: int
    seconds: int
    settle_s: int
    skus: int = 1_000
    hot_share: float = 0.0
    stock: int = 0
    connections: int = 128


def offer(system: System, load: Load, name: str) -> Mapping[str, Any]:
    """Offer the load to the worker, and return the generator's report.

    Raises:
        Failure: there is no report in time.
    """
    with offering(system, load, name) as report:
        return report()


def offering(
    system: System, load: Load, name: str
) -> AbstractContextManager[Callable[[], Mapping[str, Any]]]:
    """Offer the load during the block; what is given waits for the generator's report, and returns it.

    It raises `Failure` where there is none in time. Of orders that do not settle the report says how many.
    """
    limit_s = load.seconds + load.settle_s + MORE_S
    return system.reporting("load", *_options(load, system.url), name=name, timeout_s=limit_s)


def steady_figures(report: Mapping[str, Any], part: str) -> dict[str, float]:
    """Return how long completed orders took from the intended time of their POST to their end."""
    completed = report["settlements"].get("COMPLETED")
    if completed is None:
        return {}
    return {
        f"{part}avg_ms": completed["avg"],
        f"{part}p50_ms": completed["p50"],
        f"{part}p99_ms": completed["p99"],
    }


def shortfall(report: Mapping[str, Any]) -> str:
    """Return what of the load was not accepted, not settled or offered late; empty where nothing was."""
    counts = {
        "answered 429": report["too_many"],
        "answered 503": report["unavailable"],
        "answered otherwise": sum(report["other"].values()),
        "without an answer": report["unknown"],
        "not sent": report["not_sent"],
        "not settled": report["unsettled"] or 0,
    }
    return ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)


def count_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Return what became of the orders that were offered."""
    outcomes = report["settlements"]
    return {
        "offered": report["offered"],
        "accepted": report["accepted"],
        "too_many": report["too_many"],
        "unavailable": report["unavailable"],
        "unknown": report["unknown"] + sum(report["other"].values()),
        "not_sent": report["not_sent"],
        "completed": sum(each["count"] for name, each in outcomes.items() if name == "COMPLETED"),
        "cancelled": sum(each["count"] for name, each in outcomes.items() if name != "COMPLETED"),
    }


def _options(load: Load, url: str) -> list[str]:
    options = {
        "rate": load.rate,
        "seconds": load.seconds,
        "skus": load.skus,
        "hot-share": load.hot_share,
        "stock": load.stock,
        "connections": load.connections,
        "settle-timeout": load.settle_s,
        "url": url,
    }
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]
