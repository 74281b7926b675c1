"""What is around a batch, as far as delivery sees it: everything it does is in one log."""

import asyncio
import dataclasses
import json
import types
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, cast

import pytest
from faust.types import TP

from app.delivery.batch import Place
from app.delivery.batches import Batches
from app.delivery.codec import encode
from app.delivery.deadletters import DeadLetter
from app.delivery.lease import NotHeld
from app.delivery.producer import Bundles, Offsets
from app.delivery.progress import Progress
from app.delivery.source import Arrived
from app.delivery.stages import Delivery, Edges
from app.delivery.state import Gap, State
from app.settings import DeliverySettings, Settings
from models.events import InventoryRestocked
from models.messages import derive_id
from tests.app.turning import turns

RECORDED = datetime(2024, 3, 1, tzinfo=UTC)
RECORDED_MS = 1_709_251_200_000
POISON = 666
PARTITION = TP(InventoryRestocked.type, 0)

STEPS = [
    "states sent",
    "states acknowledged",
    "rows written",
    "messages sent",
    "messages acknowledged",
    "input acknowledged",
    "called back",
]
"""What a commit does, in order, as the log has it."""


class Died(BaseException):
    """Stand for the end of the process."""


@dataclass(eq=False)
class Log:
    """Remember what was done, in order, and let one thing fail or wait."""

    done: list[str] = field(default_factory=list)
    fails_at: str = ""
    holds_at: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, what: str) -> None:
        if what == self.fails_at:
            raise RuntimeError(f"{what}: not today")
        self.done.append(what)

    async def pass_gate(self, what: str) -> None:
        if what == self.holds_at:
            await self.gate.wait()


class Sent(NamedTuple):
    """Be one record that was published."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def sent(bundles: Bundles) -> list[Sent]:
    """Return the records one by one."""
    return [
        Sent(topic, partition, record["key"], record["value"], tuple(record.get("headers", ())))
        for (topic, partition), bundle in bundles.items()
        for record in bundle
    ]


@dataclass(eq=False)
class RecordingProducer:
    """Acknowledge whatever is published, unless the log says otherwise."""

    log: Log
    published: list[Sent] = field(default_factory=list)
    asked: int = 0
    closed: bool = False

    async def publish(self, bundles: Bundles) -> Offsets:
        records = sent(bundles)
        if not records:
            return {}
        what = "states" if records[0].topic.endswith("-changelog") else "messages"
        self.log.add(f"{what} sent")
        await self.log.pass_gate(f"{what} sent")
        self.log.add(f"{what} acknowledged")
        self.published += records
        return {(record.topic, record.partition): len(self.published) for record in records}

    async def reaches_broker(self, _timeout_s: float) -> bool:
        self.asked += 1
        return True

    async def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class RecordingState:
    """Keep rows in memory."""

    log: Log
    changelog: str = "stock-changelog"
    rows: dict[tuple[int, bytes], bytes | None] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    gaps: dict[int, Gap] = field(default_factory=dict)
    shared: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def gap(self, partition: int, _offset: int, _count: int) -> Gap | None:
        return self.gaps.get(partition)

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.rows.get((partition, key))

    def write(self, partition: int, rows: list[tuple[bytes, bytes | None]], offset: int) -> None:
        self.log.add("rows written")
        self.rows.update({(partition, key): value for key, value in rows})
        self.offsets.append(offset)


def state_of(log: Log) -> State:
    return cast("State", RecordingState(log))


@dataclass(eq=False)
class Record:
    """Be a record as librdkafka hands it over."""

    number: int
    content: bytes | None
    about: bytes | None
    where: int = 0
    name: str = InventoryRestocked.type
    epoch: int = 0
    fault: str = ""
    recorded_ms: int = RECORDED_MS

    def topic(self) -> str:
        return self.name

    def partition(self) -> int:
        return self.where

    def offset(self) -> int:
        return self.number

    def key(self) -> bytes | None:
        return self.about

    def value(self) -> bytes | None:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 2, self.recorded_ms

    def error(self) -> Any:
        return types.SimpleNamespace(str=lambda: self.fault) if self.fault else None


class RecordingProgress(Progress):
    """Remember in the log what was worked through."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def reach(self, records: Iterable[Any]) -> None:
        self._log.add("input acknowledged")
        records = list(records)
        self._log.done += [f"ack {record.offset()}" for record in records]
        super().reach(records)


@dataclass(eq=False)
class FakeLease:
    """Be held, unless the log holds it up."""

    log: Log

    def begin(self) -> None:
        """Do as a lease does."""

    def end(self) -> None:
        """Do as a lease does."""

    async def hold(self) -> None:
        if self.log.fails_at == "held":
            raise NotHeld("no heartbeat")
        await self.log.pass_gate("held")


@dataclass(eq=False)
class FakeOwnership:
    """Find what the test says that others have written."""

    log: Log
    foreign: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lease = FakeLease(self.log)

    async def examine(self, _state: State, partition: int, gap: Gap) -> list[bytes]:
        self.log.add(f"examined {partition} {gap.first} to {gap.end}")
        return self.foreign

    async def put_right(self, _state: State, partition: int, foreign: list[bytes], _producer: Any) -> None:
        self.log.add(f"put right {partition} {foreign}")


