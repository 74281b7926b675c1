"""What can't be processed is kept: the raw record, where it came from and what was wrong with it."""

from dataclasses import dataclass

from app.delivery.producer import Outgoing
from app.topics import DEAD_LETTERS


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """Be a record on its way to the operator, untouched; the headers say where it came from and why."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    error: str

    def record(self) -> Outgoing:
        """Return the letter as a record: value and key as they were, the rest in headers."""
        headers = {
            "error": self.error,
            "source_topic": self.topic,
            "source_partition": str(self.partition),
            "source_offset": str(self.offset),
        }
        return Outgoing(
            DEAD_LETTERS,
            self.key,
            self.value,
            self.partition,
            tuple((name, text.encode()) for name, text in headers.items()),
        )
