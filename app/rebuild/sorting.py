"""Records into the scratch store: each to the order, and to the SKU and its holder, that it is about."""

import struct
from collections.abc import Callable

from confluent_kafka import Message
from msgspec import MsgspecError

from app.delivery.state import CLAIM
from app.offsets import READERS
from app.rebuild.layout import (
    BY_SKU,
    CHANGELOGS,
    LAST,
    NUMBERS,
    RETOLD,
    SPREAD,
    Tag,
    order_key,
    row_key,
    stock_key,
)
from app.rebuild.mail import Mail
from app.rebuild.names import names_of
from app.rebuild.plan import Plan
from app.scratch import Scratch
from models.commands import RequestInventory
from models.events import InventoryRestocked

IN_FLIGHT = {
    "orders": Tag.ORDER_IN_FLIGHT,
    "payments": Tag.PAYMENT_IN_FLIGHT,
    "inventory": Tag.STOCK_IN_FLIGHT,
}
PLACE = struct.Struct(">QBHQ")
"""Where a record stands among those of its order: when, of what kind, and where it lies."""

_FOR_EVER = 1 << 62


class Sorting:
    """Put records into the store of this process, and leave others what is theirs."""

    def __init__(self, plan: Plan, job: int, scratch: Scratch, mail: Mail) -> None:
        self._plan = plan
        self._job = job
        self._scratch = scratch
        self._mail = mail
        self._until = _FOR_EVER if plan.until_ms is None else plan.until_ms
        self._buried = set[tuple[str, int, int]]()
        self.records = 0
        self.unreadable = 0

    def bury(self, records: list[Message]) -> None:
        """Note which records no stage has taken in: their letters say so."""
        for record in records:
            headers = dict(record.headers() or [])
            try:
                topic = (headers["source_topic"] or b"").decode()  # type: ignore[union-attr]  # bytes, as we wrote them
                place = int(headers["source_partition"] or 0), int(headers["source_offset"] or 0)
            except (KeyError, ValueError):  # not of our making
                continue
            self._buried.add((topic, *place))

    def take(self, records: list[Message]) -> None:
        """Take in records of the topics of messages."""
        committed, until, buried = self._plan.committed, self._until, self._buried
        rows: list[tuple[bytes, bytes]] = []
        for record in records:
            topic, partition, offset = record.topic() or "", record.partition() or 0, record.offset() or 0
            key, value, timestamp = record.key() or b"", record.value() or b"", record.timestamp()[1]
            if timestamp > until or (buried and (topic, partition, offset) in buried):
                continue
            self.records += 1
            number, stage, take = _topics[topic]
            if stage is not None and offset >= committed.get((topic, partition), 0):
                rows.append((_in_flight(stage, key), b""))
            place = _pack(timestamp, number, partition, offset)
            rows.append((order_key(key) + place, value))
            if take is not None:
                try:
                    rows[-1:] = take(self, key, place, value)
                except (MsgspecError, UnicodeDecodeError):  # the stages put it aside as well
                    self.unreadable += 1
        self._scratch.put_all(rows)

    def take_live(self, records: list[Message]) -> None:
        """Take in rows of changelogs, of which the last of each key stays."""
        for record in records:
            key, value = record.key() or b"", record.value()
            if key == CLAIM:
                continue
            row = row_key(CHANGELOGS[record.topic() or ""], key)
            if row is None:
                continue
            if value is None:
                self._scratch.delete(row)
            else:
                self._scratch.put(row, value)

    def take_reserved(self, key: bytes, place: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
        """Return where a record belongs that is about an order, and needed with its SKU as well."""
        sku = names_of(value).sku.encode()
        return [(order_key(key) + place, value), *self._mine(sku, stock_key(sku, key) + place, value)]

    def take_by_sku(self, key: bytes, place: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
        """Return where a record belongs that is about a SKU, and perhaps needed with its order as well."""
        number = place[8]
        if number == REQUESTED:
            return []
        names = names_of(value)
        holder = (names.event_id if number == RESTOCKED else names.order_id).encode()
        row = (stock_key(key, holder) + place, value)
        return [row, *self._mine(holder, order_key(holder) + place, value)] if IS_RETOLD[number] else [row]

    def _mine(self, owner: bytes, key: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
        """Return a row if this process sees to its owner's partition; else leave it to the one that does."""
        job = self._plan.job_of(owner)
        if job == self._job:
            return [(key, value)]
        self._mail.leave(job, key, value)
        return []


def _in_flight(stage: str, key: bytes) -> bytes:
    return (stock_key(key) if stage == "inventory" else order_key(key)) + LAST + IN_FLIGHT[stage]


Take = Callable[[Sorting, bytes, bytes, bytes], list[tuple[bytes, bytes]]]

IS_RETOLD = [topic in RETOLD for topic in NUMBERS]
REQUESTED, RESTOCKED = NUMBERS[RequestInventory.type], NUMBERS[InventoryRestocked.type]


def _take_of(topic: str) -> Take | None:
    """Return what a record of the topic takes, None for one that goes with its key alone."""
    if topic in BY_SKU:
        return Sorting.take_by_sku
    return Sorting.take_reserved if topic in SPREAD else None


_topics = {topic: (number, READERS.get(topic), _take_of(topic)) for topic, number in NUMBERS.items()}
_pack = PLACE.pack
