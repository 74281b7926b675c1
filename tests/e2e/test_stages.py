"""Each stage in a worker of its own: orders settle, and a stage may be away without the others' knowing."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial

import aiohttp
import pytest

from app.processes import Command
from tests.e2e.outside import figure
from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import System, free_port, secluded

STAGES = ("orders", "inventory", "payments", "analytics", "notifications")
SETTLED = {"COMPLETED": "tok_ok", "CANCELLED": "tok_declined"}
AUDIT_S = 60
STOCK = 1_000


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system of its own: other workers on these topics would be another group's."""
    with secluded(tmp_path_factory.mktemp("apart")) as system:
        system.settings |= {"ORDERS_NOTIFICATIONS__CHANNEL": "log", "ORDERS_WEB__MAX_LAG_MS": "4000"}
        yield system


@pytest.fixture(scope="module")
async def urls(apart: System) -> AsyncIterator[dict[str, str]]:
    """Give the addresses of one worker for each stage."""
    workers = await asyncio.gather(*(apart.worker(free_port(), {"ORDERS_STAGES": stage}) for stage in STAGES))
    yield {stage: url for stage, (_, url) in zip(STAGES, workers, strict=True)}
    codes = await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in apart.workers.values()))
    assert set(codes) == {0}


async def test_orders_settle_though_each_stage_is_a_process_of_its_own(
    apart: System, urls: dict[str, str], session: aiohttp.ClientSession
) -> None:
    stock, orders, sku = Shop(session, urls["inventory"]), Shop(session, urls["orders"]), new_sku()
    await stock.restock(sku, 5)
    for status, token in SETTLED.items():
        assert (await orders.buy(order(item(sku), token=token)))["status"] == status
    assert (await orders.buy(order(item(sku, 9))))["reason"] == "INVENTORY_INSUFFICIENT"
    assert await stock.counters(sku) == (4, 0, 1)
    assert await asyncio.to_thread(audited, apart) == 0


async def test_customers_are_told_by_a_worker_that_does_nothing_else(
    urls: dict[str, str], session: aiohttp.ClientSession
) -> None:
    stock, orders, sku = Shop(session, urls["inventory"]), Shop(session, urls["orders"]), new_sku()
    await stock.restock(sku, 1)
    teller = Shop(session, urls["notifications"])
    before = await figure(teller, "notifications", "delivered_total")
    await orders.buy(order(item(sku)))
    await until(partial(figure, teller, "notifications", "delivered_total"), lambda now: now > before)


@pytest.mark.parametrize(
    ("stage", "method", "path", "other"),
    [
        ("inventory", "GET", "/orders/one", "orders"),
        ("payments", "GET", "/orders/one/events", "orders"),
        ("orders", "GET", "/inventory/sku", "inventory"),
        ("payments", "GET", "/inventory", "inventory"),
        ("orders", "POST", "/inventory/sku/restock", "inventory"),
    ],
)
async def test_a_worker_says_who_can_answer_what_it_cannot(  # noqa: PLR0913  # a case has so many parts
    urls: dict[str, str], session: aiohttp.ClientSession, *, stage: str, method: str, path: str, other: str
) -> None:
    async with session.request(method, f"{urls[stage]}{path}") as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["status"]) == (421, 421)
    assert problem["detail"] == f"this worker runs {stage}: ask one that runs {other}"


async def test_any_worker_takes_orders_in_and_one_that_runs_their_stage_has_them(
    urls: dict[str, str], session: aiohttp.ClientSession
) -> None:
    stock, orders, sku = Shop(session, urls["inventory"]), Shop(session, urls["orders"]), new_sku()
    front = Shop(session, urls["notifications"])
    await stock.restock(sku, 2)
    placed = [await front.place(order(item(sku))) for _ in range(3)]
    reasons = {(await orders.settled(order_id))["reason"] for order_id in placed}
    assert reasons == {None, "INVENTORY_INSUFFICIENT"}
    assert await stock.counters(sku) == (0, 0, 2)


async def test_an_order_with_a_key_is_for_a_worker_that_knows_what_was_made_with_it(
    urls: dict[str, str], session: aiohttp.ClientSession
) -> None:
    front = Shop(session, urls["payments"])
    answer = await front.post_once("/orders", order(item(new_sku())), "a-key")
    assert answer.status == 421
    assert answer.document["detail"] == "this worker runs payments: ask one that runs orders"


async def test_a_worker_without_the_stages_refuses_what_they_would_be_late_with(
    apart: System, urls: dict[str, str], session: aiohttp.ClientSession
) -> None:
    stock, orders, sku = Shop(session, urls["inventory"]), Shop(session, urls["orders"]), new_sku()
    await stock.restock(sku, STOCK)
    front = Shop(session, urls["notifications"])
    placed: list[str] = []

    async def refused() -> bool:
        status, answer = await front.post("/orders", order(item(sku)))
        if status == 202:
            placed.append(answer["order_id"])
        else:
            assert status == 429, answer
            assert "late" in answer["detail"]
        return status == 429

    behind = apart.workers[int(urls["orders"].rsplit(":", 1)[1])]
    behind.signal(signal.SIGSTOP)
    try:
        await until(refused, bool)
    finally:
        behind.signal(signal.SIGCONT)
    assert len(placed) > 1
    await until(refused, lambda answer: not answer)
    assert {(await orders.settled(order_id))["status"] for order_id in placed} == {"COMPLETED"}


async def test_orders_are_taken_in_and_reserved_while_the_payments_stage_is_away(
    apart: System, urls: dict[str, str], session: aiohttp.ClientSession
) -> None:
    stock, orders, sku = Shop(session, urls["inventory"]), Shop(session, urls["orders"]), new_sku()
    await stock.restock(sku, 3)
    payments = apart.workers[int(urls["payments"].rsplit(":", 1)[1])]
    payments.signal(signal.SIGKILL)
    await asyncio.to_thread(payments.wait)

    placed = [await orders.place(order(item(sku))) for _ in range(3)]
    await stock.stock(sku, lambda known: known["reserved"] == 3)
    for order_id in placed:
        await until(partial(orders.get, f"/orders/{order_id}"), is_paying)

    port = int(urls["payments"].rsplit(":", 1)[1])
    await apart.worker(port, {"ORDERS_STAGES": "payments"})
    assert {(await orders.settled(order_id))["status"] for order_id in placed} == {"COMPLETED"}
    assert await stock.counters(sku) == (0, 0, 3)


def is_paying(answer: tuple[int, Document]) -> bool:
    """Tell whether the order's stock is reserved, and its payment asked for."""
    return answer[0] == 200 and answer[1]["status"] == "INVENTORY_DEDUCTED"


def audited(system: System) -> int | None:
    """Return how an audit of the topics ends."""
    audit = Command("audit", log=system.folder / "audit.log", environment=system.environment)
    audit.start()
    return audit.wait_until_done(AUDIT_S)
