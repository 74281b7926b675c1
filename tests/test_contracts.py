"""The import contracts hold, and each of them fails where it is broken, by its name."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agents", "app", "models", "tables", "web")
COMMAND_S = 60

LAYERS = "agents and web stand on tables, tables on app, app on models"
PURE = "models are pure: the standard library, msgspec and uuid_utils alone"
AGENTS = "agents do not know each other"
QUERIES = "web reads tables through tables.queries alone, and writes none"
APP = "app knows no agents, tables or web"
AUDIT = "the auditor shares no decision with what it audits"
CONTRACTS = {LAYERS, PURE, AGENTS, QUERIES, APP, AUDIT}

PURE_IMPORTS = {
    "collections",
    "datetime",
    "enum",
    "hashlib",
    "itertools",
    "types",
    "typing",
    "msgspec",
    "uuid_utils",
}
"""What models may import; `uuid_utils` for ids derived from their cause, `datetime` for its types."""


@dataclass(frozen=True)
class Offence:
    """Be one import where it must not be, and the contracts that it breaks."""

    module: str
    statement: str
    broken: frozenset[str]

    def __str__(self) -> str:
        return f"{self.module}: {self.statement}"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the source tree, as it is."""
    folder = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def tree(copied: Path, tmp_path: Path) -> Path:
    """Give a copy of the source tree for one test to spoil."""
    return Path(shutil.copytree(copied, tmp_path / "tree"))


def run(tool: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # a tool of our own environment
        [Path(sys.executable).parent / tool, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def plant(tree: Path, module: str, code: str) -> None:
    """Put the code at the end of a module, which may be a new one."""
    with (tree / f"{module.replace('.', '/')}.py").open("a") as source:
        source.write(f"\n{code}\n")


def verdicts(output: str) -> dict[str, str]:
    found = re.findall(r"^(.+) (KEPT|BROKEN)\b.*$", output, re.MULTILINE)
    return dict(found)


def test_every_contract_holds(copied: Path) -> None:
    checked = run("lint-imports", "--no-cache", folder=copied)
    assert checked.returncode == 0, checked.stdout
    assert verdicts(checked.stdout) == dict.fromkeys(CONTRACTS, "KEPT")


@pytest.mark.parametrize(
    "offence",
    [
        Offence("agents.orders", "from web import answers", frozenset({LAYERS})),
        Offence("web.orders", "from agents import orders", frozenset({LAYERS})),
        Offence("tables.orders", "from agents import orders", frozenset({LAYERS, AGENTS})),  # by way of it
        Offence("app.settings", "from tables import orders", frozenset({LAYERS, APP})),
        Offence("app.routing", "import web.answers", frozenset({LAYERS, APP})),
        Offence("app.audit.judge", "from models.saga import evolve", frozenset({AUDIT})),
        Offence("models.order", "from app import errors", frozenset({LAYERS})),
        Offence("models.stock", "import asyncio", frozenset({PURE})),
        Offence("models.stock", "import orjson", frozenset({PURE})),
        Offence("agents.inventory", "from agents import payments", frozenset({AGENTS})),
        Offence("agents.fraud", "from agents.orders import orders", frozenset({AGENTS})),
        Offence("web.orders", "from tables.orders import state", frozenset({QUERIES})),
        Offence("web.inventory", "from tables import inventory", frozenset({QUERIES})),
        Offence("web.health", "from app.delivery.state import State", frozenset({QUERIES})),
    ],
    ids=str,
)
def test_an_import_that_breaks_a_contract_is_found_by_its_name(tree: Path, offence: Offence) -> None:
    plant(tree, offence.module, offence.statement)
    checked = run("lint-imports", "--no-cache", folder=tree)
    assert checked.returncode == 1, checked.stdout
    broken = {name for name, verdict in verdicts(checked.stdout).items() if verdict == "BROKEN"}
    assert broken == offence.broken
    assert offence.module in checked.stdout.split("Broken contracts")[1]


def test_a_new_table_is_behind_the_queries_too(tree: Path) -> None:
    plant(tree, "tables.refunds", "")
    plant(tree, "web.orders", "from tables import refunds")
    checked = run("lint-imports", "--no-cache", folder=tree)
    assert (checked.returncode, verdicts(checked.stdout)[QUERIES]) == (1, "BROKEN")


def test_models_import_what_is_pure_alone() -> None:
    graph = grimp.build_graph("models", include_external_packages=True, cache_dir=None)
    inside = graph.find_descendants("models") | {"models"}
    imported = {name for module in inside for name in graph.find_modules_directly_imported_by(module)}
    assert imported - inside <= PURE_IMPORTS
    assert "datetime" in imported, "the graph shows no imports at all"


def test_clocks_and_random_numbers_are_not_in_models_and_may_be_elsewhere(copied: Path) -> None:
    checked = run("ruff", "check", "--no-cache", "--select", "TID251", folder=copied)
    assert checked.returncode == 0, checked.stdout
    assert "datetime.now" in (copied / "web" / "placing.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("code", "name", "why"),
    [
        ("import datetime\ndatetime.datetime.now(datetime.UTC)", "datetime.datetime.now", "read no clock"),
        ("from datetime import UTC\ndatetime.now(UTC)", "datetime.datetime.now", "read no clock"),
        ("import time\ntime.time()", "time.time", "read no clock"),
        ("from time import monotonic\nmonotonic()", "time.monotonic", "read no clock"),
        ("import uuid\nuuid.uuid4()", "uuid.uuid4", "draw no random ids"),
        ("from uuid import uuid1\nuuid1()", "uuid.uuid1", "draw no random ids"),
        ("from uuid_utils import uuid7\nuuid7()", "uuid_utils.uuid7", "draw no random ids"),
        ("import uuid_utils.compat\nuuid_utils.compat.uuid4()", "uuid_utils.compat", "draw no random ids"),
        ("import random\nrandom.random()", "random", "draw no random numbers"),
        ("import secrets\nsecrets.token_hex()", "secrets", "draw no random numbers"),
    ],
)
def test_a_clock_or_a_random_number_in_models_is_found(tree: Path, code: str, name: str, why: str) -> None:
    plant(tree, "models.stock", code)
    checked = run("ruff", "check", "--no-cache", "--output-format", "concise", folder=tree)
    assert checked.returncode == 1
    found = [line for line in checked.stdout.splitlines() if "TID251" in line]
    assert found
    assert all(line.startswith("models/stock.py:") for line in found)
    assert any(f"`{name}` is banned: models {why}" in line for line in found)
