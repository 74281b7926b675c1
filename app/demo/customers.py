"""The customers of the demo: what they order, and how long each waits for the end of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from app.errors import Failure

CATALOGUE = {"espresso-machine": 40, "grinder": 60, "kettle": 80, "scale": 80, "limited-mug": 10}
"""SKUs and the units the demo brings in; of the limited mug fewer than are wanted."""

PRICES = {
    "espresso-machine": 64_900,
    "grinder": 18_900,
    "kettle": 4_900,
    "scale": 3_900,
    "limited-mug": 2_500,
}
"""Prices in cents."""

AT_A_TIME = 25
PATIENCE_S = 120


@dataclass(frozen=True)
class Outcome:
    """Be one order and how it ended; `waited_s` from the POST to the answer that showed it settled."""

    number: int
    order_id: str
    units: Mapping[str, int]
    token: str
    status: str
    reason: str | None
    waited_s: float


@dataclass(frozen=True)
class Stock:
    """Be the counters of one SKU."""

    sku: str
    available: int
    reserved: int
    sold: int
    restocked: int


class Customers:
    """Talk to the workers over HTTP, each order to the next one in turn."""

    def __init__(self, session: aiohttp.ClientSession, urls: tuple[str, ...]) -> None:
        self._session = session
        self._urls = urls

    async def restock(self) -> None:
        """Bring the catalogue in, and wait until it is there."""
        for sku, quantity in CATALOGUE.items():
            await self._restock(sku, quantity)

    async def _restock(self, sku: str, quantity: int) -> None:
        wanted = (await self.stock(sku)).restocked + quantity
        await self._post(self._urls[0], f"/inventory/{sku}/restock", {"quantity": quantity})
        await self._until(sku, lambda stock: stock.restocked == wanted)

    async def stock(self, sku: str) -> Stock:
        """Return the counters of a SKU; all zero where it was never stocked."""
        async with self._session.get(f"{self._urls[-1]}/inventory/{sku}") as answer:
            document = await answer.json(content_type=None)
        counters = ("available", "reserved", "sold", "restocked")
        return Stock(sku, *(document.get(name, 0) for name in counters))

    async def stocks(self) -> list[Stock]:
        """Return the catalogue's counters once nothing is reserved any more."""
        return [await self._until(sku, lambda stock: stock.reserved == 0) for sku in CATALOGUE]

    async def buy_all(self, count: int) -> AsyncIterator[Outcome]:
        """Place the orders, some at a time, and yield each as it is settled."""
        gate = asyncio.Semaphore(AT_A_TIME)

        async def buy(number: int) -> Outcome:
            async with gate:
                return await self._buy(number, _wish(number, count))

        for settled in asyncio.as_completed([buy(number) for number in range(1, count + 1)]):
            yield await settled

    async def _buy(self, number: int, wish: dict[str, Any]) -> Outcome:
        url = self._urls[number % len(self._urls)]
        began = time.monotonic()
        accepted = await self._post(url, "/orders", wish)
        order = await self._settled(url, accepted["order_id"])
        return Outcome(
            number=number,
            order_id=order["order_id"],
            units={item["sku"]: item["quantity"] for item in order["items"]},
            token=wish["payment"]["token"],
            status=order["status"],
            reason=order["reason"],
            waited_s=time.monotonic() - began,
        )

    async def _settled(self, url: str, order_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            async with self._session.get(f"{url}/orders/{order_id}?wait=30") as answer:
                order: dict[str, Any] = await answer.json(content_type=None)
            if order.get("status") in {"COMPLETED", "CANCELLED"}:
                return order
        raise Failure(f"order {order_id} was not settled within {PATIENCE_S} s, it is {order.get('status')}")

    async def _until(self, sku: str, holds: Callable[[Stock], bool]) -> Stock:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(stock := await self.stock(sku)):
            if time.monotonic() > deadline:
                raise Failure(f"the stock of {sku} did not come right within {PATIENCE_S} s: {stock}")
            await asyncio.sleep(0.1)
        return stock

    async def _post(self, url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post until it is accepted: what is too much for a slow machine is tried again when it says."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            async with self._session.post(f"{url}{path}", json=body) as answer:
                document: dict[str, Any] = await answer.json(content_type=None)
            if answer.status == HTTPStatus.ACCEPTED:
                return document
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                raise Failure(f"POST {path} was answered {answer.status}: {document.get('detail')}")
            await asyncio.sleep(float(answer.headers["Retry-After"]))


def _wish(number: int, count: int) -> dict[str, Any]:
    """Return the order of the n-th customer: mostly plain ones, and some of each kind that goes otherwise."""
    goods = [sku for sku in CATALOGUE if sku != "limited-mug"]
    token = "tok_slow" if number == count // 2 else "tok_ok"
    items = {goods[number % len(goods)]: 1}
    if number % 5 == 0:
        items = {"limited-mug": 1}
    elif number % 7 == 0:
        items = {goods[number % len(goods)]: 1, goods[(number + 1) % len(goods)]: 1}
    elif number % 9 == 0:
        token = "tok_declined"  # noqa: S105  # a token of the simulator is no secret
    return {
        "customer_id": f"customer-{number}",
        "currency": "EUR",
        "items": [
            {"sku": sku, "quantity": quantity, "unit_price": PRICES[sku]} for sku, quantity in items.items()
        ],
        "payment": {"token": token},
    }
