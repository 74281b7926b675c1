"""One trial of the reference pipeline: one engine, started, warmed up, given a burst, then a steady rate."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import Failure
from bench import accounting, pipeline
from bench.engines import Engine
from bench.figures import per_order_us
from bench.load import Generator
from bench.measures import Outcome, Size, burst_figures, latency_figures
from bench.process import ROOT, EngineProcess
from bench.scenario import Bench
from bench.watcher import Watcher

READY_S = 60.0
WARM_UP_S = 60.0
BURST_S = 90.0
SETTLE_S = 30.0
COMMIT_S = 15.0
"""Bounds of a trial's parts; Quix Streams commits every 5 s, Faust every 2.8 s."""

LOOK_EVERY_S = 0.05


@dataclass
class Trial:
    """Take one engine through its parts; `figures` and `notes` fill up on the way."""

    bench: Bench
    engine: Engine
    size: Size
    scratch: Path
    log: Path
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Run the trial within its bounds of time.

        Raises:
            Failure: the engine can't start, or ends by itself.
        """
        self._watcher = Watcher(self.bench.broker.bootstrap)
        self._generator = Generator(self.bench.broker.bootstrap)
        self._watcher.start_over(self.engine)
        with self._start() as process:
            self._process = process
            process.wait_ready(READY_S)
            self.details = process.details()
            self._warm_up()
            # An engine that is not done with its burst in time would not keep up with the rest either.
            in_time = self._burst() and self._steady()
            self.figures["peak_rss_mib"] = process.peak_rss_mib
            if code := process.stop():
                self.notes.append(f"it ended with code {code}")
        if in_time:
            self._verify(self._watcher.outcomes())

    @property
    def _burst_numbers(self) -> range:
        return range(self.size.warm_up, self.size.warm_up + self.size.burst)

    def _start(self) -> EngineProcess:
        python = ROOT / self.engine.venv / "bin" / "python"
        if not python.exists():
            raise Failure(f"{self.engine.name} needs {self.engine.venv}: run it through `make bench`")
        return EngineProcess(
            python,
            self.engine.module,
            "--broker",
            self.bench.broker.bootstrap,
            "--state-dir",
            str(self.scratch),
            log=self.log,
        )

    def _warm_up(self) -> None:
        self._placed = range(self.size.warm_up)
        self._generator.burst(self._placed)
        if not self._in_time("warm-up", WARM_UP_S):
            raise Failure(f"{self.engine.name} can't be measured")

    def _burst(self) -> bool:
        """Have all orders waiting when the engine goes on; tell whether it was done in time.

        The engine is paused meanwhile. CPU is read when every input is committed, not before: an engine may
        still owe its changelogs when the last event is out.
        """
        numbers = self._burst_numbers
        self._placed = range(numbers.stop)
        self._process.pause()
        try:
            self._generator.burst(numbers)
            before = self._cpu_s()
        finally:
            start_s = time.time()
            self._process.resume()
        if not self._in_time("burst", BURST_S):
            return False
        self._note_cpu("", before, len(numbers))
        self.figures |= burst_figures(self._watcher.outcomes(), numbers, start_s)
        return True

    def _steady(self) -> bool:
        numbers = range(self._burst_numbers.stop, self.size.total)
        before = self._cpu_s()
        self._placed = range(numbers.stop)
        intended = self._generator.steady(numbers, self.size.rate)
        if not self._in_time("steady part", SETTLE_S):
            return False
        self._note_cpu("steady_", before, len(numbers))
        self.figures |= latency_figures(self._watcher.outcomes(), intended)
        return True

    def _cpu_s(self) -> tuple[float, float]:
        return self._process.cpu_s, accounting.cpu_s(self.bench.broker.pid)

    def _note_cpu(self, part: str, before: tuple[float, float], orders: int) -> None:
        worker, broker = self._cpu_s()
        self.figures[f"{part}worker_us"] = per_order_us(worker - before[0], orders)
        self.figures[f"{part}broker_us"] = per_order_us(broker - before[1], orders)

    def _in_time(self, part: str, timeout_s: float) -> bool:
        if self._settled(len(self._placed), timeout_s):
            return True
        count = self._watcher.count([pipeline.ORDER_COMPLETED])
        self.notes.append(f"{part}: {count:,} of {len(self._placed):,} orders after {timeout_s:.0f} s")
        return False

    def _settled(self, orders: int, timeout_s: float) -> bool:
        """Wait until so many terminal events are there and all inputs are committed."""
        deadline = time.monotonic() + timeout_s
        while self._watcher.count([pipeline.ORDER_COMPLETED]) < orders:
            self._process.require()
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_EVERY_S)
        deadline = time.monotonic() + COMMIT_S
        while not self._watcher.is_committed(self.engine.group):
            if time.monotonic() > deadline:
                self.notes.append(f"inputs are not committed {COMMIT_S:.0f} s after the last event")
                return True
            time.sleep(LOOK_EVERY_S)
        return True

    def _verify(self, outcomes: list[Outcome]) -> None:
        """Hold what was completed against what was placed."""
        completed = [outcome.number for outcome in outcomes]
        distinct = set(completed)
        self.figures["duplicates"] = len(completed) - len(distinct)
        self.figures["missing"] = len(set(self._placed) - distinct)
        if strange := distinct - set(self._placed):
            self.notes.append(f"{len(strange)} orders were completed that nobody has placed")
        if self.figures["missing"]:
            self.notes.append(f"{self.figures['missing']:.0f} orders were not completed")
