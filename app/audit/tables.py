"""Rule 5: what a worker answers over HTTP is what the topics say.

Tables and topics move while they are compared. So what differs is looked at again, with what has been said
meanwhile; an offence is what differs in the same way at `LOOKS` looks in a row. What goes on moving can't be
compared, and is counted.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
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

COUNTERS = ("available", "reserved", "sold", "restocked")

Document = Mapping[str, Any]

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


class Difference(NamedTuple):
    """Be in what two documents differ, field by field: as it is expected, and as it is found."""

    expected: str
    found: str


def difference(entry: Entry, found: Document | None) -> Difference | None:
    """Return in what a worker's answer is not what the topics say, None where it is that.

    What was never stocked has no counters. Of an order without an end, the topics only tell that it has none.
    """
    if entry.counters is not None:
        answered = Counters(**{name: int((found or {}).get(name, 0)) for name in COUNTERS})
        return None if answered == entry.counters else Difference(str(entry.counters), str(answered))
    if found is None:
        return Difference(_wanted(entry), NO_ORDER)
    fields = [name for name, value in entry.shown.items() if found.get(name) != value]
    expected = [f"{name} {entry.shown[name]}" for name in fields]
    answers = [f"{name} {found.get(name)}" for name in fields]
    status = found.get("status")
    if status in _ended if entry.status is Status.OPEN else status != entry.status:
        expected.insert(0, _wanted(entry))
        answers.insert(0, f"status {status}")
    return Difference(", ".join(expected), ", ".join(answers)) if expected else None


def _wanted(entry: Entry) -> str:
    return "an order without an end" if entry.status is Status.OPEN else f"status {entry.status}"


def next_suspect(known: Suspect | None, differs: Difference) -> Suspect:
    """Return the suspect after one more look."""
    expected, found = differs
    if known is not None and (known.expected, known.found) == differs:
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
            path = "orders" if entry.counters is None else "inventory"
            self._compared(name, known, entry, await self._ask(session, path, entry.subject))

    def _compared(self, name: bytes, known: bytes, entry: Entry, found: Document | None) -> None:
        if known == FRESH:
            self.counts.skus += entry.counters is not None
            self.counts.orders += entry.counters is None
        differs = difference(entry, found)
        if differs is None:
            self._scratch.delete(ROW + name)
            self._clear(name, entry)
            return
        suspect = next_suspect(_suspects.decode(known) if known else None, differs)
        self._scratch.put(ROW + name, msgpack.encode(suspect))
        if suspect.looks < LOOKS:
            self._clear(name, entry)
            return
        kind = Kind.TABLE_ORDER if entry.counters is None else Kind.TABLE_STOCK
        offence = Offence(kind=kind, subject=entry.subject, expected=differs.expected, found=differs.found)
        self._book.enter(TABLE + name, Entry(subject=entry.subject, offences=(offence,)))

    def _clear(self, name: bytes, entry: Entry) -> None:
        """Take back what was found at an earlier time."""
        if self._book.find(TABLE + name) is not None:
            self._book.enter(TABLE + name, Entry(subject=entry.subject))

    async def _ask(self, session: aiohttp.ClientSession, *path: str) -> Document | None:
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
