"""What is to be rebuilt, as every process of it is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.partitions import partition_of
from app.rebuild.reading import Place, Span, Spans
from app.settings import Settings
from models.idempotency import needed
from models.stock import REMEMBER_RESTOCKS


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Be one rebuild: what to read, up to when, and what is to come of it.

    `live` are the changelogs to compare with, none where nothing is to be compared. `committed` is how far
    the stages had worked before all of this was asked for: what lies behind it is in flight.
    """

    settings: Settings
    jobs: int
    folder: Path
    topics: Spans
    letters: Spans
    live: Spans
    committed: Mapping[Place, int]
    until_ms: int | None = None
    order_id: str | None = None
    sku: str | None = None
    write: str | None = None
    keep: bool = False
    at_most: int = 20

    @property
    def remember_restocks(self) -> timedelta:
        """Return for how long the workers recognise restocks."""
        return max(REMEMBER_RESTOCKS, needed(timedelta(seconds=self.settings.web.idempotency_s)))

    def mine(self, job: int) -> frozenset[int]:
        """Return the partitions that a process sees to."""
        return frozenset(range(job, self.settings.partitions, self.jobs))

    def job_of(self, key: bytes) -> int:
        """Return the process that sees to this key's partition."""
        return partition_of(key, self.settings.partitions) % self.jobs

    def spans(self, spans: Spans, job: int) -> dict[Place, Span]:
        """Return the partitions of these that a process sees to."""
        mine = self.mine(job)
        return {place: span for place, span in spans.items() if place[1] in mine}
