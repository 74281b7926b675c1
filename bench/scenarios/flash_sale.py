"""A flash sale: ten thousand orders a second want one SKU, of which there is enough for a third of them."""

from collections.abc import Iterator, Mapping
from functools import partial

from bench.audit import CHECKS
from bench.closed_loop import post_orders
from bench.evidence import gather
from bench.open_loop import Load, count_figures, offer
from bench.orders import SKUS
from bench.scenario import Bench, Figure, Row
from bench.system import ENDS, PLACED, System
from bench.trials import Findings, first_s, last_s, rows, warm_up

NAME = "flash_sale"
COMPARES = "10,000 orders a second offered for one SKU that is there for a third of them, over time"
SUBJECTS = ("worker",)
FIGURES = (
    Figure("offered", "offered"),
    Figure("in_stock", "in stock"),
    Figure("accepted", "answered 202"),
    Figure("too_many", "answered 429"),
    Figure("unavailable", "answered 503"),
    Figure("unknown", "otherwise, or no answer"),
    Figure("not_sent", "not sent"),
    Figure("completed", "completed"),
    Figure("cancelled", "cancelled"),
    Figure("settled_s", "s until all are settled", 1),
    *CHECKS,
)

RATE = 10_000
SECONDS = 10
QUICK_SECONDS = 2
SHARE = 3
"""There is stock for one order in so many."""

SETTLE_S = 180
WARM_UP_SECONDS = 2


def run(bench: Bench) -> Iterator[Row]:
    """Hold a sale on a new system each repetition."""
    return rows(bench, SUBJECTS, partial(_measure, bench))


def remarks(medians: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how fast accepted orders were settled."""
    found = medians.get("worker", {})
    if not found.get("settled_s"):
        return []
    return [
        f"settled: {found['accepted'] / found['settled_s']:,.0f} orders/s from the first POST to the last end"
    ]


def _measure(bench: Bench, system: System, _: str, findings: Findings) -> None:
    system.start_worker()
    first = warm_up(system, quick=bench.quick, stocked=range(1, SKUS))  # all but the first, which is hot
    warm = post_orders(system.url, 16, WARM_UP_SECONDS)
    system.settle("warm-up", SETTLE_S)
    placed, ended = system.kafka.ends(PLACED), system.kafka.ends(ENDS)
    seconds = QUICK_SECONDS if bench.quick else SECONDS
    in_stock = RATE * seconds // SHARE
    load = Load(rate=RATE, seconds=seconds, settle_s=SETTLE_S, skus=1, hot_share=1, stock=in_stock)
    report = offer(system, load, "load")
    findings.figures |= count_figures(report) | {"in_stock": in_stock}
    system.settle("the sale", SETTLE_S)
    findings.figures["settled_s"] = last_s(system, ENDS, ended) - first_s(system, PLACED, placed)
    if unsettled := report["unsettled"]:
        findings.notes.append(f"{unsettled:,} orders that were answered 202 have not ended")
    findings.note_checks(gather(system, acknowledged=first + warm.accepted + report["accepted"]))
