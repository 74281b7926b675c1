"""What counts as missing, told twice and miscounted."""

from typing import Any

import pytest

from bench.audit import complaints
from bench.deliveries import WORDS, Delivery, compare, miscounted


def told(order_id: str, message_id: str = "m", deliveries: int = 1) -> dict[str, Any]:
    """Return a message as a receiver shows it."""
    return {"id": message_id, "order_id": order_id, "deliveries": deliveries}


def test_one_message_an_order_is_right() -> None:
    assert compare({"1", "2"}, [told("2"), told("1")]) == Delivery(missing=0, twice=0, repeats=0)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([told("1")], Delivery(missing=1, twice=0, repeats=0)),
        ([told("1", "a"), told("1", "b"), told("2")], Delivery(missing=0, twice=1, repeats=0)),
        ([told("1"), told("2"), told("3")], Delivery(missing=0, twice=1, repeats=0)),
        ([told("1", deliveries=3), told("2")], Delivery(missing=0, twice=0, repeats=2)),
    ],
    ids=["none", "two", "of an order that has not ended", "the same again"],
)
def test_what_differs_is_counted_where_it_belongs(messages: list[dict[str, Any]], found: Delivery) -> None:
    assert compare({"1", "2"}, messages) == found


def test_statistics_are_right_only_where_each_kind_of_end_is() -> None:
    assert miscounted({"completed": 3, "cancelled": 1}, 3, 1) == 0
    assert miscounted({"completed": 4, "cancelled": 0}, 3, 1) == 2


def test_each_check_that_failed_has_a_sentence_and_repeats_have_none() -> None:
    assert complaints({"missing": 0, "twice": 0, "miscounted": 0, "repeats": 5}, WORDS) == []
    assert len(complaints({"missing": 1_000, "twice": 2, "miscounted": 3}, WORDS)) == 3
    assert complaints({"missing": 1_000}, WORDS) == ["1,000 messages are missing"]
