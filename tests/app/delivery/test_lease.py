"""The lease: nothing is begun with partitions that may be another worker's."""

import asyncio
import time

import pytest

from app.delivery.lease import Lease, NotHeld
from tests.app.turning import turns, until

SESSION_S = 1_000.0


async def test_an_answer_holds_for_less_than_a_session_from_when_it_was_asked() -> None:
    lease = Lease(SESSION_S)
    assert not lease.held
    lease.renew(time.monotonic())
    assert lease.held
    lease.renew(time.monotonic() - 0.79 * SESSION_S)
    assert lease.held
    lease.renew(time.monotonic() - 0.81 * SESSION_S)
    assert not lease.held


async def test_whoever_finds_it_run_out_waits_for_the_next_answer() -> None:
    lease = Lease(SESSION_S)
    waiting = [asyncio.create_task(lease.hold()) for _ in range(3)]
    await turns()
    assert not any(task.done() for task in waiting)
    await asyncio.to_thread(lease.renew, time.monotonic() - SESSION_S)
    await turns()
    assert not any(task.done() for task in waiting), "an answer to what was asked too long ago says nothing"
    await asyncio.to_thread(lease.renew, time.monotonic())
    await until(lambda: all(task.done() for task in waiting))
    await lease.hold()


async def test_partitions_that_are_given_up_end_the_wait() -> None:
    lease = Lease(SESSION_S)
    waiting = asyncio.create_task(lease.hold())
    await turns()
    lease.end()
    with pytest.raises(NotHeld):
        await waiting
    with pytest.raises(NotHeld):
        await lease.hold()
    lease.begin()
    again = asyncio.create_task(lease.hold())
    await turns()
    lease.renew(time.monotonic())
    await again


async def test_what_is_in_hand_while_partitions_are_given_up_is_finished_where_the_lease_is_held() -> None:
    lease = Lease(SESSION_S)
    lease.renew(time.monotonic())
    lease.end()
    await lease.hold()
