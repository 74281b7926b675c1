"""What differs between tables and topics, and when that is an offence."""

import pytest

from app.audit.book import Entry
from app.audit.facts import Status
from app.audit.stock import Counters
from app.audit.tables import LOOKS, NO_ORDER, Suspect, difference, next_suspect


@pytest.mark.parametrize(
    ("status", "found", "expected"),
    [
        (Status.COMPLETED, "COMPLETED", None),
        (Status.COMPLETED, "CANCELLED", "COMPLETED"),
        (Status.CANCELLED, "CANCELLING", "CANCELLED"),
        (Status.CANCELLED, NO_ORDER, "CANCELLED"),
        (Status.OPEN, "PENDING", None),
        (Status.OPEN, "INVENTORY_DEDUCTED", None),
        (Status.OPEN, "COMPLETED", "an order without an end"),
        (Status.OPEN, "REFUNDING", "an order without an end"),
        (Status.OPEN, "REFUNDED", "an order without an end"),
        (Status.COMPLETED, "REFUNDING", "COMPLETED"),
        (Status.REFUNDING, "REFUNDING", None),
        (Status.REFUNDING, "COMPLETED", "REFUNDING"),
        (Status.REFUNDING, "REFUNDED", "REFUNDING"),
        (Status.REFUNDED, "REFUNDED", None),
        (Status.REFUNDED, "REFUNDING", "REFUNDED"),
        (Status.REFUNDED, "COMPLETED", "REFUNDED"),
        (Status.OPEN, NO_ORDER, "an order without an end"),
    ],
)
def test_an_order_differs_where_its_end_does(status: Status, found: str, expected: str | None) -> None:
    assert difference(Entry(subject="order", status=status), found) == expected


def test_a_sku_differs_where_any_counter_does() -> None:
    counters = Counters(available=1, reserved=2, sold=3, restocked=6)
    entry = Entry(subject="sku", counters=counters)
    assert difference(entry, str(counters)) is None
    assert difference(entry, str(Counters(available=1, reserved=3, sold=2, restocked=6))) == str(counters)


def test_a_row_is_suspect_until_it_has_differed_in_the_same_way_for_long_enough() -> None:
    suspect = None
    for _ in range(LOOKS):
        suspect = next_suspect(suspect, "1 available", "2 available")
    assert suspect == Suspect(expected="1 available", found="2 available", looks=LOOKS)
    assert next_suspect(suspect, "1 available", "3 available").looks == 1
    assert next_suspect(suspect, "0 available", "2 available").looks == 1
