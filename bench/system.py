"""The whole system for a scenario: topics, the simulator and its workers, all real processes."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
from confluent_kafka import Producer

from app import topics
from app.errors import Failure
from app.processes import Command
from app.settings import load
from app.stages import SEPARATOR, group_of
from bench import accounting
from bench.kafka import Kafka
from bench.orders import INPUTS, READ_BY, Record
from bench.process import ROOT
from bench.scenario import Bench
from models.events import OrderCancelled, OrderCompleted, OrderCreated

HOST = "127.0.0.1"
STAGES = ("orders", "inventory", "payments")
"""What the worker runs: the saga. What comes after an order's end can run apart, and does not keep it."""

GROUP = group_of(STAGES)

PLACED = (OrderCreated.type,)
ENDS = (OrderCompleted.type, OrderCancelled.type)

START_S = 60.0
FLUSH_S = 60.0
LOOK_EVERY_S = 0.1
POLL_EVERY = 10_000
PATIENCE_MS = "3600000"
"""How long an order may wait; more than any scenario takes."""


class Cpu(NamedTuple):
    """Be the CPU time used so far, in seconds; `worker` is that of all workers, `machine` everybody's."""

    worker: float
    simulator: float
    broker: float
    machine: float

    def since(self, before: "Cpu") -> "Cpu":
        """Return what was used since then."""
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))


