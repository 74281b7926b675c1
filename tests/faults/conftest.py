"""A system for faults alone, whose broker and workers nobody else needs."""

from collections.abc import Iterator

import pytest

from app import broker
from tests.e2e.system import System, free_port, started


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system without workers, which tests may break as they like."""
    folder = tmp_path_factory.mktemp("patient")
    with (
        broker.start(folder / "kafka", options=broker.QUICK) as kafka,
        started(folder, kafka.bootstrap) as system,
    ):
        yield system


@pytest.fixture(scope="session")
def port() -> int:
    """Give the port of the worker that a test breaks: always the same, so that it is the same member."""
    return free_port()
