"""A stage that tells others, with a table in memory: batches last at once, and a crash forgets the rest."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from app.breaker import Breaker
from app.delivery.batch import Batch, Input
from app.delivery.deadletters import DeadLetter
from app.delivery.state import State
from app.outbound.carrying import Shipment
from app.outbound.rows import Rows
from app.outbound.stage import Duty, Outbound
from app.settings import OutsideSettings
from models.outbound import OutboundEvent, Outbox, Outcome
from models.transfer import label
from tests.models.scenario import moment

FAST = {"backoff_ms": 1, "backoff_max_ms": 2, "breaker_failures": 1_000}


class MemoryState:
    """Be a table without a disk."""

    name = "transfer"
    shared = False

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def partitions(self) -> frozenset[int]:
        return frozenset({0})

    def get(self, _partition: int, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(self, _partition: int, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([row for row in self.rows.items() if row[0].startswith(prefix)])

    def load(self, _partition: int, key: bytes, coder: Any) -> Any:
        return None if (raw := self.rows.get(key)) is None else coder.decode(raw)


class Source:
    """Be the place of a record."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


class Outsider:
    """Be told; fail as the script says, and hold back while the gate is shut."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.script: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def carry(self, shipment: Shipment) -> None:
        if self.script:
            raise self.script.pop(0)
        self.told.append(shipment.parcel.id)
        await self.gate.wait()


class Desk:
    """Run one stage by hand: offer events, and let outcomes in when the test says so."""

    def __init__(self, outsider: Outsider, state: MemoryState | None = None, **settings: int) -> None:
        self.state = state or MemoryState()
        self.letters: list[DeadLetter] = []
        self.outcomes: deque[tuple[int, Outcome]] = deque()
        rows = Rows(cast("State", self.state))
        chosen = OutsideSettings.model_validate({**FAST, **settings})
        self.breaker = Breaker(chosen.breaker_failures, chosen.breaker_pause_ms / 1_000)
        duty = Duty(label, lambda _now: moment(0), outsider.carry)
        self.outbound = Outbound(rows, duty, lambda *told: self.outcomes.append(told), chosen, self.breaker)

    def offer(self, *events: OutboundEvent) -> None:
        """Have a batch of records last."""
        self.commit(self.batch(*(Input(0, event, Source(at)) for at, event in enumerate(events))))

    def settle(self) -> None:
        """Have all outcomes so far last, each in a batch of its own."""
        while self.outcomes:
            self.commit(self.batch(self.next_outcome()))

    def next_outcome(self) -> Input:
        """Return the next outcome as the stream would."""
        partition, outcome = self.outcomes.popleft()
        return Input(partition, outcome)

    def batch(self, *inputs: Input) -> Batch:
        """Return a batch that was worked on, and does not last yet."""
        batch = Batch(inputs)
        for given in inputs:
            offset = given.source and given.source.offset()
            self.outbound.take(batch, given.partition, given.message, offset)
        return batch

    def commit(self, batch: Batch, *, letters: bool = True) -> None:
        """Have a batch last; without its letters where a crash comes first."""
        self.save(batch)
        if letters:
            self.letters += batch.letters
            for callback in batch.afterwards:
                callback()

    def save(self, batch: Batch) -> None:
        """Have its rows last, and nothing else."""
        for records in batch.rows().values():
            for record in records:
                if record["value"] is None:
                    self.state.rows.pop(record["key"] or b"", None)
                else:
                    self.state.rows[record["key"] or b""] = record["value"]

    async def crash(self, outsider: Outsider, **settings: int) -> "Desk":
        """Return what takes over from a worker that died, which knows the table alone."""
        await self.outbound.drop()
        successor = Desk(outsider, self.state, **settings)
        successor.outbound.take_up()
        return successor

    @property
    def outboxes(self) -> list[Outbox]:
        """Return what calls for something."""
        return [outbox for _, outbox in Rows(cast("State", self.state)).find_undone()]
