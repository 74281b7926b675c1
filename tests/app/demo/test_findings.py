"""The end of the demo: every promise in one line, and how it ends."""

import io

from rich.console import Console

from app.demo.findings import SHOWN, Finding
from app.demo.show import UNHAPPY, conclude

KEPT = Finding("all [1] told", "not all told")
BROKEN = Finding("all there", "not all there", ("one [2] is missing",))


def concluded(*findings: Finding) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=80)
    code = conclude(findings, console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_what_was_kept_is_one_line_each() -> None:
    assert concluded(KEPT, KEPT) == (0, " ✓ all [1] told\n" * 2)


def test_what_differs_is_said_and_what_comes_behind_it_as_well() -> None:
    code, text = concluded(BROKEN, KEPT)
    assert code == UNHAPPY
    assert text == " ✗ not all there\n   one [2] is missing\n ✓ all [1] told\n"


def test_of_many_differences_some_are_shown_and_the_rest_counted() -> None:
    many = Finding("", "broken", tuple(str(number) for number in range(SHOWN + 3)))
    lines = concluded(many)[1].splitlines()
    assert (len(lines), lines[-2:]) == (SHOWN + 2, [f"   {SHOWN - 1}", "   and 3 more"])
