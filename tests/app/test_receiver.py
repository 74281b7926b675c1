"""Who is told outside, simulated: takes what is signed, once by its id, and fails to order."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from app.receiver import SECRET, Receiver

Warehouse = TestClient[Any, Any]
BODY = json.dumps({"type": "ORDER_COMPLETED", "data": {"order_id": "one", "sequence": 1}})


@pytest.fixture
async def warehouse() -> AsyncIterator[Warehouse]:
    app = web.Application()
    app.add_routes(Receiver("transfers").routes())
    app.add_routes(Receiver("notifications").routes())
    async with TestClient(TestServer(app)) as client:
        yield client


def signed(
    message_id: str = "msg-1", secret: str = SECRET, body: str = BODY, age_s: int = 0
) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body),
    }


async def post(warehouse: Warehouse, headers: dict[str, str], body: str = BODY) -> int:
    async with warehouse.post("/transfers", data=body, headers=headers) as answer:
        return answer.status


async def shown(warehouse: Warehouse) -> Any:
    async with warehouse.get("/transfers") as answer:
        return await answer.json()


async def test_what_is_signed_is_taken_and_a_repeat_is_known_by_its_id(warehouse: Warehouse) -> None:
    traced = {**signed(), "traceparent": "00-a-b-01"}
    assert [await post(warehouse, headers) for headers in (traced, signed())] == [200, 200]
    message = {"id": "msg-1", "type": "ORDER_COMPLETED", "order_id": "one", "sequence": 1}
    assert await shown(warehouse) == {
        "transfers": [{**message, "traceparent": "00-a-b-01", "deliveries": 2}],
        "refused": 0,
    }
    async with warehouse.get("/transfers/count") as answer:
        assert await answer.json() == {"count": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(secret="whsec_" + "b3RoZXIg" * 4),
        signed(body=BODY + " "),
        signed(age_s=3_600),
        {**signed(), "webhook-id": "another"},
        {**signed(), "webhook-signature": "nonsense"},
        {**signed(), "webhook-signature": "v1,nonsense!"},
    ],
    ids=["none", "another secret", "another body", "old", "another id", "no form", "no base64"],
)
async def test_what_is_not_signed_by_us_just_now_is_refused(
    warehouse: Warehouse, headers: dict[str, str]
) -> None:
    assert await post(warehouse, headers) == 401
    assert await shown(warehouse) == {"transfers": [], "refused": 1}


async def test_a_body_of_another_shape_is_refused(warehouse: Warehouse) -> None:
    assert await post(warehouse, signed(body="[]"), "[]") == 422


async def test_it_fails_while_it_is_told_to(warehouse: Warehouse) -> None:
    async with warehouse.put("/faults/transfers", json={"failing": True}) as answer:
        assert await answer.json() == {"failing": True, "delay_ms": 0}
    assert await post(warehouse, signed()) == 503
    async with warehouse.put("/faults/transfers", json={}) as answer:
        assert answer.status == 200
    assert await post(warehouse, signed()) == 200


async def test_each_kind_of_message_has_its_own_books_and_faults(warehouse: Warehouse) -> None:
    async with warehouse.put("/faults/notifications", json={"failing": True}) as answer:
        assert answer.status == 200
    assert await post(warehouse, signed()) == 200
    async with warehouse.post("/notifications", data=BODY, headers=signed()) as answer:
        assert answer.status == 503
    async with warehouse.get("/notifications") as answer:
        assert await answer.json() == {"notifications": [], "refused": 0}
