"""Whether the stock of the demo is what its orders say it must be."""

from collections import Counter
from collections.abc import Iterable

from app.demo.customers import Outcome, Stock
from app.demo.findings import Finding

KEPT = "every unit sold belongs to a completed order, and what cancelled ones held is back"
BROKEN = "the stock is not what the orders make it"


def check(outcomes: Iterable[Outcome], before: Iterable[Stock], after: Iterable[Stock]) -> Finding:
    """Compare the counters with those before the orders, less what the completed ones have bought."""
    sold: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.status == "COMPLETED":
            sold.update(outcome.units)
    pairs = ((_sold(now, sold[now.sku]), then) for now, then in zip(before, after, strict=True))
    differences = (f"{_said(then)}, not {_said(wanted)}" for wanted, then in pairs if then != wanted)
    return Finding(KEPT, BROKEN, tuple(differences))


def _sold(stock: Stock, units: int) -> Stock:
    return Stock(stock.sku, stock.available - units, 0, stock.sold + units, stock.restocked)


def _said(stock: Stock) -> str:
    return f"{stock.sku}: {stock.available} available, {stock.reserved} reserved, {stock.sold} sold"
