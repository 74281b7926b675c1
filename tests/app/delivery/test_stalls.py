"""A loop that does not turn ends the process; one that is slow, or known to stall, does not."""

import asyncio
import threading
import time

import pytest

from app.delivery import stalls

SESSION_S = 0.4
LIMIT_S = stalls.SHARE * SESSION_S


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Give what is set when the process would have ended."""
    ended = threading.Event()
    monkeypatch.setattr(stalls, "die", lambda _reason: ended.set())
    return ended


def run(stall_s: float, times: int = 1) -> None:
    """Run a loop that is watched, and blocked so often for so long."""

    async def block() -> None:
        stalls.Watch(SESSION_S).start()
        for _ in range(times):
            await asyncio.sleep(LIMIT_S / 4)
            time.sleep(stall_s)  # noqa: ASYNC251  # this is the fault
        await asyncio.sleep(LIMIT_S / 4)

    asyncio.run(block())


def test_a_loop_that_is_blocked_for_too_long_ends_the_process(ended: threading.Event) -> None:
    run(3 * LIMIT_S)
    assert ended.wait(LIMIT_S)


def test_a_loop_that_is_often_blocked_for_a_while_goes_on(ended: threading.Event) -> None:
    run(LIMIT_S / 4, times=8)
    assert not ended.wait(2 * LIMIT_S)


def test_a_stall_that_is_known_to_end_is_excused(ended: threading.Event) -> None:
    with stalls.excused():
        run(3 * LIMIT_S)
    assert not ended.wait(2 * LIMIT_S)


def test_a_loop_that_has_ended_is_not_looked_at_any_more(ended: threading.Event) -> None:
    run(0)
    assert not ended.wait(2 * LIMIT_S)
    assert "stalls" not in {thread.name for thread in threading.enumerate()}