class System:
    """Be one system on the scenario's broker, with topics of its own; as a context manager, gone in the end.

    It has one worker that runs the whole saga, unless `share` gives it several. None is running before
    `start_worker` or `share`. The provider's ledger is on disk only where it is to
    outlive the provider: each charge waits for the disk then.
    """

    def __init__(self, bench: Bench, name: str, *, outlives: bool = False) -> None:
        self._bench = bench
        self._folder = bench.scratch / name
        self._logs = bench.logs / name
        # The file's settings, so that what is measured is what a user gets.
        self.settings = load(ROOT / "faust.yml").model_copy(update={"broker": bench.broker.bootstrap})
        self.kafka = Kafka(bench.broker.bootstrap, self.settings.partitions)
        self.provider_url = new_url()
        self.url = worker_url("worker")
        self.exit_codes: list[int | None] = []
        ledger = ("--ledger", f"{self._folder}.ledger") if outlives else ()
        self._simulator = self.simulator("simulator", self.provider_url, *ledger)
        self._worker = self._new_worker()
        self._others: list[Command] = []
        self._groups: Mapping[str, Sequence[str]] = {GROUP: INPUTS}
        self.stock_url = self.url  # where the worker is that has the inventory

    def __enter__(self) -> Self:
        """Begin with new topics and an empty ledger.

        Raises:
            Failure: a part does not start.
        """
        self.kafka.delete_topics()
        topics.ensure(self.settings)
        self.kafka.await_no_offsets(GROUP, INPUTS)
        self.start_provider()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for command in (*self._workers, self._simulator):
            command.kill()

    @property
    def worker(self) -> Command:
        """Return the worker's process."""
        return self._worker

    @property
    def worker_log(self) -> Path:
        """Return the file that has what every worker of this system wrote."""
        return self._worker.log

    def start_worker(self, timeout_s: float = START_S) -> float:
        """Start the worker, and return how many seconds it took until it was ready.

        Raises:
            Failure: it was not in time.
        """
        self._worker = self._new_worker()
        start = time.monotonic()
        self._worker.start()
        self._worker.wait_for(f"{self.url}/health/ready", timeout_s)
        return time.monotonic() - start

    def share(self, shares: Sequence[Collection[str]]) -> None:
        """Start a worker for each share of the stages, in place of the one of all; the first is at `url`.

        Raises:
            Failure: one was not ready in time.
        """
        self._groups = {
            group_of(stages): tuple(chain.from_iterable(READ_BY[stage] for stage in stages))
            for stages in shares
        }
        for group, inputs in self._groups.items():
            self.kafka.await_no_offsets(group, inputs)
        self._worker = self._new_worker(stages=shares[0])
        names = [f"worker-{number}" for number in range(2, len(shares) + 1)]
        self._others = [self._new_worker(*each) for each in zip(names, shares[1:], strict=True)]
        urls = (self.url, *map(worker_url, names))
        for worker in self._workers:
            worker.start()
        self.stock_url = next(url for url, stages in zip(urls, shares, strict=True) if "inventory" in stages)
        for worker, url in zip(self._workers, urls, strict=True):
            worker.wait_for(f"{url}/health/ready", START_S)

    def stop_worker(self) -> None:
        """Stop the worker as its process manager would."""
        self.exit_codes.append(self._worker.stop())

    def start_provider(self) -> None:
        """Start the payment provider, with the ledger it had if it has one on disk.

        Raises:
            Failure: it was not in time.
        """
        self._simulator.start()
        self._simulator.wait_for(f"{self.provider_url}/charges", START_S)

    def kill_provider(self) -> None:
        """End the payment provider without a chance to tidy up."""
        self._simulator.kill()

    def forget(self) -> None:
        """Delete the folder with the worker's state; it must not run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def command(self, *arguments: str, log: str) -> Command:
        """Return another command of the application, which knows where this system is."""
        environment = {"ORDERS_BROKER": self.settings.broker}
        return Command(*arguments, log=self._logs / log, environment=environment)

    @contextmanager
    def reporting(self, *arguments: str, name: str, timeout_s: float) -> Iterator[Callable[[], Any]]:
        """Run a command that takes `--json` during the block; what is given waits for its report.

        That raises `Failure` where there is none in time; one that tells of faults is a report as well.
        """
        path = self.path(f"{name}.json")
        command = self.command(*arguments, "--json", str(path), log=f"{name}.log")

        def report() -> Any:
            code = command.wait_until_done(timeout_s)
            if code is None or not path.exists():
                raise Failure(f"{command} gave no report:\n{command.last_lines()}")
            return orjson.loads(path.read_bytes())

        command.start()
        try:
            yield report
        finally:
            command.kill()

    def simulator(self, name: str, url: str, *options: str) -> Command:
        """Return a simulator that is reached there; it is not running yet."""
        port = url.rpartition(":")[2]
        return Command("simulator", "--port", port, *options, log=self._logs / f"{name}.log")

    def new_worker(
        self, name: str, stages: Collection[str], url: str, settings: Mapping[str, str]
    ) -> Command:
        """Return a worker of these stages that is reached there; it is not running yet."""
        environment = {
            "ORDERS_BROKER": self.settings.broker,
            "ORDERS_PAYMENT__URL": self.provider_url,
            "ORDERS_DATA_DIR": str(self._folder),
            "ORDERS_WORKER_ID": name,
            "ORDERS_STAGES": SEPARATOR.join(stages),
            "ORDERS_CONFIG": os.fspath(ROOT / "faust.yml"),
            **settings,
        }
        port = url.rpartition(":")[2]
        return Command("worker", "--web-port", port, log=self._logs / f"{name}.log", environment=environment)

    def path(self, name: str) -> Path:
        """Return where a scenario may put a file."""
        return self._logs / name

    def produce(self, records: Iterable[Record]) -> int:
        """Put records into Kafka, and return how many, once it has them.

        Raises:
            Failure: it does not take them in time.
        """
        producer = Producer(
            {
                "bootstrap.servers": self.settings.broker,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": self.settings.kafka.compression,
                "partitioner": "murmur2_random",  # as the workers compute it
                "linger.ms": 20,
                "log_level": 3,
            }
        )
        count = 0
        for count, record in enumerate(records, 1):
            while True:
                try:
                    producer.produce(record.topic, record.value, record.key)
                    break
                except BufferError:  # it holds as much as it may: let it send
                    producer.poll(LOOK_EVERY_S)
            if count % POLL_EVERY == 0:
                producer.poll(0)
        if left := producer.flush(FLUSH_S):
            raise Failure(f"Kafka has not taken {left} records within {FLUSH_S} s")
        return count

    def count(self, names: tuple[str, ...]) -> int:
        """Return how many records these topics have."""
        return self.kafka.count(names)

    def settle(self, what: str, timeout_s: float) -> None:
        """Wait until every order has its end, and all that workers read is committed.

        Raises:
            Failure: it took longer than it may, or the worker has ended.
        """
        deadline = time.monotonic() + timeout_s
        while not (self._is_settled() and self._is_settled()):  # a message may be between two topics
            self.require_worker()
            if time.monotonic() > deadline:
                ended, placed = self.count(ENDS), self.count(PLACED)
                raise Failure(f"{what}: {ended:,} of {placed:,} orders after {timeout_s:.0f} s")
            time.sleep(LOOK_EVERY_S)

    def require_worker(self) -> None:
        """Make sure that every worker runs.

        Raises:
            Failure: one has ended; with the last lines that it wrote.
        """
        for worker in self._workers:
            if worker.exit_code is not None:
                raise Failure(f"{worker} ended with code {worker.exit_code}:\n{worker.last_lines()}")

    def cpu(self) -> Cpu:
        """Return what each process has used so far."""
        return Cpu(
            sum(accounting.cpu_s(worker.pid) for worker in self._workers),
            accounting.cpu_s(self._simulator.pid),
            accounting.cpu_s(self._bench.broker.pid),
            accounting.machine_busy_s(),
        )

    @property
    def rss_mib(self) -> float:
        """Return the memory that the worker holds."""
        return accounting.rss_mib(self._worker.pid)

    @property
    def peak_rss_mib(self) -> float:
        """Return the most memory that the worker has held since its start."""
        return accounting.peak_rss_mib(self._worker.pid)

    def _is_settled(self) -> bool:
        return self.count(ENDS) >= self.count(PLACED) and all(
            self.kafka.is_committed(group, inputs) for group, inputs in self._groups.items()
        )

    @property
    def _workers(self) -> tuple[Command, ...]:
        return self._worker, *self._others

    def _new_worker(self, name: str = "worker", stages: Collection[str] = STAGES) -> Command:
        # A backlog is made on purpose here, and is no reason to cancel what waits in it.
        patience = {"ORDERS_SAGA__PENDING_MS": PATIENCE_MS, "ORDERS_SAGA__PAYING_MS": PATIENCE_MS}
        return self.new_worker(name, stages, worker_url(name), patience)


def new_url() -> str:
    """Return an address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return f"http://{HOST}:{probe.getsockname()[1]}"


@cache
def worker_url(_name: str) -> str:
    """Return the same address for the workers of this name in all trials.

    Their member of the group outlives them for its session, and Faust holds the next one to its address.
    """
    return new_url()
