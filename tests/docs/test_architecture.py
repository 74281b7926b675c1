"""The documents held against the code: what they name exists, and what exists is named."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from app.__main__ import cli
from app.settings import Settings
from app.topics import DEAD_LETTER_OUTCOMES, DEAD_LETTERS, TABLES, changelog_of
from models import commands, events
from models.catalogue import MESSAGES
from models.messages import AboutOrder
from models.order import CancelReason, LineStatus, Order, OrderStatus, PaymentKnown
from models.outbound import ParcelStatus
from models.payment import PaymentStatus
from models.saga import AWAITED_IN, evolve
from models.stock import HoldStatus
from tests.models.test_saga_design import alphabet, explore

ROOT = Path(__file__).parents[2]
ADRS = ROOT / "docs" / "adr"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")

NOT_OURS = {"data", "node_modules"}
"""Folders beside the project's own, besides the hidden ones."""


def markdown_files() -> list[Path]:
    """Return every Markdown file of the project."""
    tops = [top for top in ROOT.iterdir() if not top.name.startswith(".") and top.name not in NOT_OURS]
    below = (path for top in tops if top.is_dir() for path in top.rglob("*.md"))
    return sorted([*(top for top in tops if top.suffix == ".md"), *below])


DOCUMENTS = markdown_files()
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in DOCUMENTS}

WRITERS = {
    "web": ("web/placing.py", "web/wishes.py", "web/restocking.py"),
    "orders": ("models/outgoing.py",),
    "inventory": ("models/stock.py",),
    "payments": ("models/payment.py",),
}
"""Where each stage makes the messages that it sends."""


def section(title: str) -> str:
    """Return one second-level section of the architecture page."""
    _, _, rest = ARCHITECTURE.partition(f"\n## {title}\n")
    assert rest, f"docs/architecture.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def rows(title: str) -> list[tuple[str, ...]]:
    """Return the cells of the section's table, without the head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines[2:]]


# The saga


def transitions() -> dict[tuple[str, str], set[str]]:
    """Return every change of status that any sequence of events leads to, and the events that do it."""
    found: dict[tuple[str, str], set[str]] = {("[*]", "PENDING"): {events.OrderCreated.type}}
    for skus in ("A", "AB", "ABC"):
        for order in explore(*skus).values():
            for (before, after), wire_name in moves(order, skus):
                found.setdefault((before, after), set()).add(wire_name)
    return found


def moves(order: Order, skus: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield where one event leads from this order, in so far as the status changes."""
    for event in alphabet(*skus):
        after = evolve(order, event)
        assert after is not None
        if after.status is not order.status:
            yield (str(order.status), str(after.status)), event.type


def drawn() -> dict[tuple[str, str], set[str]]:
    """Return the arrows of the state diagram, and the wire names beside each."""
    _, _, diagram = section("The order").partition("stateDiagram-v2\n")
    arrows = re.findall(r"^\s+(\S+) --> (\S+?)(?:: (.*))?$", diagram.partition("```")[0], re.MULTILINE)
    return {(before, after): set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", label)) for before, after, label in arrows}


def test_the_state_diagram_has_the_statuses_of_the_code() -> None:
    named = {status for arrow in drawn() for status in arrow} - {"[*]"}
    assert named == set(OrderStatus)


def test_the_state_diagram_has_the_transitions_of_the_code_with_the_events_that_cause_them() -> None:
    arrows = {arrow: names for arrow, names in drawn().items() if arrow[1] != "[*]"}
    assert arrows == transitions()


def test_the_state_diagram_ends_where_the_code_does() -> None:
    settled = {before for before, after in drawn() if after == "[*]"}
    assert settled == {status for status in OrderStatus if not any(status == a for a, _ in transitions())}


def test_each_status_is_explained() -> None:
    assert [status for status, *_ in rows("The order")] == list(OrderStatus)


# Topics and tables


def messages_read(agent: Path) -> set[str]:
    """Return the wire names in an agent's `@delivery.stage(...)`."""
    kinds = {"events": events, "commands": commands}
    tree = ast.parse(agent.read_text("utf-8"))
    decorators = (
        one
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef)
        for one in node.decorator_list
    )
    found: set[str] = set()
    for decorator in decorators:
        arguments = decorator.args if isinstance(decorator, ast.Call) else []
        for argument in arguments:
            if isinstance(argument, ast.Starred):  # a stage that reads all that its machine awaits
                found |= {kind.type for kind in AWAITED_IN}
            elif isinstance(argument, ast.Attribute) and isinstance(argument.value, ast.Name):
                found.add(getattr(kinds[argument.value.id], argument.attr).type)
    return found


def messages_made(module: str) -> set[str]:
    """Return the wire names of the messages that a module makes."""
    classes = {kind.__name__: name for name, kind in MESSAGES.items()}
    calls = (
        node for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))) if isinstance(node, ast.Call)
    )
    return {
        classes[call.func.id] for call in calls if isinstance(call.func, ast.Name) and call.func.id in classes
    }


def readers() -> dict[str, str]:
    """Return the stage that reads each topic."""
    agents = (path for path in (ROOT / "agents").glob("*.py") if path.stem != "__init__")
    return {name: agent.stem for agent in agents for name in messages_read(agent)}


def writers() -> dict[str, str]:
    """Return the stage, or `web`, that writes each topic."""
    return {
        name: writer
        for writer, modules in WRITERS.items()
        for module in modules
        for name in messages_made(module)
    }


