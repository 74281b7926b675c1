"""Statistics by minute as rows: through crashes, repeats and the end of what is known."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.delivery.batch import Batch
from app.delivery.turn import Turn
from models.analytics import Placed, merge
from models.events import AnalyticsEvent
from tables import analytics
from tables.analytics import RETENTION, Known, Sold, count_news, find_minutes, find_sold
from tests.models.test_analytics import START, news

T = TypeVar("T")

LONG_AGO = START - timedelta(days=2)
NOW = START + timedelta(minutes=5)
LIFE = [
    Placed(3, news("one")),
    Placed(4, news("two", "CANCELLED", reason="PAYMENT_DECLINED")),
    Placed(7, news("one")),  # said again, in another record
    Placed(8, news("three", occurred_at=START + timedelta(minutes=1))),
    Placed(9, news("one", "REFUNDED", occurred_at=START + timedelta(minutes=1))),
]


class Table:
    """Be one partition of the table in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.scanned_after: list[bytes] = []
        analytics.sweep_anew()
        monkeypatch.setattr("app.delivery.state.State.get", lambda _, __, key: self.rows.get(key))
        monkeypatch.setattr("app.delivery.state.State.scan", self._scan)
        monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))

    def _scan(self, _: int, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self.scanned_after.append(after)
        keys = sorted(key for key in self.rows if key.startswith(prefix) and key > after)
        return ((key, self.rows[key]) for key in keys)

    def take(self, placed: list[Placed], now: datetime = NOW, kept: int | None = None) -> int:
        """Take a batch, of whose rows a crash keeps so many in their order; return how many there were."""
        batch = Batch(())
        count_news(batch, 0, placed, now)
        records = batch.rows().get((analytics.state, 0), [])
        for record in records[:kept]:
            if record["value"] is None:
                self.rows.pop(record["key"], None)
            else:
                self.rows[record["key"]] = record["value"]
        if kept is None:
            for callback in batch.afterwards:
                callback()
        return len(records)

    def count(self, kind: bytes) -> int:
        """Return how many rows of a kind there are."""
        return sum(key.startswith(kind) for key in self.rows)

    def known(self) -> tuple[Any, ...]:
        """Return what can be asked of it."""
        return merge(known.minute for known in minutes_from(LONG_AGO)), sorted(sold_from(LONG_AGO))


def minutes_from(since: datetime) -> list[Known]:
    """Return what the partition knows of the minutes from then on."""
    return asyncio.run(_all(find_minutes(0, since, Turn())))


def sold_from(since: datetime) -> list[Sold]:
    """Return the units that it knows from then on."""
    return asyncio.run(_all(find_sold(0, since, Turn())))


async def _all(found: AsyncIterator[T]) -> list[T]:
    return [each async for each in found]


def test_what_was_said_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch)
    table.take(LIFE)
    whole, sold = table.known()
    assert whole.ends == {"COMPLETED": 2, "CANCELLED": 1, "REFUNDED": 1}
    assert whole.revenue == {"EUR": 700}
    later = START + timedelta(minutes=1)
    assert sold == [(START, "cup", 1), (START, "mug", 2), (later, "cup", 0), (later, "mug", 0)]


@given(st.data())
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_whatever_a_crash_keeps_of_the_rows_each_end_counts_once(
    monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    whole = Table(monkeypatch)
    whole.take(LIFE)
    expected = whole.known()

    table, done = Table(monkeypatch), 0
    while done < len(LIFE):
        until = data.draw(st.integers(done + 1, len(LIFE)))
        batch = LIFE[done:until]
        if data.draw(st.booleans(), label="crash"):
            table.take(batch, kept=data.draw(st.integers(0, 12)))
        else:
            table.take(batch)
            done = until
    assert table.known() == expected


def test_late_news_lands_in_its_own_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch)
    table.take([Placed(1, news("new", occurred_at=NOW))])
    table.take([Placed(2, news("old", occurred_at=START))])
    assert [(known.at, known.minute.ends) for known in minutes_from(START)] == [
        (START, {"COMPLETED": 1}),
        (NOW, {"COMPLETED": 1}),
    ]


def test_what_is_too_old_is_forgotten_and_does_not_count_again(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch)
    old = Placed(1, news("old"))
    table.take([old])
    much_later = START + RETENTION + timedelta(minutes=1)
    table.take([Placed(2, news("new", occurred_at=much_later))], much_later)
    table.take([Placed(3, old.event)], much_later)
    assert [known.at for known in minutes_from(LONG_AGO)] == [much_later]
    assert not [key for key in table.rows if old.event.event_id.encode() in key]


def test_only_the_minutes_asked_for_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch)
    table.take([Placed(minute, at(minute)) for minute in range(4)])
    since = START + timedelta(minutes=2)
    assert [known.at for known in minutes_from(since)] == [since, since + timedelta(minutes=1)]
    assert {sold.at for sold in sold_from(since)} == {since, since + timedelta(minutes=1)}


def test_however_long_the_stream_there_are_no_more_rows_than_its_retention_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of what is counted is late by nearly as much as is kept, and more than SWEPT comes at once."""
    monkeypatch.setattr(analytics, "SWEPT", 2)
    table, step, each = Table(monkeypatch), timedelta(minutes=100), 10
    held = RETENTION // step + 1
    for number in range(5 * held):
        now = START + number * step
        late = now - RETENTION + timedelta(minutes=1)
        whens = [now, *[late] * each, *[now] * (each - 1)]
        table.take(
            [
                Placed(1000 * number + place, news(f"{number}-{place}", occurred_at=when))
                for place, when in enumerate(whens)
            ],
            now,
        )
        assert table.count(analytics.COUNTED) <= (held + 1) * each + each
        assert table.count(analytics.MINUTE) <= held + 2
        assert table.count(analytics.SOLD) <= 2 * (held + 2)


def test_looking_for_what_is_too_old_begins_where_it_last_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "SWEPT", 1)
    table = Table(monkeypatch)
    table.take([Placed(number, news(f"{number}")) for number in range(9)])
    marks = sorted(key for key in table.rows if key.startswith(analytics.COUNTED))
    much_later = START + RETENTION + timedelta(hours=1)

    def sweep(kept: int | None = None) -> bytes:
        table.take([], much_later, kept=kept)
        return table.scanned_after[-1]

    assert [sweep(), sweep(), sweep()] == [b"", marks[0], marks[1]]
    assert sweep(kept=0) == marks[2]  # given up: nothing of it lasts, so it is looked for again
    assert sweep() == marks[2]
    analytics.sweep_anew()
    assert sweep() == b""
    assert table.count(analytics.COUNTED) == len(marks) - 5


def at(minute: int) -> AnalyticsEvent:
    """Return the news of an order that ended in this minute."""
    return news(f"order-{minute}", occurred_at=START + timedelta(minutes=minute))
