"""A system under load: workers, goods in stock, customers who order all the time, and a judge."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp
from confluent_kafka.admin import AdminClient

from app.processes import STOP_S, Command
from bench import accounting
from tests.e2e.shop import Document, Shop
from tests.e2e.system import HOST, READY_S, System
from tests.faults.crowd import TOKENS, Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.trial import Trial

GROUP = "orders"
GOODS = 16
PLENTY = 100_000
A_WHILE_S = (0.5, 3.0)
KAFKA_S = 30
ASK_EVERY_S = 0.2
NO_SETTINGS: Mapping[str, str] = {}
UNBROKEN = {"ORDERS_PAYMENT__BREAKER_FAILURES": "1000000"}
"""For where customers have the provider fail more often than one that is well, and that is no matter."""


@dataclass(frozen=True)
class Moment:
    """Be when a fault hit, by the clock that dates the log and by the one that measures."""

    at_ms: float = field(default_factory=lambda: time.time() * 1000)
    since: float = field(default_factory=time.monotonic)


class Market:
    """Be one test's workers, which may come and go, and all who want something of them."""

    def __init__(
        self, trial: Trial, system: System, session: aiohttp.ClientSession, ports: Sequence[int]
    ) -> None:
        self.trial = trial
        self.random = trial.random
        self.system = system
        self.ports = ports
        self.shops: list[Shop] = []
        self.skus: list[str] = []
        self.tokens: Mapping[str, int] = TOKENS
        self.settings = NO_SETTINGS
        self._session = session

    async def open(self, workers: int, goods: Sequence[int] = (PLENTY,) * GOODS) -> None:
        """Start so many workers, and stock so much of each SKU."""
        await asyncio.gather(*map(self.start, self.ports[:workers]))
        self.stock = {f"sku-{self.random.getrandbits(64):016x}": quantity for quantity in goods}
        self.skus = [*self.stock]
        self.plenty = [sku for sku in self.skus if self.stock[sku] >= PLENTY]
        self.judge = Judge(self.trial, self.system, self.stock)
        await asyncio.gather(*(self.shops[0].restock(sku, quantity) for sku, quantity in self.stock.items()))

    def shopping(self, customers: int = 4) -> AbstractAsyncContextManager[None]:
        """Have so many customers order of all workers there are, until the end of the block."""
        own = Random(self.random.random())  # noqa: S311  # how many draw from it depends on the machine
        return Crowd(self.judge, self.shops, self.skus, own, self.tokens).shopping(customers)

    async def a_while(self) -> None:
        """Let orders come, until any moment."""
        await asyncio.sleep(self.random.uniform(*A_WHILE_S))

    async def start(self, port: int) -> None:
        """Start a worker, and wait until it is ready."""
        self.launch(port)
        await self.ready(port)

    def launch(self, port: int, settings: Mapping[str, str] = NO_SETTINGS) -> Command:
        """Start a worker, and do not wait for it; customers go there from now on."""
        if all(shop.url != url_of(port) for shop in self.shops):
            self.shops.append(Shop(self._session, url_of(port)))
        return self.system.start_worker(port, {**self.settings, **settings})

    async def ready(self, port: int) -> None:
        """Wait until the worker is ready."""
        await asyncio.to_thread(self.worker(port).wait_for, f"{url_of(port)}/health/ready", READY_S)

    def at(self, port: int) -> Shop:
        """Return a customer who goes to the worker with this port, and to no other."""
        return Shop(self._session, url_of(port))

    def rss_mib(self) -> float:
        """Return the memory that the workers hold, of the one that holds most."""
        return max(accounting.rss_mib(self.worker(port).pid) for port in self.running)

    @property
    def running(self) -> Sequence[int]:
        """Return the ports of the workers that have not ended."""
        return [port for port, worker in self.system.workers.items() if worker.exit_code is None]

    def worker(self, port: int) -> Command:
        """Return the process of the worker with this port."""
        return self.system.workers[port]

    def folder(self, port: int) -> Path:
        """Return the folder in which the worker with this port keeps its states."""
        (folder,) = (self.system.folder / "data").glob(f"worker-*{port}")
        return folder

    def kill(self, port: int) -> Moment:
        """End a worker without a chance to tidy up; return when that was."""
        moment = Moment()
        self.worker(port).kill()
        return moment

    async def stop(self, port: int) -> None:
        """Ask a worker to end, which it must do in order."""
        self.worker(port).ask_to_stop()
        code = await asyncio.to_thread(self.worker(port).wait_until_done, STOP_S)
        assert code == 0, self.worker(port).last_lines(40)

    async def leave(self, port: int) -> None:
        """Stop a worker for good: customers do not go there any more."""
        self.shops[:] = [shop for shop in self.shops if shop.url != url_of(port)]
        await self.stop(port)

    async def recovered(self, fault: Moment) -> None:
        """Wait until all that can't run out is sold again; note how long that took, and what was hit."""
        await sold_again(self.judge, self.shops, self.plenty)
        self.trial.recovered(fault.since)
        await self.hit(fault)

    async def hit(self, fault: Moment) -> None:
        """Note how many orders were in flight at that moment."""
        self.trial.hit(await asyncio.to_thread(self.judge.in_flight, fault.at_ms))

    async def close(self) -> Sequence[Document]:
        """Judge, have all workers end in order, and return the orders as they ended."""
        orders = await self.judge.all_is_well(self.shops[0])
        await asyncio.gather(*map(self.stop, self.running))
        return orders


def url_of(port: int) -> str:
    """Return the address of the worker with this port."""
    return f"http://{HOST}:{port}"


def mend(system: System) -> None:
    """Kill what a test has left, start the provider if it is away, and wait until the group is empty.

    Workers are static members, who keep their partitions for a while after they have ended. Where there was
    one alone nobody waits for it: the next test's first has its place.
    """
    kill_workers(system)
    if system.simulator.exit_code is not None:
        system.start_simulator()
    if len(system.workers) > 1:
        await_no_members(system.bootstrap)
    system.workers.clear()


def kill_workers(system: System) -> None:
    """Kill the workers that still run, as those of a test that failed do; also one that is paused."""
    for worker in system.workers.values():
        if worker.exit_code is None:
            worker.kill()


def await_no_members(bootstrap: str) -> None:
    """Wait until Kafka knows no worker any more."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    deadline = time.monotonic() + KAFKA_S
    while admin.describe_consumer_groups([GROUP])[GROUP].result(KAFKA_S).members:
        assert time.monotonic() < deadline, "the group still has members"
        time.sleep(ASK_EVERY_S)
