"""The external system is told of every order that is sold or taken back, in order, whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial

import aiohttp
import pytest

from app.receiver import SECRET
from tests.e2e.letters import listed, operate
from tests.e2e.outside import Warehouse, figure
from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import SHORT_SESSION, System, secluded
from tests.e2e.test_poison import Poison, spread

STOCK = 100
PARTITIONS = 8
SOLD, BACK = "ORDER_COMPLETED", "ORDER_REFUNDED"


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system of its own, which transfers to its simulator."""
    with secluded(tmp_path_factory.mktemp("telling")) as system:
        system.settings |= SHORT_SESSION | {
            "ORDERS_TRANSFER__URL": f"{system.provider_url}/transfers",
            "ORDERS_TRANSFER__SECRET": SECRET,
            "ORDERS_TRANSFER__SINCE": "2020-01-01T00:00:00Z",
            "ORDERS_TRANSFER__TIMEOUT_MS": "3000",
            "ORDERS_TRANSFER__BACKOFF_MS": "100",
            "ORDERS_TRANSFER__BACKOFF_MAX_MS": "400",
            "ORDERS_TRANSFER__BREAKER_PAUSE_MS": "200",
            "ORDERS_OUTBOUND__PRIVATE_ADDRESSES": "true",
        }
        yield system


@pytest.fixture(scope="module")
async def url(telling: System) -> str:
    """Give the address of a worker."""
    _, url = await telling.worker()
    return url


@pytest.fixture
async def shop(session: aiohttp.ClientSession, url: str) -> Shop:
    """Give a customer."""
    return Shop(session, url)


@pytest.fixture
async def warehouse(session: aiohttp.ClientSession, telling: System) -> AsyncIterator[Warehouse]:
    """Give the simulator's warehouse, without faults at first and in the end."""
    found = Warehouse(session, telling.provider_url)
    yield found
    await found.fault()


@pytest.fixture
async def sku(shop: Shop) -> str:
    """Give a SKU that is in stock."""
    made = new_sku()
    await shop.restock(made, STOCK)
    return made


async def told(warehouse: Warehouse, order_id: str, *kinds: str) -> list[Document]:
    """Return what the warehouse was told, once it is this."""
    await until(lambda: warehouse.kinds(order_id), lambda found: found == [*kinds])
    return await warehouse.told(order_id)


async def quiet(shop: Shop) -> None:
    """Wait until all that was sent is on record."""
    await until(partial(figure, shop, "transfer", "open"), lambda found: found == 0)


async def test_a_sale_and_its_refund_are_told_once_each_and_in_order(
    shop: Shop, warehouse: Warehouse, sku: str
) -> None:
    order_id = str((await shop.buy(order(item(sku, 2))))["order_id"])
    await shop.refund(order_id)
    messages = await told(warehouse, order_id, SOLD, BACK)
    assert [each["sequence"] for each in messages] == [1, 2]
    assert [each["deliveries"] for each in messages] == [1, 1]


async def test_a_cancelled_order_is_not_told(shop: Shop, warehouse: Warehouse, sku: str) -> None:
    declined = await shop.buy(order(item(sku), token="tok_declined"))
    sold = await shop.buy(order(item(sku)))
    await told(warehouse, str(sold["order_id"]), SOLD)
    assert await warehouse.told(str(declined["order_id"])) == []


async def test_what_fails_is_told_again_and_a_refund_waits_for_its_sale(
    shop: Shop, warehouse: Warehouse, sku: str
) -> None:
    await warehouse.fault(failing=True)
    order_id = str((await shop.buy(order(item(sku))))["order_id"])
    await shop.refund(order_id)
    await until(lambda: shop.get(f"/orders/{order_id}"), lambda found: found[1]["status"] == "REFUNDED")
    assert await warehouse.told(order_id) == []
    await warehouse.fault()
    messages = await told(warehouse, order_id, SOLD, BACK)
    assert [each["deliveries"] for each in messages] == [1, 1]


