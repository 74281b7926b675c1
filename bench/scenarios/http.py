"""POST /orders alone, as fast as one worker answers 202 over 64 connections."""

from collections.abc import Iterator, Mapping
from functools import partial

from bench.audit import CHECKS
from bench.closed_loop import post_orders
from bench.evidence import gather
from bench.figures import per_order_us
from bench.scenario import Bench, Figure, Row
from bench.system import ENDS, System
from bench.trials import Findings, rows, warm_up

NAME = "http"
COMPARES = (
    "POST /orders through one worker over 64 connections, a closed loop, over time; the stages run meanwhile"
)
SUBJECTS = ("worker",)
FIGURES = (
    Figure("accepted_per_s", "202 a second"),
    Figure("p50_ms", "answer P50 ms", 1),
    Figure("p99_ms", "answer P99 ms", 1),
    Figure("worker_us", "worker CPU µs/POST, stages included", 1),  # micro
    Figure("broker_us", "broker CPU µs/POST, stages included", 1),
    Figure("settled_share", "orders settled meanwhile, % of the 202s", 1),
    Figure("refused", "not answered 202"),
    *CHECKS,
)

CONNECTIONS = 64
SECONDS = 10
QUICK_SECONDS = 3
WARM_UP_SECONDS = 2
SETTLE_S = 120.0


def run(bench: Bench) -> Iterator[Row]:
    """Post to a new worker each repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how the CPU is to be read."""
    del medians
    return [
        "a worker always runs the stages, too: its CPU for a POST has their work on what they settle in it"
    ]


def _measure(bench: Bench, system: System, _: str, findings: Findings) -> None:
    system.start_worker()
    first = warm_up(system, quick=bench.quick)
    warm = post_orders(system.url, CONNECTIONS, WARM_UP_SECONDS)
    system.settle("warm-up", SETTLE_S)
    before, ended = system.cpu(), system.count(ENDS)
    answers = post_orders(system.url, CONNECTIONS, QUICK_SECONDS if bench.quick else SECONDS)
    used, ended = system.cpu().since(before), system.count(ENDS) - ended
    findings.details["client"] = answers.client
    findings.figures |= {
        "accepted_per_s": answers.accepted / answers.seconds,
        "p50_ms": answers.p50_ms,
        "p99_ms": answers.p99_ms,
        "worker_us": per_order_us(used.worker, answers.accepted),
        "broker_us": per_order_us(used.broker, answers.accepted),
        "settled_share": 100 * ended / max(answers.accepted, 1),
        "refused": answers.refused,
    }
    system.settle("the orders", SETTLE_S)
    findings.note_checks(gather(system, acknowledged=first + warm.accepted + answers.accepted))
