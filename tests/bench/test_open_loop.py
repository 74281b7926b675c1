"""What the report of a load comes to."""

from bench.open_loop import count_figures, shortfall, steady_figures

REPORT = {
    "offered": 100,
    "accepted": 80,
    "too_many": 1,
    "unavailable": 2,
    "other": {"500": 3},
    "unknown": 4,
    "not_sent": 10,
    "unsettled": None,
    "settlements": {
        "COMPLETED": {"count": 50, "avg": 1.0, "p50": 2.0, "p99": 3.0},
        "CANCELLED INVENTORY_INSUFFICIENT": {"count": 29},
        "CANCELLED PAYMENT_DECLINED": {"count": 1},
    },
}


def test_every_order_that_was_offered_is_counted_once() -> None:
    found = count_figures(REPORT)
    parts = ("accepted", "too_many", "unavailable", "unknown", "not_sent")
    assert sum(found[part] for part in parts) == found["offered"]
    assert (found["completed"], found["cancelled"]) == (50, 30)


def test_latencies_are_of_completed_orders() -> None:
    assert steady_figures(REPORT, "x_") == {"x_avg_ms": 1.0, "x_p50_ms": 2.0, "x_p99_ms": 3.0}
    assert steady_figures({"settlements": {}}, "x_") == {}


def test_what_falls_short_is_named() -> None:
    fine = {**REPORT, "too_many": 0, "unavailable": 0, "other": {}, "unknown": 0, "not_sent": 0}
    assert shortfall(fine) == ""
    assert shortfall({**fine, "not_sent": 1_000, "unsettled": 2}) == "1,000 not sent, 2 not settled"
