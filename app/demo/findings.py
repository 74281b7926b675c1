"""What the demo has found out about one promise: that it was kept, or what differs."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.text import Text

SHOWN = 10
"""How many differences are shown of each."""

PATIENCE_S = 60
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Finding:
    """Be one line at the end of the demo: what is said where nothing differs, and where something does."""

    kept: str
    broken: str
    differences: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Tell whether all is as it should be."""
        return not self.differences


async def patiently(look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """Return what is found once all of it is kept, or there is no more time to wait for that."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        findings = await look()
        if all(finding.is_kept for finding in findings) or time.monotonic() > deadline:
            return findings
        await asyncio.sleep(LOOK_EVERY_S)


def show(finding: Finding, console: Console) -> None:
    """Print the line, and what differs."""
    if finding.is_kept:
        done(finding.kept, console)
        return
    console.print(f" [red]✗ {escape(finding.broken)}[/]", soft_wrap=True, highlight=False)
    for difference in finding.differences[:SHOWN]:
        console.print(Text(f"   {difference}"), soft_wrap=True)
    if (more := len(finding.differences) - SHOWN) > 0:
        console.print(f"   and {more:,} more")


def done(what: str, console: Console) -> None:
    """Print what has been done."""
    console.print(f" [green]✓[/] {escape(what)}", soft_wrap=True, highlight=False)


def apart(wanted: Iterable[tuple[str, str]], found: Counter[tuple[str, str]]) -> tuple[str, ...]:
    """Return what keeps these from being found once each and nothing else, all as pairs of order and kind."""
    expected = Counter(wanted)
    return tuple(
        f"order {order_id}: {kind} {found[order_id, kind]} times, expected {expected[order_id, kind]}"
        for order_id, kind in sorted({*expected, *found})
        if found[order_id, kind] != expected[order_id, kind]
    )
