"""Faust's Kafka transport, with offsets committed before partitions are given up.

Faust 0.15.3 forgets what was acknowledged but not yet committed as soon as a rebalance begins
(`Consumer.on_partitions_revoked`), so the next owner works through it again. Here the batches in hand are
finished and their offsets committed first. Leans on `perform_seek`, `_committed_offset`, `_thread`.
"""

import asyncio
from typing import Any

from faust.transport.drivers import aiokafka

from app.delivery.exits import die


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's consumer thread, which asks for records more often.

    A fetch waits at the broker for the partitions it names, and new records of any other partition wait
    until it is back: 1.5 s as Faust has it, for each step of the saga.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.delivery.fetch_wait_ms  # noqa: SLF001
        return consumer


class Consumer(aiokafka.Consumer):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's consumer, which leaves no partition with its work undone."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Finish what is in hand and commit it, then go on as Faust does."""
        if revoked:
            self.app.flow_control.suspend()
            self.stop_flow()
            self.app.flow_control.clear()
            await self._finish_in_hand()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Go back to what is committed, and to the beginning where nothing is committed yet.

        aiokafka leaves a partition without a commit wherever it had read up to, and so skips what was
        fetched and dropped while partitions moved.
        """
        await super().perform_seek()
        changelogs = self.app.tables.changelog_topics
        fresh = [
            self._new_topicpartition(tp.topic, tp.partition)
            for tp in self.assignment()
            if tp.topic not in changelogs and not self._committed_offset.get(tp)
        ]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)

    async def _finish_in_hand(self) -> None:
        await self.app.delivery.drain()
        timeout_s = self.app.conf.broker_request_timeout
        try:
            await asyncio.wait_for(self.wait_empty(), timeout_s)
        except TimeoutError:
            die(f"offsets could not be committed within {timeout_s} s of a rebalance")


class Transport(aiokafka.Transport):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's transport with this project's consumer."""

    Consumer = Consumer
