"""The embedded broker: its folder, its port, its data and its end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from app import broker, folders
from app.broker import claims, jars, java
from app.broker.commands import run
from app.errors import BrokerRefused
from app.settings import Settings

PATIENCE_S = 30
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a broker that was formatted and has never run."""
    folder = tmp_path_factory.mktemp("formatted")
    with pytest.raises(BrokerRefused):
        broker.start(folder, options=("-Xmx1k",))
    return folder


@pytest.fixture
def folder(formatted: Path, tmp_path: Path) -> Path:
    """Return a formatted folder of the test's own, to save it the time that formatting takes."""
    return Path(shutil.copytree(formatted, tmp_path / "broker"))


def test_a_second_broker_in_the_same_folder_is_refused(
    kafka: broker.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PATIENCE_S", 0)
    with pytest.raises(BrokerRefused, match=rf"{kafka.data_dir} is in use .* with --data-dir$"):
        broker.start(kafka.data_dir)


def test_a_taken_port_is_refused(kafka: broker.Broker, tmp_path: Path) -> None:
    with pytest.raises(BrokerRefused) as refusal:
        broker.start(tmp_path, kafka.port)
    assert str(refusal.value) == (
        f"port {kafka.port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port"
    )


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BrokerRefused, match="file/folder can't be used: Not a directory"):
        broker.start(tmp_path / "file" / "folder")


def test_a_claimed_port_is_free_for_the_broker_alone() -> None:
    with claims.claim_port(0) as claim, socket.socket() as stranger:
        with pytest.raises(OSError, match="Address already in use"):
            stranger.bind((claims.HOST, claims.port_of(claim)))
        with socket.socket() as sharer:
            sharer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sharer.bind((claims.HOST, claims.port_of(claim)))
            sharer.listen()


def test_a_broker_elsewhere_lends_the_embedded_one_no_port(tmp_path: Path) -> None:
    settings = Settings(broker="kafka-1:9092,kafka-2:9092", data_dir=tmp_path)
    with pytest.raises(BrokerRefused, match=r"kafka-1:9092,kafka-2:9092, which is not one port .* --port"):
        run(settings)


def test_missing_jars_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BrokerRefused, match=f"jars are not in {tmp_path}.*: run `make setup`$"):
        broker.start(tmp_path / "data")


def test_a_machine_without_java_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(java, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BrokerRefused, match=r"needs Java 17 or later.*: run `make setup`$"):
        java.find()


def test_jars_that_are_there_are_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    assert jars.fetch() == jars.folder()


def test_a_broker_that_cannot_start_says_why(folder: Path) -> None:
    with pytest.raises(BrokerRefused, match=r"^Kafka ended while it started; the end of .*:\nError occurred"):
        broker.start(folder, options=("-Xmx1k",))


def test_data_survives_a_stop_and_a_kill(folder: Path) -> None:
    with broker.start(folder, options=broker.QUICK) as first:
        _write(first.bootstrap, b"kept")
    with broker.start(folder, options=broker.QUICK) as second:
        assert _read(second.bootstrap) == b"kept"
        second.kill()
    with broker.start(folder, options=broker.QUICK) as third:
        assert _read(third.bootstrap) == b"kept"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_and_its_java_in_order(number: signal.Signals, folder: Path) -> None:
    with _command(folder) as process:
        java_pid = _java_of(process)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
        assert _is_gone(java_pid)
        assert not _output(folder).splitlines()[1:]


def test_java_dies_with_a_killed_command_and_leaves_the_folder_free(folder: Path) -> None:
    with _command(folder) as process:
        java_pid = _java_of(process)
        process.kill()
    with claims.claim_folder(folder):
        assert _is_gone(java_pid)


def test_the_command_fails_when_java_dies(folder: Path) -> None:
    with _command(folder) as process:
        os.kill(_java_of(process), signal.SIGKILL)
        assert process.wait(PATIENCE_S) == 1
    assert "error: Kafka ended by itself, with code -9; the end of" in _output(folder)


@contextmanager
def _command(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m app broker` until the end of the block, from the moment it says that it is ready."""
    command = [sys.executable, "-m", "app", "broker", "--data-dir", str(folder), "--port", str(_free_port())]
    environment = {**os.environ, "JAVA_TOOL_OPTIONS": " ".join(broker.QUICK)}
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output) as process,  # noqa: S603
    ):
        try:
            _await(lambda: "answers at 127.0.0.1" in _output(folder) or process.poll() is not None)
            assert process.poll() is None, _output(folder)
            yield process
        finally:
            process.kill()


def _output(folder: Path) -> str:
    return (folder / "output").read_text("utf-8")


def _free_port() -> int:
    with claims.claim_port(0) as claim:
        return claims.port_of(claim)


def _java_of(process: subprocess.Popen[bytes]) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii"))


def _is_gone(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return not command.exists() or not command.read_bytes()  # one that nobody has waited for has none


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _write(bootstrap: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(PATIENCE_S)
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("kept", value)
    assert producer.flush(PATIENCE_S) == 0


def _read(bootstrap: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition("kept", 0, 0)])
    message = consumer.poll(PATIENCE_S)
    consumer.close()
    assert message is not None
    return message.value()
