"""Who owns a partition of a changelog: whoever has put the last claim into it.

A worker claims a partition before it recovers it. What an earlier owner writes after that, because it was
paused or cut off and does not know, shows by its place: an owner knows at which offset its next row has to
come. The earlier owner finds the claim and ends, before it has written its disk or sent a message; the later
one finds rows that are not its own, and puts its values behind them. A lease keeps most of them from being
sent at all.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable

from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types import TP

from app import leaders
from app.delivery.exits import die
from app.delivery.lease import Lease
from app.delivery.producer import BatchProducer, Record
from app.delivery.source import configuration
from app.delivery.state import CLAIM, Gap, State
from app.settings import Settings

logger = logging.getLogger(__name__)

READ_S = 10.0
CHUNK = 1_000


class Ownership:
    """Claim partitions of changelogs, and see to it that claims are heeded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.lease = Lease(settings.kafka.session_timeout_ms / 1000)

    async def claim(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Claim the partitions; return where each claim is.

        Raises:
            Unacknowledged: Kafka does not take one.
        """
        record: Record = {"key": CLAIM, "value": self._settings.member_id.encode()}
        producer = BatchProducer(self._settings)
        try:
            claimed = await producer.publish({(tp.topic, tp.partition): [record] for tp in tps})
        finally:
            await producer.close()
        return {TP(*place): offset for place, offset in claimed.items()}

    async def examine(self, state: State, partition: int, gap: Gap) -> Collection[bytes]:
        """Return the keys of another's rows in the gap; end the process where that worker is the owner.

        Raises:
            KafkaException: what is in the gap can't be read.
        """
        tp = TP(state.changelog, partition)
        foreign = await asyncio.get_running_loop().run_in_executor(None, self._read, tp, gap)
        if CLAIM in foreign:
            die(f"{foreign[CLAIM]!r} owns {tp.topic}[{tp.partition}] by now: this worker was away too long")
        return foreign.keys()

    async def put_right(
        self, state: State, partition: int, foreign: Collection[bytes], producer: BatchProducer
    ) -> None:
        """Put this worker's values behind those that an earlier owner has written to the changelog.

        Raises:
            KafkaException, Unacknowledged: Kafka does not answer as it should.
        """
        place = state.changelog, partition
        while foreign:
            logger.warning("%s rows in %s[%s] are of an earlier owner: put right", len(foreign), *place)
            rows = [(key, state.get(partition, key)) for key in foreign]
            records = [{"key": key, "value": value} for key, value in rows]
            offset = (await producer.publish({place: records}))[place]
            gap = state.gap(partition, offset, len(rows))
            foreign = () if gap is None else await self.examine(state, partition, gap)
            state.write(partition, rows, offset)

    def _read(self, tp: TP, gap: Gap) -> dict[bytes, bytes | None]:
        """Return the last value of each key that was written in the gap."""
        consumer = Consumer(configuration(self._settings, "ownership"), logger=logger)
        found: dict[bytes, bytes | None] = {}
        try:
            leaders.learn(consumer)
            consumer.assign([TopicPartition(tp.topic, tp.partition, gap.first)])
            reached = gap.first
            while reached < gap.end:
                records = consumer.consume(CHUNK, READ_S)
                if not records:
                    raise KafkaException(f"{tp.topic}[{tp.partition}] can't be read from {reached} on")
                for record in records:
                    offset = record.offset() or 0
                    if record.error() is None and offset < gap.end:
                        found[record.key() or b""] = record.value()
                        reached = offset + 1
                    elif record.error() is None:
                        reached = gap.end
        finally:
            consumer.close()
        return found