async def test_a_slow_receiver_holds_up_no_order(shop: Shop, warehouse: Warehouse, sku: str) -> None:
    await warehouse.fault(delay_ms=30_000)
    placed = await asyncio.gather(*(shop.place(order(item(sku))) for _ in range(40)))
    ended = await asyncio.gather(*map(shop.settled, placed))
    assert {each["status"] for each in ended} == {"COMPLETED"}
    shown = await asyncio.gather(*map(warehouse.told, placed))
    assert sum(map(len, shown)) < len(placed), "void: the receiver was not slow"
    _, ready = await shop.get("/health/ready")
    assert ready["status"] == "ready"
    await warehouse.fault()
    await quiet(shop)
    shown = await asyncio.gather(*map(warehouse.told, placed))
    assert [len(each) for each in shown] == [1] * len(placed)


async def test_what_is_no_message_is_a_dead_letter_and_holds_up_nobody(
    shop: Shop, telling: System, warehouse: Warehouse, sku: str
) -> None:
    before = await listed(telling)
    poison = [Poison(SOLD, partition, b"poison", b"no JSON", "") for partition in range(PARTITIONS)]
    await asyncio.to_thread(spread, telling, poison)
    order_id = str((await shop.buy(order(item(sku))))["order_id"])
    await told(warehouse, order_id, SOLD)
    await until(lambda: listed(telling), lambda found: len(found) == len(before) + PARTITIONS)


async def test_what_is_refused_for_its_signature_is_tried_until_it_is_a_dead_letter_and_can_be_put_back(
    shop: Shop, telling: System, warehouse: Warehouse, sku: str, url: str
) -> None:
    port = int(url.rsplit(":", 1)[1])
    await quiet(shop)
    await asyncio.to_thread(telling.workers[port].stop)
    wrong = {"ORDERS_TRANSFER__SECRET": "whsec_" + "d3Jvbmcg" * 4, "ORDERS_TRANSFER__GIVE_UP_MS": "500"}
    await telling.worker(port, wrong)
    order_id = str((await shop.buy(order(item(sku))))["order_id"])
    letters = await until(lambda: listed(telling, "--order", order_id), lambda found: len(found) == 1)
    assert letters[0]["error"] == "Undeliverable: status 401"
    assert await warehouse.refused() > 1
    assert await warehouse.told(order_id) == []

    await asyncio.to_thread(telling.workers[port].stop)
    await telling.worker(port)
    ended = await operate(telling, "retry", letters[0]["id"])
    assert ended.code == 0, ended.err
    assert [each["deliveries"] for each in await told(warehouse, order_id, SOLD)] == [1]


async def test_a_worker_killed_between_sending_and_recording_sends_it_again_under_the_same_id(
    shop: Shop, telling: System, warehouse: Warehouse, sku: str, url: str
) -> None:
    await warehouse.fault(delay_ms=30_000)  # it has it, and does not say so
    order_id = await shop.place(order(item(sku)))
    (first,) = await told(warehouse, order_id, SOLD)
    port = int(url.rsplit(":", 1)[1])
    telling.workers[port].kill()
    await warehouse.fault()
    await telling.worker(port)
    (again,) = await until(lambda: warehouse.told(order_id), lambda found: found[0]["deliveries"] == 2)
    assert (again["id"], first["deliveries"]) == (first["id"], 1)
    assert (await shop.settled(order_id))["status"] == "COMPLETED"


async def test_what_was_recorded_before_the_date_is_skipped_and_what_was_not_is_told_after_it_was_off(
    shop: Shop, telling: System, warehouse: Warehouse, sku: str, url: str
) -> None:
    port = int(url.rsplit(":", 1)[1])
    await quiet(shop)
    await asyncio.to_thread(telling.workers[port].stop)
    await telling.worker(port, {"ORDERS_TRANSFER__URL": ""})
    before = [str((await shop.buy(order(item(sku))))["order_id"]) for _ in range(2)]
    await asyncio.sleep(1.1)  # the setting knows seconds
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    after = str((await shop.buy(order(item(sku))))["order_id"])
    assert await warehouse.told(after) == []
    await asyncio.to_thread(telling.workers[port].stop)
    await telling.worker(port, {"ORDERS_TRANSFER__SINCE": since})
    await told(warehouse, after, SOLD)

    await until(partial(figure, shop, "transfer", "skipped_total"), lambda found: found == len(before))
    assert [await warehouse.told(order_id) for order_id in before] == [[], []]
