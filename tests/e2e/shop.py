"""A customer's view of the system, for tests: place orders, wait for them, look at the stock."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp

DEADLINE_S = 60
ASK_EVERY_S = 0.1

SETTLED = {"COMPLETED", "CANCELLED", "REFUNDED"}

Document = dict[str, Any]


def new_sku(name: str = "sku") -> str:
    """Return a SKU that no other test uses."""
    return f"{name}-{uuid4().hex[:12]}"


def item(sku: str, quantity: int = 1, unit_price: int = 1_000) -> Document:
    """Return one line of an order."""
    return {"sku": sku, "quantity": quantity, "unit_price": unit_price}


def order(*items: Document, token: str = "tok_ok", customer: str = "customer-1") -> Document:
    """Return the body of an order."""
    return {
        "customer_id": customer,
        "currency": "EUR",
        "items": list(items),
        "payment": {"token": token},
    }


async def until(
    ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], timeout_s: float = DEADLINE_S
) -> Any:
    """Ask until the answer is as wanted, and return it."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not holds(answer := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"still not as wanted: {answer!r}"
        await asyncio.sleep(ASK_EVERY_S)
    return answer


class Answer(NamedTuple):
    """Be the answer to a request with an idempotency key, byte by byte."""

    status: int
    raw: bytes
    replayed: bool

    @property
    def document(self) -> Document:
        """Return what it says."""
        return dict(json.loads(self.raw))


class Shop:
    """Talk to one worker over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and document."""
        async with self.session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Return status and document."""
        async with self.session.post(f"{self.url}{path}", json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post_once(self, path: str, body: Any, key: str) -> "Answer":
        """Post with an idempotency key."""
        headers = {"Idempotency-Key": key}
        async with self.session.post(f"{self.url}{path}", json=body, headers=headers) as answer:
            replayed = answer.headers.get("Idempotent-Replayed") == "true"
            return Answer(answer.status, await answer.read(), replayed)

    async def place(self, body: Document) -> str:
        """Place an order, which must be accepted, and return its id."""
        status, answer = await self.post("/orders", body)
        assert status == 202, answer
        return str(answer["order_id"])

    async def settled(self, order_id: str) -> Document:
        """Return the order once it is settled; a worker that is away is asked again."""

        async def ask() -> Document:
            try:
                status, answer = await self.get(f"/orders/{order_id}?wait=10")
            except aiohttp.ClientError as error:
                return {"status": f"no answer: {error}"}
            return dict(answer) if status == 200 else {"status": f"{status}: {answer}"}

        found: Document = await until(ask, lambda known: known["status"] in SETTLED)
        return found

    async def cancel(self, order_id: str) -> tuple[int, Document]:
        """Ask to cancel the order, and return status and document."""
        return await self.post(f"/orders/{order_id}/cancel", None)

    async def refund(self, order_id: str) -> tuple[int, Document]:
        """Ask for a refund of the order, and return status and document."""
        return await self.post(f"/orders/{order_id}/refund", None)

    async def timeline(self, order_id: str) -> list[str]:
        """Return the types of the order's events so far."""
        _, timeline = await self.get(f"/orders/{order_id}/events")
        return [step["type"] for step in timeline["events"]]

    async def buy(self, body: Document) -> Document:
        """Place an order and return it once it is settled."""
        return await self.settled(await self.place(body))

    async def restock(self, sku: str, quantity: int) -> None:
        """Add stock, and wait until it is there."""
        _, before = await self.get(f"/inventory/{sku}")
        status, answer = await self.post(f"/inventory/{sku}/restock", {"quantity": quantity})
        assert status == 202, answer
        wanted = before.get("restocked", 0) + quantity
        await self.stock(sku, lambda known: known["restocked"] == wanted)

    async def stock(self, sku: str, holds: Callable[[Document], bool]) -> Document:
        """Return the SKU's counters once they are as wanted."""

        async def ask() -> Document:
            status, answer = await self.get(f"/inventory/{sku}")
            return dict(answer) if status == 200 else dict.fromkeys(COUNTERS, -1)

        found: Document = await until(ask, holds)
        return found

    async def counters(self, sku: str) -> tuple[int, int, int]:
        """Return available, reserved and sold once nothing is reserved any more."""
        found = await self.stock(sku, lambda known: known["reserved"] == 0)
        assert found["restocked"] == found["available"] + found["reserved"] + found["sold"]
        return found["available"], found["reserved"], found["sold"]


COUNTERS = ("available", "reserved", "sold", "restocked")
