"""Tables rebuilt from their changelogs, in batches.

Faust finds out what is missing and says when to begin and that it is done; between the two, its own code
would hand each record through asyncio. And where partitions move again meanwhile, Faust 0.15.3 may go on with
what it no longer holds; here it stops. Leans on `Recovery`: `on_rebalance`, `need_recovery`,
`on_recovery_completed`, `active_tps`, `active_offsets`, `active_highwaters`, `tp_to_table`, `RebalanceAgain`;
on `TableManager.recovery`, `on_start`, `_update_channels` and `on_actives_ready`; on `App.rebalancing_count`;
on agents being in `App.topics` before `AgentManager` says that they have started.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from faust.tables import manager, recovery
from faust.types import TP

from app import leaders, metrics
from app.delivery.exits import die
from app.delivery.origin import fault_of_origin
from app.delivery.source import INTERRUPT_S, configuration
from app.delivery.state import CLAIM, State
from app.delivery.wholeness import empty, fault_of_folder, fault_of_offsets, fault_of_start
from app.settings import Settings
from app.topics import identify

logger = logging.getLogger(__name__)

CHUNK = 5_000
"""Rows read, and written to RocksDB, at a time."""

REPORT_S = 5.0


class Span(NamedTuple):
    """Be the part of a changelog that a table lacks: the first offset and the last."""

    first: int
    last: int


class Recovery(recovery.Recovery):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's recovery, which leaves the reading to `Restoring`."""

    _rebalance = 0
    _origin_known = False

    @property
    def current(self) -> bool:
        """Tell whether no rebalance has begun since the one that is being recovered from."""
        return bool(self.app.rebalancing_count == self._rebalance)

    def require_current(self) -> None:
        """Stop where partitions move again: the next recovery has to begin anew.

        Raises:
            RebalanceAgain: Faust's word for it.
        """
        if not self.current:
            raise recovery.RebalanceAgain

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Remember which rebalance it is, and go on as Faust does."""
        self._rebalance = self.app.rebalancing_count
        await super().on_rebalance(*args, **kwargs)

    def need_recovery(self) -> bool:
        """Say no, so that Faust reads no changelog."""
        return False

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Claim the partitions, bring the tables up to the claims, then go on as Faust does."""
        delivery = self.app.delivery
        self.require_current()
        await self._require_whole()
        claims = await delivery.ownership.claim(self.active_tps)
        missing = {
            tp: Span(self.active_offsets[tp] + 1, claim - 1)
            for tp, claim in claims.items()
            if self.active_offsets[tp] + 1 < claim
        }
        await restore(delivery.settings, delivery.tables, missing)
        self.require_current()
        for tp, claim in claims.items():
            delivery.tables[tp.topic].begin(tp.partition, claim)
        await super().on_recovery_completed(generation_id)

    async def _require_whole(self) -> None:
        """End the process where a changelog lacks what this worker, or another, has put into it."""
        ends = {tp: self.active_highwaters[tp] + 1 for tp in self.active_tps}  # Faust's is the last offset
        inputs = self.app.delivery.inputs()
        asked = [TP(topic, tp.partition) for tp in empty(ends) for topic in inputs.get(tp.topic, ())]
        committed = await self.app.consumer.committed(asked) if asked else {}
        if fault := fault_of_folder(ends, self.active_offsets):
            folder = self.app.delivery.settings.worker_dir
            die(f"{fault}: the topic was emptied or made anew. Where that was meant, delete {folder}")
        starts = {tp: self.active_offsets[tp] + 1 for tp in self.active_tps}
        if fault := fault_of_start(starts, self._applied()):
            die(f"{fault}: records were deleted from the topic, and what was in them is not in this folder")
        if fault := fault_of_offsets(ends, inputs, committed):
            die(f"{fault}: the topic was emptied or made anew, and what was in it is not in this folder")
        if not self._origin_known:
            await self._require_origin()
            self._origin_known = True

    def _applied(self) -> dict[TP, int]:
        """Return up to where this worker's folder has the changelogs, -1 for nothing.

        Faust's own figure is raised to where a changelog begins.
        """
        found = {tp: self.tp_to_table[tp].persisted_offset(tp) for tp in self.active_tps}
        return {tp: -1 if offset is None else offset for tp, offset in found.items()}

    async def _require_origin(self) -> None:
        """End the process where its folder was made from other changelogs than these."""
        settings = self.app.delivery.settings
        ids = await asyncio.to_thread(identify, settings, self.app.delivery.tables.keys())
        if fault := fault_of_origin(settings.worker_dir, ids):
            what = "it is of another Kafka, or the topic was made anew"
            die(f"{fault}: {what}. Where that was meant, delete {settings.worker_dir}")


