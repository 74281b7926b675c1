"""What is around a batch, as far as delivery sees it: everything it does is in one log."""

import asyncio
import dataclasses
import json
import types
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import pytest
from faust.types import TP

from app.delivery.batch import Place
from app.delivery.batches import Batches
from app.delivery.codec import encode
from app.delivery.deadletters import DeadLetter
from app.delivery.producer import Offsets, Outgoing
from app.delivery.stages import Delivery
from app.delivery.state import State
from app.settings import DeliverySettings, Settings
from models.events import InventoryRestocked
from models.messages import derive_id

RECORDED = datetime(2024, 3, 1, tzinfo=UTC)
RECORDED_MS = 1_709_251_200_000
DEADLINE_S = 20
POISON = 666

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


@dataclass(eq=False)
class RecordingProducer:
    """Acknowledge whatever is published, unless the log says otherwise."""

    log: Log
    published: list[Outgoing] = field(default_factory=list)

    async def publish(self, outgoing: Sequence[Outgoing]) -> Offsets:
        if not outgoing:
            return {}
        what = "states" if outgoing[0].topic.endswith("-changelog") else "messages"
        self.log.add(f"{what} sent")
        await self.log.pass_gate(f"{what} sent")
        self.log.add(f"{what} acknowledged")
        self.published += outgoing
        return {(record.topic, record.partition or 0): len(self.published) for record in outgoing}


@dataclass(eq=False)
class RecordingState:
    """Keep rows in memory."""

    log: Log
    changelog: str = "stock-changelog"
    rows: dict[tuple[int, bytes], bytes | None] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)

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
    """Be a record as Faust hands it over."""

    log: Log
    offset: int
    value: bytes | None
    key: bytes | None
    partition: int = 0
    topic: str = InventoryRestocked.type
    generation_id: int = 1
    timestamp: float = RECORDED_MS / 1000
    tracked: bool = False

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)

    @property
    def message(self) -> "Record":
        return self

    def ack(self, _consumer: Any) -> None:
        assert self.tracked
        self.log.add("input acknowledged")
        self.log.done.append(f"ack {self.offset}")


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
        topic="ORDER_CREATED", partition=3, offset=offset, key=b"\xff", value=None, error="what was wrong"
    )


class FakeApp:
    """Be what delivery sees of Faust."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.consumer_generation_id = 1
        self.should_stop = False
        self.agent_function: Callable[[Any], Awaitable[None]] | None = None
        self.flow_control = self
        self.consumer = self
        self.ends: dict[TP, int] = {}
        self._committed_offset: dict[TP, int] = {}

    async def acquire(self) -> None:
        """Let the flow go."""

    def track_message(self, record: Record) -> None:
        self.log.done.append(f"track {record.offset}")

    def highwater(self, tp: TP) -> int | None:
        return self.ends.get(tp)

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

    def __init__(self, log: Log, **bounds: int) -> None:
        self.log = log
        self.app = FakeApp(log)
        self.state = RecordingState(log)
        self.producer = RecordingProducer(log)
        self.queue: asyncio.Queue[Record] = asyncio.Queue()
        self.seen: list[list[int]] = []
        self.offset = 0
        settings = Settings(delivery=DeliverySettings(**cast("Any", bounds)))
        self.delivery = Delivery(cast("Any", self.app), settings)
        vars(self.delivery)["producer"] = self.producer
        self.delivery.stage(InventoryRestocked)(self.restock)
        self.task: asyncio.Task[None] | None = None

    async def restock(self, batches: Batches) -> None:
        """Be an agent that one quantity is too much for."""
        async for batch in batches:
            self.seen.append([message.quantity for _, message in batch])
            for partition, message in batch:
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
            record = Record(self.log, self.offset, encode(restocked(quantity)), b"sku-1")
            self.queue.put_nowait(dataclasses.replace(record, **changed))
            self.offset += 1

    def start(self) -> None:
        stream = types.SimpleNamespace(channel=types.SimpleNamespace(queue=self.queue))
        assert self.app.agent_function is not None
        self.task = asyncio.ensure_future(cast("Any", self.app.agent_function(stream)))

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
    def buried(self) -> list[Outgoing]:
        return [record for record in self.producer.published if record.topic == "DEAD_LETTERS"]


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110  # what holds is a list's length, and no event
            await asyncio.sleep(0)


async def turns(count: int = 50) -> None:
    """Let the loop turn often enough for anything that is due to be done."""
    for _ in range(count):
        await asyncio.sleep(0)
