"""The rebuild knows the rows of the tables as the tables write them."""

from collections.abc import Iterable
from importlib import import_module
from itertools import pairwise

import pytest

from app.main import delivery
from app.offsets import READERS
from app.rebuild.layout import (
    CHANGELOGS,
    HOLD_ROW,
    ITEM_ROW,
    KINDS,
    LAST,
    NUMBERS,
    ORDERS_OPEN,
    PAYMENTS_OPEN,
    PAYMENTS_ROW,
    TABLES,
    Tag,
    order_key,
    row_key,
    stock_key,
    unnamed,
)
from models.catalogue import MESSAGES
from models.events import AnalyticsEvent, NotificationEvent
from tables import inventory, orders, payments

NEEDLESS = {NotificationEvent.type, AnalyticsEvent.type}
"""What the announcement beside them says as well."""


def test_every_message_is_read_but_the_notices() -> None:
    assert NUMBERS.keys() == MESSAGES.keys() - NEEDLESS
    assert len(KINDS) == len(set(KINDS)) < 256


def test_rows_are_called_as_the_tables_call_them() -> None:
    assert orders.OPEN == ORDERS_OPEN
    assert (payments.PAYMENT, payments.OPEN) == (PAYMENTS_ROW, PAYMENTS_OPEN)
    assert (inventory.ITEM, inventory.HOLD) == (ITEM_ROW, HOLD_ROW)
    assert set(CHANGELOGS) == {each.state.changelog for each in (orders, inventory, payments)}


def test_what_a_stage_reads_is_what_its_agent_is_given() -> None:
    for stage in TABLES:
        import_module(f"agents.{stage}")
    inputs = {CHANGELOGS[name]: topics for name, topics in delivery.inputs().items() if name in CHANGELOGS}
    assert {topic: stage for stage, topics in inputs.items() for topic in topics} == READERS


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ("orders", b"one", order_key(b"one") + LAST + Tag.ORDER),
        ("orders", b"\xffopen/one", order_key(b"one") + LAST + Tag.ORDER_OPEN),
        ("payments", b"payment/one", order_key(b"one") + LAST + Tag.PAYMENT),
        ("payments", b"open/one", order_key(b"one") + LAST + Tag.PAYMENT_OPEN),
        ("payments", b"untold", None),
        ("inventory", b"item/A", stock_key(b"A") + LAST + Tag.ITEM),
        ("inventory", b"hold/A/one", stock_key(b"A", b"one") + LAST + Tag.HOLD),
    ],
)
def test_each_row_has_its_place_beside_the_records(table: str, key: bytes, expected: bytes | None) -> None:
    assert row_key(table, key) == expected


def test_no_name_is_mistaken_for_another() -> None:
    names = [b"", b"a", b"a\x00", b"ab", b"b" * 300]
    for name in names:
        assert unnamed(order_key(name) + b"rest", 1)[0] == name
    keys = sorted(stock_key(sku, holder) for sku in names for holder in names)
    assert all(is_apart(pair) for pair in pairwise(keys))


def is_apart(pair: Iterable[bytes]) -> bool:
    one, other = pair
    return not other.startswith(one)
