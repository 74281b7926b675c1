"""How results are summed up and shown."""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from types import SimpleNamespace
from typing import Any, cast

import orjson
from rich.console import Console

from bench import report
from bench.scenario import Bench, Figure, Row, Scenario, medians, scenarios, summary
from bench.scenarios import reference

ROWS = [
    Row("ours", 1, {"cpu": 10.0, "rate": 1000.0}),
    Row("ours", 2, {"cpu": 30.0, "rate": 3000.0}),
    Row("ours", 3, {"cpu": 20.0}, note="it was late"),
    Row("theirs", 1, {"cpu": 40.0}),
]


def scenario() -> Scenario:
    """Return a scenario with two figures of two subjects."""

    def run(_: Bench) -> Iterator[Row]:
        return iter(ROWS)

    def remarks(found: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
        return [f"ours/theirs {found['ours']['cpu'] / found['theirs']['cpu']:.1f}"]

    made: Any = SimpleNamespace(
        NAME="sample",
        COMPARES="ours and theirs",
        SUBJECTS=("ours", "theirs"),
        FIGURES=(Figure("cpu", "CPU", 1), Figure("rate", "rate")),
        run=run,
        remarks=remarks,
    )
    return cast("Scenario", made)


def shown() -> str:
    """Return the table of the rows as text."""
    console = Console(width=120, file=StringIO())
    with console.capture() as captured:
        console.print(report.table(scenario(), ROWS))
    return captured.get()


def test_repetitions_are_summed_up_by_subject_and_figure() -> None:
    assert summary(ROWS)["ours"]["cpu"] == (10.0, 20.0, 30.0)
    assert medians(ROWS) == {"ours": {"cpu": 20.0, "rate": 2000.0}, "theirs": {"cpu": 40.0}}


def test_the_table_has_the_median_and_the_spread_and_a_dash_for_what_was_not_measured() -> None:
    cells = [re.split(r" {2,}", line.strip()) for line in shown().splitlines()]
    assert ["CPU", "20.0", "40.0"] in cells
    assert ["(10.0–30.0)"] in cells  # noqa: RUF001
    assert ["rate", "2,000", "–"] in cells  # noqa: RUF001
    assert ["(1,000–3,000)"] in cells  # noqa: RUF001


def test_notes_name_the_row_that_they_are_about() -> None:
    assert list(report.notes(ROWS)) == ["ours, repetition 3: it was late"]


def test_the_document_has_the_machine_the_settings_every_row_and_the_remarks() -> None:
    written = report.document({"cpu": "x"}, {"quick": True}, {"sample": (scenario(), ROWS)})
    read = orjson.loads(orjson.dumps(written))
    assert read["cpu"] == "x"
    assert read["settings"] == {"quick": True}
    assert len(read["scenarios"]["sample"]["rows"]) == len(ROWS)
    assert read["scenarios"]["sample"]["summary"]["ours"]["cpu"]["median"] == 20.0
    assert read["scenarios"]["sample"]["remarks"] == ["ours/theirs 0.5"]


def test_every_module_of_the_scenarios_is_one() -> None:
    for name, each in scenarios().items():
        assert name == each.NAME
        assert each.COMPARES
        assert each.SUBJECTS
        assert each.FIGURES
        assert callable(each.run)
        assert callable(each.remarks)


def test_the_engines_are_compared_as_far_as_they_were_measured() -> None:
    cpu = {"handwritten": 25.0, "kernel": 50.0, "quix": 200.0}
    found = {subject: {"worker_us": value} for subject, value in cpu.items()}
    assert reference.remarks(found) == [
        "worker CPU per order, burst: kernel/handwritten 2.00, kernel/quix 0.25"
    ]
    assert reference.remarks({"quix": {}}) == []
