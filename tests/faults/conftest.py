"""A system for faults alone, with a broker of its own, and the table of what they came to."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from app import broker
from tests.e2e.system import System, free_port, secluded, started
from tests.faults.market import Market, kill_workers, mend
from tests.faults.node import Node
from tests.faults.receiver import listening
from tests.faults.trial import Trial, table

SEED = int(os.environ.get("FAULT_SEED") or secrets.randbelow(1_000_000))
"""What all that is random in these tests is drawn from; `FAULT_SEED` repeats a run."""

TRIALS = pytest.StashKey[list[Trial]]()


@pytest.fixture(scope="module")
def patients_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """Give a broker that tests may break as they like.

    It goes with its module: judges read all that a Kafka has been told, which would grow with each test.
    """
    with broker.start(tmp_path_factory.mktemp("patients-kafka"), options=broker.QUICK) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def hospital(patients_kafka: broker.Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give the system that is the patient of a module's tests, one after the other."""
    with (
        started(tmp_path_factory.mktemp("patient"), patients_kafka.bootstrap) as system,
        listening(system),
    ):
        yield system


@pytest.fixture
def patient(hospital: System) -> Iterator[System]:
    """Give a system without workers, which a test may break as it likes: the next one finds it mended."""
    yield hospital
    mend(hospital)


@pytest.fixture
def market(trial: Trial, patient: System, session: aiohttp.ClientSession, ports: tuple[int, ...]) -> Market:
    """Give what most faults need on top: workers, goods, customers and a judge."""
    return Market(trial, patient, session, ports)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Give a broker that may be away."""
    with Node(tmp_path / "kafka") as own:
        yield own


@pytest.fixture
def fair(
    trial: Trial, node: Node, tmp_path: Path, session: aiohttp.ClientSession, ports: tuple[int, ...]
) -> Iterator[Market]:
    """Give a market whose broker is that node."""
    with started(tmp_path, node.bootstrap) as system, listening(system):
        yield Market(trial, system, session, ports)
        kill_workers(system)


@pytest.fixture
def separate(tmp_path: Path) -> Iterator[System]:
    """Give a system without workers on a Kafka of the test's own, which nobody will use after it."""
    with secluded(tmp_path) as system, listening(system):
        yield system


@pytest.fixture(scope="session")
def ports() -> tuple[int, ...]:
    """Give the ports of the workers that a test breaks: the same, so that they are the same members."""
    return tuple(free_port() for _ in range(3))


@pytest.fixture(scope="session")
def port(ports: tuple[int, ...]) -> int:
    """Give the port of a worker that is broken while it is alone."""
    return ports[0]


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    """Give what this test's fault is drawn from; what it came to stands in the table at the end."""
    name = request.node.name.removeprefix("test_").replace("_", " ")
    drawn = Trial(name, SEED)
    request.config.stash.setdefault(TRIALS, []).append(drawn)
    return drawn


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what each fault came to."""
    if trials := config.stash.get(TRIALS, []):
        terminalreporter.section(f"faults (FAULT_SEED={SEED} draws the same again)")
        for line in table(trials):
            terminalreporter.line(line)
