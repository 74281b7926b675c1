"""The whole system as processes of its own: a simulator and workers, on one broker."""

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app import broker, topics
from app.processes import Command
from app.settings import load

HOST = "127.0.0.1"
READY_S = 60

PATIENCE_MS = 60_000
"""How late a worker may be before it refuses orders: on a busy machine a start alone may take 10 s."""

SHORT_SESSION = {"ORDERS_KAFKA__SESSION_TIMEOUT_MS": "6000"}
"""For a worker that a test takes away for good: as short as Kafka has it, for its partitions wait so long."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(folder: Path, bootstrap: str) -> "Iterator[System]":
    """Give a system without workers, but with its topics and a simulator."""
    port = free_port()
    system = System(folder, bootstrap, f"http://{HOST}:{port}")
    topics.ensure(load().model_copy(update={"broker": bootstrap}))
    system.start_simulator()
    yield system
    for worker in system.workers.values():
        worker.stop()
    system.simulator.stop()


@contextmanager
def secluded(folder: Path) -> "Iterator[System]":
    """Give a system without workers, on a Kafka of its own."""
    with (
        broker.start(folder / "kafka", options=broker.QUICK) as kafka,
        started(folder, kafka.bootstrap) as system,
    ):
        yield system


@dataclass
class System:
    """Start workers against one broker and one simulator, and know where they are."""

    folder: Path
    bootstrap: str
    provider_url: str
    workers: dict[int, Command] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    simulator: Command = field(init=False)

    def start_simulator(self) -> None:
        """Start the payment provider, where it was and with the ledger it had."""
        port = self.provider_url.rsplit(":", 1)[1]
        arguments = ("simulator", "--port", port, "--ledger", str(self.ledger))
        self.simulator = Command(*arguments, log=self.folder / "simulator.log")
        self.simulator.start()
        self.simulator.wait_for(f"{self.provider_url}/charges", READY_S)

    async def worker(
        self, port: int | None = None, environment: Mapping[str, str] | None = None
    ) -> tuple[Command, str]:
        """Start a worker; return it with its address, once it is ready."""
        port = port or free_port()
        command = self.start_worker(port, environment)
        await asyncio.to_thread(command.wait_for, f"http://{HOST}:{port}/health/ready", READY_S)
        return command, f"http://{HOST}:{port}"

    def start_worker(self, port: int, environment: Mapping[str, str] | None = None) -> Command:
        """Start a worker, and do not wait for it."""
        arguments = ("worker", "--web-port", str(port))
        log = self.folder / f"worker-{port}.log"
        settings = {**self.environment, **(environment or {})}
        command = self.workers[port] = Command(*arguments, log=log, environment=settings)
        command.start()
        return command

    async def restart(self, url: str, number: signal.Signals) -> None:
        """End a worker by a signal, and start it again where it was."""
        port = int(url.rsplit(":", 1)[1])
        self.workers[port].signal(number)
        code = await asyncio.to_thread(self.workers[port].wait)
        assert code == (0 if number is signal.SIGTERM else -number), self.workers[port].last_lines()
        await self.worker(port)

    @property
    def ledger(self) -> Path:
        """Return the file in which the payment provider keeps its books."""
        return self.folder / "ledger.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """Return what tells the processes where everything is."""
        return {
            "ORDERS_BROKER": self.bootstrap,
            "ORDERS_DATA_DIR": str(self.folder / "data"),
            "ORDERS_PAYMENT__URL": self.provider_url,
            "ORDERS_PAYMENT__TIMEOUT_MS": "1500",
            "ORDERS_WEB__MAX_LAG_MS": str(PATIENCE_MS),
            **self.settings,
        }
