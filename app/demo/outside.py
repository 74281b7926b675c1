"""What customers and the warehouse of the demo have heard of its orders."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from app.demo.customers import Outcome

PATIENCE_S = 60
LOOK_EVERY_S = 0.2
DELIVERED = "orders_outbound_delivered_total"


@dataclass(frozen=True)
class Heard:
    """Be how many notifications were delivered, and which orders were transferred with valid signatures."""

    notifications: int
    transferred: frozenset[str]
    refused: int

    def is_all_of(self, outcomes: Iterable[Outcome]) -> bool:
        """Tell whether every order's customer has heard of its end, and the warehouse of every sale."""
        ended = [*outcomes]
        sold = {each.order_id for each in ended if each.status == "COMPLETED"}
        return self.notifications >= len(ended) and sold <= self.transferred and not self.refused


async def hear(
    session: aiohttp.ClientSession, worker_urls: Iterable[str], provider_url: str, outcomes: Iterable[Outcome]
) -> Heard:
    """Return what was heard, once it is all there is to hear, or there is no more time to wait for it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        heard = await _look(session, worker_urls, provider_url)
        if heard.is_all_of(outcomes) or time.monotonic() > deadline:
            return heard
        await asyncio.sleep(LOOK_EVERY_S)


async def _look(session: aiohttp.ClientSession, worker_urls: Iterable[str], provider_url: str) -> Heard:
    notifications = [await _notified(session, url) for url in worker_urls]
    async with session.get(f"{provider_url}/transfers") as answer:
        shown = await answer.json()
    transferred = frozenset(each["order_id"] for each in shown["transfers"])
    return Heard(sum(notifications), transferred, shown["refused"])


async def _notified(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(int(each.value) for each in samples if _is_notified(each.name, each.labels))


def _is_notified(name: str, labels: dict[str, str]) -> bool:
    return name == DELIVERED and labels["stage"] == "notifications"
