"""What customers and the warehouse of the demo have heard of its orders."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from app.demo.customers import Outcome
from app.demo.findings import Finding, apart, patiently
from app.demo.system import Running
from app.outbound.channels import TOLD
from models.events import OrderCompleted

_told = re.compile(TOLD % (r"(\S+)", r"(\w+)"))


@dataclass(frozen=True)
class Heard:
    """Be how often which order was told of, and as what: to its customer, and to the warehouse.

    `transfers` came with valid signatures; `refused` counts what did not.
    """

    notifications: Counter[tuple[str, str]]
    transfers: Counter[tuple[str, str]]
    refused: int


async def hear(
    session: aiohttp.ClientSession, running: Running, outcomes: Sequence[Outcome]
) -> list[Finding]:
    """Return what was heard, once it is all there is to hear, or there is no more time to wait for it."""

    async def look() -> list[Finding]:
        heard = await _look(session, running)
        return [check_notifications(heard, outcomes), check_transfers(heard, outcomes)]

    return await patiently(look)


def check_notifications(heard: Heard, outcomes: Sequence[Outcome]) -> Finding:
    """See that every customer has heard of the end of their order, once, and of nothing else."""
    found = _of(heard.notifications, outcomes)
    differences = apart(((each.order_id, each.status) for each in outcomes), found)
    said = f"{found.total()} notifications delivered"
    return Finding(
        f"{said}, one for each order that has ended", f"{said}, and {len(outcomes)} orders ended", differences
    )


def check_transfers(heard: Heard, outcomes: Sequence[Outcome]) -> Finding:
    """See that the warehouse has heard of every sale, once, and of nothing else, and has refused nothing."""
    sold = [each.order_id for each in outcomes if each.status == "COMPLETED"]
    found = _of(heard.transfers, outcomes)
    differences = apart(((order_id, OrderCompleted.type) for order_id in sold), found)
    if heard.refused:
        differences = (f"{heard.refused} refused for their signatures", *differences)
    said = f"{found.total()} transfers received with valid signatures"
    return Finding(f"{said}, one for each completed order", f"{said}, and {len(sold)} completed", differences)


def notified(log: str) -> Counter[tuple[str, str]]:
    """Return how often a worker's log, which is the channel, tells a customer of which order, and as what."""
    return Counter((order_id, kind) for order_id, kind in _told.findall(log))


def _of(told: Counter[tuple[str, str]], outcomes: Iterable[Outcome]) -> Counter[tuple[str, str]]:
    """Return what is about these orders: there may be others, of an earlier demo."""
    ids = {each.order_id for each in outcomes}
    return Counter({pair: count for pair, count in told.items() if pair[0] in ids})


async def _look(session: aiohttp.ClientSession, running: Running) -> Heard:
    notifications = sum(map(_notified, running.worker_logs), Counter[tuple[str, str]]())
    async with session.get(f"{running.provider_url}/transfers") as answer:
        shown = await answer.json()
    transfers = Counter((str(each["order_id"]), str(each["type"])) for each in shown["transfers"])
    return Heard(notifications, transfers, shown["refused"])


def _notified(log: Path) -> Counter[tuple[str, str]]:
    return notified(log.read_text("utf-8", "replace"))
