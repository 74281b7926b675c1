"""Who waits behind whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.turns import Turns


def drained(turns: Turns[str]) -> list[str]:
    return [turns.take() for _ in range(len(turns))]


def test_what_was_tried_before_takes_turns_with_what_is_new() -> None:
    turns = Turns[str]()
    for name in ("new 1", "new 2", "new 3"):
        turns.put(name)
    for name in ("old 1", "old 2"):
        turns.put(name, again=True)
    assert drained(turns) == ["new 1", "old 1", "new 2", "old 2", "new 3"]


@pytest.mark.parametrize("again", [True, False])
def test_a_line_that_is_alone_goes_on_in_its_order(*, again: bool) -> None:
    turns = Turns[str]()
    for name in "abc":
        turns.put(name, again=again)
    assert drained(turns) == ["a", "b", "c"]


@given(st.lists(st.booleans(), min_size=1))
def test_nobody_waits_for_more_than_twice_its_place_in_its_own_line(lines: list[bool]) -> None:
    turns, places = Turns[tuple[bool, int]](), {True: 0, False: 0}
    for again in lines:
        turns.put((again, places[again]), again=again)
        places[again] += 1
    for taken, (_, place) in enumerate([turns.take() for _ in range(len(turns))]):
        assert taken <= 2 * place + 1


def test_nothing_waits_behind_a_clearance() -> None:
    turns = Turns[str]()
    turns.put("new")
    turns.put("old", again=True)
    turns.clear()
    assert len(turns) == 0
    with pytest.raises(IndexError):
        turns.take()
