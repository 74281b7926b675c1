"""What counts as lost, oversold and charged wrongly."""

from typing import Any

import pytest

from bench.audit import Evidence, complaints, judge

FINE = {"lost": 0, "oversold": 0, "charged_twice": 0}


def item(available: int, reserved: int, sold: int, restocked: int) -> dict[str, Any]:
    """Return a SKU as GET /inventory shows it."""
    return {
        "sku": "a", "available": available, "reserved": reserved, "sold": sold, "restocked": restocked,
    }  # fmt: skip


def charge(order: str, kind: str = "charge", **more: Any) -> dict[str, Any]:
    """Return an entry of the provider's ledger."""
    return {"idempotency_key": order, "kind": kind, "charge": None, "outcome": "completed", **more}


def evidence(**more: Any) -> Evidence:
    """Return a run of two orders of which one was completed, with what is different."""
    usual: dict[str, Any] = {
        "placed": {"1", "2"},
        "taken_in": {"1", "2"},
        "completed": {"1": {"a": 1}},
        "stock": [item(0, 0, 1, 1)],
        "charges": [charge("1")],
        "acknowledged": 2,
    }
    return Evidence(**{**usual, **more})


def test_a_run_in_which_all_is_right() -> None:
    assert judge(evidence()) == FINE
    assert complaints(judge(evidence())) == []


@pytest.mark.parametrize(
    ("name", "different"),
    [
        ("lost", {"taken_in": {"1"}}),
        ("lost", {"acknowledged": 3}),
        ("oversold", {"completed": {"1": {"a": 1}, "2": {"a": 1}}, "charges": [charge("1"), charge("2")]}),
        ("oversold", {"stock": [item(-1, 0, 2, 1)]}),
        ("oversold", {"stock": [item(1, 0, 1, 1)]}),
        ("oversold", {"stock": [item(0, 1, 0, 1)]}),
        ("oversold", {"stock": []}),
        ("charged_twice", {"charges": [charge("1"), charge("1")]}),
        ("charged_twice", {"charges": [charge("1"), charge("2")]}),
        ("charged_twice", {"charges": []}),
        ("charged_twice", {"charges": [charge("1"), charge("refund-1", "refund", charge="1")]}),
    ],
)
def test_what_is_wrong_is_counted_where_it_belongs(name: str, different: dict[str, Any]) -> None:
    found = judge(evidence(**different))
    assert found[name] > 0
    assert {other for other, count in found.items() if count} == {name}
    assert len(complaints(found)) == 1


def test_a_declined_charge_and_a_refunded_one_take_no_money() -> None:
    declined = charge("2", outcome="declined")
    refunded = [charge("2"), charge("refund-2", "refund", charge="2")]
    assert judge(evidence(charges=[charge("1"), declined])) == FINE
    assert judge(evidence(charges=[charge("1"), *refunded])) == FINE


def test_in_the_middle_of_a_run_orders_may_hold_stock_and_be_charged_without_an_end() -> None:
    found = evidence(
        stock=[item(1, 1, 0, 2)],
        charges=[charge("1"), charge("2")],
        all_settled=False,
        acknowledged=None,
    )
    assert judge(found) == FINE
