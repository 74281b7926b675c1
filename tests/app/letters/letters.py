"""Letters for tests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.letters.letter import Letter, LetterId, Source

START = datetime(2024, 3, 1, tzinfo=UTC)


def letter(number: int = 0, *, partition: int = 0, **changed: Any) -> Letter:
    """Return a letter, later with each number; its record is as far back as the letter itself."""
    made = Letter(
        id=LetterId(partition, number),
        at=START + timedelta(seconds=number),
        source=Source("ORDER_CREATED", partition, number),
        key=b"order-%d" % number,
        value=b"{",
        error="Undecodable: JSON is malformed",
    )
    return replace(made, **changed)
