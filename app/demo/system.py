"""What the demo starts: a broker unless one is named, the payment simulator, two workers."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from app import broker, topics
from app.processes import Command
from app.receiver import SECRET
from app.settings import Settings

WORKERS = 2
START_S = 90
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Running:
    """Tell where the parts of the demo are; `logs` is the folder of what they write."""

    bootstrap: str
    provider_url: str
    worker_urls: tuple[str, ...]
    logs: Path

    @property
    def worker_logs(self) -> tuple[Path, ...]:
        """Return what the workers write, each to a file of its own."""
        return tuple(_log(self.logs, number) for number in range(1, WORKERS + 1))


@contextmanager
def system(settings: Settings, say: Callable[[str], None]) -> Iterator[Running]:
    """Start everything, say what is ready, and stop all of it in the end, the last first.

    Raises:
        Failure: a part does not start.
    """
    folder = settings.data_dir.absolute() / "demo"
    running = Running("", "", (), folder)
    with ExitStack() as parts:
        simulator, provider_url = _simulator(folder, parts)
        running = replace(running, bootstrap=_broker(settings, folder, parts))
        say(f"Kafka answers at {running.bootstrap}")
        ready = settings.model_copy(update={"broker": running.bootstrap})
        created = topics.ensure(ready)
        topics.require(ready)
        say(f"{len(topics.plan(ready))} topics are there, {len(created)} of them new")
        simulator.wait_for(f"{provider_url}/charges", START_S)
        running = replace(running, provider_url=provider_url)
        say(f"the payment provider answers at {running.provider_url}")
        running = replace(running, worker_urls=_workers(running, settings, parts))
        say(f"{WORKERS} workers share {settings.partitions} partitions: {', '.join(running.worker_urls)}")
        yield running


def _broker(settings: Settings, folder: Path, parts: ExitStack) -> str:
    if "ORDERS_BROKER" in os.environ:
        return settings.broker
    return parts.enter_context(broker.start(folder / "broker", port=_port(9092))).bootstrap


def _simulator(folder: Path, parts: ExitStack) -> tuple[Command, str]:
    port = _port(6080)
    ledger = folder / "ledger.jsonl"
    command = Command("simulator", "--port", str(port), "--ledger", str(ledger), log=folder / "simulator.log")
    _start(command, parts)
    return command, f"http://{HOST}:{port}"


def _workers(running: Running, settings: Settings, parts: ExitStack) -> tuple[str, ...]:
    ports = [_port(settings.web.port + number) for number in range(WORKERS)]
    environment = {
        "ORDERS_BROKER": running.bootstrap,
        "ORDERS_PAYMENT__URL": running.provider_url,
        "ORDERS_NOTIFICATIONS__CHANNEL": "log",
        "ORDERS_LOG_LEVEL": "info",  # a warning's would swallow the notifications
        "ORDERS_TRANSFER__URL": f"{running.provider_url}/transfers",
        "ORDERS_TRANSFER__SECRET": SECRET,
        # The simulator forgets what it was told; what an earlier demo has sold is not for this one.
        "ORDERS_TRANSFER__SINCE": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "ORDERS_OUTBOUND__PRIVATE_ADDRESSES": "true",
    }
    commands = [
        Command(
            "worker",
            "--web-port",
            str(port),
            log=_log(running.logs, number),
            environment=environment
            | {"ORDERS_WORKER_ID": f"demo-{number}", "ORDERS_DATA_DIR": str(running.logs)},
        )
        for number, port in enumerate(ports, 1)
    ]
    for command in commands:
        _start(command, parts)
    urls = tuple(f"http://{HOST}:{port}" for port in ports)
    for command, url in zip(commands, urls, strict=True):
        command.wait_for(f"{url}/health/ready", START_S)
    return urls


def _log(folder: Path, number: int) -> Path:
    return folder / f"worker-{number}.log"


def _start(command: Command, parts: ExitStack) -> None:
    command.start()
    parts.callback(command.wait)
    parts.callback(command.ask_to_stop)


def _port(wanted: int) -> int:
    """Return the usual port, or a free one where that is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("the kernel has no free port")
