"""The steady rates over HTTP with more than one worker: what the whole machine can do, not one thread."""

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

from bench import steady
from bench.audit import CHECKS
from bench.evidence import gather
from bench.scenario import Bench, Row
from bench.system import STAGES, System
from bench.trials import Findings, rows, warm_up

NAME = "workers"
COMPARES = (
    "steady rates over HTTP, the whole saga each time: one worker, two that share all partitions, and two"
    " that share the stages, orders in one and the rest in the other"
)
ONE, ALIKE, APART = "one", "two alike", "two by stage"
SHARES = MappingProxyType({ONE: (STAGES,), ALIKE: (STAGES, STAGES), APART: (STAGES[:1], STAGES[1:])})
SUBJECTS = tuple(SHARES)
FIGURES = (*steady.FIGURES, *CHECKS)


def run(bench: Bench) -> Iterator[Row]:
    """Offer the rates to new workers each repetition; the first of them answers."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how two workers compare with one at the highest rate."""
    figure = f"steady_{max(steady.RATES)}_avg_ms"
    found = {subject: figures[figure] for subject, figures in medians.items() if figure in figures}
    others = [f"{subject} {of / found[ONE]:.2f}" for subject, of in found.items() if found.get(ONE)]
    said = f"average at {max(steady.RATES):,}/s by that of one: {', '.join(others[1:])}"
    return [said] if others[1:] else []


def _measure(bench: Bench, system: System, subject: str, findings: Findings) -> None:
    system.share(SHARES[subject])
    warm_up(system, quick=bench.quick)
    steady.measure(system, bench.steady_s, findings)
    findings.note_checks(gather(system))
