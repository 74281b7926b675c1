"""The same pipeline of three stages on several engines."""

import os
from collections.abc import Iterator, Mapping

from app.errors import Failure
from bench.engines import ENGINES, FAUST, HANDWRITTEN, KERNEL, QUIX, Engine
from bench.figures import rotated
from bench.measures import Size, size_of
from bench.scenario import Bench, Figure, Row
from bench.trial import Trial

NAME = "reference"
COMPARES = (
    "one pipeline (stock, payment, order) by hand, on the project's delivery, on Quix Streams, on plain Faust"
)
SUBJECTS = tuple(engine.name for engine in ENGINES)
FIGURES = (
    Figure("orders_per_s", "burst: orders/s"),
    Figure("worker_us", "burst: worker CPU µs/order", 1),  # micro
    Figure("broker_us", "burst: broker CPU µs/order", 1),
    Figure("rate", "steady: orders/s offered"),
    Figure("latency_avg_ms", "steady: average ms", 1),
    Figure("latency_p50_ms", "steady: P50 ms", 1),
    Figure("latency_p99_ms", "steady: P99 ms", 1),
    Figure("steady_worker_us", "steady: worker CPU µs/order", 1),
    Figure("steady_broker_us", "steady: broker CPU µs/order", 1),
    Figure("peak_rss_mib", "peak RSS MiB"),
    Figure("duplicates", "orders completed twice"),
    Figure("missing", "orders not completed"),
)
RATIOS = ((KERNEL, HANDWRITTEN), (KERNEL, QUIX), (FAUST, KERNEL))


def run(bench: Bench) -> Iterator[Row]:
    """Take every engine through a trial, in another order each repetition, on a Kafka that has warmed up."""
    engines = {engine.name: engine for engine in ENGINES}
    if not bench.quick:
        bench.say("warming Kafka up")
        _trial(bench, HANDWRITTEN, "warm-up", size_of(HANDWRITTEN, quick=True)).run()
    for repetition in range(1, bench.repetitions + 1):
        for name in rotated(bench.chosen(SUBJECTS), repetition - 1):
            bench.say(f"{name}, repetition {repetition} of {bench.repetitions}")
            yield _measure(bench, engines[name], repetition)


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how the engines' CPU for an order compares, as far as both were measured."""
    cpu = {subject: figures.get("worker_us", 0.0) for subject, figures in medians.items()}
    ratios = [
        f"{one.name}/{other.name} {cpu[one.name] / cpu[other.name]:.2f}"
        for one, other in RATIOS
        if cpu.get(one.name) and cpu.get(other.name)
    ]
    return [f"worker CPU per order, burst: {', '.join(ratios)}"] if ratios else []


def _measure(bench: Bench, engine: Engine, repetition: int) -> Row:
    size = size_of(engine, quick=bench.quick)
    trial = _trial(bench, engine, str(repetition), size)
    load = {"load_before": f"{os.getloadavg()[0]:.2f}"}
    try:
        trial.run()
    except Failure as failure:  # the other engines are measured all the same
        trial.notes.append(str(failure))
    figures = {"rate": float(size.rate), **trial.figures}
    return Row(engine.name, repetition, figures, "; ".join(trial.notes), {**load, **trial.details})


def _trial(bench: Bench, engine: Engine, what: str, size: Size) -> Trial:
    where = f"{engine.name}-{what}"
    return Trial(bench, engine, size, scratch=bench.scratch / where, log=bench.logs / f"{where}.log")
