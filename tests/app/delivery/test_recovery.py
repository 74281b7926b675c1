"""Tables rebuilt from their changelogs, on a real broker."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from faust.tables import recovery as fausts
from faust.types import TP

from app.broker import Broker
from app.delivery.recovery import Recovery, Restoring, Span, restore
from app.delivery.state import State
from app.settings import Settings

KAFKA_S = 30
PARTITIONS = 2


class Rows:
    """Be a table in memory, which remembers how far it was written."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[bytes, bytes]] = {partition: {} for partition in range(PARTITIONS)}
        self.offsets: dict[int, int] = {}
        self.writes = 0
        self.after_write: Callable[[], None] = lambda: None

    def recover(self, partition: int, rows: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        for key, value in rows:
            if value is None:
                self.rows[partition].pop(key, None)
            else:
                self.rows[partition][key] = value
        self.offsets[partition] = offset
        self.writes += 1
        self.after_write()


@pytest.fixture
def changelog(kafka: Broker, request: pytest.FixtureRequest) -> str:
    """Give an empty changelog of the test's own."""
    name = f"{request.node.name}-changelog"[:200]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(KAFKA_S)
    return name


def fill(kafka: Broker, changelog: str, partition: int, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for key, value in rows:
        producer.produce(changelog, value, key, partition)
    assert producer.flush(KAFKA_S) == 0


def tables(changelog: str, rows: Rows) -> dict[str, State]:
    return {changelog: cast("State", rows)}


async def test_a_table_is_what_its_changelog_says_last(kafka: Broker, changelog: str) -> None:
    fill(kafka, changelog, 0, [(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None), (b"c", b"1")])
    fill(kafka, changelog, 1, [(b"a", b"other")])
    rows = Rows()
    missing = {TP(changelog, 0): Span(0, 4), TP(changelog, 1): Span(0, 0)}
    read = await restore(Settings(broker=kafka.bootstrap), tables(changelog, rows), missing)
    assert read == 6
    assert rows.rows == {0: {b"a": b"2", b"c": b"1"}, 1: {b"a": b"other"}}
    assert rows.offsets == {0: 4, 1: 0}


async def test_only_what_is_missing_is_read(kafka: Broker, changelog: str) -> None:
    fill(kafka, changelog, 0, [(b"%d" % number, b"value") for number in range(10)])
    rows = Rows()
    missing = {TP(changelog, 0): Span(7, 9)}
    assert await restore(Settings(broker=kafka.bootstrap), tables(changelog, rows), missing) == 3
    assert sorted(rows.rows[0]) == [b"7", b"8", b"9"]


async def test_a_table_that_lacks_nothing_asks_nobody() -> None:
    assert await restore(Settings(broker="127.0.0.1:1"), {}, {}) == 0


async def test_many_rows_are_written_in_few_pieces(kafka: Broker, changelog: str) -> None:
    fill(kafka, changelog, 1, [(b"%d" % (number % 100), b"%d" % number) for number in range(20_000)])
    rows = Rows()
    missing = {TP(changelog, 1): Span(0, 19_999)}
    assert await restore(Settings(broker=kafka.bootstrap), tables(changelog, rows), missing) == 20_000
    assert rows.rows[1] == {b"%d" % number: b"%d" % (19_900 + number) for number in range(100)}
    assert rows.writes < 2_000


async def test_a_changelog_that_ends_earlier_than_it_was_said_to_is_read_to_its_end(
    kafka: Broker, changelog: str
) -> None:
    """Compaction, and transactions of other tools, may take the last offset away."""
    fill(kafka, changelog, 0, [(b"a", b"1")])
    rows = Rows()
    assert (
        await restore(
            Settings(broker=kafka.bootstrap), tables(changelog, rows), {TP(changelog, 0): Span(0, 50)}
        )
        == 1
    )


def test_a_recovery_that_is_interrupted_stops_behind_what_it_has_in_hand(
    kafka: Broker, changelog: str
) -> None:
    fill(kafka, changelog, 0, [(b"%d" % number, b"value" * 100) for number in range(30_000)])
    rows = Rows()
    restoring = Restoring(
        Settings(broker=kafka.bootstrap), tables(changelog, rows), {TP(changelog, 0): Span(0, 29_999)}
    )
    rows.after_write = restoring.interrupt
    assert restoring.run() == rows.offsets[0] + 1 < 30_000
    assert len(rows.rows[0]) == rows.offsets[0] + 1


def test_a_rebalance_that_begins_meanwhile_ends_the_recovery() -> None:
    class App:
        rebalancing_count = 3

    recovering: Any = Recovery.__new__(Recovery)
    recovering.app, recovering._rebalance = App(), 3  # noqa: SLF001  # as on_rebalance leaves it
    recovering.require_current()
    App.rebalancing_count = 4
    assert not recovering.current
    with pytest.raises(fausts.RebalanceAgain):
        recovering.require_current()
