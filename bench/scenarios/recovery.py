"""Recovery: the orders' table rebuilt into an empty folder, then a start with the folder kept."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from app.errors import Failure
from app.topics import changelog_of
from bench.audit import complaints
from bench.evidence import charges, fetch
from bench.figures import per_order_us
from bench.orders import INPUTS, order_id, settled
from bench.scenario import Bench, Figure, Row
from bench.system import ENDS, System
from bench.trials import Findings, rows
from models.order import OrderStatus

NAME = "recovery"
COMPARES = "a start with nothing to recover, with an empty folder, and with the folder kept, over time"
SUBJECTS = ("worker",)
SAMPLE = 200
"""How many of the orders are asked for over HTTP, to see that they are there."""

FIGURES = (
    Figure("rows", "orders in the changelog"),
    Figure("nothing_s", "nothing to recover: s to ready", 1),
    Figure("empty_s", "empty folder: s to ready", 1),
    Figure("rows_per_s", "empty folder: rows/s while rebuilding"),
    Figure("worker_us", "empty folder: worker CPU µs/row", 1),  # micro
    Figure("peak_rss_mib", "empty folder: worker peak RSS MiB"),
    Figure("kept_s", "folder kept: s to ready", 1),
    Figure("lost", f"of {SAMPLE} orders asked for, lost (must be 0)"),
    Figure("oversold", "messages sent about them (must be 0)"),
    Figure("charged_twice", "charges made for them (must be 0)"),
)

ROWS = 1_000_000
QUICK_ROWS = 100_000
READY_S = 180.0
ANSWER_S = 10.0

WORDS = {
    "lost": f"of {SAMPLE} orders are not there",
    "oversold": "messages were sent about settled orders",
    "charged_twice": "charges were made for settled orders",
}

_RECOVERED = re.compile(r"recovered (\d+) rows in ([\d.]+) s")


def run(bench: Bench) -> Iterator[Row]:
    """Fill the changelog anew each repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return nothing: the figures say it."""
    del medians
    return []


def recovered(log: str) -> tuple[int, float]:
    """Return how many rows the worker says that it has read last, and in how many seconds."""
    found = _RECOVERED.findall(log)
    return (int(found[-1][0]), float(found[-1][1])) if found else (0, 0.0)


def _measure(bench: Bench, system: System, _: str, findings: Findings) -> None:
    count = QUICK_ROWS if bench.quick else ROWS
    findings.figures["rows"] = count
    # The warm-up: everything that a start reads has been read once.
    findings.figures["nothing_s"] = system.start_worker()
    system.stop_worker()
    system.produce(settled(changelog_of("orders"), range(count)))
    system.forget()
    findings.figures["empty_s"] = system.start_worker(READY_S)
    used = system.cpu().worker
    read, seconds = recovered(system.worker_log.read_text("utf-8", "replace"))
    if read != count:
        raise Failure(f"{read:,} of {count:,} rows were recovered")
    findings.figures |= {
        "rows_per_s": read / max(seconds, 0.1),
        "worker_us": per_order_us(used, read),
        "peak_rss_mib": system.peak_rss_mib,
    }
    system.stop_worker()
    findings.figures["kept_s"] = system.start_worker(READY_S)
    _check(system, count, findings)


def _check(system: System, count: int, findings: Findings) -> None:
    """See that orders are there as they were, and that nobody was asked to do anything about them.

    Raises:
        Failure: the worker does not answer.
    """
    findings.figures |= {"oversold": system.count(INPUTS + ENDS), "charged_twice": len(charges(system))}
    findings.figures["lost"] = sum(
        not _is_completed(fetch(f"{system.url}/orders/{order_id(number)}", ANSWER_S))
        for number in range(0, count, count // SAMPLE)
    )
    findings.notes += complaints(findings.figures, WORDS)


def _is_completed(order: Any) -> bool:
    return order is not None and order["status"] == OrderStatus.COMPLETED