class FakeSource:
    """Hand over the records put before it, those of one assignment at a time."""

    def __init__(self, most: int) -> None:
        self.epoch = 0
        self.most = most
        self.waiting: deque[Record] = deque()
        self.positions: dict[TP, int | None] = {}
        self.ends: dict[TP, int] = {}
        self.arrived = asyncio.Event()
        self.taking: asyncio.Future[Arrived] | None = None

    def put(self, record: Record) -> None:
        self.waiting.append(record)
        self.arrived.set()

    def take(self) -> asyncio.Future[Arrived]:
        self.taking = asyncio.ensure_future(self._take())
        return self.taking

    async def _take(self) -> Arrived:
        await self.arrived.wait()
        epoch = self.waiting[0].epoch if self.waiting else self.epoch
        records: list[Any] = []
        while self.waiting and len(records) < self.most and self.waiting[0].epoch == epoch:
            records.append(self.waiting.popleft())
        if not self.waiting:
            self.arrived.clear()
        return Arrived(epoch, records)

    async def assign(self, positions: Mapping[TP, int | None]) -> None:
        self.positions = dict(positions)

    async def revoke(self) -> None:
        self.epoch += 1
        self.arrived.set()

    def end(self, tp: TP) -> int | None:
        return self.ends.get(tp)

    async def close(self) -> None:
        if self.taking is not None:
            self.taking.cancel()


def restocked(quantity: int = 1, sku: str = "sku-1") -> InventoryRestocked:
    event_id = derive_id("test", sku, str(quantity))
    return InventoryRestocked(
        event_id=event_id,
        occurred_at=RECORDED,
        correlation_id=event_id,
        causation_id=event_id,
        sku=sku,
        quantity=quantity,
    )


def letter(offset: int = 7) -> DeadLetter:
    return DeadLetter(
        topic="ORDER_CREATED",
        partition=3,
        offset=offset,
        key=b"\xff",
        value=None,
        recorded_ms=RECORDED_MS,
        error="what was wrong",
    )


class FakeApp:
    """Be what delivery sees of Faust."""

    def __init__(self) -> None:
        self.should_stop = False
        self.agent_function: Callable[[Any], Awaitable[None]] | None = None
        self.conf = types.SimpleNamespace(canonical_url="http://127.0.0.1")

    def topic(self, *names: str, **_: Any) -> tuple[str, ...]:
        return names

    def agent(self, _topic: Any, **_: Any) -> Callable[[Any], Any]:
        def keep(function: Any) -> Any:
            self.agent_function = function
            return function

        return keep


Stage = Callable[[Batches], Awaitable[None]]


class Worker:
    """Run one stage on the records put before it."""

    def __init__(self, log: Log, *, awaited: bool = True, **bounds: int) -> None:
        self.log = log
        self.app = FakeApp()
        self.state = RecordingState(log)
        self.producer = RecordingProducer(log)
        self.ownership = FakeOwnership(log)
        self.seen: list[list[int]] = []
        self.offset = 0
        settings = Settings(partitions=1, delivery=DeliverySettings(**cast("Any", bounds)))
        self.source = FakeSource(settings.delivery.batch_records)
        self.delivery = Delivery(
            cast("Any", self.app),
            settings,
            edges=Edges(
                source=lambda _settings, _stage: cast("Any", self.source),
                producer=lambda _settings: cast("Any", self.producer),
                ownership=lambda _settings: cast("Any", self.ownership),
            ),
        )
        self.delivery.progress = RecordingProgress(log)
        self.delivery.stage(InventoryRestocked, awaited=awaited)(self.restock)
        self.task: asyncio.Task[None] | None = None

    async def restock(self, batches: Batches) -> None:
        """Be an agent that one quantity is too much for."""
        async for batch in batches:
            self.seen.append([message.quantity async for _, message in batch])
            async for partition, message in batch:
                before = batch.read(cast("State", self.state), partition, message.sku.encode())
                after = b"%d" % (int(before or 0) + message.quantity)
                batch.write(
                    cast("State", self.state), partition, message.sku.encode(), after, place=Place.LAST
                )
                batch.send(message)
                batch.after_commit(partial(self.log.done.append, f"done {message.quantity}"))
                if message.quantity == POISON:
                    raise ValueError("beyond counting")

    def put(self, *quantities: int, **changed: Any) -> None:
        """Put records before the stage."""
        for quantity in quantities:
            record = Record(self.offset, encode(restocked(quantity)), b"sku-1", epoch=self.source.epoch)
            self.source.put(dataclasses.replace(record, **changed))
            self.offset += 1

    def start(self) -> None:
        assert self.app.agent_function is not None
        self.task = asyncio.ensure_future(cast("Any", self.app.agent_function(None)))

    async def resume(self, positions: Mapping[TP, int | None] | None = None) -> None:
        """Give the stage its partitions, as a rebalance ends."""
        await turns()  # the stage has to have begun
        await self.delivery.resume(positions or {PARTITION: None}, lambda: None)

    async def begin(self, partition: TP = PARTITION) -> None:
        """Start the stage with its partition."""
        self.start()
        await self.resume({partition: None})

    async def drain(self) -> None:
        """Take the stage's partitions, as a rebalance begins."""

        async def commit() -> None:
            self.log.done.append("committed")

        await self.delivery.drain(commit)

    async def died(self) -> str:
        """Return what the process died of."""
        assert self.task is not None
        with pytest.raises(Died) as end:
            await self.task
        return str(end.value)

    @property
    def acknowledged(self) -> list[int]:
        return [int(done.removeprefix("ack ")) for done in self.log.done if done.startswith("ack ")]

    @property
    def sent(self) -> list[int]:
        return [
            json.loads(record.value or b"")["quantity"]
            for record in self.producer.published
            if record.topic == InventoryRestocked.type
        ]

    @property
    def buried(self) -> list[Sent]:
        return [record for record in self.producer.published if record.topic == "DEAD_LETTERS"]
