"""Changelogs that lack what was put into them: found out, and never worked on."""

import pytest
from faust.types import TP

from app.delivery.wholeness import fault_of_folder, fault_of_offsets, fault_of_start

ORDERS = TP("orders-changelog", 3)
INPUTS = {"orders-changelog": ("ORDER_CREATED", "PAYMENT_COMPLETED")}


@pytest.mark.parametrize(("end", "applied"), [(0, -1), (1, 0), (7, -1), (7, 6)])
def test_a_folder_that_has_at_most_what_the_changelog_has_is_well(end: int, applied: int) -> None:
    assert fault_of_folder({ORDERS: end}, {ORDERS: applied}) is None


@pytest.mark.parametrize(("end", "applied"), [(0, 0), (7, 7), (7, 4_000)])
def test_a_folder_that_is_ahead_of_its_changelog_is_not(end: int, applied: int) -> None:
    fault = fault_of_folder(
        {TP("orders-changelog", 1): 9, ORDERS: end}, {TP("orders-changelog", 1): 8, ORDERS: applied}
    )
    assert fault == f"orders-changelog[3] ends at {end}, but this worker's folder has it up to {applied}"


@pytest.mark.parametrize(("start", "applied"), [(0, -1), (7, 6), (1, 0)])
def test_a_folder_that_has_all_that_is_not_read_is_well(start: int, applied: int) -> None:
    assert fault_of_start({ORDERS: start}, {ORDERS: applied}) is None


@pytest.mark.parametrize(("start", "applied"), [(1, -1), (7, -1), (7, 5)])
def test_a_folder_that_lacks_what_was_deleted_from_its_changelog_is_not(start: int, applied: int) -> None:
    fault = fault_of_start(
        {TP("orders-changelog", 1): 9, ORDERS: start}, {TP("orders-changelog", 1): 8, ORDERS: applied}
    )
    lacking = f"this worker's folder needs it from {applied + 1} on"
    assert fault == f"orders-changelog[3] begins at {start}, but {lacking}"


@pytest.mark.parametrize("topic", INPUTS["orders-changelog"])
def test_an_empty_changelog_under_offsets_that_went_on_was_emptied(topic: str) -> None:
    fault = fault_of_offsets({ORDERS: 0}, INPUTS, {TP(topic, 3): 12})
    assert fault == f"orders-changelog[3] is empty, but {topic}[3] was worked through up to 12"


@pytest.mark.parametrize(
    ("end", "committed"),
    [
        (0, {}),
        (0, {TP("ORDER_CREATED", 3): 0}),
        (0, {TP("ORDER_CREATED", 4): 12}),
        (1, {TP("ORDER_CREATED", 3): 12}),
    ],
    ids=["first start", "nothing read yet", "another partition", "it has a claim"],
)
def test_an_empty_changelog_that_nobody_has_worked_on_is_well(end: int, committed: dict[TP, int]) -> None:
    assert fault_of_offsets({ORDERS: end}, INPUTS, committed) is None


def test_a_table_that_came_later_than_its_stage_may_be_empty() -> None:
    assert fault_of_offsets({TP("letters-changelog", 3): 0}, INPUTS, {TP("ORDER_CREATED", 3): 12}) is None
