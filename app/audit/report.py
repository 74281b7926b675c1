"""What an audit has come to: one document, as tables for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from app.audit.book import Totals
from app.audit.facts import Status
from app.audit.offences import RULES, Offence, Rule
from app.audit.tables import Compared


@dataclass(frozen=True, kw_only=True)
class Report:
    """Be the outcome of an audit.

    `checked` and `offences` are counts by rule and by kind; `offenders` are some of the offences, and
    `more` says how many are left out. `unreadable` records are such as the stages put aside as well;
    `moving` rows of tables differ from the topics, but not in the same way for long enough.
    """

    records: int
    unreadable: int
    orders: dict[str, int]
    checked: dict[str, dict[str, int]]
    offences: dict[str, int]
    offenders: tuple[dict[str, Any], ...]
    more: int
    moving: int | None

    @property
    def is_clean(self) -> bool:
        """Tell whether there is no offence."""
        return not self.offences


def report(totals: Totals, offenders: Sequence[Offence], compared: Compared | None) -> Report:
    """Return what the book has come to."""
    orders = {status.value: totals.orders[status] for status in Status}
    placed = sum(orders.values())
    checked = {
        Rule.ENDS: {"orders": placed},
        Rule.STOCK: {"SKUs": totals.skus, "prefixes": totals.prefixes},
        Rule.PAYMENTS: {"orders": placed},
        Rule.CAUSES: {"events": totals.facts},
    }
    if compared is not None:
        checked[Rule.TABLES] = {"orders": compared.orders, "SKUs": compared.skus}
    offences = {kind.value: count for kind, count in totals.offences.items() if count}
    return Report(
        records=totals.records,
        unreadable=totals.unreadable,
        orders=orders,
        checked={rule.value: counts for rule, counts in checked.items()},
        offences=offences,
        offenders=tuple(_document(offence) for offence in offenders),
        more=sum(offences.values()) - len(offenders),
        moving=None if compared is None else compared.moving,
    )


def show(found: Report, console: Console) -> None:
    """Print the tables, and what has to be known of them."""
    console.print(_checked(found))
    orders = ", ".join(f"{count:,} {status.lower()}" for status, count in found.orders.items())
    console.print(f"Orders: {orders}", highlight=False)
    if found.unreadable:
        console.print(
            f"[yellow]{found.unreadable:,} records can't be read; their place is DEAD_LETTERS[/]",
            highlight=False,
        )
    if found.moving:
        console.print(
            f"[yellow]{found.moving:,} rows of tables were moving and could not be compared[/]",
            highlight=False,
        )
    if not found.is_clean:
        console.print(_offenders(found))
    if found.more:
        console.print(f"and {found.more:,} more", highlight=False)


def _checked(found: Report) -> Table:
    table = _table(
        f"Checked {found.records:,} records", "what", "of", Column("offences", justify="right", no_wrap=True)
    )
    for rule, kinds in RULES.items():
        if rule not in found.checked:
            continue
        counts = ", ".join(f"{count:,} {noun}" for noun, count in found.checked[rule].items())
        offences = sum(found.offences.get(kind, 0) for kind in kinds)
        table.add_row(rule, counts, f"[red]{offences:,}[/]" if offences else "0")
    return table


def _offenders(found: Report) -> Table:
    table = _table("Offences", "kind", "order or SKU", "expected", "found", "topic/partition/offset")
    for each in found.offenders:
        table.add_row(
            *(escape(str(each[name])) for name in ("kind", "subject", "expected", "found", "place"))
        )
    return table


def _table(title: str, *columns: Column | str) -> Table:
    """Return a table that fits a terminal of 80 columns."""
    return Table(
        *columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True
    )


def _document(offence: Offence) -> dict[str, Any]:
    return {
        "kind": offence.kind.value,
        "subject": offence.subject,
        "expected": offence.expected,
        "found": offence.found,
        "place": str(offence.place or ""),
    }
