"""What a request with an idempotency key is answered, the first time and again."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from tests.e2e.shop import Document, Shop, item, new_sku, order

QUANTITY = {"quantity": 5}


@pytest.fixture
def key() -> str:
    """Give a key that no other test uses."""
    return str(uuid4())


@pytest.fixture
def body() -> Document:
    """Give an order."""
    return order(item(new_sku()))


async def test_an_order_is_answered_again_byte_by_byte(shop: Shop, key: str, body: Document) -> None:
    first = await shop.post_once("/orders", body, key)
    assert (first.status, first.replayed) == (202, False)
    for _ in range(3):
        again = await shop.post_once("/orders", body, key)
        assert (again.status, again.raw, again.replayed) == (202, first.raw, True)
    settled = await shop.settled(first.document["order_id"])
    assert settled["created_at"] == first.document["created_at"]
    again = await shop.post_once("/orders", body, key)
    assert (again.status, again.raw, again.replayed) == (202, first.raw, True), "also when it is over"


async def test_the_answer_says_where_to_look_each_time(shop: Shop, key: str, body: Document) -> None:
    headers = {"Idempotency-Key": key}
    for _ in range(2):
        async with shop.session.post(f"{shop.url}/orders", json=body, headers=headers) as answer:
            location = answer.headers["Location"]
            assert location == f"/orders/{(await answer.json())['order_id']}"
    assert (await shop.get(location))[0] == 200


async def test_an_order_can_be_looked_at_as_soon_as_it_is_accepted(shop: Shop, body: Document) -> None:
    for _ in range(20):
        placed = (await shop.post_once("/orders", body, str(uuid4()))).document["order_id"]
        assert UUID(placed).version == 8
        status, known = await shop.get(f"/orders/{placed}")
        assert (status, known["order_id"]) == (200, placed)


async def test_another_order_under_the_same_key_is_refused(shop: Shop, key: str, body: Document) -> None:
    first = await shop.post_once("/orders", body, key)
    for other in (
        {**body, "customer_id": "another"},
        {**body, "payment": {"token": "tok_slow"}},
        {**body, "items": [*body["items"], item(new_sku())]},
        {**body, "items": [{**body["items"][0], "quantity": 2}]},
    ):
        refused = await shop.post_once("/orders", other, key)
        assert (refused.status, refused.document["status"], refused.replayed) == (422, 422, False)
        assert refused.document["errors"][0]["loc"] == ["header", "Idempotency-Key"]
    again = await shop.post_once("/orders", body, key)
    assert (again.raw, again.replayed) == (first.raw, True)


async def test_how_a_body_is_written_does_not_matter(shop: Shop, key: str, body: Document) -> None:
    first = await shop.post_once("/orders", body, key)
    backwards = json.dumps(dict(reversed(body.items())), indent=4)
    headers = {"Idempotency-Key": f'"{key}"', "Content-Type": "application/json; charset=utf-8"}
    async with shop.session.post(f"{shop.url}/orders", data=backwards, headers=headers) as answer:
        assert (answer.headers["Idempotent-Replayed"], await answer.read()) == ("true", first.raw)


async def test_requests_at_once_make_one_order(shop: Shop, key: str) -> None:
    sku = new_sku()
    await shop.restock(sku, 10)
    answers = await asyncio.gather(*(shop.post_once("/orders", order(item(sku)), key) for _ in range(50)))
    assert {answer.status for answer in answers} == {202}
    assert sorted(answer.replayed for answer in answers) == [False, *[True] * 49]
    assert len({answer.raw for answer in answers}) == 1
    assert (await shop.settled(answers[0].document["order_id"]))["status"] == "COMPLETED"
    assert await shop.counters(sku) == (9, 0, 1)


async def test_without_a_key_each_request_is_an_order_of_its_own(shop: Shop, body: Document) -> None:
    placed = [(await shop.post("/orders", body))[1]["order_id"] for _ in range(2)]
    assert placed[0] != placed[1]
    assert {UUID(order_id).version for order_id in placed} == {7}


async def test_a_request_that_was_refused_leaves_no_trace(shop: Shop, key: str, body: Document) -> None:
    assert (await shop.post_once("/orders", {**body, "currency": "EURO"}, key)).status == 422
    first = await shop.post_once("/orders", body, key)
    assert (first.status, first.replayed) == (202, False)


async def test_a_restock_is_answered_again_and_counted_once(shop: Shop, key: str) -> None:
    sku = new_sku()
    first = await shop.post_once(f"/inventory/{sku}/restock", QUANTITY, key)
    assert (first.status, first.replayed) == (202, False)
    await shop.stock(sku, lambda known: known["restocked"] == 5)
    again = await shop.post_once(f"/inventory/{sku}/restock", QUANTITY, key)
    assert (again.status, again.raw, again.replayed) == (202, first.raw, True)
    assert (await shop.post_once(f"/inventory/{sku}/restock", {"quantity": 6}, key)).status == 422
    await shop.restock(sku, 1)
    assert await shop.counters(sku) == (6, 0, 0)


async def test_restocks_at_once_are_counted_once(shop: Shop, key: str) -> None:
    sku = new_sku()
    path = f"/inventory/{sku}/restock"
    answers = await asyncio.gather(*(shop.post_once(path, QUANTITY, key) for _ in range(50)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.raw for answer in answers}) == 1
    await shop.restock(sku, 1)
    assert await shop.counters(sku) == (6, 0, 0)


async def test_a_key_is_of_one_path_alone(shop: Shop, key: str, body: Document) -> None:
    skus = [new_sku(), new_sku()]
    paths = [("/orders", body), *((f"/inventory/{sku}/restock", QUANTITY) for sku in skus)]
    answers = [await shop.post_once(path, wanted, key) for path, wanted in paths]
    assert [(answer.status, answer.replayed) for answer in answers] == [(202, False)] * 3
    for sku in skus:
        await shop.stock(sku, lambda known: known["restocked"] == 5)
