"""Rule 5: what a worker answers over HTTP is what the topics say.

Tables and topics move while they are compared. So what differs is looked at again, with what has been said
meanwhile; an offence is what differs in the same way at `LOOKS` looks in a row. What goes on moving can't be
compared, and is counted.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from msgspec import msgpack
from yarl import URL

from app.audit.book import CASE, SKU, Book, Entry
from app.audit.facts import Status
from app.audit.offences import Kind, Offence
from app.audit.stock import Counters
from app.errors import AuditRefused
from app.scratch import Scratch

ROW = b"w"
"""Behind it stands the name of an entry that is to be compared: `FRESH`, or the suspect that it is."""

FRESH = b""
TABLE = b"t"
"""Behind it stands the name of the entry that the row of a table is compared with."""

LOOKS = 4
LOOK_AGAIN_S = 2.0
LOOK_S = 0.1
IN_FLIGHT = 32
PATIENCE_S = 30.0
"""How long a worker may answer 503 to one question."""

ASK_AGAIN_S = 0.25
ANSWER_S = 10.0
NO_ORDER = "no such order"

_ended = frozenset(status.value for status in Status if status is not Status.OPEN)


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """Be a row that differs: from what, in what way, and at how many looks in a row."""

    expected: str
    found: str
    looks: int = 1


@dataclass
class Compared:
    """Count what was compared; `moving` is what differs and has not stood still for long enough."""

    orders: int = 0
    skus: int = 0
    moving: int = 0


def difference(entry: Entry, found: str) -> str | None:
    """Return what was expected where a worker's answer is not what the topics say, else None.

    Of an order without an end the topics only tell that it has none.
    """
    if entry.counters is not None:
        expected = str(entry.counters)
        return None if found == expected else expected
    if entry.status is Status.OPEN:
        return "an order without an end" if found in {*_ended, NO_ORDER} else None
    return None if found == entry.status else str(entry.status)


def next_suspect(known: Suspect | None, expected: str, found: str) -> Suspect:
    """Return the suspect after one more look."""
    if known is not None and (known.expected, known.found) == (expected, found):
        return Suspect(expected=expected, found=found, looks=known.looks + 1)
    return Suspect(expected=expected, found=found)


class Comparison:
    """Compare a worker's answers with the book, `IN_FLIGHT` questions at a time."""

    def __init__(self, url: str, book: Book, scratch: Scratch) -> None:
        self.counts = Compared()
        self._url = url.rstrip("/")
        self._book = book
        self._scratch = scratch

    async def compare(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Look at what has changed since the last time, and at what was suspect then.

        What is to be compared is put down first, and crossed out once it is: so the next time goes on there.

        Raises:
            AuditRefused: the worker does not answer, or answers what no worker would.
        """
        self._put_down()
        work = asyncio.ensure_future(self._compare())
        while not work.done():
            await asyncio.wait([work], timeout=LOOK_S)
            if is_stopped():
                work.cancel()
        if not work.cancelled():
            work.result()
        self._scratch.flush()
        suspects = (_suspects.decode(raw) for _, raw in self._scratch.scan(ROW) if raw != FRESH)
        self.counts.moving = sum(suspect.looks < LOOKS for suspect in suspects)

    async def _compare(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        rows = self._rows()
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(IN_FLIGHT):
                        group.create_task(self._work(session, rows))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None

    def _put_down(self) -> None:
        self._scratch.flush()
        for name, entry in self._changed():
            in_a_table = entry.status is not None or entry.counters is not None
            if in_a_table and self._scratch.get(ROW + name) is None:
                self._scratch.put(ROW + name, FRESH)
        self._scratch.flush()

    def _changed(self) -> Iterator[tuple[bytes, Entry]]:
        if self._book.changed is None:
            yield from self._book.entries(CASE)
            yield from self._book.entries(SKU)
            return
        for name in self._book.changed:
            if (entry := self._book.find(name)) is not None:
                yield name, entry

    def _rows(self) -> Iterator[tuple[bytes, bytes, Entry]]:
        for key, raw in self._scratch.scan(ROW):
            if (entry := self._book.find(key[1:])) is not None:
                yield key[1:], raw, entry

    async def _work(self, session: aiohttp.ClientSession, rows: Iterator[tuple[bytes, bytes, Entry]]) -> None:
        for name, known, entry in rows:
            ask = self._status if entry.counters is None else self._counters
            self._compared(name, known, entry, await ask(session, entry.subject))

    def _compared(self, name: bytes, known: bytes, entry: Entry, found: str) -> None:
        expected = difference(entry, found)
        if known == FRESH:
            self.counts.skus += entry.counters is not None
            self.counts.orders += entry.counters is None
        if expected is None:
            self._scratch.delete(ROW + name)
            self._clear(name, entry)
            return
        suspect = next_suspect(_suspects.decode(known) if known else None, expected, found)
        self._scratch.put(ROW + name, msgpack.encode(suspect))
        if suspect.looks < LOOKS:
            self._clear(name, entry)
            return
        kind = Kind.TABLE_ORDER if entry.counters is None else Kind.TABLE_STOCK
        offence = Offence(kind=kind, subject=entry.subject, expected=expected, found=found)
        self._book.enter(TABLE + name, Entry(subject=entry.subject, offences=(offence,)))

    def _clear(self, name: bytes, entry: Entry) -> None:
        """Take back what was found at an earlier time."""
        if self._book.find(TABLE + name) is not None:
            self._book.enter(TABLE + name, Entry(subject=entry.subject))

    async def _status(self, session: aiohttp.ClientSession, order_id: str) -> str:
        document = await self._ask(session, "orders", order_id)
        return NO_ORDER if document is None else str(document.get("status"))

    async def _counters(self, session: aiohttp.ClientSession, sku: str) -> str:
        """Return the counters; what was never stocked has none."""
        document = await self._ask(session, "inventory", sku) or {}
        names = ("available", "reserved", "sold", "restocked")
        return str(Counters(**{name: int(document.get(name, 0)) for name in names}))

    async def _ask(self, session: aiohttp.ClientSession, *path: str) -> dict[str, Any] | None:
        """Return the document, None where there is none, as soon as somebody can tell."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        url = URL("/".join((self._url, *(quote(part, safe="") for part in path))), encoded=True)
        while True:
            status, document = await self._get(session, url)
            if status == HTTPStatus.OK and isinstance(document, dict):
                return document
            if status == HTTPStatus.NOT_FOUND:
                return None
            if status != HTTPStatus.SERVICE_UNAVAILABLE or loop.time() > deadline:
                raise AuditRefused(f"{url} was answered {status}, expected an order or the counters of a SKU")
            await asyncio.sleep(ASK_AGAIN_S)

    async def _get(self, session: aiohttp.ClientSession, url: URL) -> tuple[int, Any]:
        try:
            async with session.get(url) as answer:
                document = None
                with suppress(ValueError):
                    document = await answer.json(content_type=None)
                return answer.status, document
        except TimeoutError:
            raise AuditRefused(f"{self._url} did not answer within {ANSWER_S:.0f} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise AuditRefused(f"nobody answers at {self._url}: {error}") from None


_suspects = msgpack.Decoder(Suspect)
