"""Rebuild: the tables made anew from the topics alone, and compared with those there are."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from bench.audit import CHECKS, complaints
from bench.burst import burst
from bench.evidence import gather
from bench.scenario import Bench, Figure, Row
from bench.system import System
from bench.trials import Findings, rows, warm_up

NAME = "rebuild"
COMPARES = "`python -m app rebuild` that compares with the live tables, and one as of a time, which does not"
SUBJECTS = ("compared", "as of")
FIGURES = (
    Figure("events", "events read"),
    Figure("live_records", "records of changelogs read"),
    Figure("events_per_s", "events/s, all of it"),
    Figure("all_s", "seconds, all of it", 1),
    Figure("read_s", "of these: to read events", 1),
    Figure("live_s", "of these: to read changelogs", 1),
    Figure("fold_s", "of these: to make anew and compare", 1),
    Figure("differences", "differences (must be 0)"),
    *CHECKS,
)

ORDERS = 40_000
QUICK_ORDERS = 4_000
BURST_S = 180.0
REBUILD_S = 300.0
LATER = "9999-01-01T00:00:00Z"

PHASES = {"all_s": "all", "read_s": "read", "live_s": "read live rows", "fold_s": "fold"}
WORDS = {"differences": "rows differ from the live tables"}


def run(bench: Bench) -> Iterator[Row]:
    """Take the orders to their end anew for each subject and repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return nothing: the figures say it."""
    del medians
    return []


def figures(found: Mapping[str, Any]) -> dict[str, float]:
    """Return what the document of a rebuild says."""
    seconds = {name: found["seconds"].get(phase, 0.0) for name, phase in PHASES.items()}
    return {
        "events": found["records"],
        "live_records": found["live_records"],
        "events_per_s": found["records"] / seconds["all_s"],
        "differences": sum(found["found"].values()),
        **seconds,
    }


def _measure(bench: Bench, system: System, subject: str, findings: Findings) -> None:
    system.start_worker()
    first = warm_up(system, quick=bench.quick)
    orders = range(first, first + (QUICK_ORDERS if bench.quick else ORDERS))
    burst(system, orders, BURST_S, Findings())
    findings.note_checks(gather(system))
    system.stop_worker()
    options = () if subject == "compared" else ("--until", LATER)
    with system.reporting("rebuild", *options, name="rebuild", timeout_s=REBUILD_S) as report:
        findings.figures |= figures(report())
    findings.notes += complaints(findings.figures, WORDS)
