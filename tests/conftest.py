"""What all tests share: one real Kafka and one worker, each started when the first test asks for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import aiohttp
import pytest
import uvloop

from app import broker
from tests.e2e.shop import Shop
from tests.e2e.system import System, started


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests on the loop that workers and the simulator run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """Return a running broker, empty at first, for the whole test run; `.bootstrap` is its host:port."""
    with broker.start(tmp_path_factory.mktemp("kafka"), options=broker.QUICK) as running:
        yield running


@pytest.fixture(scope="session")
def system(kafka: broker.Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system without workers."""
    with started(tmp_path_factory.mktemp("system"), kafka.bootstrap) as running:
        yield running


@pytest.fixture(scope="session")
async def worker(system: System) -> str:
    """Give the address of a worker that every test of the run may use."""
    _, url = await system.worker()
    return url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Give an HTTP client that opens as many connections as a crowd of buyers needs."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        yield opened


@pytest.fixture
def shop(session: aiohttp.ClientSession, worker: str) -> Shop:
    """Give a customer of the shared worker."""
    return Shop(session, worker)
