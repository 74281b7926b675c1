"""What `python -m app audit` does."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from app.audit.book import Book
from app.audit.facts import Limits
from app.audit.metrics import Metrics, served
from app.audit.reading import Reader
from app.audit.report import Report, report, show
from app.audit.tables import LOOK_AGAIN_S, LOOKS, Comparison
from app.errors import AuditRefused, BrokerUnavailable, Failure
from app.scratch import Scratch
from app.settings import Settings
from app.stopping import stoppable

CLEAN, OFFENCES = 0, 1
TICKS = 1_000
MARGIN = timedelta(minutes=5)
"""What an order may take beyond its waits: to be found overdue, and to give back its stock and its money.

That has no deadline, as it is never given up; and nobody finds an order overdue while no worker has it.
"""

SKEW = timedelta(seconds=10)
"""How far the clocks of several brokers may differ."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Be how an audit is made; `every_s` is None for one that does not go on.

    Where no deadline is given, it is what the settings come to.
    """

    deadline: timedelta | None = None
    at_rest: bool = False
    worker: str | None = None
    every_s: float | None = None
    metrics_port: int | None = None
    metrics_bind: str = "127.0.0.1"
    at_most: int = 20
    scratch: Path | None = None
    json: Path | None = None


def deadline_of(settings: Settings) -> timedelta:
    """Return how long an order may take to end: its stock, its payment, and a margin."""
    saga = settings.saga
    return timedelta(milliseconds=saga.pending_ms + saga.paying_ms) + MARGIN


class Stopped(Exception):  # noqa: N818  # no fault: somebody has pressed Ctrl-C
    """Say that the work is to end where it is."""


class Audit:
    """Look at the topics, once or again and again; `deadline` is what an order has to end."""

    def __init__(self, settings: Settings, options: Options, scratch: Scratch, stop: threading.Event) -> None:
        self.deadline = options.deadline or deadline_of(settings)
        self._options = options
        self._stop = stop
        self._reader = Reader(settings)
        self._skew = timedelta()
        self.book = Book(scratch, self._tick, settings.partitions)
        self._comparison = Comparison(options.worker, self.book, scratch) if options.worker else None
        self._ticks = 0
        self._tell: Callable[[int], None] = lambda _: None

    def begin(self) -> None:
        """Make sure that there is something to audit.

        Raises:
            Failure: Kafka does not answer, or the topics are not as they must be.
        """
        self._reader.begin()
        if self._reader.brokers() > 1:
            self._skew = SKEW

    def close(self) -> None:
        """Let go of Kafka."""
        self._reader.close()

    def look(self, progress: Progress) -> Report:
        """Read on to where the topics end now, judge what is new or due, and return what stands.

        Raises:
            Stopped: somebody wants it to end.
            Failure: Kafka or the worker does not answer.
        """
        now = datetime.now(UTC)
        judged = self._reader.ends()
        ends = self._reader.ends()
        self._read(ends, progress)
        options = self._options
        limits = Limits(now=now, deadline=self.deadline, skew=self._skew, at_rest=options.at_rest)
        with _bar(progress, "judged", self.book.totals.records) as update:
            self._tell = update
            self.book.judged = 0
            self.book.judge(limits, judged)
        if self._comparison is not None:
            with _bar(progress, "compared", None):
                asyncio.run(self._comparison.compare(self._stop.is_set))
            self._tick()
        offenders = self.book.offences(options.at_most)
        compared = self._comparison.counts if self._comparison else None
        return report(self.book.totals, offenders, compared)

    @property
    def moving(self) -> int:
        """Return how many rows of tables have to be looked at again."""
        return self._comparison.counts.moving if self._comparison else 0

    def _read(self, ends: dict[tuple[str, int], int], progress: Progress) -> None:
        wanted = self._reader.behind(ends)
        with _bar(progress, "read", wanted) as update:
            for records in self._reader.read(ends):
                if self._stop.is_set():
                    raise Stopped
                self.book.take(records)
                update(wanted - self._reader.behind(ends))

    def _tick(self) -> None:
        if self._stop.is_set():
            raise Stopped
        self._ticks += 1
        if self._ticks % TICKS == 0:  # to move the bar takes longer than to judge an order
            self._tell(self.book.judged)


class Watch:
    """Look whenever told to, say what has changed, and outlast a Kafka or a worker that is away.

    `found` is what stood at the last complete look, None before the first.
    """

    def __init__(self, audit: Audit, metrics: Metrics, console: Console) -> None:
        self.found: Report | None = None
        self._audit = audit
        self._metrics = metrics
        self._console = console
        self._is_away = False

    def look(self) -> None:
        """Look once; a look that fails leaves what it has not come to for the next.

        Raises:
            Stopped: somebody wants it to end.
        """
        began = time.monotonic()
        try:
            with _shown(self._console) as progress:
                found = self._audit.look(progress)
        except (BrokerUnavailable, AuditRefused) as failure:
            self._failed(failure)
        else:
            self._succeeded(found, time.monotonic() - began)

    def _failed(self, failure: Failure) -> None:
        self._metrics.fail()
        if not self._is_away:
            self._say(f"[yellow]{escape(str(failure))}; it is tried again[/]")
        self._is_away = True

    def _succeeded(self, found: Report, took_s: float) -> None:
        self._metrics.set(found, took_s)
        if self._is_away:
            self._say("All answer again, and nothing was left out")
        self._is_away = False
        if self.found is None or found.offences != self.found.offences:
            show(found, self._console)
        self.found = found

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def run(settings: Settings, options: Options) -> int:
    """Audit the topics, show what was found, and return 0 if that is nothing.

    Raises:
        Failure: there is nothing to audit, or it could not be done to its end.
    """
    console = Console()
    with stoppable() as stop, Scratch(options.scratch) as scratch:
        audit = Audit(settings, options, scratch, stop)
        try:
            audit.begin()
            found = _follow(audit, options, console, stop) if options.every_s else _once(audit, console, stop)
        finally:
            audit.close()
    show(found, console)
    _write(found, options.json)
    return CLEAN if found.is_clean else OFFENCES


def _once(audit: Audit, console: Console, stop: threading.Event) -> Report:
    """Look once, and again at what differed between topics and tables."""
    try:
        with _shown(console) as progress:
            found = audit.look(progress)
            for _ in range(LOOKS - 1):
                if not audit.moving or stop.wait(LOOK_AGAIN_S):
                    break
                found = audit.look(progress)
    except Stopped:
        raise AuditRefused("it was interrupted, and has no result") from None
    return found


def _follow(audit: Audit, options: Options, console: Console, stop: threading.Event) -> Report:
    """Look again and again until told to stop, and return what stood at the last complete look."""
    metrics = Metrics()
    watch = Watch(audit, metrics, console)
    with served(metrics, options.metrics_port, options.metrics_bind), suppress(Stopped):
        while not stop.is_set():
            watch.look()
            stop.wait(options.every_s)
    if watch.found is None:
        raise AuditRefused("it was interrupted, and has no result")
    return watch.found


def _write(found: Report, file: Path | None) -> None:
    if file is not None:
        try:
            file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise AuditRefused(f"--json {file}: {error.strerror}") from error


@contextmanager
def _shown(console: Console) -> Iterator[Progress]:
    columns = (TextColumn(" {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    quiet = not console.is_terminal  # a log would get an empty line with every look
    with Progress(*columns, console=console, refresh_per_second=2, transient=True, disable=quiet) as progress:
        yield progress


@contextmanager
def _bar(progress: Progress, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show one bar, and give what moves it."""
    task: TaskID = progress.add_task(what, total=total)
    yield lambda done: progress.update(task, completed=done)
    progress.update(task, completed=progress.tasks[task].completed if total is None else total)
