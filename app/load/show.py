"""What `python -m app load` does."""

import asyncio
import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.errors import LoadRefused
from app.load.report import report, show
from app.load.run import Options, Run
from app.settings import Settings

UNSETTLED = 1
SHOW_EVERY_S = 0.25
SWITCH_S = 0.0005


def run(settings: Settings, options: Options, json: Path | None = None) -> int:
    """Run a load, show what it came to, and return 0 if every accepted order is settled.

    Raises:
        Failure: there is nobody to send to, or the stock or Kafka is not there.
    """
    console = Console()
    load = Run(options, settings)
    with _undisturbed():
        interrupted = uvloop.run(_execute(load, console))
        found = report(load, interrupted=interrupted)
    show(found, console)
    if json is not None:
        try:
            json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise LoadRefused(f"--json {json}: {error.strerror}") from error
    return UNSETTLED if found.unsettled and not interrupted else 0


async def _execute(load: Run, console: Console) -> bool:
    """Return whether the run was interrupted."""
    work = asyncio.ensure_future(load.execute())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    columns = (TextColumn(" {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        while not work.done():
            _update(progress, load)
            await asyncio.wait([work], timeout=SHOW_EVERY_S)
        _update(progress, load)
    if work.cancelled():
        return True
    work.result()
    return False


def _update(progress: Progress, load: Run) -> None:
    tally, settlements = load.tally, load.settlements
    bars = {load.doing: (tally.offered, load.expected), "answered": (tally.statuses.total(), load.expected)}
    if load.options.settle:
        bars["settled"] = (settlements.count, max(tally.accepted, 1))
    for number, (what, (done, total)) in enumerate(bars.items()):
        if number == len(progress.tasks):
            progress.add_task(what)
        progress.update(progress.task_ids[number], description=what, completed=done, total=total)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the sending of orders from being held up by the rest of this process.

    Another thread (the screen's, Kafka's) would hold the interpreter ten times longer, and the collector
    would look through all that was imported, again and again.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
