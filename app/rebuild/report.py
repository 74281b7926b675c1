"""What a rebuild has come to, for people and as JSON."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from msgspec import to_builtins
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.errors import RebuildRefused
from app.rebuild.outcome import Outcome
from app.rebuild.plan import Plan
from models.rebuild.orders import Ground

WIDEST = 60


def show(outcome: Outcome, plan: Plan, console: Console) -> None:
    """Print what was rebuilt, and what it was asked for."""
    seconds = outcome.seconds["all"]
    console.print(
        f"{outcome.records:,} events in {seconds:.1f} s, {outcome.records / seconds:,.0f} a second,"
        f" with {plan.jobs} process{'' if plan.jobs == 1 else 'es'}"
    )
    if plan.order_id is not None or plan.sku is not None:
        _show_one(outcome, plan, console)
    else:
        console.print(_totals(outcome))
        if plan.until_ms is not None:
            console.print(_stock(outcome))
    for line in _notes(outcome, plan):
        console.print(line)
    if outcome.found:
        console.print(_differences(outcome))


def document(outcome: Outcome) -> dict[str, Any]:
    """Return all that was found out as JSON has it."""
    found: dict[str, Any] = to_builtins(outcome, str_keys=True)
    return {name: value for name, value in found.items() if name != "at_most"}


def write(outcome: Outcome, file: Path | None) -> None:
    """Write the document to a file, where there is to be one.

    Raises:
        RebuildRefused: the file can't be written.
    """
    if file is not None:
        try:
            file.write_bytes(orjson.dumps(document(outcome), option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise RebuildRefused(f"--json {file}: {error.strerror}") from error


def _totals(outcome: Outcome) -> Table:
    table = Table("what", "status", Column("rebuilt", justify="right"))
    counts: Mapping[str, Mapping[str, int]] = {
        "orders": outcome.orders,
        "payments": outcome.payments,
        "stock": outcome.stock,
    }
    for what, by_status in counts.items():
        for status, count in sorted(by_status.items()):
            table.add_row(what, status, f"{count:,}")
    return table


def _stock(outcome: Outcome) -> Table:
    names = ("available", "reserved", "sold", "restocked")
    table = Table("SKU", *(Column(name, justify="right") for name in names))
    for item in outcome.items:
        table.add_row(item.sku, *(f"{getattr(item, name):,}" for name in names))
    return table


def _show_one(outcome: Outcome, plan: Plan, console: Console) -> None:
    found = outcome.shown if plan.sku is None else outcome.items
    if not found:
        console.print("there is no such order" if plan.sku is None else "there is no such SKU")
    for each in found:
        console.print_json(orjson.dumps(to_builtins(each), option=orjson.OPT_INDENT_2).decode())


def _notes(outcome: Outcome, plan: Plan) -> Iterator[str]:
    if proved := outcome.grounds[Ground.PROVED.name]:
        yield f"{proved:,} orders came about in another order of their events than the log's, as they said"
    for table, count in outcome.open_order.items():
        if count:
            yield f"{count:,} rows of {table} came about in an order that only they tell, and that may be"
    if outcome.left_out:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(outcome.left_out.items()))
        yield f"not quiet: {counts} in flight were left out"
    if outcome.unreadable:
        yield f"{outcome.unreadable:,} records can't be read, and were passed over"
    if plan.write is not None:
        yield f"{outcome.written:,} rows of {plan.write} are written"
    elif plan.live and not outcome.found:
        yield f"the live tables are the same ({outcome.live_records:,} records of changelogs)"


def _differences(outcome: Outcome) -> Table:
    count = sum(outcome.found.values())
    more = count - len(outcome.differences)
    title = f"{count:,} differences" + (f", {more:,} of them not shown" if more else "")
    table = Table("table", "row", "field", "rebuilt", "live", title=title)
    for each in outcome.differences:
        cells = (each.table, each.row, each.field, _short(each.rebuilt), _short(each.live))
        table.add_row(*map(Text, cells))
    return table


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
