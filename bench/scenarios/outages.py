"""Outages: whether orders settle later while what comes after their end is stopped, slow or failing.

Analytics calls nobody, so that nothing outside can make it slow or fail.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import mean
from typing import Any, NamedTuple

from app.errors import Failure
from bench import accounting, audit, deliveries
from bench.evidence import gather
from bench.open_loop import Load, count_figures, offer, offering, shortfall, steady_figures
from bench.outside import Faults, Outside
from bench.scenario import Bench, Figure, Row
from bench.system import ENDS, PLACED, System
from bench.trials import Findings, warm_up
from models.events import InventoryDeducted

NAME = "outages"
COMPARES = (
    "orders over HTTP, while a stage behind them is stopped, slow or failing, or the payment provider is down"
)
HEALTHY = ("healthy", "healthy again")
STOPPED = "stopped"
DOWN = "provider down"
SUBJECTS = (
    HEALTHY[0],
    "notifications stopped",
    "notifications slow",
    "notifications failing",
    "analytics stopped",
    "transfer stopped",
    "transfer slow",
    "transfer failing",
    DOWN,
    HEALTHY[1],
)
"""One after the other in one system, so that they are compared; the last one shows what has drifted."""

LATENCIES = {"p50_ms": "P50", "p99_ms": "P99"}
FIGURES = (
    Figure("offered", "orders offered"),
    Figure("accepted", "answered 202"),
    Figure("avg_ms", "settled: average ms", 1),
    *(Figure(name, f"settled: {words} ms", 1) for name, words in LATENCIES.items()),
    Figure("http_p99_ms", "answered: P99 ms", 1),
    Figure("late_p99_ms", "generator late, P99 ms", 1),
    Figure("cores", "busy cores, whole machine", 1),
    Figure("waiting", "messages waiting in the end"),
    Figure("down_accepted", "accepted while down"),
    Figure("down_reserved", "reserved while down"),
    Figure("down_settled", "settled while down"),
    Figure("settled_later", "settled once it was back"),
    Figure("settled_s", "s until they all were", 1),
    Figure("delivered_s", "s until all is delivered", 1),
    Figure("repeats", "delivered again, same id"),
    *deliveries.CHECKS,
    *audit.CHECKS,
)

RATE = 50
"""A modest one: a machine that is full would have orders wait for each other, and not for what is tried."""

SECONDS = 60
QUICK_SECONDS = 5
WARM_SECONDS = 60
"""Beside the usual warm-up: with orders one by one, Java takes longer to be at its best than with a burst."""

SLOW_MS = 2_000
"""Within the time that an attempt may take, and so that 20 at once are a fifth of what comes."""

FAULTS: Mapping[str, Faults] = {"slow": {"delay_ms": SLOW_MS}, "failing": {"failing": True}}
NO_FAULTS: Faults = {}

SETTLE_S = 120
DELIVER_S = 180.0
MORE_S = 30.0
"""What the generator's start and the last reservations may take, beyond the time of an outage."""

LOOK_EVERY_S = 0.5
RESERVED = (InventoryDeducted.type,)


class Outage(NamedTuple):
    """Be what is broken, and mended again."""

    begin: Callable[[], object]
    end: Callable[[], object]


class Counts(NamedTuple):
    """Be how many orders were accepted, reserved and settled so far: each has one line."""

    accepted: int
    reserved: int
    settled: int


class Span:
    """Be an outage from its beginning to its end, and how busy the machine was in it."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._begun_at, self._busy_s = time.monotonic(), accounting.machine_busy_s()
        self.ended_at = self.cores = 0.0
        outage.begin()

    def end(self) -> None:
        """Mend what is broken; where that is a process, wait until it is ready."""
        self.ended_at = time.monotonic()
        self.cores = (accounting.machine_busy_s() - self._busy_s) / (self.ended_at - self._begun_at)
        self._outage.end()


NONE = Counts(0, 0, 0)
NO_ANSWERS = {"p99": 0.0}
Report = Callable[[], Mapping[str, Any]]
"""Wait for the generator's report, and return it."""


