"""Kafka's producer, by the batch: one request to each broker, however many partitions it leads.

librdkafka sends a request for each partition, and a batch touches dozens: that was most of the broker's work
(docs/adr/0015). This stands on aiokafka's client, which connects, knows the leaders and speaks the protocol.
Leans on aiokafka 0.14's `AIOKafkaClient`: `send`, `cluster`, `add_topic`, `force_metadata_update`.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NoError, NotLeaderForPartitionError, for_code
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import TopicPartition

from app.delivery.produce_requests import Produce
from app.delivery.record_batches import NOBODY, Identity, Packed, Record, following, pack
from app.delivery.turn import Turn
from app.partitions import partition_of
from app.settings import Settings

__all__ = [
    "ANYWHERE",
    "BatchProducer",
    "Bundles",
    "Offsets",
    "Place",
    "Record",
    "StageProducer",
    "Unacknowledged",
]

logger = logging.getLogger(__name__)

ANYWHERE = -1
"""Stands for the partition that the key chooses."""

REQUEST_MS = 10_000
"""How long one request may take before the connection is given up and the records are sent again."""

BACKOFF_S = 0.1
"""The first pause before what failed is tried again; it doubles ..."""

BACKOFF_MAX_S = 1.0
"""... up to this."""

_NO_LIMIT_MS = 2**31 - 1

Place = tuple[str, int]
"""A topic and a partition of it."""

Bundles = Mapping[Place, list[Record]]
"""Records on their way, in order, by topic and partition; `ANYWHERE` lets each one's key choose."""

Offsets = dict[Place, int]
"""The last acknowledged offset by topic and partition."""


class Unacknowledged(Exception):  # noqa: N818  # reads as the verdict on a batch
    """Say that the broker did not acknowledge a record: it may or may not be there."""


Settle = Callable[[Place, int | Unacknowledged], None]
"""What is called with the last offset of a partition's records, or with why they are not acknowledged."""


