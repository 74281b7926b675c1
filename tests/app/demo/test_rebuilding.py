"""A rebuild beside the demo: it must be of everything, and differ in nothing."""

from typing import Any

import pytest

from app.demo.customers import CATALOGUE
from app.demo.rebuilding import check

DIFFERENCE = {"table": "orders", "row": "one", "field": "status", "rebuilt": "CANCELLED", "live": "COMPLETED"}


def found(**changes: Any) -> dict[str, Any]:
    same = {
        "orders": {"COMPLETED": 8, "CANCELLED": 2},
        "payments": {"COMPLETED": 8, "FAILED": 1},
        "stock": {"SKUs": len(CATALOGUE), "sold": 9},
        "left_out": {},
        "found": {},
        "differences": [],
    }
    return {**same, **changes}


def test_all_that_was_placed_and_no_difference_is_as_it_should_be() -> None:
    finding = check(0, found(), 10, "")
    assert finding.is_kept
    assert finding.kept == "10 orders, 9 payments and 5 SKUs rebuilt from the topics equal the live tables"


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"left_out": {"payments": 3}}, "3 payments left out, as they were in flight"),
        ({"orders": {"COMPLETED": 9}}, "9 orders rebuilt, 10 placed"),
        ({"stock": {"SKUs": 4}}, "4 SKUs rebuilt, 5 stocked"),
    ],
)
def test_what_was_not_compared_is_named(changes: dict[str, Any], difference: str) -> None:
    assert check(0, found(**changes), 10, "").differences == (difference,)


def test_what_differs_is_counted_and_named() -> None:
    finding = check(1, found(found={"orders": 1}, differences=[DIFFERENCE]), 10, "")
    assert finding.differences == (
        "differences in orders: 1",
        "orders one, status: COMPLETED live, CANCELLED rebuilt",
    )


@pytest.mark.parametrize("code", [None, 0, 1, 2])
def test_one_without_a_result_gives_its_last_words(code: int | None) -> None:
    finding = check(code, {}, 10, "error: no Kafka answers")
    assert finding.differences == (f"`python -m app rebuild` ended with {code}: error: no Kafka answers",)
