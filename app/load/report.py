"""What a load has come to: one document, as tables for people and as JSON for programs."""

from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from app.load.figures import Latencies, Summary
from app.load.run import Run

LATE_MS = 10.0
"""The generator is called late where one order in a hundred was offered later than this."""

NAMED = (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Report:
    """Be the outcome of a load; latencies are in milliseconds after the intended time of sending.

    `other` counts answers by status; `unsettled` is None where nobody looked; `late` is how late the
    generator itself was, which the latencies include; `cpu_us_per_order` is what it cost this process.
    """

    plan: dict[str, Any]
    urls: tuple[str, ...]
    interrupted: bool
    offered: int
    sent: int
    accepted: int
    too_many: int
    unavailable: int
    other: dict[str, int]
    unknown: int
    not_sent: int
    unsettled: int | None
    rates: dict[str, float]
    answers: dict[str, Summary]
    settlements: dict[str, Summary]
    late: Summary
    cpu_us_per_order: float


def report(run: Run, *, interrupted: bool) -> Report:
    """Return what a run has come to, at its end or where it was interrupted."""
    cpu_s = run.clock.cpu_s()  # first of all: the report itself is no part of the load
    tally, settlements, plan = run.tally, run.settlements, run.options.plan
    accepted, too_many, unavailable = (tally.statuses[status] for status in NAMED)
    other = {str(status): count for status, count in sorted(tally.statuses.items()) if status not in NAMED}
    return Report(
        plan=asdict(plan),
        urls=run.options.urls,
        interrupted=interrupted,
        offered=tally.offered,
        sent=tally.sent,
        accepted=accepted,
        too_many=too_many,
        unavailable=unavailable,
        other=other,
        unknown=tally.unknown,
        not_sent=tally.not_sent,
        unsettled=settlements.open if run.options.settle else None,
        rates={
            "wanted": plan.rate,
            "offered": _rate(tally.offered, run.offered_for_s),
            "accepted": _rate(accepted, max(run.offered_for_s, tally.last_answer_at)),
            "settled": _rate(settlements.count, max(run.offered_for_s, settlements.last_at)),
        },
        answers=_summaries({"202": tally.accepted_after, "other": tally.refused_after}),
        settlements=_summaries(settlements.after),
        late=tally.offered_late.summary(),
        cpu_us_per_order=round(cpu_s * 1e6 / max(tally.offered, 1), 1),
    )


def show(found: Report, console: Console) -> None:
    """Print the tables, and what has to be known of them."""
    console.print(_counts(found))
    console.print(_latencies(found))
    rates = (f"{name} {rate:,.1f}" for name, rate in found.rates.items() if rate)
    console.print(f"Orders a second: {', '.join(rates)}", highlight=False)
    late = f"Offered late by {found.late.avg:,.1f} ms on average, {found.late.p99:,.1f} ms at P99"
    console.print(f"{late}; {found.cpu_us_per_order:,.0f} µs of CPU an order", highlight=False)
    if found.late.p99 > LATE_MS:
        console.print("[yellow]The generator itself was late: it needs more CPU, or a lower --rate[/]")
    if found.unsettled:
        console.print(f"[red]{found.unsettled:,} accepted orders are not settled[/]", highlight=False)
    if found.interrupted:
        console.print("Interrupted.")


def _counts(found: Report) -> Table:
    counts = {
        "offered": found.offered,
        "sent": found.sent,
        "202": found.accepted,
        "429": found.too_many,
        "503": found.unavailable,
        "other": sum(found.other.values()),
        "unknown": found.unknown,
        "not sent": found.not_sent,
    }
    table = _table("Orders", *(Column(name, justify="right") for name in counts))
    table.add_row(*(f"{count:,}" for count in counts.values()))
    return table


def _latencies(found: Report) -> Table:
    headings = ("orders", "avg", "P50", "P90", "P99", "P99.9", "max")
    columns = (Column(heading, justify="right", no_wrap=True) for heading in headings)
    table = _table("Milliseconds after the intended time of sending", "until", *columns)
    rows = {f"answer {name}": summary for name, summary in found.answers.items()} | found.settlements
    for name, summary in rows.items():
        figures = asdict(summary)
        count = figures.pop("count")
        table.add_row(name, f"{count:,}", *(f"{figure:,.1f}" for figure in figures.values()))
    return table


def _table(title: str, *columns: Column | str) -> Table:
    """Return a table that fits a terminal of 80 columns."""
    return Table(
        *columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True
    )


def _summaries(latencies: dict[str, Latencies]) -> dict[str, Summary]:
    return {name: each.summary() for name, each in sorted(latencies.items()) if each.count}


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
