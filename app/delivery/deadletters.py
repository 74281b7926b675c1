"""What can't be processed is kept: the raw record, where it came from and what was wrong with it."""

from dataclasses import dataclass

from app.delivery.producer import Record

MAX_VALUE_BYTES = 1_900_000
"""What DEAD_LETTERS takes; a larger value stays where it is: in its own topic, which keeps it for ever."""

MAX_ERROR_CHARACTERS = 1_000


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """Be a record on its way to the operator, untouched; the headers say where it came from and why.

    `recorded_ms` is when the log took the record in.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    recorded_ms: int
    error: str

    def record(self) -> Record:
        """Return the letter as a record: value and key as they were, the rest in headers."""
        size = len(self.key or b"") + len(self.value or b"")
        fits = size <= MAX_VALUE_BYTES
        headers = {
            "error": self.error[:MAX_ERROR_CHARACTERS],
            "source_topic": self.topic,
            "source_partition": str(self.partition),
            "source_offset": str(self.offset),
        }
        if not fits:
            headers["left_out_bytes"] = str(size)
        return {
            "key": self.key if fits else None,
            "value": self.value if fits else None,
            "headers": [(name, text.encode()) for name, text in headers.items()],
        }
