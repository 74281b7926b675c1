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
SETTLE_S = 20.0
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
        self._watcher.start_over(self.engine.group)
        with self._start() as process:
            self._process = process
            process.wait_ready(READY_S)
            self.details = process.details()
            self._warm_up()
            done_s = self._burst()
            intended = self._steady()
            self.figures["peak_rss_mib"] = process.peak_rss_mib
            if code := process.stop():
                self.notes.append(f"it ended with code {code}")
        outcomes = self._watcher.outcomes()
        self.figures |= burst_figures(outcomes, self._burst_numbers, done_s)
        self.figures |= latency_figures(outcomes, intended)
        self._verify(outcomes)

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
        self._generator.burst(range(self.size.warm_up))
        if not self._settled(self.size.warm_up, WARM_UP_S):
            raise Failure(f"{self.engine.name} has not settled its warm-up within {WARM_UP_S:.0f} s")

    def _burst(self) -> float:
        """Have all orders waiting when the engine goes on; return when it did (Unix time).

        The engine is paused meanwhile. CPU is read when every input is committed, not before: an engine may
        still owe its changelogs when the last event is out.
        """
        self._process.pause()
        try:
            self._generator.burst(self._burst_numbers)
            before = self._cpu_s()
        finally:
            start = time.time()
            self._process.resume()
        self._settle("burst", self._burst_numbers.stop, BURST_S)
        self._note_cpu("", before, self.size.burst)
        return start

    def _steady(self) -> dict[int, float]:
        numbers = range(self._burst_numbers.stop, self.size.total)
        before = self._cpu_s()
        intended = self._generator.steady(numbers, self.size.rate)
        self._settle("steady part", self.size.total, SETTLE_S)
        self._note_cpu("steady_", before, self.size.steady)
        return intended

    def _cpu_s(self) -> tuple[float, float]:
        return self._process.cpu_s, accounting.cpu_s(self.bench.broker.pid)

    def _note_cpu(self, part: str, before: tuple[float, float], orders: int) -> None:
        worker, broker = self._cpu_s()
        self.figures[f"{part}worker_us"] = per_order_us(worker - before[0], orders)
        self.figures[f"{part}broker_us"] = per_order_us(broker - before[1], orders)

    def _settle(self, part: str, orders: int, timeout_s: float) -> None:
        if not self._settled(orders, timeout_s):
            count = self._watcher.count([pipeline.ORDER_COMPLETED])
            raise Failure(f"{part}: {count:,} of {orders:,} orders after {timeout_s:.0f} s")

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
        self.figures["missing"] = len(set(range(self.size.total)) - distinct)
        if strange := distinct - set(range(self.size.total)):
            self.notes.append(f"{len(strange)} orders were completed that nobody has placed")
        if self.figures["missing"]:
            self.notes.append(f"{self.figures['missing']:.0f} orders were not completed")