def test_the_topic_table_has_every_topic_once_and_no_other() -> None:
    topics = [topic for topic, *_ in rows("Topics")]
    assert len(topics) == len(set(topics))
    assert set(topics) == {*MESSAGES, DEAD_LETTERS, DEAD_LETTER_OUTCOMES, *map(changelog_of, TABLES)}


@pytest.mark.parametrize("wire_name", sorted(MESSAGES))
def test_the_topic_table_tells_key_writer_and_reader(wire_name: str) -> None:
    row = next(row for row in rows("Topics") if row[0] == wire_name)
    key = "order_id" if issubclass(MESSAGES[wire_name], AboutOrder) else "sku"
    expected = (
        wire_name,
        key,
        writers().get(wire_name, "nobody yet"),
        readers().get(wire_name, "other systems"),
    )
    assert row == expected


def test_the_table_of_tables_has_every_table_and_no_other() -> None:
    modules = {path.stem for path in (ROOT / "tables").glob("*.py")} - {"__init__", "queries"}
    assert {table for table, *_ in rows("Tables")} == set(TABLES) == modules


def test_every_name_in_capitals_on_the_page_is_one_of_the_code() -> None:
    kinds = (
        OrderStatus,
        CancelReason,
        LineStatus,
        PaymentKnown,
        PaymentStatus,
        HoldStatus,
        ParcelStatus,
    )
    known = {*MESSAGES, DEAD_LETTERS, DEAD_LETTER_OUTCOMES, *(str(each) for kind in kinds for each in kind)}
    spelt = {
        name for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", ARCHITECTURE) if not name.startswith("ORDERS_")
    }
    quoted = set(re.findall(r"`([A-Z]{4,})`", ARCHITECTURE)) - {"POST"}
    assert spelt | quoted <= known


def test_every_changelog_on_the_page_is_one_of_the_code() -> None:
    assert set(re.findall(r"\b[a-z]+-changelog\b", ARCHITECTURE)) == set(map(changelog_of, TABLES))


# Decision records


ADR_FILES = sorted(path for path in ADRS.glob("*.md") if path.name != "README.md")


def test_decision_records_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in ADR_FILES] == list(range(1, len(ADR_FILES) + 1))


@pytest.mark.parametrize("path", ADR_FILES, ids=lambda path: path.name)
def test_a_decision_record_is_named_after_its_title_and_has_its_three_parts(path: Path) -> None:
    text = path.read_text("utf-8")
    found = re.match(r"# (\d+)\. (.+)\n", text)
    assert found, "the first line is no `# N. Title`"
    slug = "-".join(re.findall(r"[a-z0-9]+", found[2].lower()))
    assert path.name == f"{int(found[1]):04}-{slug}.md"
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_index_lists_every_decision_record_in_order() -> None:
    assert re.findall(r"\]\((\d{4}-[^)]+)\)", (ADRS / "README.md").read_text("utf-8")) == [
        path.name for path in ADR_FILES
    ]


def test_every_decision_record_that_the_code_refers_to_exists() -> None:
    numbers = {path.name[:4] for path in ADR_FILES}
    for folder in ("app", "agents", "tables", "models", "web", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert set(re.findall(r"docs/adr/(\d{4})", path.read_text("utf-8"))) <= numbers, path


# Links, commands, settings


def prose(text: str) -> str:
    """Return the text without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(TEXTS[name])):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("name", TEXTS)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"(?:^|`|\w=\S+ )make ([a-z]+)\b", TEXTS[name], re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_that_is_named_exists_with_its_options(name: str) -> None:
    for line in re.findall(r"python -m app (?:--config \S+ )?([a-z][^`#\n]*)", TEXTS[name]):
        words = line.split()
        command: Any = get_command(cli)
        while (known := vars(command).get("commands")) is not None and words and words[0].islower():
            assert words[0] in known, line
            command = known[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", " ".join(words))) <= options, line


def test_every_command_is_in_the_readme() -> None:
    commands_named = re.findall(r"^\| `python -m app ([a-z-]+)", TEXTS["README.md"], re.MULTILINE)
    assert sorted(commands_named) == sorted(vars(get_command(cli))["commands"])


def test_the_readme_gives_the_test_command_and_ci_runs_the_check_that_it_names() -> None:
    assert "\nmake test " in TEXTS["README.md"]
    assert "`make check` is what CI runs" in TEXTS["README.md"]
    assert (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1] == "make check"


def test_the_settings_file_has_every_setting_with_its_default() -> None:
    file = yaml.safe_load((ROOT / "faust.yml").read_text("utf-8"))
    assert file == Settings.model_construct().model_dump(mode="json")


def test_the_settings_file_explains_every_setting() -> None:
    lines = (ROOT / "faust.yml").read_text("utf-8").splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if re.match(" *[a-z]", line) and not above.lstrip().startswith("#")
    ]
    assert not bare


def test_every_fault_of_the_failure_matrix_is_broken_by_a_test_that_exists() -> None:
    matrix = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = [row for row in matrix.splitlines() if row.startswith("| ") and "| Test |" not in row]
    linked = re.compile(r"\((\.\./tests/\S+\.py)\) `(test_\w+)`")
    named = [linked.search(row) for row in rows if "---" not in row]
    assert all(named), "a fault without its test"
    for found in filter(None, named):
        code = (ROOT / "docs" / found[1]).read_text("utf-8")
        assert f"def {found[2]}(" in code, found[2]


def test_every_test_of_a_fault_is_in_the_failure_matrix() -> None:
    matrix = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    tests = (
        name
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    )
    assert [name for name in tests if f"`{name}`" not in matrix] == []
