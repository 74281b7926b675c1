"""Whether the demo's tables are what its topics make them, as `python -m app rebuild` finds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.demo.customers import CATALOGUE
from app.demo.findings import Finding
from app.demo.system import Running
from app.processes import Command

PATIENCE_S = 60
LOOKS = 5
"""How often it is done while something is left out: offsets are committed some time after the work."""

SAME, DIFFERENT = 0, 1
BROKEN = "the live tables are not shown to be what the topics make them"

Document = Mapping[str, Any]


def rebuild(running: Running, placed: int) -> Finding:
    """Make the states anew until nothing is in flight, and tell whether the live tables are the same."""
    for _ in range(LOOKS):
        code, found, said = _rebuild(running)
        if code != SAME or not found.get("left_out"):
            break
    return check(code, found, placed, said)


def check(code: int | None, found: Document, placed: int, said: str) -> Finding:
    """Judge a rebuild by its exit code, its document, and the last line that it wrote."""
    if code not in {SAME, DIFFERENT} or not found:
        return Finding("", BROKEN, (f"`python -m app rebuild` ended with {code}: {said}",))
    orders, payments = (sum(found[table].values()) for table in ("orders", "payments"))
    skus = found["stock"].get("SKUs", 0)
    kept = (
        f"{orders} orders, {payments} payments and {skus} SKUs rebuilt from the topics equal the live tables"
    )
    return Finding(kept, BROKEN, (*_left_out(found, orders, placed), *_differences(found)))


def _left_out(found: Document, orders: int, placed: int) -> tuple[str, ...]:
    """Return what was not compared."""
    missing = [
        f"{count} {what} left out, as they were in flight" for what, count in found["left_out"].items()
    ]
    if orders < placed:
        missing.append(f"{orders} orders rebuilt, {placed} placed")
    if (skus := found["stock"].get("SKUs", 0)) < len(CATALOGUE):
        missing.append(f"{skus} SKUs rebuilt, {len(CATALOGUE)} stocked")
    return tuple(missing)


def _differences(found: Document) -> tuple[str, ...]:
    """Return those that the document names, and how many there are in each table."""
    named = [
        f"{each['table']} {each['row']}, {each['field']}: {each['live']} live, {each['rebuilt']} rebuilt"
        for each in found["differences"]
    ]
    return (*(f"differences in {table}: {count}" for table, count in found["found"].items()), *named)


def _rebuild(running: Running) -> tuple[int | None, Document, str]:
    """Rebuild once, and return the exit code, what was found, and the last words."""
    file = running.logs / "rebuild.json"
    file.unlink(missing_ok=True)
    command = Command(
        *("rebuild", "--json", str(file), "--jobs", "1"),  # so few are done before a second one is there
        log=running.logs / "rebuild.log",
        environment={"ORDERS_BROKER": running.bootstrap},
    )
    command.start()
    try:
        code = command.wait_until_done(PATIENCE_S)
    finally:
        command.stop()
    return code, _read(file), command.last_lines(1)


def _read(file: Path) -> Document:
    found: Document = json.loads(file.read_bytes()) if file.exists() else {}
    return found
