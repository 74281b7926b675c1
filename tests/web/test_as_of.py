"""`GET /orders/{id}?as_of=`: the order at each step of its timeline, and before it."""

from datetime import datetime, timedelta

from tests.e2e.shop import Shop, item, new_sku, order

STATUSES = {
    "ORDER_CREATED": "PENDING",
    "INVENTORY_DEDUCTED": "INVENTORY_DEDUCTED",
    "PAYMENT_COMPLETED": "COMPLETED",
    "ORDER_COMPLETED": "COMPLETED",
}


async def test_an_order_is_shown_as_it_stood_at_every_step(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    now = await shop.buy(order(item(sku), token="tok_slow"))
    path = f"/orders/{now['order_id']}"
    _, timeline = await shop.get(f"{path}/events")
    for step, after in zip(timeline["events"], [*timeline["events"][1:], None], strict=True):
        if after is None or step["at"] != after["at"]:
            status, then = await shop.get(f"{path}?as_of={step['at']}")
            assert (status, then["status"]) == (200, STATUSES[step["type"]])
            assert then["updated_at"] == step["at"]
    assert then == now


async def test_before_it_was_accepted_there_was_none(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    now = await shop.buy(order(item(sku)))
    before = datetime.fromisoformat(now["created_at"]) - timedelta(minutes=1)
    status, problem = await shop.get(f"/orders/{now['order_id']}?as_of={before:%Y-%m-%dT%H:%M:%SZ}")
    assert status == 404
    assert "it came later" in problem["detail"]


async def test_a_time_without_its_zone_is_no_time(shop: Shop) -> None:
    status, problem = await shop.get("/orders/any?as_of=2026-01-01T00:00:00")
    assert status == 422
    assert problem["errors"][0]["loc"] == ["query", "as_of"]
