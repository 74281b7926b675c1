"""What the demo shows: progress while it runs, then every order, the stock, and where to look."""

import asyncio
import signal
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median

import aiohttp
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.demo import findings, stock
from app.demo.customers import Customers, Outcome, Stock
from app.demo.findings import Finding
from app.demo.outside import hear
from app.demo.rebuilding import rebuild
from app.demo.statistics import Reckon, Statistics, auditing
from app.demo.system import Running, system
from app.settings import Settings, current

STYLES = {"COMPLETED": "green", "CANCELLED": "yellow"}
UNHAPPY = 1


def run(*, orders: int, exit_when_settled: bool) -> int:
    """Show the demo and return the exit code: 0 once every order is settled and every promise was kept."""
    console = Console()
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as parts:
            with console.status("Starting Kafka, the payment provider and the workers"):
                running = parts.enter_context(system(current(), partial(findings.done, console=console)))
            return _show(console, running, orders, exit_when_settled=exit_when_settled)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)


def _show(console: Console, running: Running, orders: int, *, exit_when_settled: bool) -> int:
    with auditing(_settings(running)) as reckon:
        outcomes, after, found = asyncio.run(_order_all(console, running, orders, reckon))
    console.print(_orders_table(outcomes))
    console.print(_summary_table(outcomes))
    console.print(_stock_table(after))
    with console.status("Rebuilding the states from the topics"):
        rebuilt = rebuild(running, orders)
    code = conclude([*found, rebuilt], console)
    if code == 0 and not exit_when_settled:
        _tell_where_to_look(console, running, outcomes[0])
        signal.pause()
    return code


def conclude(found: Iterable[Finding], console: Console) -> int:
    """Show every finding, and return the exit code: 0 unless something differs."""
    shown = [*found]
    for finding in shown:
        findings.show(finding, console)
    return 0 if all(finding.is_kept for finding in shown) else UNHAPPY


def _settings(running: Running) -> Settings:
    return current().model_copy(update={"broker": running.bootstrap})


async def _order_all(
    console: Console, running: Running, count: int, reckon: Reckon
) -> tuple[list[Outcome], list[Stock], list[Finding]]:
    """Return the orders in the order of their numbers, the stock after them, and what was found out."""
    async with aiohttp.ClientSession() as session:
        customers = Customers(session, running.worker_urls)
        await customers.restock()
        before = await customers.stocks()
        findings.done(f"{len(before)} SKUs are in stock", console)
        statistics = Statistics(session, running.worker_urls[-1], reckon)
        known = await statistics.begin()
        outcomes = await _served(console, customers, count)
        after = await customers.stocks()
        compared = await statistics.compare(known, count)
        heard = await hear(session, running, outcomes)
        return outcomes, after, [stock.check(outcomes, before, after), *heard, compared]


async def _served(console: Console, customers: Customers, count: int) -> list[Outcome]:
    columns = (TextColumn(" {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    outcomes = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("orders settled", total=count)
        async for outcome in customers.buy_all(count):
            outcomes.append(outcome)
            progress.advance(task)
    return sorted(outcomes, key=lambda outcome: outcome.number)


def _orders_table(outcomes: Sequence[Outcome]) -> Table:
    table = _table("Orders (the end of each id)")
    table.add_column("#", justify="right", no_wrap=True, min_width=3)
    for heading in ("order", "payment", "status", "reason"):
        table.add_column(heading, no_wrap=True)
    table.add_column("settled in", justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            str(outcome.number),
            outcome.order_id[-8:],
            outcome.token,
            f"[{STYLES[outcome.status]}]{outcome.status}[/]",
            outcome.reason or "",
            f"{outcome.waited_s * 1000:,.0f} ms",
        )
    return table


def _summary_table(outcomes: Sequence[Outcome]) -> Table:
    table = _table("How they ended")
    table.add_column("status")
    table.add_column("reason")
    for heading in ("orders", "fastest", "median", "slowest"):
        table.add_column(heading, justify="right")
    endings = sorted({(outcome.status, outcome.reason or "") for outcome in outcomes}, reverse=True)
    for status, reason in endings:
        waits = sorted(
            outcome.waited_s
            for outcome in outcomes
            if (outcome.status, outcome.reason or "") == (status, reason)
        )
        figures = (f"{wait * 1000:,.0f} ms" for wait in (waits[0], median(waits), waits[-1]))
        table.add_row(f"[{STYLES[status]}]{status}[/]", reason, str(len(waits)), *figures)
    return table


def _stock_table(stocks: Iterable[Stock]) -> Table:
    table = _table("Stock")
    table.add_column("SKU")
    for heading in ("restocked", "available", "reserved", "sold"):
        table.add_column(heading, justify="right")
    for each in stocks:
        counters = (each.restocked, each.available, each.reserved, each.sold)
        table.add_row(each.sku, *(str(counter) for counter in counters))
    return table


def _table(title: str) -> Table:
    """Return a table that fits a terminal of 80 columns."""
    return Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True)


def _tell_where_to_look(console: Console, running: Running, outcome: Outcome) -> None:
    url = running.worker_urls[0]
    console.print("Look around, on either worker; Ctrl-C stops everything:")
    for path in (
        f"{url}/orders/{outcome.order_id}",
        f"{url}/orders/{outcome.order_id}/events",
        f"{url}/inventory",
        f"{url}/analytics/summary",
        f"{url}/health/ready",
        f"{running.provider_url}/charges",
        f"{running.provider_url}/transfers",
        f"{running.logs}",
    ):
        console.print(f"  {path}", soft_wrap=True, highlight=False)
