"""Since when the oldest of what waits does, whatever comes and goes, and at what cost."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from app.waiting import SLACK, Waiting

HERE = range(4)


def test_the_oldest_is_the_one_that_waits_for_longest_whenever_it_was_put() -> None:
    waiting = Waiting()
    for number, since in enumerate((50, 7.9, 60)):
        waiting.put(0, b"%d" % number, since)
    assert waiting.oldest_s(HERE) == 7
    waiting.drop(0, b"1", 7.9)
    assert waiting.oldest_s(HERE) == 50


def test_of_a_second_the_last_name_has_to_go_before_the_second_is_forgotten() -> None:
    waiting = Waiting()
    for name in (b"order-1", b"order-11", b"1"):
        waiting.put(0, name, 5)
    waiting.drop(0, b"1", 5)
    waiting.drop(0, b"order-1", 5)
    assert waiting.oldest_s(HERE) == 5
    waiting.drop(0, b"order-11", 5)
    assert (waiting.oldest_s(HERE), len(waiting)) == (None, 0)


def test_what_was_put_twice_goes_with_one_drop_and_what_was_never_put_may_go() -> None:
    waiting = Waiting()
    waiting.put(0, b"one", 5)
    waiting.put(0, b"one", 5)
    waiting.drop(0, b"two", 5)
    waiting.drop(0, b"one", 6)
    assert waiting.oldest_s(HERE) == 5
    waiting.drop(0, b"one", 5)
    assert waiting.oldest_s(HERE) is None


def test_what_waits_in_a_partition_that_has_gone_is_forgotten() -> None:
    waiting = Waiting()
    waiting.put(9, b"elsewhere", 1)
    waiting.put(0, b"here", 2)
    assert waiting.oldest_s(HERE) == 2
    assert waiting.oldest_s([*HERE, 9]) == 2


def test_a_hundred_thousand_names_take_less_than_two_hundred_bytes_each() -> None:
    waiting = Waiting()
    name = b"01a205ae-d817-748e-a2c6-4d46a4be0fe9"
    tracemalloc.start()
    try:
        for number in range(100_000):
            waiting.put(number % 8, name[:-6] + b"%06d" % number, number / 1_000)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(waiting) == 100_000
    assert held_bytes < 200 * 100_000


def test_one_that_waits_for_ever_keeps_nothing_of_those_that_come_and_go() -> None:
    waiting = Waiting()
    waiting.put(0, b"stuck", 0)
    for second in range(1, 10_000):
        waiting.put(0, b"quick", second)
        waiting.drop(0, b"quick", second)
    assert waiting.oldest_s(HERE) == 0
    assert len(waiting) == 1
    assert len(waiting._oldest_first) <= SLACK + 4  # noqa: SLF001  # nothing else shows what it costs


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.integers(0, 3), st.sampled_from(["a", "b", "ba", "é", ""]), st.integers(0, 5)
        )
    )
)
def test_it_is_what_a_set_would_say(steps: list[tuple[bool, int, str, int]]) -> None:
    waiting, known = Waiting(), set[tuple[int, int, str]]()
    for put, partition, name, second in steps:
        if put:
            waiting.put(partition, name.encode(), second)
            known.add((second, partition, name))
        else:
            waiting.drop(partition, name.encode(), second)
            known.discard((second, partition, name))
        assert waiting.oldest_s(HERE) == min((second for second, *_ in known), default=None)
