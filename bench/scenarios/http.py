"""POST /orders alone, as fast as one worker answers 202 over 64 connections."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from app.processes import Command
from bench import accounting
from bench.audit import CHECKS
from bench.closed_loop import post_orders
from bench.evidence import gather
from bench.figures import per_order_us
from bench.scenario import Bench, Figure, Row
from bench.system import ENDS, System, worker_url
from bench.trials import Findings, rows, warm_up

NAME = "http"
COMPARES = (
    "POST /orders over 64 connections, a closed loop: to the worker that runs the stages, to one beside it"
    " that runs analytics alone, and to that one while the stages stand still"
)
WORKER, FRONT, ALONE = SUBJECTS = ("worker", "front", "front alone")
FIGURES = (
    Figure("accepted_per_s", "202 a second"),
    Figure("p50_ms", "answer P50 ms", 1),
    Figure("p99_ms", "answer P99 ms", 1),
    Figure("answering_us", "CPU µs/POST of the worker that answers", 1),  # micro
    Figure("broker_us", "broker CPU µs/POST, stages included", 1),  # micro
    Figure("settled_share", "orders settled meanwhile, % of the 202s", 1),
    Figure("refused", "not answered 202"),
    *CHECKS,
)

CONNECTIONS = 64
SECONDS = 10
QUICK_SECONDS = 3
WARM_UP_SECONDS = 2
SETTLE_S = 180.0
START_S = 60.0
LIGHT = ("analytics",)
"""What the worker runs that answers for the others: a stage that no order waits for."""

PATIENCE_MS = "3600000"
"""How late the stages may be before it refuses: what it can answer is measured, not what they can do."""


def run(bench: Bench) -> Iterator[Row]:
    """Post to a new worker each repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how the CPU is to be read."""
    del medians
    return ["the CPU for a POST has in it what the answering worker's own stages do meanwhile"]


def _measure(bench: Bench, system: System, subject: str, findings: Findings) -> None:
    system.start_worker()
    first = warm_up(system, quick=bench.quick)
    with _answering(system, subject) as (worker, url):
        warm = post_orders(url, CONNECTIONS, WARM_UP_SECONDS)
        system.settle("warm-up", SETTLE_S)
        if subject == ALONE:
            system.worker.signal(signal.SIGSTOP)
        before, ended, spent_s = system.cpu(), system.count(ENDS), accounting.cpu_s(worker.pid)
        answers = post_orders(url, CONNECTIONS, QUICK_SECONDS if bench.quick else SECONDS)
        spent_s = accounting.cpu_s(worker.pid) - spent_s
        used, ended = system.cpu().since(before), system.count(ENDS) - ended
        if subject == ALONE:
            system.worker.signal(signal.SIGCONT)
    findings.details["client"] = answers.client
    findings.figures |= {
        "accepted_per_s": answers.accepted / answers.seconds,
        "p50_ms": answers.p50_ms,
        "p99_ms": answers.p99_ms,
        "answering_us": per_order_us(spent_s, answers.accepted),
        "broker_us": per_order_us(used.broker, answers.accepted),
        "settled_share": 100 * ended / max(answers.accepted, 1),
        "refused": answers.refused,
    }
    system.settle("the orders", SETTLE_S)
    findings.note_checks(gather(system, acknowledged=first + warm.accepted + answers.accepted))


@contextmanager
def _answering(system: System, subject: str) -> Iterator[tuple[Command, str]]:
    """Give the worker that answers, and its address."""
    if subject == WORKER:
        yield system.worker, system.url
        return
    url = worker_url(FRONT)
    front = system.new_worker(FRONT, LIGHT, url, {"ORDERS_WEB__MAX_LAG_MS": PATIENCE_MS})
    front.start()
    try:
        front.wait_for(f"{url}/health/ready", START_S)
        yield front, url
    finally:
        system.exit_codes.append(front.stop())
