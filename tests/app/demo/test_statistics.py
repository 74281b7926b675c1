"""The statistics beside the audit: equal in all that both know, or it is said in what not."""

import pytest

from app.demo import findings, statistics
from app.demo.statistics import Look, Statistics, Totals, check, counted, reckoned

BEFORE = {"COMPLETED": 3, "CANCELLED": 1}
AFTER = {"OPEN": 1, "COMPLETED": 5, "CANCELLED": 2, "REFUNDING": 1, "REFUNDED": 1}
TOTAL = {"orders": 5, "completed": 4, "cancelled": 1, "refunded": 1, "units": {"kettle": 6}, "revenue": {}}
NOTHING = {"orders": 0, "completed": 0, "cancelled": 0, "refunded": 0, "units": {}}
BEGINNING = Look(counted(NOTHING), reckoned(BEFORE, {"kettle": 3}))


def ending(counted: Totals) -> Look:
    return Look(counted, reckoned(AFTER, {"kettle": 9}))


def test_they_are_equal_where_both_have_grown_by_as_much() -> None:
    finding = check(BEGINNING, ending(counted(TOTAL)), placed=5)
    assert finding.is_kept
    assert finding.kept.endswith(": 5 orders, 4 completed, 1 cancelled, 1 refunded, 6 units")


@pytest.mark.parametrize("name", ["orders", "completed", "cancelled", "refunded", "units of kettle"])
def test_each_total_that_is_another_is_named(name: str) -> None:
    known = counted(TOTAL)
    finding = check(BEGINNING, ending({**known, name: known[name] + 1}), placed=5)
    assert finding.differences == (f"{name}: {known[name] + 1} in the summary, {known[name]} by the audit",)


def test_units_that_only_one_of_them_knows_are_named() -> None:
    finding = check(BEGINNING, ending({**counted(TOTAL), "units of scale": 1}), placed=5)
    assert finding.differences == ("units of scale: 1 in the summary, 0 by the audit",)
    finding = check(BEGINNING, ending(counted({**TOTAL, "units": {}})), placed=5)
    assert finding.differences == ("units of kettle: 0 in the summary, 6 by the audit",)


def test_that_both_are_behind_is_not_equal() -> None:
    finding = check(BEGINNING, ending(counted(TOTAL)), placed=6)
    assert finding.differences == ("orders: 5 by the audit, 6 placed",)


class Scripted(Statistics):
    """Know what is given, one after the other."""

    def __init__(self, *looks: Look) -> None:
        self.looks = [*looks]

    async def look(self) -> Look:
        return self.looks.pop(0)


async def test_it_begins_where_both_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "STANDS_STILL_S", 0)
    late = ending(counted(TOTAL))
    assert await Scripted(BEGINNING, late, late).begin() == late


async def test_it_looks_again_until_they_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "LOOK_EVERY_S", 0)
    finding = await Scripted(ending(counted(NOTHING)), ending(counted(TOTAL))).compare(BEGINNING, 5)
    assert finding.is_kept


async def test_it_gives_up_in_the_end_and_says_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "PATIENCE_S", -1)
    finding = await Scripted(ending(counted(NOTHING))).compare(BEGINNING, 5)
    assert "orders: 0 in the summary, 5 by the audit" in finding.differences
