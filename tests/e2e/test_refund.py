"""Refunds over HTTP: the money is given back once, the stock is there again, and the order says so."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System
from tests.e2e.test_cancel import charged, paying
from tests.e2e.test_metrics import key, scraped
from tests.e2e.test_saga import charges_of


async def test_a_completed_order_is_refunded_and_its_stock_is_there_again(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    skus = [new_sku(), new_sku()]
    for sku in skus:
        await shop.restock(sku, 5)
    order_id = (await shop.buy(order(*(item(sku, quantity=2) for sku in skus))))["order_id"]
    assert [await shop.counters(sku) for sku in skus] == [(3, 0, 2), (3, 0, 2)]
    status, answer = await shop.refund(order_id)
    assert (status, answer["order_id"]) == (202, order_id)
    assert answer["status"] in {"REFUNDING", "REFUNDED"}
    settled = await shop.settled(order_id)
    assert (settled["status"], settled["reason"]) == ("REFUNDED", None)
    assert await charges_of(session, system, order_id) == ["charge", "refund"]
    assert [await shop.counters(sku) for sku in skus] == [(5, 0, 0), (5, 0, 0)]
    timeline = await shop.timeline(order_id)
    assert timeline[-6:-4] == ["ORDER_COMPLETED", "ORDER_REFUND_REQUESTED"]
    assert sorted(timeline[-4:-1]) == ["INVENTORY_RETURNED", "INVENTORY_RETURNED", "PAYMENT_REFUNDED"]
    assert timeline[-1] == "ORDER_REFUNDED"


async def test_a_refund_that_is_asked_for_many_times_gives_back_once(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = (await shop.buy(order(item(sku))))["order_id"]
    answers = await asyncio.gather(*(shop.refund(order_id) for _ in range(10)))
    assert {status for status, _ in answers} == {202}
    settled = await shop.settled(order_id)
    assert await shop.refund(order_id) == (202, {"order_id": order_id, "status": "REFUNDED"})
    assert (await shop.get(f"/orders/{order_id}"))[1] == settled
    assert await charges_of(session, system, order_id) == ["charge", "refund"]
    assert await shop.counters(sku) == (1, 0, 0)


async def test_what_was_given_back_is_sold_to_the_next(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    for _ in range(3):
        order_id = (await shop.buy(order(item(sku))))["order_id"]
        assert (await shop.refund(order_id))[0] == 202
        assert (await shop.settled(order_id))["status"] == "REFUNDED"
        await shop.stock(sku, lambda known: known["available"] == 1)
    assert (await shop.buy(order(item(sku))))["status"] == "COMPLETED"
    assert await shop.counters(sku) == (0, 0, 1)


async def test_an_order_that_is_not_completed_is_not_refunded(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    unpaid = await paying(shop, sku)
    cancelled = (await shop.buy(order(item(new_sku()))))["order_id"]
    for order_id, seen in ((unpaid, "INVENTORY_DEDUCTED"), (cancelled, "CANCELLED")):
        status, problem = await shop.refund(order_id)
        assert (status, problem["order_id"]) == (409, order_id)
        assert problem["detail"] == f"the order is {seen}: only a completed order can be refunded"


async def test_a_refunded_order_is_not_cancelled(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = (await shop.buy(order(item(sku))))["order_id"]
    await shop.refund(order_id)
    assert (await shop.cancel(order_id))[0] == 409
    assert (await shop.settled(order_id))["status"] == "REFUNDED"


@pytest.mark.parametrize("order_id", ["no-such-order", "01890000-0000-7000-8000-000000000000"])
async def test_an_unknown_order_can_not_be_refunded(shop: Shop, order_id: str) -> None:
    assert (await shop.refund(order_id))[0] == 404


async def delayed(shop: Shop, order_id: str) -> None:
    """Wait until the order's timeline says that its refund is delayed."""
    await until(lambda: shop.timeline(order_id), lambda types: "PAYMENT_REFUND_DELAYED" in types)


async def refunds_delayed(shop: Shop) -> float:
    """Return how many refunds the worker says are delayed."""
    return (await scraped(shop))[key("orders_refunds_delayed")]


@asynccontextmanager
async def failing_refunds(session: aiohttp.ClientSession, system: System) -> AsyncIterator[None]:
    """Have every refund fail meanwhile."""

    async def switch(*, failing: bool) -> None:
        url = f"{system.provider_url}/faults/refunds"
        async with session.put(url, json={"failing": failing}) as answer:
            assert answer.status == 200

    await switch(failing=True)
    try:
        yield
    finally:
        await switch(failing=False)


async def test_a_refund_that_fails_for_a_while_shows_in_the_timeline_and_is_made_once(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = (await shop.buy(order(item(sku), token="tok_refund_flaky")))["order_id"]
    assert (await shop.refund(order_id))[0] == 202
    assert (await shop.settled(order_id))["status"] == "REFUNDED"
    assert await charges_of(session, system, order_id) == ["charge", "refund"]
    timeline = await shop.timeline(order_id)
    assert timeline[-3:] == ["PAYMENT_REFUND_DELAYED", "PAYMENT_REFUNDED", "ORDER_REFUNDED"]


async def test_a_refund_that_fails_for_ever_is_retried_for_ever_also_by_a_worker_that_was_killed(
    shop: Shop, session: aiohttp.ClientSession, system: System, worker: str
) -> None:
    sku = new_sku()
    await shop.restock(sku, 2)
    bought = (await shop.buy(order(item(sku))))["order_id"]
    async with failing_refunds(session, system):
        unpaid = await paying(shop, sku, token="tok_timeout")
        await charged(session, system, unpaid)
        assert (await shop.cancel(unpaid))[0] == 202
        assert (await shop.refund(bought))[0] == 202
        for order_id in (bought, unpaid):
            await delayed(shop, order_id)
        assert await shop.counters(sku) == (2, 0, 0), "the stock waits for no money"
        await system.restart(worker, signal.SIGKILL)
        await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
        await until(lambda: refunds_delayed(shop), lambda count: count == 2)
        states = [(await shop.get(f"/orders/{order_id}"))[1]["status"] for order_id in (bought, unpaid)]
        assert states == ["REFUNDING", "CANCELLING"]
    for order_id, end in ((bought, "REFUNDED"), (unpaid, "CANCELLED")):
        assert (await shop.settled(order_id))["status"] == end
        assert await charges_of(session, system, order_id) == ["charge", "refund"]
        assert (await shop.timeline(order_id)).count("PAYMENT_REFUND_DELAYED") == 1
    assert await refunds_delayed(shop) == 0
