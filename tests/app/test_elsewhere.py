"""How late the stages of other workers are: by when Kafka had what they have not worked through."""

import asyncio
import threading
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import elsewhere
from app.elsewhere import MOST, Elsewhere, Growth
from app.errors import BrokerUnavailable
from app.groups import Place
from app.offsets import READERS
from app.settings import Settings

PARTITIONS = 2
CREATED = ("ORDER_CREATED", 0)
REQUESTED = ("INVENTORY_REQUESTED", 1)


class Kafka:
    """Be what Kafka says of offsets, and a clock."""

    def __init__(self) -> None:
        self.grown: dict[Place, int] = {}
        self.worked: dict[Place, int] = {}
        self.now = 100.0
        self.asked: set[Place] = set()
        self.away = 0
        self.answered = threading.Event()

    def ends(self, places: Collection[Place]) -> Mapping[Place, int]:
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("gone")
        self.asked |= {*places}
        self.answered.set()
        return {place: self.grown.get(place, 0) for place in places}

    def committed(self) -> Mapping[Place, int]:
        return self.worked


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


def watching(kafka: Kafka, stages: str = "payments") -> Elsewhere:
    """Return what a worker of these stages knows of the others."""
    return Elsewhere(Settings(partitions=PARTITIONS, stages=stages), kafka, lambda: kafka.now)


def test_stages_that_have_worked_through_all_there_is_are_not_late(kafka: Kafka) -> None:
    others = watching(kafka)
    assert others.behind_s() == 0
    kafka.grown[CREATED] = kafka.worked[CREATED] = 7
    others.look()
    kafka.now += 60
    assert others.behind_s() == 0


def test_a_stage_is_as_late_as_the_first_look_that_saw_what_it_has_not_worked_through(kafka: Kafka) -> None:
    others = watching(kafka)
    for _ in range(3):  # ten records a second, and none worked through
        kafka.grown[CREATED] = kafka.grown.get(CREATED, 0) + 10
        others.look()
        kafka.now += 1
    assert others.behind_s() == 3
    kafka.worked[CREATED] = 15
    others.look()
    assert others.behind_s() == 2, "the first ten are done"
    kafka.worked[CREATED] = 30
    others.look()
    assert others.behind_s() == 0


def test_the_stage_that_is_latest_counts(kafka: Kafka) -> None:
    others = watching(kafka)
    kafka.grown[REQUESTED] = 5
    others.look()
    kafka.now += 4
    kafka.grown[CREATED] = 5
    others.look()
    assert others.behind_s() == 4
    kafka.worked[REQUESTED] = 5
    others.look()
    assert others.behind_s() == 0, "the other has been there for no time yet"


def test_a_stage_gets_later_while_kafka_is_not_asked(kafka: Kafka) -> None:
    others = watching(kafka)
    kafka.grown[CREATED] = 2
    others.look()
    kafka.now += 30
    assert others.behind_s() == 30


def test_one_record_at_the_end_is_no_lag_for_it_may_be_a_marker(kafka: Kafka) -> None:
    others = watching(kafka)
    kafka.grown[CREATED], kafka.worked[CREATED] = 8, 7
    others.look()
    kafka.now += 60
    others.look()
    assert others.behind_s() == 0


@pytest.mark.parametrize(
    ("stages", "watched"),
    [
        ("orders", {"inventory"}),
        ("payments", {"orders", "inventory"}),
        ("orders,payments", {"inventory"}),
        ("analytics", {"orders", "inventory"}),
    ],
)
def test_those_are_watched_that_orders_wait_for_and_that_this_worker_does_not_run(
    kafka: Kafka, stages: str, watched: set[str]
) -> None:
    watching(kafka, stages).look()
    topics = {topic for topic, stage in READERS.items() if stage in watched}
    assert kafka.asked == {(topic, partition) for topic in topics for partition in range(PARTITIONS)}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=40))
def test_what_waits_has_waited_since_the_look_that_first_saw_it(steps: list[tuple[int, int]]) -> None:
    growth, end, reached = Growth(), 0, 0
    seen: list[int] = []  # by offset, the look that first saw it
    for at, (more, done) in enumerate(steps):
        end += more
        seen += [at] * more
        reached = min(end, reached + done)
        growth.look(at, end, reached)
        waits = end - reached > 1
        assert (growth.since is not None) == waits
        if waits:
            assert growth.since is not None
            assert seen[reached] <= growth.since <= seen[reached + 1]


def test_a_stage_that_stands_still_for_ever_takes_no_more_memory() -> None:
    growth = Growth()
    for at in range(3 * MOST):
        growth.look(at, 10 * (at + 1), 0)
    assert growth.since == 2 * MOST


async def test_a_worker_that_runs_them_all_asks_nobody(kafka: Kafka) -> None:
    await watching(kafka, "orders,inventory").watch()
    assert not kafka.asked


async def test_it_goes_on_watching_though_kafka_was_away(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(elsewhere, "EVERY_S", 0)
    kafka.away = 2
    watch = asyncio.create_task(watching(kafka).watch())
    assert await asyncio.to_thread(kafka.answered.wait, 10)
    watch.cancel()
    said = [record.message for record in caplog.records]
    assert said == ["how late other workers are is not known: gone"] * 2
