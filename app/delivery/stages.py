"""Where agents and tables are declared: `@delivery.stage(...)` makes a function a Faust agent."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import faust
from faust.types import TP

from app import metrics
from app.delivery import faults
from app.delivery.batch import Batch
from app.delivery.batches import Batches, Bounds
from app.delivery.codec import MessageDecoder, decode
from app.delivery.committing import Means, Note
from app.delivery.deadletters import DeadLetter
from app.delivery.exits import die
from app.delivery.meter import Meter
from app.delivery.ownership import Ownership
from app.delivery.producer import StageProducer
from app.delivery.progress import Progress
from app.delivery.source import Source
from app.delivery.state import NotHere, State
from app.delivery.trail import traced
from app.settings import Settings
from models.messages import Message

logger = logging.getLogger(__name__)

REST_OF_STOP_S = 10.0
"""How long a stop may take beside the batches in hand: HTTP, offsets, leaving."""

ANSWER_S = 2.0
"""How long Kafka may take to answer before it counts as away."""

Stage = Callable[[Batches], Awaitable[None]]
"""An agent of this project: it takes batches until there are no more."""


class Running(NamedTuple):
    """Be a stage at work: the topics that it reads, and what it has for its own.

    `hurried` where orders are late when it is.
    """

    reads: tuple[str, ...]
    source: Source
    producer: StageProducer
    batches: Batches
    hurried: bool


class Edges(NamedTuple):
    """Be how that is made by which delivery touches Kafka."""

    source: Callable[[Settings, str], Source]
    producer: Callable[[Settings], StageProducer]
    ownership: Callable[[Settings], Ownership]


EDGES = Edges(Source, StageProducer, Ownership)


class Delivery:
    """Run the stages of one app so that nothing is acknowledged before it lasts."""

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        decode: MessageDecoder = decode,
        edges: Edges = EDGES,
    ) -> None:
        self._app = app
        self._decode = decode
        self._edges = edges
        self.settings = settings
        self.tables: dict[str, State] = {}
        self._running: dict[str, Running] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._notes: list[Note] = []
        self._moving = asyncio.Lock()
        self.progress = Progress()
        self.ownership = edges.ownership(settings)
        self.stop_limit_s = settings.delivery.drain_timeout_ms / 1000 + REST_OF_STOP_S

    def table(self, name: str, *, stage: str | None = None, shared: bool = False) -> State:
        """Declare a table; its changelog is named after it. Where several stages write it, it is `shared`.

        A worker that does not run the `stage` that the table belongs to has no row of it.
        """
        here = stage is None or stage in self.settings.active_stages
        state = State(self._app, name, self.settings, shared=shared, here=here)
        if here:
            self.tables[state.changelog] = state
        return state

    def on_buried(self, note: Note) -> Note:
        """Call the function with each letter and its batch, before the batch is made to last."""
        self._notes.append(note)
        return note

    def stage(
        self, *reads: type[Message], room: asyncio.Event | None = None, awaited: bool = True
    ) -> Callable[[Stage], Stage]:
        """Make the function the agent of these messages' topics, its name the stage's.

        While `room` is not set it is given answers alone: what it began outside is bounded, and the rest
        waits in Kafka. Without it there is always room. Where no order waits for it, it is not `awaited`:
        however late it is, none is refused for that.
        """

        def declare(stage: Stage) -> Stage:
            topics = tuple(message.type for message in reads)
            self._inputs[stage.__name__] = topics
            topic = self._app.topic(*topics, key_type=bytes, value_type=bytes)

            async def agent(_stream: Any) -> None:
                await self._run(stage, topics, room, awaited=awaited)

            agent.__name__ = agent.__qualname__ = stage.__name__
            agent.__module__ = stage.__module__
            agent.__doc__ = stage.__doc__
            self._app.agent(topic, name=stage.__name__, concurrency=1)(agent)
            return stage

        return declare

    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Return, by changelog, the topics that the stage of the same name reads.

        Only that one table is sure to be as old as its stage's offsets.
        """
        own = ((changelog, state.name) for changelog, state in self.tables.items())
        return {changelog: self._inputs[name] for changelog, name in own if name in self._inputs}

    def answer(self, stage: str, partition: int, message: Any) -> None:
        """Hand a stage an answer from outside; dropped where the stage is not running."""
        if stage in self._running:
            self._running[stage].batches.answer(partition, message)

    def lag(self, topic: str, partition: int) -> int:
        """Return how many records of the partition are still to be worked through; 1 where none can tell."""
        tp = TP(topic, partition)
        ends = (stage.source.end(tp) for stage in self._running.values() if topic in stage.reads)
        end = next(ends, None)
        return 1 if end is None else max(0, end - self.progress.reached(tp))

    def behind_s(self) -> float:
        """Return how late the stages work on what they are sent, in seconds.

        One that no order waits for does not count, nor one that waits for others outside: its records are in
        Kafka for as long as that takes.
        """
        hurried = (stage.batches for stage in self._running.values() if stage.hurried)
        return max((batches.behind_s for batches in hurried), default=0.0)

    async def reaches_broker(self) -> bool:
        """Tell whether Kafka answers this worker."""
        stage = next(iter(self._running.values()), None)  # any will do: they have the same broker
        return stage is not None and await stage.producer.reaches_broker(ANSWER_S)

    async def resume(self, positions: Mapping[TP, int | None], require_current: Callable[[], None]) -> None:
        """Have each stage work on its partitions of these, from these offsets on.

        Raises:
            Exception: `require_current` did, for partitions move again.
        """
        async with self._moving:
            require_current()
            self.ownership.lease.begin()
            self.progress.start(positions)
            for stage in self._running.values():
                own = {tp: at for tp, at in positions.items() if tp.topic in stage.reads}
                await stage.batches.resume(own)
        logger.info(
            "working on partitions %s, answering at %s",
            sorted({tp.partition for tp in positions}),
            self._app.conf.canonical_url,
        )

    async def drain(self, commit: Callable[[], Awaitable[None]]) -> None:
        """Finish the batches in hand, commit what they reached, and let go of the partitions.

        A batch that does not end in time ends the process.
        """
        async with self._moving:
            running = [stage.batches for stage in self._running.values()]
            self.ownership.lease.end()
            limit_ms = self.settings.delivery.drain_timeout_ms
            try:
                await asyncio.wait_for(asyncio.gather(*(each.drain() for each in running)), limit_ms / 1000)
            except TimeoutError:
                die(f"a batch took longer than {limit_ms} ms to finish")
            await commit()
            await asyncio.gather(*(each.revoke() for each in running))

    async def _run(
        self, stage: Stage, reads: tuple[str, ...], room: asyncio.Event | None, *, awaited: bool
    ) -> None:
        source = self._edges.source(self.settings, stage.__name__)
        producer = self._edges.producer(self.settings)
        waits_outside = room is not None
        bounds = Bounds(self.settings.delivery.batch_records, room or _always(), self.settings.partitions)
        reach = faults.points(stage.__name__, os.environ.get(faults.VARIABLE, ""))
        begin, reach = traced(stage.__name__, reach, keeps=waits_outside)
        meter = Meter(stage.__name__)
        means = Means(producer, self.progress, self.ownership, meter, reach, self._note, begin)
        batches = Batches(source, means, self._decode, bounds)
        hurried = awaited and not waits_outside
        self._running[stage.__name__] = Running(reads, source, producer, batches, hurried)
        metrics.STAGE_BEHIND.labels(stage.__name__).set_function(lambda: batches.behind_s)
        for topic in reads:
            metrics.CONSUMER_LAG.labels(topic).set_function(partial(self._lag_of, topic))
        try:
            await self._supervise(stage, batches)
        finally:
            del self._running[stage.__name__]
            await source.close()
            await producer.close()

    def _lag_of(self, topic: str) -> int:
        return sum(self.lag(tp.topic, tp.partition) for tp in self.progress.places() if tp.topic == topic)

    def _note(self, batch: Batch, letter: DeadLetter) -> None:
        for note in self._notes:
            note(batch, letter)

    async def _supervise(self, stage: Stage, batches: Batches) -> None:
        while True:
            try:
                await stage(batches)
            except NotHere as error:  # the table's fault, not the input's: burying it would lose it
                die(f"stage {stage.__name__} was given what this worker does not hold: {error}")
            except Exception as error:  # noqa: BLE001  # a stage's fault must neither ack nor stop the rest
                batches.fail(error)
            else:
                if not self._app.should_stop:
                    die(f"stage {stage.__name__} stopped taking batches")
                return


def _always() -> asyncio.Event:
    room = asyncio.Event()
    room.set()
    return room
