"""What became of the orders of a test, by judges that do not take the system's word for it.

They are the log of orders, the provider's own ledger, the states as the changelogs alone give them, and the
auditor, who knows from the topics what must follow from what.
"""

import asyncio
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import aiohttp

from app.processes import Command
from models.events import OrderCancelled, OrderCompleted, OrderCreated
from tests.e2e.shop import Document, Shop
from tests.e2e.system import System
from tests.faults.log import newest_values, values
from tests.faults.trial import Trial

ENDS = (OrderCompleted.type, OrderCancelled.type)
ANSWER_S = 5
AUDIT_S = 1_800
AT_A_TIME = 500


class Judge:
    """Remember what was accepted, and look at how all that wanted these SKUs has ended."""

    def __init__(self, trial: Trial, system: System, stocked: Mapping[str, int]) -> None:
        self._trial = trial
        self._system = system
        self._stocked = stocked
        self._accepted: set[str] = set()

    async def accepted(self, shop: Shop, body: Document) -> str | None:
        """Place an order; return its id where it was accepted. No answer is unknown, not refused."""
        try:
            async with asyncio.timeout(ANSWER_S):
                status, answer = await shop.post("/orders", body)
        except (aiohttp.ClientError, TimeoutError):
            return None
        if status != 202:
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
        await asyncio.to_thread(self._rebuilt_alike, orders, sold)
        await self._audit(shop)
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

    def _rebuilt_alike(self, orders: Sequence[Document], sold: Mapping[str, int]) -> None:
        """Check that who knows the changelogs alone finds every order and all stock as the system says."""
        found = newest_values(self._system.bootstrap, "orders-changelog")
        for order in orders:
            assert json.loads(found[order["order_id"].encode()])["status"] == order["status"]
        found = newest_values(self._system.bootstrap, "inventory-changelog")
        for sku, stock in self._stocked.items():
            item = json.loads(found[f"item/{sku}".encode()])
            assert (item["available"], item["reserved"], item["sold"]) == (stock - sold[sku], 0, sold[sku])

    async def _audit(self, shop: Shop) -> None:
        """Have the auditor look at the topics, and at the tables beside them."""
        log = self._system.folder / "audit.log"
        audit = Command("audit", "--worker", shop.url, log=log, environment=self._system.environment)
        audit.start()
        code = await asyncio.to_thread(audit.wait_until_done, AUDIT_S)
        assert code == 0, audit.last_lines(40)

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
        for line in self._system.ledger.read_text("utf-8").splitlines():
            entry = json.loads(line)
            if entry["outcome"] == "completed":
                order_id = entry["idempotency_key"].removeprefix("refund-")
                charged[order_id] += 1 if entry["kind"] == "charge" else -1
        return charged
