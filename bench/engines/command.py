"""The command line that all engines share, and what they say about themselves; the standard library alone."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Be what an engine is told: where Kafka answers, and the folder for its state."""

    broker: str
    state_dir: Path


def options(what: str, arguments: Sequence[str] | None = None) -> Options:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="where Kafka answers")
    parser.add_argument("--state-dir", required=True, type=Path, metavar="PATH", help="a folder for state")
    found = parser.parse_args(arguments)
    found.state_dir.mkdir(parents=True, exist_ok=True)
    return Options(found.broker, found.state_dir)


def say_versions(*packages: str) -> None:
    """Write the versions of the packages that this engine stands on."""
    for package in packages:
        _write(f"{package}={version(package)}")


def say_ready() -> None:
    """Write that the engine can work."""
    _write("ready")


def _write(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # not print(): Faust takes it for a warning
