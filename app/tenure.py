"""Whether a worker may say that something has never been seen: it owns the partition, and has read all of it.

What an earlier owner took in may still lie in the log, unread, when the partition comes to this worker. So it
notes, once an assignment, where the logs end, and says nothing before its stages have got there. And a record
that was under way when the partition was given up may come to lie behind that: for a while after the note it
can't be sure that its own record is the first.

Leans on faust 0.15.3: `rebalancing_count`.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from faust.types import TP

from app.main import App
from app.routing import Moving
from app.settings import Settings

ANSWER_S = 5.0
"""How long Kafka may take to say where the logs end."""


class Tenure(NamedTuple):
    """Be one assignment of partitions: which, since when it is known, and where the logs ended by then."""

    assignment: int
    since: float
    ends: Mapping[TP, int]


class Tenures:
    """Know the assignment under which this worker speaks for its partitions of these topics."""

    def __init__(self, app: App, settings: Settings, *topics: str) -> None:
        self._app = app
        self._settings = settings
        self._places = [TP(topic, number) for topic in topics for number in range(settings.partitions)]
        self._settles_s = 2 * settings.web.accept_timeout_ms / 1000
        self._patience_s = settings.web.appear_timeout_ms / 1000
        self._latest: Tenure | None = None
        self._noting: asyncio.Future[Tenure] | None = None

    async def hold(self, topic: str, partition: int) -> Tenure:
        """Return the assignment under which this worker knows all of its partition, once it does.

        Raises:
            Moving: the partition may be another's by now, or not all of it was taken in in time.
        """
        tenure = self._latest
        if tenure is None or tenure.assignment != self._app.rebalancing_count:
            tenure = await self._noted()
        self._require_current(tenure)
        tp = TP(topic, partition)
        progress = self._app.delivery.progress
        if progress.reached(tp) < tenure.ends[tp]:
            try:
                await asyncio.wait_for(progress.pass_by(tp, tenure.ends[tp]), self._patience_s)
            except TimeoutError:
                raise Moving(
                    "what was accepted before this worker had the key is still being taken in"
                ) from None
            self._require_current(tenure)
        return tenure

    def is_sure(self, tenure: Tenure) -> bool:
        """Tell whether nobody else can have taken in anything since, nor have had it under way before."""
        return self._is_current(tenure) and time.monotonic() - tenure.since > self._settles_s

    def _require_current(self, tenure: Tenure) -> None:
        if not self._is_current(tenure):
            raise Moving("partitions move, or no heartbeat was answered for too long")

    def _is_current(self, tenure: Tenure) -> bool:
        app = self._app
        return bool(
            app.delivery.ownership.lease.held
            and not app.rebalancing
            and app.rebalancing_count == tenure.assignment
        )

    async def _noted(self) -> Tenure:
        """Return what Kafka says, or said, to whoever asks: all who wait get one answer, or one error."""
        if self._noting is None:
            self._noting = asyncio.ensure_future(self._note())
            self._noting.add_done_callback(self._forget)
        return await asyncio.shield(self._noting)

    def _forget(self, noting: asyncio.Future[Tenure]) -> None:
        self._noting = None
        if not noting.cancelled():
            noting.exception()  # looked at here, in case nobody waits for it any more

    async def _note(self) -> Tenure:
        """Ask Kafka where the logs end.

        Raises:
            Moving: Kafka does not answer.
        """
        assignment: int = self._app.rebalancing_count
        client = AdminClient({"bootstrap.servers": self._settings.broker, "log_level": 0})
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        try:
            places = {TopicPartition(*tp): latest for tp in self._places}
            asked = client.list_offsets(places, request_timeout=ANSWER_S)
            found = await asyncio.gather(*map(asyncio.wrap_future, asked.values()))
        except KafkaException as error:
            raise Moving("Kafka does not say what was accepted before this worker had the key") from error
        ends = {TP(tp.topic, tp.partition): end.offset for tp, end in zip(asked, found, strict=True)}
        self._latest = Tenure(assignment, time.monotonic(), ends)
        return self._latest
