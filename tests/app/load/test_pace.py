import asyncio
import time

import pytest

from app.load.figures import Latencies
from app.load.pace import AT_ONCE, Clock, Pacer
from tests.app.load.fakes import SetClock


async def test_each_turn_is_offered_once_in_order_and_not_before_its_time() -> None:
    clock, offered = Clock(), list[float]()

    def offer(moment: float) -> None:
        assert clock.now() >= moment
        offered.append(moment)

    moments = [number / 2_000 for number in range(100)]
    await Pacer(clock, iter(moments), offer, Latencies()).run()
    assert offered == moments


async def test_a_generator_that_has_fallen_behind_catches_up_at_once_and_says_how_late_it_is() -> None:
    clock, late, offered = SetClock(), Latencies(), list[float]()

    def offer(moment: float) -> None:
        offered.append(moment)

    clock.time = 10.0
    await Pacer(clock, iter([1.0, 5.0, 10.0]), offer, late).run()
    assert offered == [1.0, 5.0, 10.0]
    found = late.summary()
    assert found.count == 3
    assert [found.p50, found.max] == pytest.approx([5_000, 9_000], rel=0.001)


async def test_one_who_catches_up_lets_answers_be_read_in_between() -> None:
    clock, offered, read_after = SetClock(), list[float](), list[int]()
    asyncio.get_running_loop().call_soon(lambda: read_after.append(len(offered)))
    await Pacer(clock, iter([0.0] * 3 * AT_ONCE), offered.append, Latencies()).run()
    assert len(offered) == 3 * AT_ONCE
    assert read_after == [AT_ONCE]


async def test_nothing_to_offer_is_over_at_once() -> None:
    await Pacer(Clock(), iter([]), lambda _: pytest.fail("offered"), Latencies()).run()


def test_a_message_is_dated_in_seconds_after_the_start() -> None:
    before = time.time()
    clock = Clock()
    after = time.time()
    assert clock.of(round(before * 1000) + 3_000) <= 3.001
    assert clock.of(round(after * 1000) + 3_000) >= 2.999
