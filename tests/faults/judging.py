"""What became of the orders of a test, by judges that do not take the system's word for it.

They are the log of orders, the provider's own ledger, what was heard outside, the states as the changelogs
alone give them and as pure functions make them of the topics alone, and the auditor, who knows from the
topics what must follow from what.
"""

import asyncio
import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import aiohttp

from app.processes import Command
from app.stages import SWITCHED
from models.events import NotificationEvent, OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from tests.e2e.shop import Document, Shop, until
from tests.e2e.system import System
from tests.faults.log import newest_values, values
from tests.faults.receiver import heard, is_listened_to
from tests.faults.tampering import READ_BY, read_to_the_end
from tests.faults.trial import Trial

ENDS = (OrderCompleted.type, OrderCancelled.type)
ANSWER_S = 5
AUDIT_S = 1_800
AT_A_TIME = 500
REFUSALS = {429, 503}
"""How a worker may answer an order that it does not accept, whatever is broken."""

REFUND = "refund-"
"""Before the order id, in the key by which the provider knows a refund."""

TOLD = {
    "COMPLETED": ((OrderCompleted.type, 1), (NotificationEvent.type, 1)),
    "CANCELLED": ((NotificationEvent.type, 1),),
    "REFUNDED": (
        (OrderCompleted.type, 1),
        (OrderRefunded.type, 2),
        (NotificationEvent.type, 1),
        (NotificationEvent.type, 2),
    ),
}
"""What is heard outside of an order that has ended so: which kind of message, the how-many-th."""


