"""What is shown of an audit."""

from collections import Counter
from io import StringIO

from rich.console import Console

from app.audit.book import Totals
from app.audit.facts import Place, Status
from app.audit.offences import Kind, Offence
from app.audit.report import Report, report, show
from app.audit.tables import Compared


def shown(found: Report) -> str:
    """Return what a terminal of 80 columns shows."""
    console = Console(file=StringIO(), width=80)
    show(found, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_clean_audit_says_how_much_was_checked() -> None:
    totals = Totals(records=1_234, facts=1_200, skus=3, prefixes=400)
    totals.orders.update({Status.COMPLETED: 90, Status.CANCELLED: 9, Status.OPEN: 1})
    totals.orders.update({Status.REFUNDING: 2, Status.REFUNDED: 3})
    found = report(totals, [], Compared(orders=100, skus=3))
    assert (found.is_clean, found.more, found.moving) == (True, 0, 0)
    text = shown(found)
    assert "Checked 1,234 records" in text
    assert "3 SKUs, 400 prefixes" in text
    assert "Orders: 1 open, 90 completed, 9 cancelled, 2 refunding, 3 refunded" in text
    assert "Offences" not in text


def test_offences_are_shown_with_their_place_and_how_many_are_left_out() -> None:
    totals = Totals(unreadable=2, offences=Counter({Kind.CHARGED_TWICE: 30, Kind.NO_END: 0}))
    offence = Offence(
        kind=Kind.CHARGED_TWICE,
        subject="[red]odd",
        expected="at most one charge",
        found="two",
        place=Place("PAYMENT_COMPLETED", 3, 17),
    )
    found = report(totals, [offence], None)
    assert (found.is_clean, found.more, found.moving) == (False, 29, None)
    assert found.offences == {"charged twice": 30}
    assert found.offenders[0]["place"] == "PAYMENT_COMPLETED/3/17"
    text = shown(found)
    assert "[red]odd" in text
    assert "and 29 more" in text
    assert "2 records can't be read" in text
    assert "tables" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_rows_that_were_moving_are_said_to_be_uncompared() -> None:
    assert "5 rows of tables were moving" in shown(report(Totals(), [], Compared(moving=5)))
