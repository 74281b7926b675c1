"""What `python -m app broker` does."""

import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import typer
from rich.console import Console

from app.broker import jars, java
from app.broker.claims import HOST
from app.broker.node import start
from app.errors import BrokerRefused
from app.settings import Settings


def fetch() -> None:
    """Fetch Kafka's jars and record what speeds its start up; neither is done twice.

    Raises:
        BrokerRefused: the jars can't be fetched, or the broker does not start.
    """
    folder = jars.fetch()
    if not java.startup_cache().exists():
        with Console().status("Starting Kafka once, to record what makes it start three times faster"):
            _record_startup(java.startup_cache())
    typer.echo(f"Kafka {jars.KAFKA_VERSION} is in {folder}")


def run(settings: Settings, port: int | None = None, data_dir: Path | None = None) -> None:
    """Run the broker in the foreground until Ctrl-C or SIGTERM; its data is there again the next time.

    Raises:
        BrokerRefused: it can't start, or it has ended by itself.
    """
    _treat_as_interrupt(signal.SIGTERM, signal.SIGHUP)
    data_dir = data_dir or settings.data_dir / "broker"
    with suppress(KeyboardInterrupt), start(data_dir, port or _own_port(settings)) as broker:
        typer.echo(_greeting(broker.bootstrap, data_dir, settings))
        broker.wait()


def _own_port(settings: Settings) -> int:
    host, _, port = settings.broker.rpartition(":")
    if host not in (HOST, "localhost"):
        raise BrokerRefused(
            f"the setting broker is {settings.broker}, which is not one port of this machine: choose the"
            " embedded broker's port with --port"
        )
    return int(port)


def _treat_as_interrupt(*signals: signal.Signals) -> None:
    for number in signals:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, signal.default_int_handler)


def _greeting(bootstrap: str, data_dir: Path, settings: Settings) -> str:
    greeting = f"Kafka {jars.KAFKA_VERSION} answers at {bootstrap} and keeps its data in {data_dir}"
    if settings.broker.replace("localhost", HOST) == bootstrap:
        return greeting
    return f"{greeting}; for the other commands set ORDERS_BROKER={bootstrap}"


def _record_startup(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        recorded = Path(scratch, "cache.aot")
        with start(Path(scratch, "data"), options=(f"-XX:AOTCacheOutput={recorded}",)):
            pass  # Java writes the cache when it ends
        if recorded.exists():
            recorded.replace(target)
