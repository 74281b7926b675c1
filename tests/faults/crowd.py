"""Customers who order all the time, whatever happens to the workers."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

from tests.e2e.shop import Document, Shop, item, order
from tests.faults.judging import Judge

TOKENS = {
    "tok_ok": 70,
    "tok_declined": 12,
    "tok_slow": 6,
    "tok_flaky": 6,
    "tok_duplicate": 4,
    "tok_timeout": 2,
}
"""How often each way to pay is taken, of 100."""

PAUSE_S = 0.1
"""The longest time between two orders of a customer."""


def any_order(random: Random, skus: Sequence[str], tokens: Mapping[str, int] = TOKENS) -> Document:
    """Return an order of one to three SKUs, in any order, paid in any of these ways."""
    wanted = random.sample(skus, random.randint(1, min(3, len(skus))))
    (token,) = random.choices([*tokens], weights=[*tokens.values()])
    return order(*(item(sku, random.randint(1, 2)) for sku in wanted), token=token)


class Crowd:
    """Place orders at any of the workers; where one does not answer, the customer takes the next."""

    def __init__(
        self,
        judge: Judge,
        shops: Sequence[Shop],
        skus: Sequence[str],
        random: Random,
        tokens: Mapping[str, int] = TOKENS,
    ) -> None:
        self._judge = judge
        self._shops = shops
        self._skus = skus
        self._random = random
        self._tokens = tokens

    @asynccontextmanager
    async def shopping(self, customers: int = 8) -> AsyncIterator[None]:
        """Have so many customers order, 20 times a second each at most, until the end of the block."""
        closing = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(customers):
                group.create_task(self._shop(closing))
            yield
            closing.set()

    async def _shop(self, closing: asyncio.Event) -> None:
        while (
            not closing.is_set()
        ):  # each waits for its last answer: a judge counts what is in the log by then
            body = any_order(self._random, self._skus, self._tokens)
            await self._judge.accepted(self._random.choice(self._shops), body)
            await asyncio.sleep(self._random.uniform(0, PAUSE_S))


async def sold_again(judge: Judge, shops: Sequence[Shop], skus: Sequence[str]) -> float:
    """Return the time, of the monotonic clock, when an order of each SKU has been placed and completed."""

    async def buy(number: int, sku: str) -> None:
        while not (order_id := await judge.accepted(shops[number % len(shops)], order(item(sku)))):
            number += 1
            await asyncio.sleep(PAUSE_S)
        assert (await judge.settled(shops, order_id))["status"] == "COMPLETED"

    await asyncio.gather(*(buy(number, sku) for number, sku in enumerate(skus)))
    return time.monotonic()
