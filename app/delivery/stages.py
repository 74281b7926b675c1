"""Where agents and tables are declared: `@delivery.stage(...)` makes a function a Faust agent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
from faust.types import TP

from app.delivery.batches import Batches, Bounds
from app.delivery.codec import MessageDecoder, decode
from app.delivery.exits import die
from app.delivery.producer import StageProducer
from app.delivery.progress import Progress
from app.delivery.source import Source
from app.delivery.state import NotHere, State
from app.settings import Settings
from models.messages import Message

logger = logging.getLogger(__name__)

REST_OF_STOP_S = 10.0
"""How long a stop may take beside the batches in hand: HTTP, offsets, leaving."""

ANSWER_S = 2.0
"""How long Kafka may take to answer before it counts as away."""

Stage = Callable[[Batches], Awaitable[None]]
"""An agent of this project: it takes batches until there are no more."""


class Delivery:
    """Run the stages of one app so that nothing is acknowledged before it lasts."""

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        decode: MessageDecoder = decode,
        new_source: Callable[[Settings, str], Source] = Source,
        new_producer: Callable[[Settings], StageProducer] = StageProducer,
    ) -> None:
        self._app = app
        self._decode = decode
        self._new_source = new_source
        self._new_producer = new_producer
        self.settings = settings
        self.tables: dict[str, State] = {}
        self._reads: dict[str, frozenset[str]] = {}
        self._running: dict[str, Batches] = {}
        self._sources: dict[str, Source] = {}
        self._producers: dict[str, StageProducer] = {}
        self._moving = asyncio.Lock()
        self.progress = Progress()
        self.stop_limit_s = settings.delivery.drain_timeout_ms / 1000 + REST_OF_STOP_S

    def table(self, name: str) -> State:
        """Declare a table; its changelog is named after it."""
        state = State(self._app, name, self.settings)
        self.tables[state.changelog] = state
        return state

    def stage(self, *reads: type[Message], room: asyncio.Event | None = None) -> Callable[[Stage], Stage]:
        """Make the function the agent of these messages' topics, its name the stage's.

        While `room` is not set it is given answers alone: what it began outside is bounded, and the rest
        waits in Kafka. Without it there is always room.
        """
        if room is None:
            room = asyncio.Event()
            room.set()

        def declare(stage: Stage) -> Stage:
            self._reads[stage.__name__] = frozenset(message.type for message in reads)
            topic = self._app.topic(*(message.type for message in reads), key_type=bytes, value_type=bytes)

            async def agent(_stream: Any) -> None:
                await self._run(stage, room)

            agent.__name__ = agent.__qualname__ = stage.__name__
            agent.__module__ = stage.__module__
            agent.__doc__ = stage.__doc__
            self._app.agent(topic, name=stage.__name__, concurrency=1)(agent)
            return stage

        return declare

    def answer(self, stage: str, partition: int, message: Any) -> None:
        """Hand a stage an answer from outside; dropped where the stage is not running."""
        if stage in self._running:
            self._running[stage].answer(partition, message)

    def lag(self, topic: str, partition: int) -> int:
        """Return how many records of the partition are still to be worked through; 1 where none can tell."""
        tp = TP(topic, partition)
        ends = (self._sources[stage].end(tp) for stage in self._sources if topic in self._reads[stage])
        end = next(ends, None)
        return 1 if end is None else max(0, end - self.progress.reached(tp))

    async def reaches_broker(self) -> bool:
        """Tell whether Kafka answers this worker."""
        return any(
            await asyncio.gather(*(each.reaches_broker(ANSWER_S) for each in self._producers.values()))
        )

    async def resume(self, positions: Mapping[TP, int | None], require_current: Callable[[], None]) -> None:
        """Have each stage work on its partitions of these, from these offsets on.

        Raises:
            Exception: `require_current` did, for partitions move again.
        """
        async with self._moving:
            require_current()
            self.progress.start(positions)
            for stage, batches in self._running.items():
                reads = self._reads[stage]
                await batches.resume({tp: at for tp, at in positions.items() if tp.topic in reads})
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
            running = list(self._running.values())
            limit_ms = self.settings.delivery.drain_timeout_ms
            try:
                await asyncio.wait_for(asyncio.gather(*(stage.drain() for stage in running)), limit_ms / 1000)
            except TimeoutError:
                die(f"a batch took longer than {limit_ms} ms to finish")
            await commit()
            await asyncio.gather(*(stage.revoke() for stage in running))

    async def _run(self, stage: Stage, room: asyncio.Event) -> None:
        source = self._new_source(self.settings, stage.__name__)
        producer = self._producers[stage.__name__] = self._new_producer(self.settings)
        bounds = Bounds(self.settings.delivery.batch_records, room)
        batches = Batches(source, producer, self.progress, self._decode, bounds)
        self._sources[stage.__name__], self._running[stage.__name__] = source, batches
        try:
            await self._supervise(stage, batches)
        finally:
            del self._sources[stage.__name__], self._running[stage.__name__]
            await source.close()

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
