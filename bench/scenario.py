"""What a scenario is: a module with a name, a sentence, its figures, and a run that yields rows.

A new one is a module in `bench/scenarios` with the five names of `Scenario`; the runner finds it by itself.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from app.broker import Broker
from bench.figures import Spread, spread

PACKAGE = "bench.scenarios"


@dataclass(frozen=True)
class Figure:
    """Be one thing that is measured: its name in the results, its words in the table."""

    name: str
    words: str
    digits: int = 0


@dataclass(frozen=True)
class Row:
    """Be what one repetition with one subject came to; a note says what was not as it should be."""

    subject: str
    repetition: int
    figures: Mapping[str, float]
    note: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Be what a scenario may use: a broker of its own, a folder that goes with it, and how to run."""

    broker: Broker
    scratch: Path
    logs: Path
    repetitions: int
    quick: bool
    only: frozenset[str]
    steady_s: int
    say: Callable[[str], None]

    def chosen(self, subjects: Sequence[str]) -> tuple[str, ...]:
        """Return those of the subjects that are to be measured: all, unless some are named."""
        return tuple(subject for subject in subjects if not self.only or subject in self.only)


class Scenario(Protocol):
    """Be a module of `bench/scenarios`."""

    NAME: str
    COMPARES: str
    SUBJECTS: tuple[str, ...]
    FIGURES: tuple[Figure, ...]

    def run(self, bench: Bench, /) -> Iterator[Row]:
        """Measure, within a bounded time; yield each row as soon as it is there."""

    def remarks(self, medians: Mapping[str, Mapping[str, float]], /) -> Sequence[str]:
        """Return what is to be said below the table, given the medians by subject and figure."""


def scenarios() -> Mapping[str, Scenario]:
    """Return every scenario there is, by its name."""
    package = importlib.import_module(PACKAGE)
    modules = (
        importlib.import_module(f"{PACKAGE}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    )
    found = (cast("Scenario", module) for module in modules)
    return {scenario.NAME: scenario for scenario in found}


def summary(rows: Sequence[Row]) -> Mapping[str, Mapping[str, Spread]]:
    """Return the spread of every figure over the repetitions, by subject, in the order of their names."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        figures = values.setdefault(row.subject, {})
        for name, value in row.figures.items():
            figures.setdefault(name, []).append(value)
    return {
        subject: {name: spread(each) for name, each in figures.items()} for subject, figures in values.items()
    }


def medians(rows: Sequence[Row]) -> Mapping[str, Mapping[str, float]]:
    """Return the median of every figure, by subject."""
    return {
        subject: {name: each.median for name, each in figures.items()}
        for subject, figures in summary(rows).items()
    }
