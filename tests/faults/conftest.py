"""A system for faults alone, whose broker and workers nobody else needs."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from app import broker, topics
from app.processes import Command
from app.settings import load
from tests.e2e.system import HOST, READY_S, System, free_port


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system without workers, which tests may break as they like."""
    folder = tmp_path_factory.mktemp("patient")
    port = free_port()
    with broker.start(folder / "kafka", options=broker.QUICK) as kafka:
        system = System(folder, kafka.bootstrap, f"http://{HOST}:{port}")
        topics.ensure(load().model_copy(update={"broker": kafka.bootstrap}))
        simulator = Command("simulator", "--port", str(port), log=folder / "simulator.log")
        simulator.start()
        simulator.wait_for(f"{system.provider_url}/charges", READY_S)
        yield system
        for worker in system.workers.values():
            worker.stop()
        simulator.stop()


@pytest.fixture(scope="session")
def port() -> int:
    """Give the port of the worker that a test breaks: always the same, so that it is the same member."""
    return free_port()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Give an HTTP client that opens as many connections as it needs."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        yield opened
