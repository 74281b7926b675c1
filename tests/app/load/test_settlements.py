import pytest

from app.load.settlements import STRANGERS, Ending, Settlements


def test_an_order_is_settled_by_its_end_counted_from_the_intended_time_of_its_post() -> None:
    settlements = Settlements()
    settlements.accepted("a", 1.0)
    settlements.accepted("b", 1.0)
    settlements.ended(Ending("a", "COMPLETED", 1.25))
    assert (settlements.open, settlements.count, settlements.last_at) == (1, 1, 1.25)
    assert settlements.after["COMPLETED"].summary().max == pytest.approx(250, rel=0.001)


def test_an_end_that_is_heard_of_before_the_answer_counts_all_the_same() -> None:
    settlements = Settlements()
    settlements.ended(Ending("a", "COMPLETED", 1.25))
    assert settlements.count == 0
    settlements.accepted("a", 1.0)
    assert (settlements.open, settlements.count) == (0, 1)


def test_an_end_that_comes_twice_counts_once() -> None:
    settlements = Settlements()
    settlements.accepted("a", 1.0)
    for at in (2.0, 3.0):
        settlements.ended(Ending("a", "COMPLETED", at))
    assert (settlements.count, settlements.last_at) == (1, 2.0)


def test_ends_are_kept_apart_by_outcome() -> None:
    settlements = Settlements()
    for order_id, outcome in (("a", "COMPLETED"), ("b", "CANCELLED PAYMENT_DECLINED"), ("c", "COMPLETED")):
        settlements.accepted(order_id, 0.0)
        settlements.ended(Ending(order_id, outcome, 1.0))
    counts = {outcome: latencies.count for outcome, latencies in settlements.after.items()}
    assert counts == {"COMPLETED": 2, "CANCELLED PAYMENT_DECLINED": 1}


def test_the_orders_of_others_are_forgotten_in_time() -> None:
    settlements = Settlements()
    for number in range(STRANGERS + 1):
        settlements.ended(Ending(str(number), "COMPLETED", 1.0))
    settlements.accepted("0", 0.5)
    settlements.accepted("1", 0.5)
    assert (settlements.open, settlements.count) == (1, 1)