class Judge:
    """Remember what was accepted, and look at how all that wanted these SKUs has ended."""

    def __init__(self, trial: Trial, system: System, stocked: Mapping[str, int]) -> None:
        self._trial = trial
        self._system = system
        self._stocked = stocked
        self._accepted: set[str] = set()

    async def accepted(self, shop: Shop, body: Document) -> str | None:
        """Place an order; return its id where it was accepted. No answer is unknown, not refused.

        Raises:
            AssertionError: the order was good, and something else was said of it.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                status, answer = await shop.post("/orders", body)
        except (aiohttp.ClientError, TimeoutError):
            return None
        if status != 202:
            assert status in REFUSALS, answer
            return None
        order_id = str(answer["order_id"])
        self._accepted.add(order_id)
        return order_id

    async def settled(self, shops: Sequence[Shop], order_id: str) -> Document:
        """Return the order once any of the workers says that it is settled."""
        asked = {asyncio.create_task(shop.settled(order_id)) for shop in shops}
        try:
            while asked:
                done, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    if one.exception() is None:
                        return one.result()
        finally:
            for one in asked:
                one.cancel()
        raise AssertionError(f"order {order_id} does not settle")

    def in_flight(self, at_ms: float = math.inf) -> int:
        """Return how many of the orders in the log had no end there at this time, which is now by default."""
        kafka = self._system.bootstrap
        ended = {each.get("order_id") for topic in ENDS for each in values(kafka, topic, at_ms)}
        return len(self._created(at_ms) - ended)

    async def all_is_well(self, shop: Shop) -> Sequence[Document]:
        """Check that nothing is lost, every order settled and charged as it ended, and the stock moved so.

        The orders are returned as they ended.
        """
        created = await asyncio.to_thread(self._created)
        orders = await self._settled(shop, created)
        charged, sold = self._charged(), Counter[str]()
        for order in orders:
            if order["status"] == "COMPLETED":
                sold.update({line["sku"]: line["quantity"] for line in order["items"]})
        self._trial.lost = len(self._accepted - created) + len(created) - len(orders)
        self._trial.oversold = sum(max(0, sold[sku] - stock) for sku, stock in self._stocked.items())
        self._trial.charged_twice = sum(charged[order_id] > 1 for order_id in created)
        assert (self._trial.lost, self._trial.oversold, self._trial.charged_twice) == (0, 0, 0)
        for order in orders:
            assert charged[order["order_id"]] == int(order["status"] == "COMPLETED"), order
        for sku, stock in self._stocked.items():
            assert await shop.counters(sku) == (stock - sold[sku], 0, sold[sku])
        await asyncio.to_thread(self._recovered_alike, orders, sold)
        await self._told_once(shop, orders)
        await self._counted_once(shop, sold)
        await asyncio.to_thread(read_to_the_end, self._system.bootstrap, self._topics())
        await asyncio.gather(self._run("rebuild"), self._run("audit", "--at-rest", "--worker", shop.url))
        return orders

    async def _settled(self, shop: Shop, order_ids: set[str]) -> list[Document]:
        """Return those of the orders that settle."""
        gate = asyncio.Semaphore(AT_A_TIME)

        async def ask(order_id: str) -> Document:
            async with gate:
                return await shop.settled(order_id)

        known = await asyncio.gather(*map(ask, order_ids), return_exceptions=True)
        for one in known:
            if isinstance(one, BaseException) and not isinstance(one, AssertionError):
                raise one
        return [one for one in known if not isinstance(one, BaseException)]

    def _recovered_alike(self, orders: Sequence[Document], sold: Mapping[str, int]) -> None:
        """Check that who knows the changelogs alone finds every order and all stock as the system says."""
        found = newest_values(self._system.bootstrap, "orders-changelog")
        for order in orders:
            assert json.loads(found[order["order_id"].encode()])["status"] == order["status"]
        found = newest_values(self._system.bootstrap, "inventory-changelog")
        for sku, stock in self._stocked.items():
            item = json.loads(found[f"item/{sku}".encode()])
            assert (item["available"], item["reserved"], item["sold"]) == (stock - sold[sku], 0, sold[sku])

    async def _told_once(self, shop: Shop, orders: Sequence[Document]) -> None:
        """Check that each end was heard outside, under one id, and nothing else of these orders was."""
        if not is_listened_to(self._system):
            return
        ids = {order["order_id"] for order in orders}
        due = Counter((order["order_id"], *told) for order in orders for told in TOLD[order["status"]])

        async def about_these() -> Counter[tuple[str, str, int]]:
            found = await heard(self._system, shop.session)
            return Counter({what: count for what, count in found.items() if what[0] in ids})

        found = await until(about_these, lambda found: found.total() >= due.total())
        assert found == due

    async def _counted_once(self, shop: Shop, sold: Mapping[str, int]) -> None:
        """Check that the statistics have each sale once, less what was given back."""

        async def units() -> dict[str, int]:
            status, answer = await shop.get("/analytics/summary?minutes=1440")
            known = answer["total"]["units"] if status == 200 else {}
            return {sku: known.get(sku, 0) for sku in self._stocked}

        await until(units, lambda found: found == {sku: sold.get(sku, 0) for sku in self._stocked})

    async def _run(self, command: str, *arguments: str) -> None:
        """Have a command of the system's look at all there is, and find nothing wrong."""
        log = self._system.folder / f"{command}.log"
        run = Command(command, *arguments, log=log, environment=self._system.environment)
        run.start()
        code = await asyncio.to_thread(run.wait_until_done, AUDIT_S)
        assert code == 0, run.last_lines(40)

    def _topics(self) -> Collection[str]:
        """Return the topics that the workers read: a stage that tells nobody reads none."""
        off = () if is_listened_to(self._system) else SWITCHED
        return [topic for stage, topics in READ_BY.items() if stage not in off for topic in topics]

    def _created(self, until_ms: float = math.inf) -> set[str]:
        """Return the orders in the log at this time that want what the test has stocked."""
        return {
            created["order_id"]
            for created in values(self._system.bootstrap, OrderCreated.type, until_ms)
            if any(line["sku"] in self._stocked for line in created.get("lines", ()))
        }

    def _charged(self) -> Mapping[str, int]:
        """Return how often each order is charged by the provider's ledger, less what was given back."""
        charged: defaultdict[str, int] = defaultdict(int)
        placed = {created.get("order_id") for created in values(self._system.bootstrap, OrderCreated.type)}
        for line in self._system.ledger.read_text("utf-8").splitlines():
            entry = json.loads(line)
            key, kind = entry["idempotency_key"], entry["kind"]
            assert key.startswith(REFUND) == (kind == "refund"), f"another key than an order's own: {key}"
            order_id = key.removeprefix(REFUND)
            assert order_id in placed, f"a {kind} that is no order's, or under another key: {key}"
            if entry["outcome"] == "completed":
                charged[order_id] += 1 if kind == "charge" else -1
        return charged