class BatchProducer:
    """Publish batches with every in-sync replica's acknowledgement, any number of them at once.

    What fails is sent again until the time is over, so a record may be there twice.
    """

    def __init__(self, settings: Settings, *, give_up_after_ms: int | None = None) -> None:
        self._settings = settings
        self._limit_s = None if give_up_after_ms is None else give_up_after_ms / 1000
        self._client: AIOKafkaClient | None = None
        self._connecting = asyncio.Lock()
        self._known: set[str] = set()

    async def offer(self, bundles: Bundles, settle: Settle) -> None:
        """Send the records, and tell of each place what became of its records as soon as it is known."""
        waiting: dict[Place, deque[Packed]] = {}
        turn = Turn()
        for place, records in self._placed(bundles).items():
            waiting[place] = deque(self._pack(place, records))
            if turn.over:
                await turn.give_way()
        try:
            async with asyncio.timeout(self._limit_s):
                await self._deliver(waiting, settle)
        except TimeoutError:
            for place in waiting:
                settle(place, Unacknowledged(f"no acknowledgement within {self._limit_s} s"))

    async def publish(self, bundles: Bundles) -> Offsets:
        """Send the records, in order by partition; return the last offsets once all are acknowledged.

        Raises:
            Unacknowledged: at least one was not.
        """
        if not bundles:
            return {}
        offsets: Offsets = {}
        refusals: list[Unacknowledged] = []

        def settle(place: Place, verdict: int | Unacknowledged) -> None:
            if isinstance(verdict, Unacknowledged):
                refusals.append(verdict)
            else:
                offsets[place] = verdict

        await self.offer(bundles, settle)
        if refusals:
            raise refusals[0]
        return offsets

    async def reaches_broker(self, timeout_s: float) -> bool:
        """Tell whether the broker answers a question within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                client = await self._connected()
                return bool(await client.force_metadata_update())
        return False

    async def close(self) -> None:
        """Let go of the broker; what is not acknowledged by now is not waited for."""
        if self._client is not None:
            await self._client.close()

    def _placed(self, bundles: Bundles) -> Bundles:
        if all(partition != ANYWHERE for _, partition in bundles):
            return bundles
        placed: defaultdict[Place, list[Record]] = defaultdict(list)
        for (topic, partition), bundle in bundles.items():
            if partition != ANYWHERE:
                placed[topic, partition] += bundle
                continue
            for record in bundle:
                placed[topic, partition_of(record["key"], self._settings.partitions)].append(record)
        return placed

    def _pack(self, place: Place, records: list[Record]) -> Iterable[Packed]:  # noqa: ARG002  # for subclasses
        return pack(records, self._settings.kafka.compression, NOBODY, -1)

    async def _deliver(self, waiting: dict[Place, deque[Packed]], settle: Settle) -> None:
        """Send what waits, a batch of each place at a time, until none does."""
        client = await self._connected()
        for topic in {topic for topic, _ in waiting} - self._known:
            await client.add_topic(topic)
            self._known.add(topic)
        pauses = _pauses()
        while waiting:
            failure: KafkaError | None = None
            for place, verdict in (await self._send(client, waiting)).items():
                if isinstance(verdict, int):
                    sent = waiting[place].popleft()
                    if not waiting[place]:
                        del waiting[place]
                        settle(place, verdict + sent.records - 1)
                elif verdict.retriable:
                    failure = verdict
                else:
                    del waiting[place]
                    settle(place, Unacknowledged(str(verdict)))
            if failure is not None:
                logger.warning("records for %s places are sent again: %s", len(waiting), failure)
                await asyncio.sleep(next(pauses))
                await client.force_metadata_update()

    async def _send(
        self, client: AIOKafkaClient, waiting: dict[Place, deque[Packed]]
    ) -> dict[Place, int | KafkaError]:
        """Send the first batch of each place; return the offset that it begins at, or what was wrong."""
        requests: defaultdict[int, dict[Place, Packed]] = defaultdict(dict)
        verdicts: dict[Place, int | KafkaError] = {}
        for place, batches in waiting.items():
            leader = client.cluster.leader_for_partition(TopicPartition(*place))
            if leader is None or leader < 0:
                verdicts[place] = NotLeaderForPartitionError(f"{place[0]}[{place[1]}] has no leader")
            else:
                requests[leader][place] = batches[0]
        asked = [self._ask(client, leader, batches) for leader, batches in requests.items()]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        for answer in answers:
            verdicts |= answer
        return verdicts

    async def _ask(
        self, client: AIOKafkaClient, leader: int, batches: dict[Place, Packed]
    ) -> dict[Place, int | KafkaError]:
        topics: defaultdict[str, list[tuple[int, bytearray]]] = defaultdict(list)
        for (topic, partition), batch in batches.items():
            topics[topic].append((partition, batch.data))
        try:
            verdicts = await client.send(leader, Produce(topics, REQUEST_MS))
        except KafkaError as error:
            return dict.fromkeys(batches, error)
        return {
            (topic, partition): offset if code == NoError.errno else for_code(code)()
            for topic, partition, code, offset in verdicts
        }

    async def _connected(self) -> AIOKafkaClient:
        """Return the client, once a broker has answered it."""
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await self._persist()
        return self._client

    async def _persist(self) -> AIOKafkaClient:
        pauses = _pauses()
        while True:
            if (client := await self._connect()) is not None:
                return client
            await asyncio.sleep(next(pauses))

    async def _connect(self) -> AIOKafkaClient | None:
        client = AIOKafkaClient(
            bootstrap_servers=self._settings.broker,
            client_id=f"{self._settings.member_id}-producer",
            request_timeout_ms=REQUEST_MS,
        )
        try:
            await client.bootstrap()
            await self._introduce(client)
        except KafkaError as error:
            logger.warning("Kafka can't be reached yet: %s", error)
            await client.close()
            return None
        except BaseException:
            await client.close()
            raise
        return client

    async def _introduce(self, client: AIOKafkaClient) -> None:
        """Do what is to be done before the first batch."""


class StageProducer(BatchProducer):
    """Publish a stage's batches, one at a time, so that each record is there once and in its order.

    It never gives up while there is hope. The broker counts the records of each partition: it takes a
    repeated batch once, and none that does not follow the last. So where one is lost, nothing comes after
    it: a changelog may end early, with no gap.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._who = NOBODY
        self._sequences: defaultdict[Place, int] = defaultdict(int)
        self._turn = asyncio.Lock()
        self._ended = ""

    async def offer(self, bundles: Bundles, settle: Settle) -> None:
        """Send the records, and tell of each place what became of its; after a failure nothing is sent."""

        def watch(place: Place, verdict: int | Unacknowledged) -> None:
            if isinstance(verdict, Unacknowledged):
                self._ended = str(verdict)
            settle(place, verdict)

        async with self._turn:
            if self._ended:
                raise Unacknowledged(f"an earlier record was not acknowledged: {self._ended}")
            try:
                await self._connected()
                await super().offer(bundles, watch)
            except BaseException as error:  # what is not known to be there is not to be followed
                self._ended = repr(error)
                raise

    def _pack(self, place: Place, records: list[Record]) -> Iterable[Packed]:
        first = self._sequences[place]
        self._sequences[place] = following(first, len(records))
        return pack(records, self._settings.kafka.compression, self._who, first)

    async def _introduce(self, client: AIOKafkaClient) -> None:
        request = InitProducerIdRequest(None, _NO_LIMIT_MS)  # in no transaction
        answer = await client.send(client.get_random_node(), request)
        if (error := for_code(answer.error_code)) is not NoError:
            raise error()
        self._who = Identity(answer.producer_id, answer.producer_epoch)


def _pauses() -> Iterator[float]:
    """Yield for how long to wait before each next try, in seconds."""
    pause_s = BACKOFF_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, BACKOFF_MAX_S)
