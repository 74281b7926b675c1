"""One load from its restock to its last settlement."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import orjson

from app.load.figures import Tally
from app.load.pace import Clock, Pacer
from app.load.plan import Plan, bodies, moments
from app.load.pool import Limits, Pool
from app.load.settlements import Settlements
from app.load.stock import restock
from app.load.watch import Watch
from app.load.wire import target
from app.settings import Settings

LOOK_EVERY_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Options:
    """Be how a load is run; `limits` are shared by all addresses, and 0 of stock restocks nothing."""

    plan: Plan
    urls: tuple[str, ...]
    limits: Limits
    stock: int
    settle: bool
    settle_timeout_s: float


class Run:
    """Run a load; what has been counted and measured can be read at any time."""

    def __init__(self, options: Options, settings: Settings) -> None:
        self.options = options
        self.clock = Clock()
        self.tally = Tally()
        self.settlements = Settlements()
        self.doing = "getting ready"
        self._settings = settings
        self._offered_for_s: float | None = None
        self._bodies = bodies(options.plan)
        limits = options.limits.shared_by(len(options.urls))
        self._targets = [target(url) for url in options.urls]
        self._pools = [Pool(each, limits, self.clock, self.tally, self._accepted) for each in self._targets]
        self._turns = cycle(self._pools)

    async def execute(self) -> None:
        """Return when every order is answered and settled, or its time is over.

        Raises:
            Failure: there is nobody to send to, or the stock or Kafka is not there.
        """
        if self.options.stock:
            self.doing = "restocking"
            await restock(self._targets[0].url, self.options.plan.sku_names, self.options.stock)
        watch = Watch(self._settings) if self.options.settle else None
        try:
            await self._get_ready(watch)
            async with _beside(*self._background(watch)):
                await self._send_all()
                await self._settled()
        finally:
            for pool in self._pools:
                pool.close()
            if watch:
                watch.close()

    @property
    def expected(self) -> int:
        """Return how many orders are offered in all: by chance, that is not known before the end."""
        is_over = self._offered_for_s is not None
        return self.tally.offered if is_over else max(self.options.plan.count, self.tally.offered)

    @property
    def offered_for_s(self) -> float:
        """Return how long orders have been offered."""
        return self.clock.now() if self._offered_for_s is None else self._offered_for_s

    async def _get_ready(self, watch: Watch | None) -> None:
        self.doing = "connecting"
        if watch:
            await asyncio.to_thread(watch.begin)
        for pool in self._pools:
            await pool.open()

    def _background(self, watch: Watch | None) -> Iterator[Coroutine[Any, Any, None]]:
        yield from (pool.tend() for pool in self._pools)
        if watch:
            yield watch.follow(self.clock, self.settlements.ended)

    async def _send_all(self) -> None:
        self.doing = "offered"
        self.clock.start()
        await Pacer(self.clock, moments(self.options.plan), self._offer, self.tally.offered_late).run()
        self._offered_for_s = max(self.clock.now(), self.options.plan.seconds)
        while self.tally.open:  # noqa: ASYNC110  # each has a time limit
            await asyncio.sleep(LOOK_EVERY_S)

    async def _settled(self) -> None:
        deadline = self.clock.now() + self.options.settle_timeout_s
        while self.settlements.open and self.clock.now() < deadline:  # noqa: ASYNC110  # and no longer
            await asyncio.sleep(LOOK_EVERY_S)

    def _offer(self, moment: float) -> None:
        self.tally.offered += 1
        next(self._turns).offer(moment, next(self._bodies))

    def _accepted(self, intended: float, body: bytes) -> None:
        if self.options.settle:
            self.settlements.accepted(_order_id(body), intended)


def _order_id(body: bytes) -> str:
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        return str(orjson.loads(body)["order_id"])
    return ""  # the end of such an order is never heard of, and so it is reported


@asynccontextmanager
async def _beside(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these meanwhile; the fault of one ends the whole."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in coroutines]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
