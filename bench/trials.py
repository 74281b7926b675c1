"""How a scenario of the whole system is repeated: a system for each trial, and what it comes to."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from app.errors import Failure
from bench.audit import Evidence, complaints, judge
from bench.figures import per_order_us, rotated
from bench.kafka import Offsets
from bench.orders import SKUS, placed, restocked
from bench.scenario import Bench, Row
from bench.system import Cpu, System

RESTOCK_S = 60.0
WARM_UP = 2_000
QUICK_WARM_UP = 500
WARM_UP_S = 60.0


@dataclass
class Findings:
    """Be what a trial has found so far; it is kept when the trial fails."""

    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)

    def note_cpu(self, part: str, used: Cpu, orders: int) -> None:
        """Write down what each process has used for an order."""
        self.figures[f"{part}worker_us"] = per_order_us(used.worker, orders)
        self.figures[f"{part}simulator_us"] = per_order_us(used.simulator, orders)
        self.figures[f"{part}broker_us"] = per_order_us(used.broker, orders)

    def note_checks(self, evidence: Evidence) -> None:
        """Write down whether everything is right."""
        checks = judge(evidence)
        self.figures.update(checks)
        self.notes.extend(complaints(checks))


Measure = Callable[[System, str, Findings], None]
"""Measures one subject on a system whose worker is not running yet, and writes down what it finds."""


def rows(bench: Bench, subjects: Sequence[str], measure: Measure) -> Iterator[Row]:
    """Yield a row for each subject and repetition; a trial that fails says why, and the next one begins."""
    if not bench.quick and bench.chosen(subjects):
        bench.say("warming Kafka up")
        with System(bench, "warm-up") as system:
            system.start_worker()
            warm_up(system, quick=False)
    for repetition in range(1, bench.repetitions + 1):
        for subject in rotated(bench.chosen(subjects), repetition - 1):
            bench.say(f"{subject}, repetition {repetition} of {bench.repetitions}")
            findings = Findings(details={"load_before": f"{os.getloadavg()[0]:.2f}"})
            try:
                with System(bench, f"{subject}-{repetition}") as system:
                    measure(system, subject, findings)
                    findings.notes += [
                        f"a worker ended with code {code}" for code in system.exit_codes if code
                    ]
            except Failure as failure:
                findings.notes.append(str(failure))
            yield Row(subject, repetition, findings.figures, "; ".join(findings.notes), findings.details)


def warm_up(system: System, *, quick: bool, stocked: range = range(SKUS)) -> int:
    """Stock SKUs, take some orders to their end, and return how many; their numbers begin with 0.

    Raises:
        Failure: they are not settled in time.
    """
    system.produce(restocked(stocked))
    system.settle("restock", RESTOCK_S)
    count = system.produce(placed(range(QUICK_WARM_UP if quick else WARM_UP)))
    system.settle("warm-up", WARM_UP_S)
    return count


def first_s(system: System, topics: tuple[str, ...], behind: Offsets) -> float:
    """Return when Kafka dated the first record behind these offsets (Unix time)."""
    return min((record.timestamp()[1] for record in system.kafka.read(topics, behind)), default=0) / 1000


def last_s(system: System, topics: tuple[str, ...], behind: Offsets) -> float:
    """Return when Kafka dated the last record behind these offsets (Unix time)."""
    return max((record.timestamp()[1] for record in system.kafka.read(topics, behind)), default=0) / 1000
