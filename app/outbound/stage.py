"""A stage that tells others outside: takes in what is to be told, has it carried, records what came of it.

A message that was delivered is not sent again while that is being recorded. It goes out once more, under the
same id, where nobody learnt that it was taken: the worker ended, or the partitions moved, before that was on
record; or the receiver took it, and no answer came in time, or none over a connection that was lost.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from app import metrics
from app.breaker import Breaker, BreakerOpen
from app.calls import Backoff, CallBarred, CallPutOff, Calls, Naming, Pace
from app.delivery.batch import Batch
from app.delivery.batches import Batches
from app.delivery.codec import encode
from app.delivery.deadletters import DeadLetter
from app.logs import about
from app.outbound.carrying import Carry, Hopeless, NotDelivered, Shipment, Unanswered
from app.outbound.rows import Rows
from app.settings import OutsideSettings
from app.tracing.following import followed
from models.outbound import (
    Buried,
    Delivered,
    Label,
    Offered,
    OutboundEvent,
    Outbox,
    OutboxInput,
    Outcome,
    Parcel,
    ParcelStatus,
    Undeliverable,
    evolve,
    given_up,
    next_parcel,
    offer,
)

logger = logging.getLogger(__name__)

Answer = Callable[[int, Outcome], None]
"""Hand the stage what came of a message of this partition."""


class Duty(NamedTuple):
    """Be what a stage is for: what an event makes, how old its record may be now, and who carries it."""

    label: Callable[..., Label]
    not_before: Callable[[datetime], datetime]
    carry: Carry


class Outbound:
    """Be the shell of one stage: its agent hands over each input, and whether partitions come or go."""

    def __init__(
        self, rows: Rows, duty: Duty, answer: Answer, settings: OutsideSettings, breaker: Breaker
    ) -> None:
        self._rows = rows
        self._duty = duty
        self._tell = answer
        self._give_up_s = settings.give_up_ms / 1_000
        self._breaker = breaker
        self._counts = _Counts(rows.state.name)
        self._since: dict[str, float] = {}  # by message that is being tried, since when
        self._unrecorded: set[str] = set()  # messages whose outcome is on its way into the table
        backoff = Backoff(settings.backoff_ms, settings.backoff_max_ms)
        pace = Pace(settings.max_in_flight, backoff, backoff, settings.max_open)
        naming = Naming[Shipment](key=lambda it: it.name, text=lambda it: f"{rows.state.name} of {it.name}")
        ask = followed(rows.state.name, self._attempt)
        self._calls = Calls(ask, self._answer, pace, breaker, naming)
        self._counts.watch(self._since)

    @property
    def room(self) -> asyncio.Event:
        """Return what is set while more may be begun."""
        return self._calls.room

    async def attend(self, batches: Batches) -> None:
        """Work on batches until there are no more."""
        async for batch in batches:
            async for partition, given in batch:
                self.take(batch, partition, given, batch.offset)

    def take(self, batch: Batch, partition: int, given: OutboundEvent | Outcome, offset: int | None) -> None:
        """Record one input with the batch: an event of a topic, or what came of a message (no offset)."""
        before = self._rows.load(batch, partition, given.order_id)
        after = evolve(before, self._input(given, offset or 0))
        if after is None:
            return
        self._rows.save(batch, partition, after)
        for parcel in given_up(after):
            batch.bury(_letter(partition, parcel))
        batch.after_commit(partial(self._go_on, batch, partition, given))
        if _skipped(after) > _skipped(before):
            batch.after_commit(self._counts.skipped.inc)

    def take_up(self) -> None:
        """Go on where an earlier owner stopped."""
        for partition, outbox in self._rows.find_undone():
            for parcel in given_up(outbox):  # its letter may not have been sent
                again = Undeliverable(
                    order_id=outbox.order_id, kind=parcel.kind, at=parcel.at, error=parcel.error
                )
                self._tell(partition, again)
            self._start(partition, outbox)

    async def drop(self, *_: object, **__: object) -> None:
        """Let go of what is under way: the partitions' next owner sends it again, under the same ids."""
        await self._calls.cancel()
        self._since.clear()
        self._unrecorded.clear()

    def _input(self, given: OutboundEvent | Outcome, offset: int) -> OutboxInput:
        if isinstance(given, Outcome):
            return given
        now = datetime.now(UTC)
        parcel = offer(given, offset, self._duty.label(given), now)
        return Offered(order_id=given.order_id, parcel=parcel, not_before=self._duty.not_before(now))

    def _go_on(self, batch: Batch, partition: int, given: OutboundEvent | Outcome) -> None:
        """Do what the outbox calls for, now that it lasts, as it stands behind all of the batch."""
        if isinstance(given, Outcome):
            name = f"{given.order_id}/{given.kind}"
            self._unrecorded.discard(name)
            self._since.pop(name, None)
        outbox = self._rows.load(batch, partition, given.order_id)
        if outbox is None:
            return
        for parcel in given_up(outbox):
            buried = Buried(order_id=outbox.order_id, kind=parcel.kind, at=datetime.now(UTC))
            self._tell(partition, buried)
        self._start(partition, outbox)

    def _start(self, partition: int, outbox: Outbox) -> None:
        parcel = next_parcel(outbox)
        if parcel is None:
            return
        shipment = Shipment(outbox.order_id, parcel)
        if shipment.name not in self._unrecorded:
            self._since[shipment.name] = parcel.at.timestamp()
            self._calls.start(partition, shipment)

    def _answer(self, partition: int, outcome: Delivered | Undeliverable) -> None:
        self._unrecorded.add(f"{outcome.order_id}/{outcome.kind}")
        self._tell(partition, outcome)

    async def _attempt(self, shipment: Shipment) -> Delivered | Undeliverable:
        try:
            call = self._breaker.begin()
        except BreakerOpen:
            raise CallBarred from None
        self._counts.attempts.inc()
        try:
            await self._duty.carry(shipment)
        except NotDelivered as error:
            (self._breaker.fail if isinstance(error, Unanswered) else self._breaker.succeed)(call)
            return self._judge(shipment, error)
        except Exception as error:  # a fault of ours about this message must not end all stages
            logger.exception("%s can't be sent", shipment.name, extra=about(shipment))
            self._breaker.abandon(call)
            return self._judge(shipment, Hopeless(f"{type(error).__name__} while it was sent"))
        except BaseException:
            self._breaker.abandon(call)
            raise
        self._breaker.succeed(call)
        self._counts.delivered.inc()
        return Delivered(order_id=shipment.order_id, kind=shipment.parcel.kind, at=datetime.now(UTC))

    def _judge(self, shipment: Shipment, error: NotDelivered) -> Undeliverable:
        """Give the message up, where it was tried for long enough.

        Raises:
            CallPutOff: it was not.
        """
        self._counts.failures.inc()
        now = datetime.now(UTC)
        tried_s = (now - shipment.parcel.at).total_seconds()
        if not isinstance(error, Hopeless) and tried_s < self._give_up_s:
            raise CallPutOff(str(error)) from error
        said = "%s is given up after %.0f s: %s"
        logger.error(said, shipment.name, tried_s, error, extra=about(shipment))
        return Undeliverable(
            order_id=shipment.order_id, kind=shipment.parcel.kind, at=now, error=f"Undeliverable: {error}"
        )


