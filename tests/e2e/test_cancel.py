"""Cancelling over HTTP: what it answers, and who is first, the customer or the payment."""

import asyncio
from collections import Counter
from random import Random

import aiohttp
import pytest

from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import SHORT_SESSION, System
from tests.e2e.test_saga import charges_of
from tests.e2e.test_workers import all_here, owners_of

RACERS = 120
LONGEST_S = 2.0
"""A little more than a slow payment takes, and all before it."""


async def paying(shop: Shop, sku: str, token: str = "tok_slow") -> str:
    """Return an order whose stock is reserved and whose payment is under way."""
    order_id = await shop.place(order(item(sku), token=token))
    await until(
        lambda: shop.get(f"/orders/{order_id}"), lambda found: found[1]["status"] == "INVENTORY_DEDUCTED"
    )
    return order_id


async def charged(session: aiohttp.ClientSession, system: System, order_id: str) -> None:
    """Wait until the provider has charged the order."""

    async def ask() -> int:
        async with session.get(f"{system.provider_url}/charges/{order_id}") as answer:
            return answer.status

    await until(ask, lambda status: status == 200)


async def test_an_order_is_cancelled_while_its_payment_is_slow_and_not_left_charged(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = await paying(shop, sku)
    status, answer = await shop.cancel(order_id)
    assert (status, answer) == (202, {"order_id": order_id, "status": "CANCELLING"})
    settled = await shop.settled(order_id)
    assert (settled["status"], settled["reason"]) == ("CANCELLED", "CUSTOMER_REQUEST")
    assert await charges_of(session, system, order_id) in ([], ["charge", "refund"])
    assert await shop.counters(sku) == (1, 0, 0)


async def test_a_charge_whose_answer_never_came_is_given_back_once_before_the_order_is_cancelled(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = await paying(shop, sku, token="tok_timeout")
    await charged(session, system, order_id)
    assert (await shop.cancel(order_id))[0] == 202
    settled = await shop.settled(order_id)
    assert (settled["status"], settled["reason"]) == ("CANCELLED", "CUSTOMER_REQUEST")
    assert await charges_of(session, system, order_id) == ["charge", "refund"]
    timeline = await shop.timeline(order_id)
    assert timeline[:3] == ["ORDER_CREATED", "INVENTORY_DEDUCTED", "ORDER_CANCEL_REQUESTED"]
    assert timeline[-2:] == ["PAYMENT_REFUNDED", "ORDER_CANCELLED"]


async def test_a_completed_order_is_not_cancelled(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = (await shop.buy(order(item(sku))))["order_id"]
    status, problem = await shop.cancel(order_id)
    assert (status, problem["order_id"]) == (409, order_id)
    assert "COMPLETED" in problem["detail"]
    assert (await shop.get(f"/orders/{order_id}"))[1]["status"] == "COMPLETED"
    assert await shop.counters(sku) == (0, 0, 1)


async def test_cancelling_again_is_answered_again_and_changes_nothing(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = await paying(shop, sku)
    answers = await asyncio.gather(*(shop.cancel(order_id) for _ in range(5)))
    assert {status for status, _ in answers} == {202}
    settled = await shop.settled(order_id)
    assert await shop.cancel(order_id) == (202, {"order_id": order_id, "status": "CANCELLED"})
    assert (await shop.get(f"/orders/{order_id}"))[1] == settled
    assert (await shop.timeline(order_id)).count("ORDER_CANCEL_REQUESTED") == 1


async def test_an_order_that_was_declined_is_cancelled_already(shop: Shop) -> None:
    declined = await shop.buy(order(item(new_sku())))
    assert await shop.cancel(declined["order_id"]) == (
        202,
        {"order_id": declined["order_id"], "status": "CANCELLED"},
    )


async def test_an_order_that_has_just_been_accepted_can_be_cancelled_at_once(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 20)
    for _ in range(20):
        order_id = await shop.place(order(item(sku), token="tok_slow"))
        assert (await shop.cancel(order_id))[0] == 202
        assert (await shop.settled(order_id))["status"] == "CANCELLED"
    assert await shop.counters(sku) == (20, 0, 0)


@pytest.mark.parametrize("order_id", ["no-such-order", "01890000-0000-7000-8000-000000000000"])
async def test_an_unknown_order_can_not_be_cancelled(shop: Shop, order_id: str) -> None:
    status, problem = await shop.cancel(order_id)
    assert (status, problem["detail"]) == (404, f"there is no order {order_id!r}")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/cancel?now=1", None, 422), ("/cancel", {"reason": "too dear"}, 422), ("/cancel", [], 422)],
)
async def test_what_is_asked_beside_the_wish_is_refused(
    shop: Shop, path: str, body: Document | None, status: int
) -> None:
    found, problem = await shop.post(f"/orders/no-such-order{path}", body)
    assert (found, problem["status"]) == (status, status)


async def test_however_the_race_ends_each_order_is_sold_and_charged_or_cancelled_and_not_left_charged(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    sku, draw = new_sku("race"), Random(6)  # noqa: S311  # a test's own chance
    await shop.restock(sku, RACERS)

    async def race(token: str, pause_s: float) -> tuple[str, int, Document]:
        order_id = await shop.place(order(item(sku), token=token))
        await asyncio.sleep(pause_s)  # no condition is waited for: any moment is as good as another
        status, _ = await shop.cancel(order_id)
        return order_id, status, await shop.settled(order_id)

    tokens = ("tok_slow", "tok_slow", "tok_ok", "tok_flaky", "tok_duplicate", "tok_timeout")
    races = [race(tokens[number % 6], draw.uniform(0, LONGEST_S)) for number in range(RACERS)]
    ends: Counter[tuple[str, str]] = Counter()
    for order_id, status, settled in await asyncio.gather(*races):
        money = await charges_of(session, system, order_id)
        if settled["status"] == "COMPLETED":
            assert (money, settled["reason"]) == (["charge"], None)
        else:
            assert (status, settled["reason"]) == (202, "CUSTOMER_REQUEST")
            assert money in ([], ["charge", "refund"])
        ends[settled["status"], " ".join(money)] += 1
    sold = ends["COMPLETED", "charge"]
    assert 0 < sold < RACERS, f"one side won every race: {ends}"
    assert ends["CANCELLED", "charge refund"], f"no charge crossed a cancellation: {ends}"
    assert await shop.counters(sku) == (RACERS - sold, 0, sold)


async def test_any_worker_takes_the_wish(system: System, session: aiohttp.ClientSession, shop: Shop) -> None:
    second, url = await system.worker(environment=SHORT_SESSION)
    other = Shop(session, url)
    await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
    sku = new_sku()
    await shop.restock(sku, 20)
    order_ids = await asyncio.gather(*(paying(shop, sku) for _ in range(16)))
    paths = [f"/orders/{order_id}" for order_id in order_ids]
    owners = await asyncio.gather(*(owners_of(session, path, (shop.url, url)) for path in paths))
    assert {owner[0] for owner in owners} == {shop.url, url}, "one worker owned it all: nothing was forwarded"
    strangers = [other if owner == [shop.url] else shop for owner in owners]
    answers = await asyncio.gather(
        *(stranger.cancel(order_id) for stranger, order_id in zip(strangers, order_ids, strict=True))
    )
    assert 202 in {status for status, _ in answers}, "the payments were all quicker"
    for order_id, (status, answer) in zip(order_ids, answers, strict=True):
        assert answer["order_id"] == order_id
        assert (await shop.settled(order_id))["status"] == ("CANCELLED" if status == 202 else "COMPLETED")
    assert await asyncio.to_thread(second.stop) == 0
    await all_here(shop, paths)
