"""Whether `GET /analytics/summary` counts what the audit reckons from the topics."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from threading import Event
from typing import Any, NamedTuple

import aiohttp
from rich.progress import Progress

from app.audit.book import SKU
from app.audit.facts import Status
from app.audit.run import Audit, Options
from app.demo.findings import PATIENCE_S, Finding, patiently
from app.errors import Failure
from app.scratch import Scratch
from app.settings import Settings, current
from models.analytics import MINUTE

STANDS_STILL_S = 0.5
LOOK_BACK = timedelta(hours=1)
"""How far before the demo its minutes begin: Kafka's clock, which dates them, may be another's."""

COMPLETED = (Status.COMPLETED, Status.REFUNDING, Status.REFUNDED)
NAMES = ("orders", "completed", "cancelled", "refunded")

Totals = Mapping[str, int]
Reckon = Callable[[], Totals]


class Look(NamedTuple):
    """Be what is known at one time: as the workers have counted, and as the audit reckons."""

    counted: Totals
    reckoned: Totals


def counted(total: Mapping[str, Any]) -> Totals:
    """Return the totals of a summary, with the units of each SKU beside the rest."""
    return {name: total[name] for name in NAMES} | _units(total["units"] or {})


def reckoned(orders: Mapping[str, int], sold: Totals) -> Totals:
    """Return what these totals must be, by how many orders an audit knows in each status, and units sold."""
    ended = {
        "completed": sum(orders.get(status, 0) for status in COMPLETED),
        "cancelled": orders.get(Status.CANCELLED, 0),
    }
    refunded = orders.get(Status.REFUNDED, 0)
    return {"orders": sum(ended.values()), **ended, "refunded": refunded} | _units(sold)


def differences(counted: Totals, reckoned: Totals) -> tuple[str, ...]:
    """Return in what the two are not equal."""
    return tuple(
        f"{name}: {counted.get(name, 0)} in the summary, {reckoned.get(name, 0)} by the audit"
        for name in dict.fromkeys((*counted, *reckoned))
        if counted.get(name, 0) != reckoned.get(name, 0)
    )


def check(before: Look, after: Look, placed: int) -> Finding:
    """Compare by how much both have grown: statistics forget in time what topics still have."""
    has_counted = grown(before.counted, after.counted)
    has_reckoned = grown(before.reckoned, after.reckoned)
    units = sum(has_counted.values()) - sum(has_counted[name] for name in NAMES)
    figures = ", ".join(f"{has_counted[name]} {name}" for name in NAMES)
    return Finding(
        f"GET /analytics/summary equals the audit of the topics: {figures}, {units} units",
        "GET /analytics/summary does not equal the audit of the topics",
        (*_missing(has_reckoned, placed), *differences(has_counted, has_reckoned)),
    )


def grown(before: Totals, after: Totals) -> Totals:
    """Return by how much each of the totals has grown."""
    return {name: after.get(name, 0) - before.get(name, 0) for name in dict.fromkeys((*before, *after))}


@contextmanager
def auditing(settings: Settings) -> Iterator[Reckon]:
    """Give an auditor, who reads on each time from where he stopped."""
    with Scratch() as scratch:
        audit = Audit(settings, Options(), scratch, Event())
        try:
            audit.begin()
            yield partial(_reckon, audit)
        finally:
            audit.close()


class Statistics:
    """Compare what a worker answers with what the audit reckons, from one time on."""

    def __init__(self, session: aiohttp.ClientSession, url: str, reckon: Reckon) -> None:
        self._session = session
        self._url = f"{url}/analytics/summary"
        self._since = datetime.now(UTC) - LOOK_BACK
        self._reckon = reckon

    async def begin(self) -> Look:
        """Return what both know once it stands still: an earlier demo may have been stopped on the way."""
        deadline = time.monotonic() + PATIENCE_S
        known = await self.look()
        while time.monotonic() < deadline:
            await asyncio.sleep(STANDS_STILL_S)
            before, known = known, await self.look()
            if known == before:
                break
        return known

    async def look(self) -> Look:
        """Return what both know now.

        Raises:
            Failure: the worker does not answer with a summary.
        """
        async with self._session.get(self._url, params={"minutes": self._minutes()}) as answer:
            document = await answer.json(content_type=None)
        if answer.status != 200:  # noqa: PLR2004  # as it should be
            raise Failure(f"GET {self._url} was answered {answer.status}: {document.get('detail')}")
        return Look(counted(document["total"]), self._reckon())  # which keeps nobody waiting

    def _minutes(self) -> int:
        """Return how many minutes there are from the first one on, this one among them."""
        minutes = ceil((datetime.now(UTC) - self._since) / MINUTE) + 1
        return min(minutes, current().analytics.retention_minutes)

    async def compare(self, before: Look, placed: int) -> Finding:
        """Compare once both have got to the end, or there is no more time to wait for it."""

        async def look() -> list[Finding]:
            return [check(before, await self.look(), placed)]

        (found,) = await patiently(look)
        return found


def _missing(reckoned: Totals, placed: int) -> tuple[str, ...]:
    """Say that the audit has not seen the end of every order: both may be behind by as much."""
    seen = reckoned["orders"]
    return () if seen >= placed else (f"orders: {seen} by the audit, {placed} placed",)


def _units(sold: Totals) -> dict[str, int]:
    return {f"units of {sku}": units for sku, units in sold.items()}


def _reckon(audit: Audit) -> Totals:
    with Progress(disable=True) as progress:
        found = audit.look(progress)
    entries = (entry for _, entry in audit.book.entries(SKU))
    return reckoned(found.orders, {each.subject: each.counters.sold for each in entries if each.counters})
