"""The auditor's book: takes in records, judges case after case and SKU after SKU, and counts what it found.

All of it is in the scratch store, under keys that sort what belongs together beside each other:

| Row | Key | Value |
| --- | --- | --- |
| record | case, event id, content, time, place | the record |
| id | event id, case | place, and whose it is |
| movement | SKU, time, case, place | the movement |
| entry | what was judged | the outcome |
| offence | kind, what was judged, number | the offence |
| due | time, case | nothing |

Names are hashed to 16 bytes, so that every key has its length; the values hold them in full.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby, islice
from typing import Any, NamedTuple

from msgspec import msgpack
from msgspec.structs import replace

from app.audit.facts import Fact, Limits, Place, Status, content
from app.audit.judge import Verdict, judge_order, judge_restock
from app.audit.offences import Kind, Offence
from app.audit.stock import Counters, Movement, check_stock
from app.delivery.codec import Coder, Undecodable, decode, encode, require_home
from app.scratch import Scratch
from models.catalogue import MESSAGES
from models.events import InventoryRestocked
from models.messages import Message

RECORD, ID, MOVEMENT, ENTRY, OFFENCE, DUE = b"h", b"i", b"m", b"v", b"x", b"d"
CASE, SKU, EVENT = b"c", b"s", b"e"

TOPICS = tuple(sorted(MESSAGES))
TOUCHED_AT_MOST = 100_000
"""How many cases may be judged one by one; where there are more, all are, in one go through the store."""

_KINDS = tuple(Kind)
_NAME = 16
_CASE = slice(1, 1 + _NAME)
_FACT = slice(1, 1 + _NAME + _NAME + 8)
_WHEN = slice(_FACT.stop, _FACT.stop + 8)
_WHERE = slice(_WHEN.stop, _WHEN.stop + 13)

Ends = Mapping[tuple[str, int], int]


class Record(NamedTuple):
    """Be one record of a topic."""

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Be what was judged last of one order, restock, SKU, event id or row of a table."""

    subject: str
    offences: tuple[Offence, ...] = ()
    status: Status | None = None
    shown: dict[str, Any] = field(default_factory=dict)
    counters: Counters | None = None
    facts: int = 0
    prefixes: int = 0


@dataclass
class Totals:
    """Count what stands in the book."""

    records: int = 0
    unreadable: int = 0
    facts: int = 0
    skus: int = 0
    prefixes: int = 0
    orders: Counter[Status] = field(default_factory=Counter)
    offences: Counter[Kind] = field(default_factory=Counter)

    def count(self, entry: Entry, by: int) -> None:
        """Add an entry, or take it out again."""
        self.facts += by * entry.facts
        self.skus += by * (entry.counters is not None)
        self.prefixes += by * entry.prefixes
        if entry.status is not None:
            self.orders[entry.status] += by
        for offence in entry.offences:
            self.offences[offence.kind] += by


