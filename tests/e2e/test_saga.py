import asyncio
from collections import Counter

import aiohttp

from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import System


async def charges_of(session: aiohttp.ClientSession, system: System, order_id: str) -> list[str]:
    async with session.get(f"{system.provider_url}/charges") as answer:
        ledger = (await answer.json())["entries"]
    return [
        entry["kind"]
        for entry in ledger
        if entry["idempotency_key"].endswith(order_id) and entry["outcome"] == "completed"
    ]


async def test_an_order_is_completed_and_its_stock_sold(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 5)
    placed = await shop.buy(order(item(sku, quantity=2, unit_price=350)))
    assert (placed["status"], placed["reason"], placed["total"]) == ("COMPLETED", None, 700)
    assert await shop.counters(sku) == (3, 0, 2)


async def test_a_completed_order_is_charged_once(
    shop: Shop, session: aiohttp.ClientSession, system: System
) -> None:
    sku = new_sku()
    await shop.restock(sku, 5)
    for token in ("tok_ok", "tok_flaky", "tok_duplicate", "tok_timeout"):
        placed = await shop.buy(order(item(sku), token=token))
        assert placed["status"] == "COMPLETED", token
        assert await charges_of(session, system, placed["order_id"]) == ["charge"], token


async def test_an_order_without_stock_is_cancelled(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    placed = await shop.buy(order(item(sku, quantity=2)))
    assert (placed["status"], placed["reason"]) == ("CANCELLED", "INVENTORY_INSUFFICIENT")
    assert await shop.counters(sku) == (1, 0, 0)


async def test_an_order_for_an_unknown_sku_is_cancelled(shop: Shop) -> None:
    placed = await shop.buy(order(item(new_sku("never-stocked"))))
    assert (placed["status"], placed["reason"]) == ("CANCELLED", "INVENTORY_INSUFFICIENT")


async def test_a_declined_payment_gives_the_stock_back(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 4)
    placed = await shop.buy(order(item(sku, quantity=3), token="tok_declined"))
    assert (placed["status"], placed["reason"]) == ("CANCELLED", "PAYMENT_DECLINED")
    assert await shop.counters(sku) == (4, 0, 0)


async def test_an_order_of_several_lines_is_completed_whole(shop: Shop) -> None:
    skus = [new_sku() for _ in range(5)]
    for sku in skus:
        await shop.restock(sku, 3)
    placed = await shop.buy(order(*(item(sku, quantity=3) for sku in skus)))
    assert placed["status"] == "COMPLETED"
    for sku in skus:
        assert await shop.counters(sku) == (0, 0, 3)


async def test_an_order_of_several_lines_takes_all_or_nothing(shop: Shop) -> None:
    plenty, scarce = new_sku("plenty"), new_sku("scarce")
    await shop.restock(plenty, 10)
    await shop.restock(scarce, 1)
    placed = await shop.buy(order(item(plenty, quantity=4), item(scarce, quantity=2)))
    assert (placed["status"], placed["reason"]) == ("CANCELLED", "INVENTORY_INSUFFICIENT")
    assert await shop.counters(plenty) == (10, 0, 0)
    assert await shop.counters(scarce) == (1, 0, 0)


async def test_a_hundred_buyers_for_ten_units(shop: Shop) -> None:
    sku = new_sku("hot")
    await shop.restock(sku, 10)
    placed = await asyncio.gather(*(shop.buy(order(item(sku))) for _ in range(100)))
    outcomes = Counter((one["status"], one["reason"]) for one in placed)
    assert outcomes == {("COMPLETED", None): 10, ("CANCELLED", "INVENTORY_INSUFFICIENT"): 90}
    assert await shop.counters(sku) == (0, 0, 10)


async def test_an_accepted_order_is_found_at_once(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 50)
    for _ in range(20):
        order_id = await shop.place(order(item(sku)))
        status, found = await shop.get(f"/orders/{order_id}")
        assert (status, found["order_id"]) == (200, order_id)


async def test_the_timeline_tells_what_happened_and_why(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = (await shop.buy(order(item(sku))))["order_id"]
    status, timeline = await shop.get(f"/orders/{order_id}/events")
    assert status == 200
    assert [step["type"] for step in timeline["events"]] == [
        "ORDER_CREATED",
        "INVENTORY_DEDUCTED",
        "PAYMENT_COMPLETED",
        "ORDER_COMPLETED",
    ]
    times = [step["at"] for step in timeline["events"]]
    assert times == sorted(times)
    assert timeline["events"][-1]["causation_id"] == timeline["events"][-2]["event_id"]
    assert all(step["since_previous_ms"] >= 0 for step in timeline["events"])


async def test_a_slow_payment_holds_up_nobody_else(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 100)
    slow = [await shop.place(order(item(sku), token="tok_slow")) for _ in range(20)]
    quick = await shop.buy(order(item(sku)))
    assert quick["status"] == "COMPLETED"
    states = [(await shop.get(f"/orders/{order_id}"))[1] for order_id in slow]
    assert all(
        quick["updated_at"] <= state["updated_at"] for state in states if state["status"] == "COMPLETED"
    )
    settled = await asyncio.gather(*(shop.settled(order_id) for order_id in slow))
    assert {one["status"] for one in settled} == {"COMPLETED"}


async def test_the_stock_list_is_paged_by_name(shop: Shop) -> None:
    names = sorted(new_sku("page") for _ in range(5))
    for sku in names:
        await shop.restock(sku, 1)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        status, page = await shop.get(f"/inventory?limit=2&cursor={cursor}")
        assert status == 200
        found += [entry["sku"] for entry in page["items"]]
        cursor = page["cursor"]
    assert found == sorted(found)
    assert set(names) <= set(found)
    assert len(found) == len(set(found))
