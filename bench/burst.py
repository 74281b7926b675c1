"""A burst: all orders wait in Kafka when the worker goes on, and it is measured until all is settled."""

import signal
import time

from bench.orders import Record, placed
from bench.system import ENDS, Cpu, System
from bench.trials import Findings, last_s


def burst(system: System, numbers: range, timeout_s: float, findings: Findings, part: str = "") -> None:
    """Measure orders a second, CPU for an order, and memory.

    Orders a second are until the last end of an order; CPU is counted until every input is committed.

    Raises:
        Failure: it is not done in time.
    """
    records = list(placed(numbers))  # made beforehand: a worker paused for its session would be put out
    before = system.kafka.ends(ENDS)
    start_s, cpu = _let_go(system, records)
    system.settle("burst", timeout_s)
    findings.note_cpu(part, system.cpu().since(cpu), len(numbers))
    findings.figures |= {
        f"{part}orders_per_s": len(numbers) / (last_s(system, ENDS, before) - start_s),
        f"{part}rss_mib": system.rss_mib,
        f"{part}peak_rss_mib": system.peak_rss_mib,
    }


def _let_go(system: System, records: list[Record]) -> tuple[float, Cpu]:
    """Put the orders into Kafka while the worker is paused; return when it goes on and the CPU until then."""
    system.worker.signal(signal.SIGSTOP)
    try:
        system.produce(records)
        cpu = system.cpu()
    finally:
        start_s = time.time()
        system.worker.signal(signal.SIGCONT)
    return start_s, cpu