class Tables(manager.TableManager):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's table manager, which recovers in batches."""

    @property
    def recovery(self) -> Any:
        """Return the one recovery service."""
        if self._recovery is None:
            self._recovery: Any = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Say how tables lie on the disk, and start as Faust does, but at once.

        Faust waits a second, for agents to name their topics before the worker subscribes to any. Here they
        have done so by then: its subscriber waits for them, and for the tables.
        """
        for state in self.app.delivery.tables.values():
            state.prepare()
        await self._update_channels()
        await self.recovery.start()

    def on_actives_ready(self) -> None:
        """Say that the tables can be read, unless partitions move again."""
        if self.recovery.current:
            super().on_actives_ready()


async def restore(settings: Settings, tables: Mapping[str, State], missing: Mapping[TP, Span]) -> int:
    """Read what is missing into the tables, which are given by their changelogs; return how many rows.

    Raises:
        KafkaException: the changelogs can't be read.
    """
    if not missing:
        return 0
    restoring = Restoring(settings, tables, missing)
    done = asyncio.get_running_loop().run_in_executor(None, restoring.run)
    try:
        return await asyncio.shield(done)
    finally:
        restoring.interrupt()
        await asyncio.wait({done})


class Restoring:
    """Read changelogs into tables, in a thread of its own."""

    def __init__(self, settings: Settings, tables: Mapping[str, State], missing: Mapping[TP, Span]) -> None:
        self._configuration = configuration(settings, "recovery") | {"enable.partition.eof": True}
        self._tables = tables
        self._missing = missing
        self._left = set(missing)
        self._reached = {tp: span.first for tp, span in missing.items()}
        self._interrupted = threading.Event()
        self._read = 0

    def interrupt(self) -> None:
        """Stop as soon as what is in hand is written."""
        self._interrupted.set()

    def run(self) -> int:
        """Read until nothing is missing; return how many rows that were."""
        consumer = Consumer(self._configuration, logger=logger)
        started = reported = time.monotonic()
        try:
            leaders.learn(consumer)
            consumer.assign(
                [TopicPartition(tp.topic, tp.partition, span.first) for tp, span in self._missing.items()]
            )
            while self._left and not self._interrupted.is_set():
                self._apply(_next_chunk(consumer))
                metrics.RECOVERY_LEFT.set(self._count_left())
                if time.monotonic() - reported > REPORT_S:
                    reported = time.monotonic()
                    logger.info("recovering: %s rows read, %s partitions left", self._read, len(self._left))
        finally:
            consumer.close()
        logger.info("recovered %s rows in %.1f s", self._read, time.monotonic() - started)
        return self._read

    def _count_left(self) -> int:
        return sum(self._missing[tp].last + 1 - self._reached[tp] for tp in self._left)

    def _apply(self, records: Iterable[Message]) -> None:
        rows: defaultdict[TP, dict[bytes, bytes | None]] = defaultdict(dict)
        reached: dict[TP, int] = {}
        for record in records:
            tp = TP(record.topic() or "", record.partition() or 0)
            if (error := record.error()) is not None:
                self._heed(error, tp)
                continue
            reached[tp] = record.offset() or 0
            if (key := record.key() or b"") != CLAIM:
                self._read += 1
                rows[tp][key] = record.value()
        for tp, offset in reached.items():
            self._reached[tp] = offset + 1
            self._tables[tp.topic].recover(tp.partition, rows[tp].items(), offset)
            if offset >= self._missing[tp].last:
                self._left.discard(tp)

    def _heed(self, error: KafkaError, tp: TP) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # confluent-kafka's public spelling
            self._left.discard(tp)
        elif not error.retriable():
            raise KafkaException(error)


def _next_chunk(consumer: Consumer) -> list[Any]:
    first = consumer.poll(INTERRUPT_S)
    return [] if first is None else [first, *consumer.consume(CHUNK, timeout=0)]
