"""What `python -m app rebuild` does."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app import topics
from app.errors import Failure, RebuildRefused, ScratchRefused
from app.offsets import Offsets
from app.rebuild.layout import CHANGELOGS, TOPICS
from app.rebuild.outcome import Outcome
from app.rebuild.part import Shared, work
from app.rebuild.plan import Plan
from app.rebuild.reading import Span, Spans, size
from app.rebuild.report import show, write
from app.settings import Settings
from app.stopping import stoppable
from app.topics import DEAD_LETTERS, changelog_of
from models.commands import RequestInventory

SAME, DIFFERENCES = 0, 1
LOOK_S = 0.2
INTERRUPTED = "it was interrupted, and has no result"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Be how a rebuild is made."""

    jobs: int
    until: datetime | None = None
    order_id: str | None = None
    sku: str | None = None
    write: str | None = None
    at_most: int = 20
    scratch: Path | None = None
    keep: Path | None = None
    json: Path | None = None

    @property
    def compares(self) -> bool:
        """Tell whether the live tables are looked at."""
        return self.until is None and self.write is None and self.order_id is None and self.sku is None


def run(settings: Settings, options: Options) -> int:
    """Rebuild, show what came of it, and return 0 unless something differs or can't be explained.

    Raises:
        Failure: it could not be done to its end.
    """
    console = Console()
    topics.require(settings)
    began = time.monotonic()
    with stoppable() as stop, _folder(options) as folder:
        plan = plan_of(settings, options, folder)
        outcome = _work(plan, stop, console)
    outcome.seconds["all"] = time.monotonic() - began
    show(outcome, plan, console)
    write(outcome, options.json)
    return DIFFERENCES if outcome.found else SAME


def plan_of(settings: Settings, options: Options, folder: Path) -> Plan:
    """Find out what there is to read; in this order, so that what has no input in flight stands still.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        RebuildRefused: rows can't be written into the changelog as it is, or while workers are there.
    """
    offsets = Offsets(settings)
    if options.write is not None:
        _require_lost(offsets, settings, options.write)
    committed = offsets.committed()
    live = _spans(offsets, settings, tuple(CHANGELOGS)) if options.compares else {}
    read = _spans(offsets, settings, TOPICS)
    for place, span in read.items():
        if place[0] == RequestInventory.type:
            read[place] = Span(min(committed.get(place, 0), span.end), span.end)
    return Plan(
        settings=settings,
        jobs=min(options.jobs, settings.partitions),
        folder=folder,
        topics=read,
        letters=_spans(offsets, settings, (DEAD_LETTERS,)),
        live=live,
        committed=committed,
        until_ms=None if options.until is None else round(options.until.timestamp() * 1000),
        order_id=options.order_id,
        sku=options.sku,
        write=options.write,
        keep=options.keep is not None,
        at_most=options.at_most,
    )


def _require_lost(offsets: Offsets, settings: Settings, table: str) -> None:
    """Make sure that nothing is overwritten, and that nobody works on the table."""
    changelog = changelog_of(table)
    if members := offsets.members():
        raise RebuildRefused(
            f"workers are running, or were less than kafka.session_timeout_ms ago: {', '.join(members)};"
            f" stop them all, and wait, before {changelog} is written"
        )
    spans = _spans(offsets, settings, (changelog,))
    if records := size(spans):
        raise RebuildRefused(
            f"{changelog} is not empty: it has {records} records. Only a table that was lost altogether is"
            " put back: delete the topic and create it with `python -m app topics` first"
        )


def _spans(offsets: Offsets, settings: Settings, names: tuple[str, ...]) -> dict[tuple[str, int], Span]:
    places = [(name, number) for name in names for number in range(settings.partitions)]
    return {place: Span(0, end) for place, end in offsets.ends(places).items()}


def _work(plan: Plan, stop: threading.Event, console: Console) -> Outcome:
    """Have all processes do their share, and add up what came of it."""
    context = multiprocessing.get_context("spawn")
    shared = Shared(context.Barrier(plan.jobs), context.Event(), context.Array("Q", plan.jobs))
    answers: dict[Connection[Any, Any], Any] = {}
    for job in range(plan.jobs):
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(plan, job, shared, its), daemon=True)
        process.start()
        its.close()
        answers[mine] = process
    try:
        return _gather(plan, answers, shared, stop, console)
    finally:
        shared.stop.set()
        shared.barrier.abort()
        for process in answers.values():
            process.join()


def _gather(
    plan: Plan,
    answers: "dict[Connection[Any, Any], Any]",
    shared: Shared,
    stop: threading.Event,
    console: Console,
) -> Outcome:
    outcome, left = Outcome(at_most=plan.at_most), set(answers)
    with _bar(console, _total((plan.topics, plan.letters, plan.live))) as update:
        while left:
            for answer in wait(list(left), LOOK_S):
                left.discard(answer)
                outcome.add(_received(answer))
            update(sum(shared.done))
            if stop.is_set():
                raise RebuildRefused(INTERRUPTED)
    return outcome


def _received(answer: Any) -> Outcome:
    try:
        received = answer.recv()
    except EOFError:
        raise RebuildRefused("a process of it ended before its time; what it said is above") from None
    if isinstance(received, Failure):
        raise received
    if not isinstance(received, Outcome):
        raise RebuildRefused(INTERRUPTED)
    return received


def _total(read: tuple[Spans, ...]) -> int:
    return sum(map(size, read))


@contextmanager
def _folder(options: Options) -> Iterator[Path]:
    """Give a folder for the scratch stores, which is gone afterwards unless it is to be kept."""
    parent = options.keep or options.scratch
    try:
        folder = Path(mkdtemp(prefix="order-saga-rebuild-", dir=parent))
    except OSError as error:
        raise ScratchRefused(f"--scratch {parent}: {error.strerror}") from error
    try:
        yield folder
    finally:
        if options.keep is None:
            rmtree(folder, ignore_errors=True)


@contextmanager
def _bar(console: Console, total: int) -> Iterator[Any]:
    columns = (TextColumn(" {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, refresh_per_second=5, transient=True, disable=quiet) as progress:
        task = progress.add_task("records", total=total)
        yield lambda done: progress.update(task, completed=done)