class _Counts:
    """Be the metrics of one stage."""

    def __init__(self, stage: str) -> None:
        self.attempts = metrics.OUTBOUND_ATTEMPTS.labels(stage)
        self.failures = metrics.OUTBOUND_FAILURES.labels(stage)
        self.delivered = metrics.OUTBOUND_DELIVERED.labels(stage)
        self.skipped = metrics.OUTBOUND_SKIPPED.labels(stage)
        self._open = metrics.OUTBOUND_OPEN.labels(stage)
        self._oldest = metrics.OUTBOUND_OLDEST.labels(stage)

    def watch(self, since: dict[str, float]) -> None:
        """Look at what is being tried whenever somebody asks."""
        self._open.set_function(lambda: len(since))
        self._oldest.set_function(
            lambda: max(0.0, datetime.now(UTC).timestamp() - min(since.values())) if since else 0.0
        )


def _skipped(outbox: Outbox | None) -> int:
    return sum(parcel.status is ParcelStatus.SKIPPED for parcel in outbox.parcels) if outbox else 0


def _letter(partition: int, parcel: Parcel) -> DeadLetter:
    assert parcel.event is not None, "what is given up has its event still"
    return DeadLetter(
        topic=parcel.event.type,
        partition=partition,
        offset=parcel.offset,
        key=parcel.event.key.encode(),
        value=encode(parcel.event),
        recorded_ms=round(parcel.asked_at.timestamp() * 1_000),
        error=parcel.error,
    )
