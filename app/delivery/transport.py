"""Faust's Kafka transport as the control plane alone: membership, and the offsets it keeps.

Records and changelogs are read with librdkafka, so aiokafka fetches nothing here. Before partitions are given
up, the batches in hand are finished and their offsets committed: Faust 0.15.3 forgets what it has not yet
committed as soon as a rebalance begins. Leans on faust 0.15.3's `Consumer.wait_empty`, `getmany`,
`force_commit`, `perform_seek`, `verify_all_partitions_active`, `_commit`, `_thread`, and on aiokafka 0.14's
`AIOKafkaConsumer._fetcher._fetch_task` and `_coordinator`: `fetch_committed_offsets`, `_push_error_to_user`,
`_coordination_task`, `_do_heartbeat`, `_start_heartbeat_task`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from faust.transport.drivers import aiokafka
from faust.types import TP

from app.delivery.exits import die
from app.delivery.lease import Lease


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's consumer thread, which is a member of the group and reads nothing."""

    async def on_start(self) -> None:
        """Start as Faust does, and end the fetching that aiokafka has begun by itself."""
        await super().on_start()
        self._consumer._fetcher._fetch_task.cancel()  # noqa: SLF001
        coordinator = self._consumer._coordinator  # noqa: SLF001
        coordinator._push_error_to_user = _refused  # noqa: SLF001
        coordinator._coordination_task.add_done_callback(_end_with)  # noqa: SLF001
        _renew(self.app.delivery.ownership.lease, coordinator)

    async def committed(self, partitions: list[TP]) -> dict[TP, int]:
        """Return the offsets that the group has committed, in one question, for those that have one."""
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001
        known = await self.call_thread(
            coordinator.fetch_committed_offsets, [aiokafka.ensure_aiokafka_TP(tp) for tp in partitions]
        )
        return {TP(tp.topic, tp.partition): found.offset for tp, found in known.items() if found.offset >= 0}


class Consumer(aiokafka.Consumer):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's consumer, which leaves no partition with its work undone."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:  # noqa: ASYNC109  # Faust's signature
        """Yield nothing: records come another way."""
        await self.sleep(timeout)
        nothing: tuple[Any, ...] = ()
        for record in nothing:
            yield record

    async def verify_all_partitions_active(self) -> None:
        """Leave out Faust's look at its own fetching, of which there is none."""

    async def perform_seek(self) -> None:
        """Have the stages read on from what is committed, and from the beginning where nothing is."""
        changelogs = self.app.tables.changelog_topics
        inputs = [tp for tp in self.assignment() if tp.topic not in changelogs]
        committed = await self.committed(inputs)
        positions = {TP(*tp): committed.get(TP(*tp)) for tp in inputs}
        await self.app.delivery.resume(positions, self.app.tables.recovery.require_current)

    async def committed(self, partitions: list[TP]) -> dict[TP, int]:
        """Return the offsets that the group has committed, for those of the partitions that have one."""
        known: dict[TP, int] = await self._thread.committed(partitions)
        return known

    async def wait_empty(self) -> None:
        """Finish what is in hand and commit it: partitions are about to be given up."""
        await self.app.delivery.drain(self._commit_rest)

    async def _commit_rest(self) -> None:
        timeout_s = self.app.conf.broker_request_timeout
        try:
            async with asyncio.timeout(timeout_s):
                await self.maybe_wait_for_commit_to_finish()
                await self.commit()
        except TimeoutError:
            die(f"offsets could not be committed within {timeout_s} s of a rebalance")

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002
        """Commit the offsets behind what lasts."""
        progress = self.app.delivery.progress
        due = progress.due()
        done = bool(due) and await self._commit(due)
        if done:
            progress.save(due)
        return bool(done)


def _renew(lease: Lease, coordinator: Any) -> None:
    """Renew the lease with every heartbeat, and with one at once when the group was joined."""
    beat, start = coordinator._do_heartbeat, coordinator._start_heartbeat_task  # noqa: SLF001

    async def noted() -> bool:
        asked_at = time.monotonic()
        answered: bool = await beat()
        if answered:
            lease.renew(asked_at)
        return answered

    def joined() -> None:
        start()
        first = asyncio.ensure_future(noted())
        under_way.add(first)
        first.add_done_callback(under_way.discard)

    under_way: set[asyncio.Future[bool]] = set()
    coordinator._do_heartbeat, coordinator._start_heartbeat_task = noted, joined  # noqa: SLF001


async def _refused(error: Exception) -> None:
    """End the process: aiokafka would wait until somebody asks it for records, which nobody does here."""
    die(f"Kafka does not let this worker into its group: {error!r}")


def _end_with(membership: "asyncio.Task[None]") -> None:
    """End the process with its membership: it would stay up, own nothing and never be ready."""
    if not membership.cancelled() and (error := membership.exception()) is not None:
        die(
            f"this worker is not in its group any more: {error!r}. Does another one run under its worker_id,"
            " or has it come back within its session with another web.host or web.port?"
        )


class Transport(aiokafka.Transport):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's transport with this project's consumer."""

    Consumer = Consumer
