"""The command line: `python -m bench [SCENARIO ...]`."""

import signal
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from app import broker
from app.errors import Failure
from bench import machine, report
from bench.scenario import Bench, Row, Scenario, medians, scenarios

INTERRUPTED = 130
REPETITIONS = 3
STEADY_S = 20
QUICK_STEADY_S = 3

WIDTH = 160
"""Where there is no terminal: as many columns as `outages` has fit into it."""


class How(NamedTuple):
    """Be how to measure: how often, which subjects alone, for how long, and whether small."""

    repetitions: int
    only: frozenset[str]
    steady_s: int
    quick: bool


console = Console(width=None if Console().is_terminal else WIDTH)


def main(  # noqa: PLR0913  # an option each
    names: Annotated[list[str] | None, typer.Argument(metavar="SCENARIO", help="All, unless named.")] = None,
    repetitions: Annotated[
        int, typer.Option(min=1, max=20, help="Measure everything so often.")
    ] = REPETITIONS,
    only: Annotated[list[str] | None, typer.Option(help="Measure this subject alone; repeatable.")] = None,
    steady: Annotated[
        int, typer.Option(min=1, max=600, help="Offer each steady rate for so many seconds.")
    ] = STEADY_S,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small and once: does it run at all?")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Only say which scenarios there are.")] = False,
) -> None:
    """Measure, show one table a scenario, and write everything into bench/results."""
    known = scenarios()
    if show_list:
        for scenario in known.values():
            console.print(f"{scenario.NAME}: {scenario.COMPARES}", highlight=False)
            console.print(f"  subjects: {', '.join(scenario.SUBJECTS)}", highlight=False)
        return
    if unknown := set(names or ()) - set(known):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: no such scenario; see --list")
    chosen = {name: known[name] for name in names or known}
    if unknown := set(only or ()) - {subject for each in chosen.values() for subject in each.SUBJECTS}:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: no such subject; see --list")
    try:
        how = How(
            1 if quick else repetitions, frozenset(only or ()), QUICK_STEADY_S if quick else steady, quick
        )
        raise typer.Exit(_run(chosen, how))
    except KeyboardInterrupt:
        typer.echo("interrupted: what was under way is not in the results, nothing is left running", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _run(chosen: dict[str, Scenario], how: How) -> int:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    where = machine.describe()
    settings = {**how._asdict(), "only": sorted(how.only)}
    measured: dict[str, tuple[Scenario, list[Row]]] = {}
    for scenario in chosen.values():
        logs = report.RESULTS / f"{name}-logs" / scenario.NAME
        rows = _measure(scenario, logs, how)
        measured[scenario.NAME] = scenario, rows
        _show(scenario, rows)
        path = report.save(report.document(where, settings, measured), name)
        console.print(f"written to {path}", highlight=False)
    return int(any(row.note for _, rows in measured.values() for row in rows))


def _measure(scenario: Scenario, logs: Path, how: How) -> list[Row]:
    """Run one scenario on a broker of its own; all but the logs is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="order-saga-bench-") as scratch,
        console.status(f"{scenario.NAME}: starting Kafka") as status,
        broker.start(Path(scratch, "broker")) as kafka,
    ):
        bench = Bench(
            broker=kafka,
            scratch=Path(scratch),
            logs=logs,
            repetitions=how.repetitions,
            quick=how.quick,
            only=how.only,
            steady_s=how.steady_s,
            say=lambda text: status.update(f"{scenario.NAME}: {text}"),
        )
        rows = []
        for row in scenario.run(bench):
            rows.append(row)
            console.print(
                f"{scenario.NAME}: {row.subject}, repetition {row.repetition} of {how.repetitions}: done"
            )
        return rows


def _show(scenario: Scenario, rows: list[Row]) -> None:
    console.print(f"\n{scenario.NAME}: {scenario.COMPARES}", highlight=False)
    console.print(report.table(scenario, rows))
    for line in (*scenario.remarks(medians(rows)), *report.notes(rows)):
        console.print(line, highlight=False, markup=False)


def run() -> None:
    """Run the command line; SIGTERM ends it as Ctrl-C does, every child first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        typer.run(main)
    except Failure as failure:
        typer.echo(f"error: {failure}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    run()
