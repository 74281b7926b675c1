"""The way in: librdkafka fetches, Faust says what and from where.

Faust's group membership assigns partitions; their records come through a librdkafka consumer that is given
exactly those, for Faust's own way costs each record some 75 µs (docs/adr/0012). A consumer belongs to one
stage, so a stage that falls behind holds up nobody else, and what it has not asked for waits in a queue
of bounded size, or in Kafka.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import Consumer, Message, TopicPartition
from faust.types import TP

from app import leaders
from app.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

INTERRUPT_S = 0.1
"""How long a wait may take to notice that partitions move; a record ends it at once."""

CHUNK = 256
"""How many records are taken between two looks at how many bytes they are."""

FIRST = 0
"""Where a partition is read from that nothing is committed of. Where its records have been deleted Kafka says
so, and librdkafka reads from the earliest; to ask where that is would take a question for each partition."""

ENDS_EVERY_S = 0.25
ENDS_OLD_S = 5.0
"""How often the ends of the partitions are noted, and for how long a note holds."""

QUEUE_KBYTES = 4_096
QUEUE_RECORDS = 1_000
"""What librdkafka holds ready for a stage: bytes in all, and records of each partition."""

FETCH_BYTES = 131_072
"""What one fetch brings of a partition at most. Fetched in small pieces a backlog of new orders does not keep
those under way waiting: they take turns."""

QUEUE_FULL_MS = 5
"""How long a full queue keeps librdkafka from fetching; its own second would starve a quick stage."""


class Arrived(NamedTuple):
    """Be the records that were there, of one assignment of partitions."""

    epoch: int
    records: list[Message]


class Source:
    """Read the partitions that a stage was assigned.

    The epoch counts how often they were revoked: what came before, from Kafka or from outside, is void.
    """

    def __init__(self, settings: Settings, stage: str) -> None:
        self.epoch = 0
        self._most = settings.delivery.batch_records
        self._most_bytes = settings.delivery.batch_bytes
        self._consumer = Consumer(configuration(settings, stage), logger=logger)
        # One thread does all there is to do with the consumer, so each take is of one assignment.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{stage}-source")
        self._interrupted = threading.Event()
        self._has_leaders = False
        self._ends: dict[TP, int | None] = {}
        self._noted = -ENDS_OLD_S

    async def assign(self, positions: Mapping[TP, int | None]) -> None:
        """Read these partitions from these offsets on, from the beginning where there is none."""
        self._interrupted.set()
        await self._run(lambda: self._assign(positions))

    async def revoke(self) -> None:
        """Read nothing any more; what was taken before belongs to an earlier epoch."""
        self._interrupted.set()
        await self._run(self._revoke)

    def take(self) -> asyncio.Future[Arrived]:
        """Return what has arrived, once there is something; nothing when partitions move."""
        return self._run(self._take)

    def end(self, tp: TP) -> int | None:
        """Return the offset that the partition's next record will have; None where that is not known, or old.

        The consumer itself can't be asked here: the question would wait until its thread lets go of it.
        """
        fresh = time.monotonic() - self._noted < ENDS_OLD_S
        return self._ends.get(tp) if fresh else None

    async def close(self) -> None:
        """Let go of the broker."""
        self._interrupted.set()
        await self._run(self._consumer.close)
        self._thread.shutdown(wait=False)

    def _run(self, do: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, do)

    def _assign(self, positions: Mapping[TP, int | None]) -> None:
        if not self._has_leaders:
            leaders.learn(self._consumer)
            self._has_leaders = True
        self._ends = dict.fromkeys(positions)
        self._noted = -ENDS_OLD_S
        self._consumer.assign(
            [
                TopicPartition(tp.topic, tp.partition, FIRST if offset is None else offset)
                for tp, offset in positions.items()
            ]
        )
        self._interrupted.clear()

    def _revoke(self) -> None:
        self._consumer.unassign()
        self.epoch += 1

    def _take(self) -> Arrived:
        while not self._interrupted.is_set():
            first = self._consumer.poll(INTERRUPT_S)
            if time.monotonic() - self._noted > ENDS_EVERY_S:
                self._note_ends()
            if first is not None:
                return Arrived(self.epoch, [*filter(_is_record, [first, *self._rest(len(first))])])
        return Arrived(self.epoch, [])

    def _note_ends(self) -> None:
        for tp in self._ends:
            where = TopicPartition(tp.topic, tp.partition)
            _, high = self._consumer.get_watermark_offsets(where, cached=True)
            self._ends[tp] = high if high >= 0 else None
        self._noted = time.monotonic()

    def _rest(self, size: int) -> list[Message]:
        """Return what else is there at once, up to the bounds of a batch."""
        rest: list[Message] = []
        while len(rest) + 1 < self._most and size < self._most_bytes:
            room = min(CHUNK, self._most - len(rest) - 1)
            chunk = self._consumer.consume(room, timeout=0)
            rest += chunk
            size += sum(map(len, chunk))
            if len(chunk) < room:
                break
        return rest


def _is_record(message: Message) -> bool:
    """Tell a record, readable or not, from a remark of librdkafka's about the way to it."""
    error, offset = message.error(), message.offset()
    if error is None or (offset is not None and offset >= 0):
        return True
    logger.warning("reading %s[%s]: %s", message.topic(), message.partition(), error.str())
    return False


def configuration(settings: Settings, purpose: str) -> dict[str, Any]:
    """Return how librdkafka reads for this purpose."""
    return {
        "bootstrap.servers": settings.broker,
        "client.id": f"{settings.member_id}-{purpose}",
        # librdkafka wants a group's name; it never joins it, for partitions are assigned by hand.
        "group.id": f"{settings.member_id}-{purpose}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": QUEUE_KBYTES,
        "queued.min.messages": QUEUE_RECORDS,
        "fetch.queue.backoff.ms": QUEUE_FULL_MS,
        "fetch.error.backoff.ms": 100,
        "fetch.max.bytes": QUEUE_KBYTES * 1024,
        "fetch.message.max.bytes": FETCH_BYTES,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 3,
    }
