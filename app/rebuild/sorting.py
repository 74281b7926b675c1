"""Records into the scratch store: each to the order, and to the SKU and its holder, that it is about."""

import struct
from collections.abc import Callable, Mapping

from confluent_kafka import Message
from msgspec import MsgspecError

from app.delivery.state import CLAIM
from app.rebuild.layout import (
    BY_SKU,
    CHANGELOGS,
    LAST,
    NUMBERS,
    READERS,
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
        self._takes: Mapping[str, Callable[[bytes, bytes, bytes], None]] = {
            topic: self._take_by_sku if topic in BY_SKU else self._take_by_order for topic in NUMBERS
        }
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
        committed = self._plan.committed
        for record in records:
            topic, partition, offset = record.topic() or "", record.partition() or 0, record.offset() or 0
            key, value, (_, timestamp) = record.key() or b"", record.value() or b"", record.timestamp()
            if timestamp > self._until or (self._buried and (topic, partition, offset) in self._buried):
                continue
            self.records += 1
            stage = READERS.get(topic)
            if stage is not None and offset >= committed.get((topic, partition), 0):
                self._note_in_flight(stage, key)
            place = PLACE.pack(timestamp, NUMBERS[topic], partition, offset)
            try:
                self._takes[topic](key, place, value)
            except (MsgspecError, UnicodeDecodeError):  # the stages put it aside as well
                self.unreadable += 1

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

    def _take_by_order(self, key: bytes, place: bytes, value: bytes) -> None:
        self._scratch.put(order_key(key) + place, value)
        if KINDS_SPREAD[place[8]]:
            sku = names_of(value).sku.encode()
            self._put(sku, stock_key(sku, key) + place, value)

    def _take_by_sku(self, key: bytes, place: bytes, value: bytes) -> None:
        number = place[8]
        if number == REQUESTED:
            return
        names = names_of(value)
        holder = (names.event_id if number == RESTOCKED else names.order_id).encode()
        self._scratch.put(stock_key(key, holder) + place, value)
        if KINDS_RETOLD[number]:
            self._put(holder, order_key(holder) + place, value)

    def _put(self, owner: bytes, key: bytes, value: bytes) -> None:
        """Put a row where the owner's partition is seen to."""
        job = self._plan.job_of(owner)
        if job == self._job:
            self._scratch.put(key, value)
        else:
            self._mail.leave(job, key, value)

    def _note_in_flight(self, stage: str, key: bytes) -> None:
        about = stock_key(key) if stage == "inventory" else order_key(key)
        self._scratch.put(about + LAST + IN_FLIGHT[stage], b"")


KINDS_SPREAD = [topic in SPREAD for topic in NUMBERS]
KINDS_RETOLD = [topic in RETOLD for topic in NUMBERS]
REQUESTED, RESTOCKED = NUMBERS[RequestInventory.type], NUMBERS[InventoryRestocked.type]
