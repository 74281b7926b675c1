"""One node of Kafka in a process of its own, which never outlives the one that started it."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.broker import java
from app.broker.claims import HOST, claim_folder, claim_port, port_of
from app.errors import BrokerRefused

LOG = "broker.log"
PROPERTIES = "server.properties"

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
TAIL_LINES = 12

QUICK = ("-XX:TieredStopAtLevel=1",)
"""Options for Java that halve the work of a start, at the price of a slower broker: for tests."""

LAUNCHER = """\
import ctypes, os, signal, sys
parent, *command = sys.argv[1:]
PR_SET_PDEATHSIG = 1
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(parent):
    os.execv(command[0], command)
"""
"""Become Java, to be killed with the parent. Not `preexec_fn`: forking a process with threads is unsafe."""


class Broker:
    """Be the handle of one running broker; as a context manager, stop it in the end.

    The broker is killed when the thread that started it ends, and so at the latest with this process.
    """

    def __init__(self, process: subprocess.Popen[bytes], data_dir: Path, port: int) -> None:
        self._process = process
        self.data_dir = data_dir
        self.port = port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Return what a client connects to, as host:port."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Return the id of the Java process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Return whether the broker has ended, for whatever reason."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Wait until the broker ends, which it does not do by itself.

        Raises:
            BrokerRefused: it has ended; the text holds the end of its log.
        """
        code = self._process.wait()
        raise BrokerRefused(f"Kafka ended by itself, with code {code}; {_tail(self.data_dir)}")

    def stop(self) -> None:
        """Ask the broker to end, wait until it has, and kill it if that takes more than half a minute."""
        self._process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the broker at once, as a crash would (SIGKILL)."""
        self._process.kill()
        self._process.wait()


def start(data_dir: Path, port: int = 0, options: Sequence[str] = ()) -> Broker:
    """Return a broker that answers, on this folder and port (0: any free one), with these options for Java.

    Raises:
        BrokerRefused: folder or port are taken, jars or Java are missing, or Kafka does not come up.
    """
    with ExitStack() as claims:
        lock = claims.enter_context(claim_folder(data_dir))
        own_port = port_of(claims.enter_context(claim_port(port)))
        controller_port = port_of(claims.enter_context(claim_port(0)))
        _write_properties(data_dir, own_port, controller_port)
        _format_once(data_dir, lock)
        broker = Broker(_launch(data_dir, lock, options), data_dir, own_port)
        try:
            _await_answer(broker)
        except BaseException:
            broker.kill()
            raise
        return broker


def properties(port: int, controller_port: int) -> Mapping[str, str]:
    """Return Kafka's own settings for a single node; what becomes of records is each topic's setting."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "log",  # relative: a comma in the path would make it two folders
        # A killed broker comes back no sooner than its session has ended: 9 s by default, for want of others.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",  # the first worker starts at once
        "group.min.session.timeout.ms": "6000",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.retention.minutes": str(10 * 365 * 24 * 60),  # a group that rests for weeks keeps its place
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "log.cleaner.dedupe.buffer.size": str(32 * 2**20),  # a part of the heap, which is small
    }


def _write_properties(data_dir: Path, port: int, controller_port: int) -> None:
    lines = (f"{name}={value}\n" for name, value in properties(port, controller_port).items())
    (data_dir / PROPERTIES).write_text("# Written anew on each start.\n" + "".join(lines), "utf-8")


def _format_once(data_dir: Path, lock: IO[bytes]) -> None:
    if (data_dir / "log" / "meta.properties").exists():
        return
    cluster_id = f"S{secrets.token_urlsafe(16)[1:]}"  # as long as Kafka's own, and with no leading dash
    formatting = java.command("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", PROPERTIES)
    with (data_dir / LOG).open("wb") as log:
        done = subprocess.run(  # noqa: S603
            formatting, cwd=data_dir, stdout=log, stderr=log, check=False, pass_fds=(lock.fileno(),)
        )
    if done.returncode != 0:
        raise BrokerRefused(f"Kafka can't format {data_dir}; {_tail(data_dir)}")


def _launch(data_dir: Path, lock: IO[bytes], options: Sequence[str]) -> subprocess.Popen[bytes]:
    kafka = java.command("kafka.Kafka", PROPERTIES, options=options)
    log = data_dir / LOG
    if log.exists():
        log.replace(data_dir / f"{LOG}.1")
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *kafka],
            cwd=data_dir,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock.fileno(),),  # the folder is taken for as long as Java lives
            start_new_session=True,  # Ctrl-C at the terminal is for the parent, which ends Java in order
        )


def _await_answer(broker: Broker) -> None:
    client = AdminClient(
        {"bootstrap.servers": broker.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 100}
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not broker.has_ended and time.monotonic() < deadline:
        with suppress(KafkaException):
            if client.list_topics(timeout=0.2).brokers:
                return
    what = "ended while it started" if broker.has_ended else f"does not answer after {START_TIMEOUT_S:.0f} s"
    raise BrokerRefused(f"Kafka {what}; {_tail(broker.data_dir)}")


def _tail(data_dir: Path) -> str:
    log = data_dir / LOG
    lines = log.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"the end of {log}:", *lines])
