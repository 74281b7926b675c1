"""The shell of a stage that tells others: each message once, in order, whatever fails and whoever dies."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from prometheus_client import Gauge

from app import metrics
from app.delivery.batch import Batch
from app.outbound.carrying import Declined, Hopeless, NotDelivered, Unanswered
from models.messages import derive_id
from models.outbound import OutboundEvent
from tests.app.outbound.desk import Desk, MemoryState, Outsider
from tests.app.turning import turns, until
from tests.models.scenario import ORDER
from tests.models.test_outbound import BACK, SOLD, back, sold

SALE, REFUND = derive_id(SOLD, ORDER), derive_id(BACK, ORDER)


@pytest.fixture
def outsider() -> Outsider:
    return Outsider()


@pytest.fixture
async def desk(outsider: Outsider) -> AsyncIterator[Desk]:
    made = Desk(outsider)
    yield made
    await made.outbound.drop()


async def rest(desk: Desk) -> None:
    """Go on until there is nothing more to do."""
    async with asyncio.timeout(20):
        while desk.outboxes:
            await asyncio.sleep(0.001)
            desk.settle()


async def test_nothing_is_sent_before_the_intent_lasts(desk: Desk, outsider: Outsider) -> None:
    batch = Batch(())
    desk.outbound.take(batch, 0, sold(), 3)
    await turns()
    assert outsider.told == []
    desk.commit(batch)
    await until(lambda: outsider.told == [SALE])


async def test_a_refund_is_sent_once_its_sale_is_on_record_as_delivered(
    desk: Desk, outsider: Outsider
) -> None:
    desk.offer(sold(), back())
    await until(lambda: bool(desk.outcomes))
    await turns()
    assert outsider.told == [SALE]
    await rest(desk)
    assert outsider.told == [SALE, REFUND]


async def test_a_repeat_that_comes_while_the_delivery_is_being_recorded_is_not_sent(
    desk: Desk, outsider: Outsider
) -> None:
    desk.offer(sold())
    await until(lambda: bool(desk.outcomes))
    desk.offer(sold(recorded=2))
    await turns()
    await rest(desk)
    assert outsider.told == [SALE]


@pytest.mark.parametrize("error", [Unanswered("status 503"), Declined("status 401")])
async def test_what_came_to_nothing_is_tried_again(
    desk: Desk, outsider: Outsider, error: NotDelivered
) -> None:
    outsider.script = [error] * 5
    desk.offer(sold())
    await rest(desk)
    assert outsider.told == [SALE]
    assert desk.letters == []


async def test_what_was_tried_for_long_enough_is_a_dead_letter_as_it_came(outsider: Outsider) -> None:
    desk = Desk(outsider, give_up_ms=20)
    outsider.script = [Unanswered("status 503")] * 10_000
    desk.offer(sold())
    await rest(desk)
    (letter,) = desk.letters
    assert (letter.topic, letter.key, letter.error) == (SOLD, ORDER.encode(), "Undeliverable: status 503")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Hopeless("nobody"), "Undeliverable: nobody"),
        (KeyError("x"), "Undeliverable: KeyError while it was sent"),
    ],
)
async def test_what_no_repeat_will_help_is_a_dead_letter_at_once(
    desk: Desk, outsider: Outsider, error: Exception, said: str
) -> None:
    outsider.script = [error]
    desk.offer(sold())
    await rest(desk)
    assert [letter.error for letter in desk.letters] == [said]
    assert desk.breaker.closed_for() > 0


async def test_a_crash_before_the_letter_is_sent_does_not_lose_it(desk: Desk, outsider: Outsider) -> None:
    outsider.script = [Hopeless("nobody")]
    desk.offer(sold())
    await until(lambda: bool(desk.outcomes))
    desk.commit(desk.batch(desk.next_outcome()), letters=False)
    successor = await desk.crash(outsider)
    await rest(successor)
    assert [letter.topic for letter in successor.letters] == [SOLD]
    assert outsider.told == []


async def test_a_crash_between_delivery_and_record_sends_it_once_more_under_the_same_id(
    desk: Desk, outsider: Outsider
) -> None:
    desk.offer(sold())
    await until(lambda: bool(desk.outcomes))
    successor = await desk.crash(outsider)
    await rest(successor)
    assert outsider.told == [SALE, SALE]


async def test_a_dead_letter_that_is_put_back_is_sent(desk: Desk, outsider: Outsider) -> None:
    outsider.script = [Hopeless("nobody")]
    desk.offer(sold(recorded=1))
    await rest(desk)
    desk.offer(sold(recorded=1))
    await rest(desk)
    assert outsider.told == []
    desk.offer(sold(recorded=60))
    await rest(desk)
    assert outsider.told == [SALE]
    assert len(desk.letters) == 1


async def test_while_the_breaker_is_open_nothing_is_tried(outsider: Outsider) -> None:
    desk = Desk(outsider, breaker_failures=1, breaker_pause_ms=50)
    outsider.script = [Unanswered("status 503")]
    attempts = metrics.OUTBOUND_ATTEMPTS.labels("transfer")
    desk.offer(sold())
    await until(lambda: desk.breaker.state == "open")
    before = attempts._value.get()  # noqa: SLF001  # no public way
    await turns(20)
    assert attempts._value.get() == before  # noqa: SLF001
    await rest(desk)
    assert outsider.told == [SALE]


async def test_there_is_no_room_while_as_much_as_may_be_is_held(outsider: Outsider) -> None:
    outsider.gate.clear()
    desk = Desk(outsider, max_open=1)
    assert desk.outbound.room.is_set()
    desk.offer(sold())
    await until(lambda: outsider.told == [SALE])
    assert not desk.outbound.room.is_set()
    outsider.gate.set()
    await rest(desk)
    assert desk.outbound.room.is_set()


def shown(gauge: Gauge) -> float:
    return next(iter(gauge.collect())).samples[0].value


async def test_what_is_open_is_counted_with_its_age(desk: Desk, outsider: Outsider) -> None:
    outsider.gate.clear()
    desk.offer(sold())
    open_now = metrics.OUTBOUND_OPEN.labels("transfer")
    oldest = metrics.OUTBOUND_OLDEST.labels("transfer")
    await until(lambda: outsider.told == [SALE])
    assert shown(open_now) == 1
    assert shown(oldest) > 0
    outsider.gate.set()
    await rest(desk)
    assert (shown(open_now), shown(oldest)) == (0, 0)


@pytest.mark.parametrize("seed", range(25))
async def test_whoever_dies_whenever_each_message_goes_out_in_order_and_again_only_for_a_crash(
    seed: int,
) -> None:
    random, outsider = Random(seed), Outsider()  # noqa: S311  # to be drawn again, not to be secret
    desk, crashes = Desk(outsider, MemoryState()), 0
    read: list[OutboundEvent] = [sold(), back(), sold(recorded=3)]
    for _ in range(40):
        match random.choice(["offer", "fail", "turn", "settle", "crash"]):
            case "offer":
                desk.offer(*read[: random.randint(1, 3)])
            case "fail":
                outsider.script.append(random.choice([Unanswered("away"), Declined("no")]))
            case "turn":
                await asyncio.sleep(0.001)
            case "settle":
                desk.settle()
            case _:
                desk, crashes = await desk.crash(outsider), crashes + 1
    desk.offer(*read)
    await rest(desk)
    assert list(dict.fromkeys(outsider.told)) == [SALE, REFUND]
    assert len(outsider.told) <= 2 + crashes
    assert outsider.told == sorted(outsider.told, key=[SALE, REFUND].index)
