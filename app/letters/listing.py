"""What `dead-letters list` does: the letters that nothing was done about, newest last."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.letters.letter import Letter, LetterId
from app.letters.progress import reading
from app.letters.reading import Reader, open_letters
from app.letters.selection import Page, Wanted, newest
from app.letters.texts import key_text, plain
from app.settings import Settings

ERROR_CHARACTERS = 200
PIPED_WIDTH = 200
"""Columns of a table that goes into a file or to another program: enough to keep a letter on one line."""


def run(settings: Settings, wanted: Wanted, limit: int, before: LetterId | None, *, json: bool) -> int:
    """Print a page of open letters.

    Raises:
        Failure: Kafka does not answer, or there is no such letter to come before.
    """
    with reading("looking for letters") as tick, Reader(settings, tick) as reader:
        tick.total(reader.size(wanted.since))
        start = None if before is None else reader.find(before)
        page = newest(open_letters(reader, wanted.since), wanted, limit, start)
    if json:
        for letter in page.letters:
            print(orjson.dumps(_document(letter), option=orjson.OPT_UTC_Z).decode())  # noqa: T201
    else:
        _show(page)
    return 0


def table(letters: Sequence[Letter], *more: tuple[str, Sequence[str]]) -> Table:
    """Return letters as a table, with more columns where they are given."""
    narrow = (Column("id", no_wrap=True), Column("when (UTC)", no_wrap=True))
    found = Table(*narrow, "record", "key", *(name for name, _ in more), "error", box=SIMPLE, pad_edge=False)
    for number, letter in enumerate(letters):
        added = [cells[number] for _, cells in more]
        error = letter.error[:ERROR_CHARACTERS]
        cells = [_when(letter), str(letter.source or "unknown"), key_text(letter.key), *added, error]
        found.add_row(str(letter.id), *(Text(plain(cell), overflow="fold") for cell in cells))
    return found


def say(*parts: Table | str) -> None:
    """Print tables and sentences; what came from outside is not obeyed."""
    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=PIPED_WIDTH)
    for part in parts:
        shown = part if isinstance(part, Table) else Text(plain(part))
        screen.print(shown, soft_wrap=isinstance(part, str))


def _show(page: Page) -> None:
    say(*([table(page.letters)] if page.letters else []), *_remarks(page))


def _remarks(page: Page) -> Iterator[str]:
    shown = len(page.letters)
    if not page.of:
        yield "No letter."
    elif shown < page.of:
        yield f"The newest {shown:,} of {page.of:,}; those before them: --before {page.letters[0].id}"
    else:
        yield f"{shown:,} letter{'s' if shown > 1 else ''}."


def _when(letter: Letter) -> str:
    return f"{letter.at:%Y-%m-%d %H:%M:%S}"


def _document(letter: Letter) -> dict[str, Any]:
    source = letter.source
    return {
        "id": str(letter.id),
        "at": letter.at,
        "topic": source.topic if source else None,
        "partition": source.partition if source else None,
        "offset": source.offset if source else None,
        "key": None if letter.key is None else key_text(letter.key),
        "error": letter.error,
    }
