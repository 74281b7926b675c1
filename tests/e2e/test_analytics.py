"""`GET /analytics/summary`: how orders ended, whichever worker is asked, and as the auditor counts them."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from app.demo.statistics import counted, differences, reckoned
from app.processes import Command
from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import SHORT_SESSION, System
from tests.e2e.test_workers import all_here, all_of

AUDIT_S = 60
ALL = 1_440


async def summary(shop: Shop, minutes: int = ALL) -> Document:
    status, document = await shop.get(f"/analytics/summary?minutes={minutes}")
    assert status == 200, document
    found: Document = document
    return found


def grown(before: Document, after: Document) -> dict[str, Any]:
    """Return by how much the totals have grown."""
    return {
        name: after["total"][name] - before["total"][name]
        for name in ("orders", "completed", "cancelled", "refunded")
    }


async def test_every_end_is_counted_with_its_reason_its_revenue_its_units_and_its_times(shop: Shop) -> None:
    before, sku = await summary(shop), new_sku()
    await shop.restock(sku, 6)
    for token in ("tok_ok", "tok_ok", "tok_declined"):
        await shop.buy(order(item(sku, 2, unit_price=50), token=token))
    await shop.buy(order(item(sku, 9)))
    wanted = {"orders": 4, "completed": 2, "cancelled": 2, "refunded": 0}
    after = await until(lambda: summary(shop), lambda found: grown(before, found) == wanted)

    total, known = after["total"], before["total"]
    assert total["units"][sku] == 4
    assert total["revenue"]["EUR"] - known["revenue"].get("EUR", 0) == 200
    for reason in ("PAYMENT_DECLINED", "INVENTORY_INSUFFICIENT"):
        assert total["cancelled_by_reason"][reason] - known["cancelled_by_reason"].get(reason, 0) == 1
    for step in ("reserve", "pay", "whole"):
        times = total["times_ms"][step]
        assert 0 <= times["p50"] <= times["p90"] <= times["p99"]
    assert sum(minute["orders"] for minute in after["minutes"]) == total["orders"]


async def test_a_refund_gives_back_revenue_and_units(shop: Shop) -> None:
    before, sku = await summary(shop), new_sku()
    await shop.restock(sku, 1)
    sold = await shop.buy(order(item(sku, unit_price=700)))
    assert (await shop.refund(sold["order_id"]))[0] == 202
    after = await until(lambda: summary(shop), lambda found: grown(before, found)["refunded"] == 1)
    assert after["total"]["units"][sku] == 0
    assert after["total"]["revenue"]["EUR"] == before["total"]["revenue"].get("EUR", 0)


async def test_two_workers_tell_the_same(system: System, shop: Shop, session: aiohttp.ClientSession) -> None:
    second, url = await system.worker(environment=SHORT_SESSION)
    other = Shop(session, url)
    await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
    before, skus = await summary(shop), [new_sku() for _ in range(4)]
    await all_of([shop.restock(sku, 10) for sku in skus])
    placed = await all_of([shop.place(order(item(sku))) for sku in skus * 10])
    await all_of([shop.settled(order_id) for order_id in placed])
    wanted = {"orders": 40, "completed": 40, "cancelled": 0, "refunded": 0}
    for each in (shop, other):
        found = await until(partial(summary, each), lambda known: grown(before, known) == wanted)
        assert {sku: found["total"]["units"][sku] for sku in skus} == dict.fromkeys(skus, 10)
    assert await asyncio.to_thread(second.stop) == 0
    await all_here(shop, [*(f"/orders/{order_id}" for order_id in placed), "/analytics/summary"])
    assert grown(before, await summary(shop)) == wanted


async def test_the_totals_are_the_auditors(system: System, shop: Shop, tmp_path: Path) -> None:
    found = await until(lambda: summary(shop), lambda known: known["total"]["orders"] > 0)
    orders = await asyncio.to_thread(audited, system, tmp_path / "audit.json")
    assert differences(counted({**found["total"], "units": {}}), reckoned(orders, sold={})) == ()


def audited(system: System, file: Path) -> dict[str, int]:
    """Return how many orders stand so, by an audit of the topics."""
    log = system.folder / "audit.log"
    audit = Command("audit", "--json", str(file), log=log, environment=system.environment)
    audit.start()
    assert audit.wait_until_done(AUDIT_S) is not None
    found: dict[str, int] = json.loads(file.read_bytes())["orders"]
    return found


async def test_how_many_minutes_is_bounded_by_what_is_known(shop: Shop) -> None:
    for minutes in (0, ALL + 1):
        status, problem = await shop.get(f"/analytics/summary?minutes={minutes}")
        assert (status, problem["errors"][0]["loc"]) == (422, ["query", "minutes"])


async def test_since_when_is_for_workers_alone(shop: Shop) -> None:
    status, problem = await shop.get("/analytics/summary?since=2026-01-01T00:00:00Z")
    assert (status, problem["errors"][0]["loc"]) == (422, ["query", "since"])


async def test_units_are_told_of_each_minute_where_few_are_asked_for(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 3)
    await shop.buy(order(item(sku, 3)))
    few = await until(partial(summary, shop, 5), lambda found: sku in found["total"]["units"])
    assert sum(minute["units"].get(sku, 0) for minute in few["minutes"]) == few["total"]["units"][sku] == 3
    many = await summary(shop, 60)
    assert many["total"]["units"][sku] == 3
    assert {minute["units"] for minute in many["minutes"]} == {None}
