"""The breaker: given what became of calls, when another is to begin, then it may or may not."""

import math
from typing import Self

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.breaker import Breaker, BreakerOpen, BreakerState

MOST = 3
PAUSE_S = 5.0


class Story:
    """Be a breaker with its clock, told of calls that end as soon as they have begun."""

    def __init__(self) -> None:
        self.now = 100.0
        self.changes: list[BreakerState] = []
        self.breaker = Breaker(MOST, PAUSE_S, lambda: self.now)
        self.breaker.watch(self.changes.append)

    def given(self, outcomes: str) -> Self:
        """Let calls succeed (`+`), fail (`-`) or be abandoned (`o`), and time pass (`.`, a second)."""
        for outcome in outcomes:
            if outcome == ".":
                self.now += 1
            else:
                end = {"+": self.breaker.succeed, "-": self.breaker.fail, "o": self.breaker.abandon}
                end[outcome](self.breaker.begin())
        return self

    def then(self, state: BreakerState, *, admits: bool) -> Self:
        assert (self.breaker.state, self.breaker.admits()) == (state, admits)
        return self


@pytest.mark.parametrize("outcomes", ["", "--", "--+--", "-o-", "+-+-+-+-+"])
def test_fewer_failures_in_a_row_than_the_setting_says_leave_it_closed(outcomes: str) -> None:
    Story().given(outcomes).then(BreakerState.CLOSED, admits=True)


@pytest.mark.parametrize("outcomes", ["---", "+---", "--+---", "-o--"])
def test_that_many_failures_in_a_row_open_it(outcomes: str) -> None:
    Story().given(outcomes).then(BreakerState.OPEN, admits=False)


def test_while_it_is_open_no_call_begins() -> None:
    story = Story().given("---....")
    with pytest.raises(BreakerOpen):
        story.breaker.begin()
    assert story.breaker.wait_s() == 1


def test_after_the_pause_one_call_may_try_and_no_other_until_it_has_ended() -> None:
    story = Story().given("---.....").then(BreakerState.HALF_OPEN, admits=True)
    call = story.breaker.begin()
    story.then(BreakerState.HALF_OPEN, admits=False)
    assert story.breaker.wait_s() == math.inf
    story.breaker.succeed(call)
    story.then(BreakerState.CLOSED, admits=True)


def test_a_try_that_fails_opens_it_for_another_pause() -> None:
    Story().given("---.....-....").then(BreakerState.OPEN, admits=False).given(".").then(
        BreakerState.HALF_OPEN, admits=True
    )


def test_a_try_that_is_abandoned_lets_the_next_one_try() -> None:
    Story().given("---.....o").then(BreakerState.HALF_OPEN, admits=True)


def test_once_it_has_closed_it_takes_as_many_failures_as_before_to_open_it() -> None:
    story = Story().given("---.....+--").then(BreakerState.CLOSED, admits=True)
    story.given("-").then(BreakerState.OPEN, admits=False)


@pytest.mark.parametrize("end", ["succeed", "fail", "abandon"])
def test_a_call_that_was_begun_before_it_opened_changes_nothing(end: str) -> None:
    story = Story()
    late = story.breaker.begin()
    story.given("---.....")
    trying = story.breaker.begin()
    getattr(story.breaker, end)(late)
    story.then(BreakerState.HALF_OPEN, admits=False)
    story.breaker.succeed(trying)
    story.then(BreakerState.CLOSED, admits=True)


def test_it_tells_for_how_long_calls_have_been_made_freely() -> None:
    story = Story()
    assert story.breaker.closed_for() == math.inf
    assert story.given("---.").breaker.closed_for() == 0
    assert story.given("....").breaker.closed_for() == 0
    assert story.given("+..").breaker.closed_for() == 2


def test_who_watches_is_told_of_each_change_once() -> None:
    story = Story().given("---.....-.....+")
    assert story.changes == [BreakerState.OPEN, BreakerState.OPEN, BreakerState.CLOSED]


class Calls(RuleBasedStateMachine):
    """Begin and end calls in any order, some long after the breaker has changed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(MOST, PAUSE_S, lambda: self.now)
        self.under_way: list[tuple[int, bool]] = []
        self.refused_until = -math.inf
        self.breaker.watch(self.note)

    def note(self, state: BreakerState) -> None:
        if state is BreakerState.OPEN:
            self.refused_until = self.now + PAUSE_S

    @rule(seconds=st.sampled_from([0.5, 1, PAUSE_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.admits())
    @rule()
    def begin(self) -> None:
        closed = self.breaker.state is BreakerState.CLOSED
        assert closed or self.now >= self.refused_until
        self.under_way.append((self.breaker.begin(), not closed))

    @precondition(lambda self: not self.breaker.admits())
    @rule()
    def begin_in_vain(self) -> None:
        with pytest.raises(BreakerOpen):
            self.breaker.begin()

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 9), end=st.sampled_from(["succeed", "fail", "abandon"]))
    def end(self, which: int, end: str) -> None:
        call, tries = self.under_way.pop(which % len(self.under_way))
        before = self.breaker.state
        getattr(self.breaker, end)(call)
        if tries and end == "succeed":
            assert self.breaker.state is BreakerState.CLOSED
        if not tries and before is not BreakerState.CLOSED:
            assert self.breaker.state is before, "old news"

    @invariant()
    def at_most_one_tries(self) -> None:
        assert sum(tries for _, tries in self.under_way) <= 1

    @invariant()
    def it_admits_or_says_how_long_it_will_not(self) -> None:
        wait_s = self.breaker.wait_s()
        assert self.breaker.admits() == (wait_s == 0)
        assert wait_s <= PAUSE_S or any(tries for _, tries in self.under_way)
        assert (self.breaker.closed_for() == 0) or self.breaker.state is BreakerState.CLOSED

    def teardown(self) -> None:
        """However it stands, a provider that answers again is called freely again."""
        for call, _ in self.under_way:
            self.breaker.abandon(call)
        self.now += PAUSE_S
        self.breaker.succeed(self.breaker.begin())
        assert self.breaker.state is BreakerState.CLOSED


TestCalls = Calls.TestCase
TestCalls.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
