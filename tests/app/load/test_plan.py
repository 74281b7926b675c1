from collections import Counter
from itertools import islice, pairwise

import pytest

from app.errors import LoadRefused
from app.load.plan import Arrivals, Plan, bodies, moments
from web.requests import PlaceOrder


def orders(plan: Plan, count: int) -> list[PlaceOrder]:
    return [PlaceOrder.model_validate_json(body) for body in islice(bodies(plan), count)]


def test_the_turns_are_evenly_spaced() -> None:
    assert list(moments(Plan(rate=4, seconds=1.5))) == [0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_the_turns_of_customers_who_come_by_chance_are_as_many_and_unevenly_spaced() -> None:
    found = list(moments(Plan(rate=1000, seconds=10, arrivals=Arrivals.POISSON)))
    assert 9_500 < len(found) < 10_500
    assert found == sorted(found)
    assert found[-1] < 10
    gaps = sorted(later - before for before, later in pairwise(found))
    assert gaps[len(gaps) // 10] < 0.0002
    assert gaps[-len(gaps) // 10] > 0.002


@pytest.mark.parametrize("arrivals", Arrivals)
def test_the_same_seed_offers_the_same_load(arrivals: Arrivals) -> None:
    plan = Plan(rate=100, seconds=2, lines=3, hot_share=0.3, arrivals=arrivals, seed=7)
    assert list(moments(plan)) == list(moments(plan))
    assert list(islice(bodies(plan), 50)) == list(islice(bodies(plan), 50))


def test_another_seed_offers_other_orders() -> None:
    first, second = (list(islice(bodies(Plan(rate=1, seconds=1, seed=seed)), 50)) for seed in (1, 2))
    assert first != second


def test_orders_are_such_as_a_worker_accepts() -> None:
    for order in orders(Plan(rate=1, seconds=1, skus=5, lines=5, token="tok_declined"), 20):
        assert {item.sku for item in order.items} == {f"load-sku-{number}" for number in range(1, 6)}
        assert order.payment.token == "tok_declined"


def test_orders_are_spread_over_all_skus() -> None:
    plan = Plan(rate=1, seconds=1, skus=10)
    counts = Counter(order.items[0].sku for order in orders(plan, 5_000))
    assert set(counts) == set(plan.sku_names)
    assert min(counts.values()) > 350


@pytest.mark.parametrize("lines", [1, 3])
def test_a_share_of_the_orders_has_the_hot_sku_and_no_other_order_has(lines: int) -> None:
    plan = Plan(rate=1, seconds=1, skus=10, hot_share=0.25, lines=lines)
    hot = [order for order in orders(plan, 4_000) if "load-sku-1" in {item.sku for item in order.items}]
    assert 800 < len(hot) < 1_200


def test_every_order_may_go_to_the_hot_sku() -> None:
    plan = Plan(rate=1, seconds=1, skus=1, hot_share=1)
    assert {order.items[0].sku for order in orders(plan, 20)} == {"load-sku-1"}


@pytest.mark.parametrize(("skus", "hot_share"), [(2, 0.0), (3, 0.5), (2, 1.0)])
def test_fewer_skus_than_an_order_needs_are_refused(skus: int, hot_share: float) -> None:
    with pytest.raises(LoadRefused, match="raise --skus"):
        Plan(rate=1, seconds=1, skus=skus, lines=3, hot_share=hot_share)
