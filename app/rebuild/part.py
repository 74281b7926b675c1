"""One process of a rebuild: sorts its partitions into a store of its own, and makes them anew."""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import BrokenBarrierError
from typing import Any

from app.errors import Failure
from app.processes import die_with_parent
from app.rebuild.folding import Folding
from app.rebuild.mail import Mail, collect
from app.rebuild.outcome import Outcome
from app.rebuild.plan import Plan
from app.rebuild.reading import Spans, read
from app.rebuild.sorting import Sorting
from app.rebuild.writing import Writing
from app.scratch import Scratch
from app.topics import changelog_of

TICKS = 2_000
GARBAGE = 100_000
"""How many objects are made between two looks for cycles: an order makes many, and none is in a cycle."""


class Stopped(Exception):  # noqa: N818  # no fault: somebody has pressed Ctrl-C
    """Say that the work is to end where it is."""


@dataclass(frozen=True)
class Shared:
    """Be what the processes have in common: where they meet, what stops them, and how far each has come."""

    barrier: Any
    stop: Any
    done: Any


def work(plan: Plan, job: int, shared: Shared, answer: "Connection[Any, Any]") -> None:
    """Do one process's share, and answer with its outcome, or with the failure that kept it from one."""
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent says when to stop
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    try:
        answer.send(Part(plan, job, shared).run())
    except (Stopped, BrokenBarrierError):
        answer.send(None)
    except Failure as failure:
        shared.barrier.abort()
        answer.send(failure)


class Part:
    """Rebuild the partitions of one process."""

    def __init__(self, plan: Plan, job: int, shared: Shared) -> None:
        self._plan = plan
        self._job = job
        self._shared = shared
        self._ticks = 0
        self._told = 0
        self.outcome = Outcome(at_most=plan.at_most)

    def run(self) -> Outcome:
        """Read, sort, make anew and compare or write.

        Raises:
            Stopped: somebody wants it to end.
            Failure: Kafka or the disk does not do its part.
        """
        plan = self._plan
        with Scratch(plan.folder, name=f"rebuild-{self._job}", once=True, keep=plan.keep) as scratch:
            self._sort(scratch)
            with self._timed("fold"):
                self._fold(scratch)
        return self.outcome

    def _sort(self, scratch: Scratch) -> None:
        plan, outcome = self._plan, self.outcome
        with Mail(plan.folder, self._job, plan.jobs) as mail:
            sorting = Sorting(plan, self._job, scratch, mail)
            self._read(plan.letters, sorting.bury)
            with self._timed("read"):
                self._read(plan.topics, sorting.take)
        self._shared.barrier.wait()
        with self._timed("sort"):
            for key, value in collect(plan.folder, self._job, plan.jobs):
                scratch.put(key, value)
        with self._timed("read live rows"):
            outcome.live_records = self._read(plan.live, sorting.take_live)
        scratch.flush()
        outcome.records, outcome.unreadable = sorting.records, sorting.unreadable

    def _fold(self, scratch: Scratch) -> None:
        plan = self._plan
        writing = None if plan.write is None else Writing(plan.settings, changelog_of(plan.write))
        put = _put_nowhere if writing is None else writing.put
        Folding(plan, scratch, self.outcome, self._tick, put).fold()
        if writing is not None:
            writing.close(plan.mine(self._job))
            self.outcome.written = writing.rows

    def _read(self, spans: Spans, take: Callable[[Any], None]) -> int:
        count = 0
        for records in read(self._plan.settings, self._plan.spans(spans, self._job)):
            take(records)
            count += len(records)
            self._tell(len(records))
        return count

    def _tick(self, count: int) -> None:
        self._ticks += count
        if self._ticks >= TICKS:
            self._tell(0)
            self._ticks = 0

    def _tell(self, count: int) -> None:
        """Say how far this has come.

        Raises:
            Stopped: somebody wants it to end.
        """
        if self._shared.stop.is_set():
            raise Stopped
        self._shared.done[self._job] += count

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.outcome.seconds[phase] = time.monotonic() - began


def _put_nowhere(_partition: int, _key: bytes, _value: bytes) -> None:
    """Write nothing."""
