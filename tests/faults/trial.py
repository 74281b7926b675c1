"""What a fault is drawn from and what it came to: a row of the table that stands behind the tests."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

NAMES = ("fault", "seed", "in flight", "lost", "oversold", "charged twice", "recovered", "memory")


@dataclass
class Trial:
    """Be one fault, what it is drawn from, and what became of the orders that it hit."""

    fault: str
    seed: int
    in_flight: int = 0
    lost: int | None = None
    oversold: int | None = None
    charged_twice: int | None = None
    recoveries_s: list[float] = field(default_factory=list)
    memory: str = "-"
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.fault} {self.seed}")  # noqa: S311  # to be drawn again, not to be secret

    def hit(self, in_flight: int) -> None:
        """Note how many orders were in flight as the fault hit; without any it has shown nothing."""
        assert in_flight, "void: nothing was in flight"
        self.in_flight += in_flight

    def recovered(self, since: float) -> None:
        """Note that new orders settle again, after a fault at this time of the monotonic clock."""
        self.recoveries_s.append(time.monotonic() - since)

    def cells(self) -> tuple[str, ...]:
        """Return the row as it is shown: what was never found out is a question mark, or a dash."""
        figures = (self.in_flight, self.lost, self.oversold, self.charged_twice)
        shown = ("?" if figure is None else str(figure) for figure in figures)
        return (self.fault, str(self.seed), *shown, recovery(self.recoveries_s), self.memory)


def recovery(times_s: Sequence[float]) -> str:
    """Return how long recovering took; of several times the median and the longest."""
    match times_s:
        case []:
            return "-"
        case [once]:
            return f"{once:.1f} s"
        case _:
            return f"{median(times_s):.1f} s, at most {max(times_s):.1f} s ({len(times_s)} times)"


def table(trials: Iterable[Trial]) -> list[str]:
    """Return the lines of the table."""
    rows = [NAMES, *(trial.cells() for trial in trials)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
