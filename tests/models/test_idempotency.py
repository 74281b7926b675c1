from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import RFC_4122, UUID

from hypothesis import example
from hypothesis import given as any_of
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.partitions import partition_of
from models.idempotency import DAY, SKEW, Key, Turn, derive, find_use, fingerprint, needed

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
TODAY = (NOON - datetime(1970, 1, 1, tzinfo=UTC)).days
MICROSECOND = timedelta(microseconds=1)

values = st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=255)
keys = st.builds(Key, st.sampled_from(["POST /orders", "POST /inventory/mug/restock"]), values)
turns = st.builds(Turn, st.integers(0, 50_000), st.integers(0, 100))
lifetimes = st.timedeltas(timedelta(seconds=1), timedelta(days=30))


class Made(NamedTuple):
    """Be what was made of a wish, as far as it matters when."""

    at: datetime


class History:
    """Be what is there of one key, by its turns."""

    def __init__(self, lifetime: timedelta) -> None:
        self.lifetime = lifetime
        self.made: dict[Turn, Made] = {}

    def use(self, now: datetime, late: timedelta = timedelta()) -> Turn:
        """Use the key, and return the turn that it is answered from; a new one is dated so much later."""
        turn, first = find_use(self.made.get, now, self.lifetime)
        if first is None:
            assert turn not in self.made
            self.made[turn] = Made(now + late)
        return turn

    def forget(self, now: datetime) -> None:
        """Forget all that needs to be remembered no longer."""
        self.made = {turn: made for turn, made in self.made.items() if now - made.at <= needed(self.lifetime)}


def anything(_: str) -> bool:
    return True


@any_of(key=keys, turn=turns, partitions=st.integers(1, 64))
def test_an_id_has_its_home_with_its_key_and_is_the_same_each_time(
    key: Key, turn: Turn, partitions: int
) -> None:
    def home(name: str) -> int:
        return partition_of(name.encode(), partitions)

    names = {derive(key, turn, lambda name: home(name) == home(key.name)) for _ in range(3)}
    (name,) = names
    assert home(name) == home(key.name)
    assert (UUID(name).version, UUID(name).variant) == (8, RFC_4122)


@any_of(uses=st.sets(st.tuples(keys, turns), min_size=2, max_size=50))
def test_two_uses_never_have_one_id(uses: set[tuple[Key, Turn]]) -> None:
    assert len({derive(key, turn, anything) for key, turn in uses}) == len(uses)
    named = {key for key, _ in uses}
    assert len({key.name for key in named}) == len(named)


def test_ids_are_these_for_ever() -> None:
    key = Key("POST /orders", "8e03978e-40d5-43dd-bc93-6894a57f9324")
    assert key.name == "7b6a1ea4901f79c99e2c830856bb2539"
    assert derive(key, Turn(20_000, 0), anything) == "2978fe8f-0de4-8b6a-a2ec-ffc9445cc7c5"
    assert fingerprint(b'{"quantity":5}') == "655f8e3042be8f895e0f875eaf10c55f"


def test_a_key_that_was_never_used_is_in_the_first_turn_of_the_day() -> None:
    assert find_use(History(DAY).made.get, NOON, DAY) == (Turn(TODAY, 0), None)


@any_of(lifetime=lifetimes, age=st.floats(0, 0.99))
@example(lifetime=DAY, age=0.0)
def test_a_key_counts_until_its_lifetime_is_over(lifetime: timedelta, age: float) -> None:
    history = History(lifetime)
    first = history.use(NOON)
    assert history.use(NOON + lifetime * age) == first
    assert history.use(NOON + lifetime - MICROSECOND) == first
    assert history.use(NOON + lifetime) != first


def test_a_key_may_be_used_many_times_a_day_where_it_counts_for_less() -> None:
    history = History(timedelta(hours=1))
    turns = [history.use(NOON + timedelta(hours=hours)) for hours in range(4)]
    assert turns == [Turn(TODAY, number) for number in range(4)]


def test_a_key_that_was_used_before_midnight_counts_after_it() -> None:
    history = History(timedelta(hours=1))
    assert history.use(MIDNIGHT - MICROSECOND, late=MICROSECOND) == Turn(TODAY, 0)
    assert history.use(MIDNIGHT + timedelta(minutes=59)) == Turn(TODAY, 0)
    assert history.use(MIDNIGHT + timedelta(hours=1)) == Turn(TODAY + 1, 0)


def test_what_a_worker_whose_clock_is_ahead_made_tomorrow_counts_today() -> None:
    history = History(DAY)
    tomorrow = history.use(MIDNIGHT)
    assert tomorrow.day == TODAY + 1
    assert history.use(MIDNIGHT - SKEW) == tomorrow


def test_a_change_of_the_lifetime_forgets_no_key() -> None:
    history = History(DAY)
    first = history.use(NOON)
    history.lifetime = timedelta(days=7)
    assert history.use(NOON + timedelta(days=6)) == first
    history.lifetime = timedelta(hours=1)
    assert history.use(NOON + timedelta(minutes=59)) == first


class Step(NamedTuple):
    """Be one use of the key: how long after the last, and how far the log's clock is from the worker's."""

    pause: timedelta
    late: timedelta


steps = st.builds(
    Step,
    pause=st.one_of(
        st.timedeltas(timedelta(), timedelta(minutes=1)),
        st.timedeltas(timedelta(), timedelta(days=2)),
    ),
    late=st.timedeltas(timedelta(), SKEW / 2),
)


@any_of(lifetime=lifetimes, life=st.lists(steps, max_size=30))
@examples(max_examples=300)
def test_whatever_is_forgotten_a_key_is_answered_from_its_last_use_while_that_counts(
    lifetime: timedelta, life: list[Step]
) -> None:
    history, now, ever = History(lifetime), NOON, dict[Turn, datetime]()
    last: Turn | None = None
    for step in life:
        now += step.pause
        history.forget(now)
        turn = history.use(now, step.late)
        if last is not None and now - ever[last] < lifetime:
            assert turn == last
        else:
            assert turn not in ever
            ever[turn] = history.made[turn].at
        last = turn
