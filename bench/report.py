"""How results look: one table a scenario on the screen, one JSON file a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich import box
from rich.table import Column, Table

from bench.figures import Spread
from bench.scenario import Figure, Row, Scenario, medians, summary

FEW = 100
"""Numbers from here on are shown without decimals."""

RESULTS = Path(__file__).parent / "results"


def table(scenario: Scenario, rows: Sequence[Row]) -> Table:
    """Return the scenario's table: a line a figure, a column a subject, the median and its spread."""
    found = summary(rows)
    subjects = [subject for subject in scenario.SUBJECTS if subject in found]
    shown = Table(
        Column("", no_wrap=True),
        *(Column(subject.replace(" ", "\n"), justify="right") for subject in subjects),
        box=box.SIMPLE_HEAD,
    )
    for figure in scenario.FIGURES:
        shown.add_row(figure.words, *(_cell(found[subject].get(figure.name), figure) for subject in subjects))
    return shown


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what was not as it should be, row by row."""
    for row in rows:
        if row.note:
            yield f"{row.subject}, repetition {row.repetition}: {row.note}"


def document(
    machine: Mapping[str, Any],
    settings: Mapping[str, Any],
    measured: Mapping[str, tuple[Scenario, list[Row]]],
) -> Mapping[str, Any]:
    """Return the whole run as it is written down."""
    return {
        **machine,
        "settings": settings,
        "scenarios": {
            name: {
                "compares": scenario.COMPARES,
                "figures": {figure.name: figure.words for figure in scenario.FIGURES},
                "rows": [asdict(row) for row in rows],
                "summary": {
                    subject: {figure: each._asdict() for figure, each in figures.items()}
                    for subject, figures in summary(rows).items()
                },
                "remarks": list(scenario.remarks(medians(rows))),
            }
            for name, (scenario, rows) in measured.items()
        },
    }


def save(results: Mapping[str, Any], name: str) -> Path:
    """Write the results down under this name and return where."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    return path


def _cell(each: Spread | None, figure: Figure) -> str:
    if each is None:
        return "–"  # noqa: RUF001  # a dash for what was not measured
    median = _number(each.median, figure)
    if each.least == each.most:
        return median
    return f"{median}\n({_number(each.least, figure)}–{_number(each.most, figure)})"  # noqa: RUF001


def _number(value: float, figure: Figure) -> str:
    return f"{value:,.{figure.digits if abs(value) < FEW else 0}f}"
