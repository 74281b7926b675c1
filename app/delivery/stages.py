"""Where agents and tables are declared: `@delivery.stage(...)` makes a function a Faust agent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

import faust
from faust.types import TP

from app.delivery.batches import Batches
from app.delivery.exits import die
from app.delivery.producer import BatchProducer
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

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._running: dict[str, Batches] = {}
        self.reached: dict[TP, int] = {}
        self.fetch_wait_ms = settings.kafka.fetch_wait_ms
        self.stop_limit_s = settings.delivery.drain_timeout_ms / 1000 + REST_OF_STOP_S

    @cached_property
    def producer(self) -> BatchProducer:
        """Return the producer of states and messages, which never gives a record up."""
        return BatchProducer(self._settings)

    def table(self, name: str) -> State:
        """Declare a table; its changelog is named after it."""
        return State(self._app, name, self._settings)

    def stage(self, *reads: type[Message]) -> Callable[[Stage], Stage]:
        """Make the function the agent of these messages' topics, its name the stage's."""

        def declare(stage: Stage) -> Stage:
            topic = self._app.topic(*(message.type for message in reads), key_type=bytes, value_type=bytes)

            async def agent(stream: Any) -> None:
                await self._run(stage, stream)

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
        consumer = self._app.consumer
        tp = TP(topic, partition)
        end: int | None = consumer.highwater(tp)
        if end is None:
            return 1
        reached: int = self.reached.get(tp, consumer._committed_offset[tp] or 0)  # noqa: SLF001
        return max(0, end - reached)

    async def reaches_broker(self) -> bool:
        """Tell whether Kafka answers this worker."""
        return await self.producer.reaches_broker(ANSWER_S)

    async def drain(self) -> None:
        """Wait until no stage has a batch in hand; a batch that does not end in time ends the process."""
        idle = [batches.idle() for batches in self._running.values()]
        try:
            await asyncio.wait_for(asyncio.gather(*idle), self._settings.delivery.drain_timeout_ms / 1000)
        except TimeoutError:
            die(f"a batch took longer than {self._settings.delivery.drain_timeout_ms} ms to finish")
        self.reached.clear()

    async def _run(self, stage: Stage, stream: Any) -> None:
        batches = Batches(self._app, stream, self.producer, self._settings.delivery, self.reached)
        self._running[stage.__name__] = batches
        try:
            await self._supervise(stage, batches)
        finally:
            batches.close()

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
