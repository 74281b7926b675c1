"""Customers who think again: they cancel, or want their money back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random

import aiohttp

from tests.e2e.shop import Shop
from tests.faults.crowd import PAUSE_S, any_order
from tests.faults.judging import Judge

SOON = 0.5
"""How many cancel at once; the others want their money back once it is taken."""


class Regrets:
    """Place orders and take them back, or try to, at whatever the worker answers."""

    def __init__(self, judge: Judge, shop: Shop, skus: Sequence[str], random: Random) -> None:
        self._judge = judge
        self._shop = shop
        self._skus = skus
        self._random = random

    @asynccontextmanager
    async def shopping(self, customers: int = 4) -> AsyncIterator[None]:
        """Have so many customers order and take back, until the end of the block."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._shop_on()) for _ in range(customers)]
            yield
            for task in tasks:
                task.cancel()

    async def _shop_on(self) -> None:
        while True:
            order_id = await self._judge.accepted(self._shop, any_order(self._random, self._skus))
            await asyncio.sleep(self._random.uniform(0, PAUSE_S))
            if order_id is not None:
                with suppress(aiohttp.ClientError):
                    await self._regret(order_id)

    async def _regret(self, order_id: str) -> None:
        if self._random.random() < SOON:
            await self._shop.cancel(order_id)
        elif (await self._shop.settled(order_id))["status"] == "COMPLETED":
            await self._shop.refund(order_id)