class Book:
    """Keep the book; `tick` is called now and then, and may raise to stop the work.

    Where the number of partitions is given, a record counts as unreadable in another than its key's.

    `judged` counts the facts that were gone through; `changed` names what the last judgement was about,
    and is None where that was all there is.
    """

    def __init__(
        self, scratch: Scratch, tick: Callable[[], None] = lambda: None, partitions: int | None = None
    ) -> None:
        self._partitions = partitions
        self.totals = Totals()
        self.judged = 0
        self.changed: set[bytes] | None = None
        self._scratch = scratch
        self._tick = tick
        self._ends: Ends = {}
        self._full = True
        self._is_new = True
        self._cases: set[bytes] = set()
        self._events: set[bytes] = set()
        self._skus: dict[bytes, str] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Take in records, in any order; the same one any number of times."""
        for record in records:
            self.totals.records += 1
            try:
                message = decode(record.place.topic, record.key, record.value, record.timestamp_ms)
                if self._partitions is not None:
                    require_home(record.key or b"", record.place.partition, self._partitions)
            except Undecodable:  # the stages put it aside as well
                self.totals.unreadable += 1
            else:
                self._take(record, message)

    def judge(self, limits: Limits, ends: Ends) -> None:
        """Judge what is new or due; what lies behind these ends is evidence, and judged the next time."""
        self._ends = ends
        self._scratch.flush()
        if self._full:
            self._judge_all(limits)
        else:
            self._judge_some(limits)
        self._full = self._is_new = False

    def enter(self, name: bytes, entry: Entry) -> None:
        """Put down the outcome of one judgement, in place of the one before."""
        key = ENTRY + name
        old = None if self._is_new else self._entry(key)
        if old is not None:
            self.totals.count(old, -1)
            for row in _offence_rows(name, old):
                self._scratch.delete(row)
        self.totals.count(entry, +1)
        self._scratch.put(key, msgpack.encode(entry))
        for row, offence in zip(_offence_rows(name, entry), entry.offences, strict=True):
            self._scratch.put(row, msgpack.encode(offence))

    def entries(self, kind: bytes) -> Iterator[tuple[bytes, Entry]]:
        """Yield all that was judged of one kind."""
        self._scratch.flush()
        for key, raw in self._scratch.scan(ENTRY + kind):
            yield key[1:], _entries.decode(raw)

    def find(self, name: bytes) -> Entry | None:
        """Return what was judged last under this name."""
        self._scratch.flush()
        return self._entry(ENTRY + name)

    def offences(self, at_most: int) -> list[Offence]:
        """Return some of the offences: of every kind that there is, as many as there is room for."""
        self._scratch.flush()
        kinds = [kind for kind in _KINDS if self.totals.offences[kind]]
        each = max(1, at_most // max(1, len(kinds)))
        found: list[Offence] = []
        for kind in kinds:
            rows = self._scratch.look(OFFENCE + _number(_KINDS.index(kind), 1))
            found += [_offences.decode(raw) for _, raw in islice(rows, each)]
        return found[:at_most]

    def _take(self, record: Record, message: Message) -> None:
        if isinstance(message, InventoryRestocked):
            owner, whose = b"r" + message.event_id.encode(), message.sku
        else:
            whose = message.order_id  # type: ignore[attr-defined]  # all but a restock are about an order
            owner = b"o" + whose.encode()
        case, event = _hash(owner), _hash(message.event_id.encode())
        same = blake2b(encode(content(message)), digest_size=8).digest()
        where = _pack(record.place)
        key = RECORD + case + event + same + _number(record.timestamp_ms, 8) + where
        self._scratch.put(key, record.value or b"")
        self._scratch.put(ID + event + case, where + whose.encode())
        if not self._full:
            self._cases.add(case)
            self._events.add(event)
            if len(self._events) > TOUCHED_AT_MOST:
                self._judge_all_next()

    def _judge_all_next(self) -> None:
        self._full = True
        self._cases.clear()
        self._events.clear()

    # Cases

    def _judge_all(self, limits: Limits) -> None:
        self.changed = None
        self._skus.clear()
        for case, rows in groupby(self._scratch.scan(RECORD), lambda row: row[0][_CASE]):
            self._judge_case(case, rows, limits)
        self._scratch.flush()
        for name, moved in groupby(self._scratch.scan(MOVEMENT), lambda row: row[0][_CASE]):
            self._judge_sku(name, moved)
        for event, ids in groupby(self._scratch.scan(ID), lambda row: row[0][_CASE]):
            self._judge_id(event, ids)
        self._scratch.flush()

    def _judge_some(self, limits: Limits) -> None:
        due = self._scratch.scan(DUE, until=DUE + _number(_ms(limits.now) + 1, 8))
        for key, _ in islice(due, TOUCHED_AT_MOST):  # the rest is due at the next look
            self._cases.add(key[9:])
            self._scratch.delete(key)
        for case in self._cases:
            self._judge_case(case, self._scratch.look(RECORD + case), limits)
        self._scratch.flush()
        skus, self._skus = self._skus, {}
        self.changed = {*(CASE + case for case in self._cases), *(SKU + name for name in skus)}
        for name in skus:
            self._judge_sku(name, self._scratch.look(MOVEMENT + name))
        for event in self._events:
            self._judge_id(event, self._scratch.look(ID + event))
        self._cases.clear()
        self._events.clear()
        self._scratch.flush()

    def _judge_case(self, case: bytes, rows: Iterator[tuple[bytes, bytes]], limits: Limits) -> None:
        facts = [self._fact(*next(same)) for _, same in groupby(rows, lambda row: row[0][_FACT])]
        if not facts:
            return
        self._tick()
        self.judged += len(facts)
        verdict = _judge(facts, limits)
        self.enter(CASE + case, _entry_of(verdict))
        for movement in verdict.movements:
            self._move(case, movement)
        if verdict.due is not None:
            self._scratch.put(DUE + _number(_ms(verdict.due), 8) + case, b"")

    def _fact(self, key: bytes, raw: bytes) -> Fact[Message]:
        place = _unpack(key[_WHERE])
        message = _coders[place.topic].decode(raw)
        at = _moment(int.from_bytes(key[_WHEN], "big"))
        return Fact(replace(message, recorded_at=at), place, self._is_judged(place))

    def _is_judged(self, place: Place) -> bool:
        return place.offset < self._ends.get((place.topic, place.partition), 0)

    def _move(self, case: bytes, movement: Movement) -> None:
        name = _hash(movement.sku.encode())
        key = MOVEMENT + name + _number(_ms(movement.at), 8) + case + _pack(movement.place)
        self._scratch.put(key, msgpack.encode(movement))
        if not self._full:
            self._skus[name] = movement.sku

    # SKUs and ids

    def _judge_sku(self, name: bytes, rows: Iterator[tuple[bytes, bytes]]) -> None:
        first = next(rows, None)
        if first is None:
            return
        sku = _movements.decode(first[1]).sku
        verdict = check_stock(sku, self._decoded(first, rows), self._is_judged)
        entry = Entry(
            subject=sku,
            offences=verdict.offences,
            counters=verdict.counters,
            prefixes=verdict.prefixes,
        )
        self.enter(SKU + name, entry)
        if verdict.passed_over:
            self._skus[name] = sku

    def _decoded(self, first: tuple[bytes, bytes], rows: Iterator[tuple[bytes, bytes]]) -> Iterator[Movement]:
        yield _movements.decode(first[1])
        for _, raw in rows:
            self._tick()
            yield _movements.decode(raw)

    def _judge_id(self, event: bytes, rows: Iterator[tuple[bytes, bytes]]) -> None:
        self._tick()
        first = next(rows, None)
        second = next(rows, None)
        if first is None or second is None:
            return
        places = sorted((_unpack(raw[:13]), raw[13:].decode()) for _, raw in (first, second))
        (one, whose), (other, subject) = places
        offence = Offence(
            kind=Kind.SAME_ID,
            subject=subject,
            expected="an event id of its own",
            found=f"the id of an event of {whose}, at {one}",
            place=other,
        )
        self.enter(EVENT + event, Entry(subject=subject, offences=(offence,)))

    def _entry(self, key: bytes) -> Entry | None:
        raw = self._scratch.get(key)
        return None if raw is None else _entries.decode(raw)


def _judge(facts: list[Fact[Message]], limits: Limits) -> Verdict:
    message = facts[0].message
    if isinstance(message, InventoryRestocked):
        return judge_restock(facts, limits)  # type: ignore[arg-type]  # a case is of one sort
    return judge_order(message.order_id, facts, limits)  # type: ignore[attr-defined]  # likewise


def _entry_of(verdict: Verdict) -> Entry:
    return Entry(
        subject=verdict.subject,
        offences=verdict.offences,
        status=verdict.status,
        shown=verdict.shown,
        facts=verdict.facts,
    )


def _offence_rows(name: bytes, entry: Entry) -> list[bytes]:
    return [
        OFFENCE + _number(_KINDS.index(offence.kind), 1) + name + _number(number, 4)
        for number, offence in enumerate(entry.offences)
    ]


def _hash(name: bytes) -> bytes:
    return blake2b(name, digest_size=_NAME).digest()


def _number(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def _pack(place: Place) -> bytes:
    return _number(_NUMBERS[place.topic], 1) + _number(place.partition, 4) + _number(place.offset, 8)


def _unpack(raw: bytes) -> Place:
    return Place(TOPICS[raw[0]], int.from_bytes(raw[1:5], "big"), int.from_bytes(raw[5:13], "big"))


def _ms(moment: datetime) -> int:
    return max(0, round(moment.timestamp() * 1000))


@lru_cache(maxsize=1024)
def _moment(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)


_NUMBERS = {topic: number for number, topic in enumerate(TOPICS)}
_coders: dict[str, Coder[Any]] = {name: Coder(kind) for name, kind in MESSAGES.items()}
_entries = msgpack.Decoder(Entry)
_offences = msgpack.Decoder(Offence)
_movements = msgpack.Decoder(Movement)
