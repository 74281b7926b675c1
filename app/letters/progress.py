"""How far a look through the letters has come, on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Ticks:
    """Count what has been read or done."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def __call__(self, count: int) -> None:
        """Count some more."""
        self._progress.advance(self._task, count)

    def total(self, count: int) -> None:
        """Say how many there are."""
        self._progress.update(self._task, total=count)


@contextmanager
def reading(what: str) -> Iterator[Ticks]:
    """Show a bar while this lasts, beside the output and only to people."""
    columns = (TextColumn(" {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        yield Ticks(progress, what)
