"""The stock after the orders is the one before them, less what the completed ones have bought."""

from app.demo import stock
from app.demo.customers import Stock
from tests.app.demo.orders import KETTLE, outcome

BEFORE = [Stock(KETTLE, available=10, reserved=0, sold=5, restocked=15)]
OUTCOMES = [outcome(1, quantity=2), outcome(2, "CANCELLED"), outcome(3)]


def test_the_stock_that_the_completed_orders_leave_is_as_it_should_be() -> None:
    assert stock.check(OUTCOMES, BEFORE, [Stock(KETTLE, 7, 0, 8, 15)]).is_kept


def test_what_a_cancelled_order_keeps_is_named() -> None:
    finding = stock.check(OUTCOMES, BEFORE, [Stock(KETTLE, 6, 0, 9, 15)])
    assert finding.differences == (
        "kettle: 6 available, 0 reserved, 9 sold, not kettle: 7 available, 0 reserved, 8 sold",
    )