def run(bench: Bench) -> Iterator[Row]:
    """Go through all outages in one system, anew each repetition."""
    if bench.chosen(SUBJECTS):
        for repetition in range(1, bench.repetitions + 1):
            yield from _rows(bench, repetition)


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how each outage compares with the mean of the healthy phases, and these with each other."""
    measured = {subject: found for subject, found in medians.items() if LATENCIES.keys() <= found.keys()}
    healthy = [measured[subject] for subject in HEALTHY if subject in measured]
    if not healthy:
        return []
    usual = {name: mean(found[name] for found in healthy) for name in LATENCIES}
    ratios = (
        f"{subject} {' and '.join(f'{found[name] / usual[name]:.2f}' for name in LATENCIES)}"
        for subject, found in measured.items()
        if subject != DOWN
    )
    return [f"{' and '.join(LATENCIES.values())} by the mean of the healthy phases: {', '.join(ratios)}"]


def _rows(bench: Bench, repetition: int) -> Iterator[Row]:
    """Yield a row for each phase; one that fails says why, and is the last."""
    subjects = bench.chosen(SUBJECTS)
    subject, findings = subjects[0], Findings()
    try:
        with System(bench, f"system-{repetition}", outlives=True) as system, Outside(system) as outside:
            bench.say("warming up")
            trial = _Trial(bench, system, outside)
            for subject in subjects:
                bench.say(f"{subject}, repetition {repetition} of {bench.repetitions}")
                findings = Findings(details={"load_before": f"{os.getloadavg()[0]:.2f}"})
                trial.measure(subject, findings)
                yield _row(subject, repetition, findings)
    except Failure as failure:
        findings.notes.append(str(failure))
        yield _row(subject, repetition, findings)


def _row(subject: str, repetition: int, findings: Findings) -> Row:
    return Row(subject, repetition, findings.figures, "; ".join(findings.notes), findings.details)


class _Trial:
    """Be one repetition: a system that is warm, and one phase after the other.

    Raises:
        Failure: a part does not start, or the warm-up is not done in time.
    """

    def __init__(self, bench: Bench, system: System, outside: Outside) -> None:
        self._system = system
        self._outside = outside
        self._load = Load(RATE, QUICK_SECONDS if bench.quick else SECONDS, SETTLE_S)
        self._repeats = 0
        system.start_worker()
        outside.start_all()
        self._acknowledged = warm_up(system, quick=bench.quick)
        warm = Load(RATE, QUICK_SECONDS if bench.quick else WARM_SECONDS, SETTLE_S)
        self._acknowledged += offer(system, warm, "warm-up")["accepted"]
        outside.deliver(DELIVER_S)

    def measure(self, subject: str, findings: Findings) -> None:
        """Take one phase from its outage to where all is as it should be.

        Raises:
            Failure: something does not come back, or does not settle.
        """
        before = self._counts()
        span = Span(_outage(subject, self._system, self._outside))
        with offering(self._system, self._load, subject.replace(" ", "-")) as report:
            if subject == DOWN:
                self._hold_out(span, report, before, findings)
            else:
                self._go_on(span, report, findings)
        self._system.settle(subject, SETTLE_S)
        self._outside.deliver(DELIVER_S)
        findings.figures |= {"cores": span.cores, "delivered_s": time.monotonic() - span.ended_at}
        self._judge(subject, findings)

    def _go_on(self, span: Span, report: Report, findings: Findings) -> None:
        """Have every order settle before the outage ends."""
        self._note_load(report(), findings)
        findings.figures["waiting"] = self._outside.waiting()
        span.end()

    def _hold_out(self, span: Span, report: Report, before: Counts, findings: Findings) -> None:
        """Have every order reserved before the outage ends, and settle after it."""
        wanted = self._load.rate * self._load.seconds
        deadline = time.monotonic() + self._load.seconds + MORE_S
        while (counts := self._counts(before)).reserved < wanted and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        span.end()
        self._note_load(report(), findings)
        findings.figures |= {
            "down_accepted": counts.accepted,
            "down_reserved": counts.reserved,
            "down_settled": counts.settled,
            "settled_later": self._counts(before).settled - counts.settled,
            "settled_s": time.monotonic() - span.ended_at,
        }

    def _note_load(self, report: Mapping[str, Any], findings: Findings) -> None:
        counts = count_figures(report)
        self._acknowledged += report["accepted"]
        findings.figures |= steady_figures(report, "") | {
            "offered": counts["offered"],
            "accepted": counts["accepted"],
            "http_p99_ms": report["answers"].get("202", NO_ANSWERS)["p99"],
            "late_p99_ms": report["late"]["p99"],
        }
        if missing := shortfall(report):
            findings.notes.append(missing)
        if counts["cancelled"]:
            findings.notes.append(f"{counts['cancelled']:,.0f} orders were cancelled")

    def _judge(self, subject: str, findings: Findings) -> None:
        """Compare what was told and counted with how all orders of the trial have ended."""
        evidence = gather(self._system, acknowledged=self._acknowledged)
        findings.note_checks(evidence)
        due = {"notifications": evidence.taken_in, "transfer": set(evidence.completed)}
        found = [deliveries.compare(orders, self._outside.told(stage)) for stage, orders in due.items()]
        completed = len(evidence.completed)
        checks: dict[str, float] = {
            "missing": sum(each.missing for each in found),
            "twice": sum(each.twice for each in found),
            "miscounted": deliveries.miscounted(
                self._outside.totals(), completed, len(evidence.taken_in) - completed
            ),
        }
        repeats = sum(each.repeats for each in found)
        findings.figures |= checks | {"repeats": repeats - self._repeats}
        self._repeats = repeats
        findings.notes += [*audit.complaints(checks, deliveries.WORDS), *blemishes(subject, findings.figures)]

    def _counts(self, before: Counts = NONE) -> Counts:
        now = (self._system.count(topics) for topics in (PLACED, RESERVED, ENDS))
        return Counts(*(many - then for many, then in zip(now, before, strict=True)))


def blemishes(subject: str, figures: Mapping[str, float]) -> Iterator[str]:
    """Yield what is wrong with a phase, beside what was lost or is twice."""
    if subject not in (*HEALTHY, DOWN) and figures.get("waiting", 0) <= 0:
        yield "void: nothing was waiting in the end of the outage"
    if figures.get("down_settled"):
        yield "void: orders settled while the provider was down"
    if short := figures.get("down_accepted", 0) - figures.get("down_reserved", 0):
        yield f"{short:,.0f} orders were not reserved while the provider was down"
    if figures["repeats"] and not subject.endswith(STOPPED):
        yield f"{figures['repeats']:,.0f} messages came again, though no worker had ended"


def _outage(subject: str, system: System, outside: Outside) -> Outage:
    if subject in HEALTHY:
        return Outage(begin=_do_nothing, end=_do_nothing)
    if subject == DOWN:
        return Outage(begin=system.kill_provider, end=system.start_provider)
    stage, _, how = subject.partition(" ")
    if how == STOPPED:
        return Outage(begin=partial(outside.kill, stage), end=partial(outside.start, stage))
    return Outage(
        begin=partial(outside.fault, stage, FAULTS[how]), end=partial(outside.fault, stage, NO_FAULTS)
    )


def _do_nothing() -> None:
    pass
