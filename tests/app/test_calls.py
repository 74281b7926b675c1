"""Outside calls: many at once, each intent once, asked again while unknown, dropped when partitions go."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from app.breaker import Breaker, BreakerOpen, BreakerState
from app.calls import Backoff, Calls, Naming, Pace
from app.gateway import GatewayRefused, PaymentUnknown, ProviderAway
from models.payment import Answer, Charged, Payment, PaymentStatus, Refunded
from tests.app.turning import turns, until

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MOST_FAILURES = 3
PAUSE_S = 0.05
SHORT = Backoff(1, 1)
LONG = Backoff(60_000, 3_600_000)


def payment(order_id: str, status: PaymentStatus = PaymentStatus.CHARGING) -> Payment:
    return Payment(
        order_id=order_id,
        amount=500,
        currency="EUR",
        payment_token="tok_ok",
        correlation_id="correlation",
        causation_id="causation",
        settled_at=LONG_AGO,
        status=status,
    )


def charged(order_id: str) -> Charged:
    return Charged(order_id=order_id, reference="charge", at=LONG_AGO)


class Provider:
    """Be asked; answer when the gate is open, or as the script for the order says."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[str] = []
        self.under_way = 0
        self.most_at_once = 0
        self.dropped: list[str] = []
        self.slow: dict[str, asyncio.Event] = {}
        self.script: dict[str, list[Exception]] = {}
        self.breaker = Breaker(MOST_FAILURES, PAUSE_S)
        self.away = False
        self.tries = 0

    async def ask(self, about: Payment) -> Answer:
        """Answer as the gateway does, which tells the breaker of each call."""
        self.tries += 1
        try:
            call = self.breaker.begin()
        except BreakerOpen:
            raise ProviderAway from None
        self.asked.append(about.order_id)
        if self.away:
            self.breaker.fail(call)
            raise PaymentUnknown("away")
        answer = await self._answer(about)
        self.breaker.succeed(call)
        return answer

    async def _answer(self, about: Payment) -> Answer:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await self.slow.get(about.order_id, self.gate).wait()
        except asyncio.CancelledError:
            self.dropped.append(about.order_id)
            raise
        finally:
            self.under_way -= 1
        if faults := self.script.get(about.order_id):
            raise faults.pop(0)
        if about.status is PaymentStatus.REFUNDING:
            return Refunded(order_id=about.order_id, reference="refund", at=LONG_AGO)
        return charged(about.order_id)


class Desk:
    """Be the calls of one worker with their provider, and all answers so far."""

    def __init__(
        self,
        provider: Provider,
        max_in_flight: int = 500,
        *,
        unclear: Backoff = SHORT,
        put_off: Backoff = LONG,
    ) -> None:
        self.provider = provider
        self.answers: list[tuple[int, Answer]] = []
        self.calls: Calls[Payment, Answer] = Calls(
            provider.ask,
            lambda *answer: self.answers.append(answer),
            Pace(max_in_flight, unclear, put_off),
            provider.breaker,
            Naming(
                key=lambda payment: f"{payment.status} {payment.order_id}",
                text=lambda payment: f"payment of order {payment.order_id}",
            ),
        )

    def start(self, *order_ids: str, partition: int = 0) -> None:
        for order_id in order_ids:
            self.calls.start(partition, payment(order_id))

    def answered(self) -> list[str]:
        return [answer.order_id for _, answer in self.answers]


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def desk(provider: Provider) -> AsyncIterator[Desk]:
    """Give a desk for 500 calls at once, and leave none behind."""
    opened = Desk(provider)
    yield opened
    await opened.calls.cancel()


@pytest.fixture
async def narrow(provider: Provider) -> AsyncIterator[Desk]:
    """Give a desk for one call at a time, and leave none behind."""
    opened = Desk(provider, max_in_flight=1)
    yield opened
    await opened.calls.cancel()


def orders(count: int) -> list[str]:
    return [f"order-{number}" for number in range(count)]


async def test_hundreds_of_calls_are_under_way_at_once(desk: Desk, provider: Provider) -> None:
    desk.start(*orders(400))
    await until(lambda: provider.under_way == 400)
    assert desk.answers == []
    provider.gate.set()
    await until(lambda: len(desk.answers) == 400)
    assert sorted(desk.answered()) == sorted(orders(400))
    assert desk.calls.in_flight == 0


async def test_no_more_calls_are_under_way_than_the_setting_says(provider: Provider) -> None:
    desk = Desk(provider, max_in_flight=7)
    desk.start(*orders(50))
    await until(lambda: provider.under_way == 7)
    await turns()
    assert (provider.under_way, desk.calls.in_flight) == (7, 50)
    provider.gate.set()
    await until(lambda: len(desk.answers) == 50)
    assert provider.most_at_once == 7
    await desk.calls.cancel()


async def test_calls_are_made_in_the_order_of_their_intents(narrow: Desk, provider: Provider) -> None:
    provider.gate.set()
    narrow.start(*orders(20))
    await until(lambda: len(narrow.answers) == 20)
    assert provider.asked == narrow.answered() == orders(20)


async def test_one_slow_call_holds_up_no_other(desk: Desk, provider: Provider) -> None:
    provider.gate.set()
    provider.slow = {"slow": asyncio.Event()}
    desk.start("slow", *orders(20))
    await until(lambda: len(desk.answers) == 20)
    assert (provider.under_way, desk.calls.in_flight) == (1, 1)
    provider.slow["slow"].set()
    await until(lambda: desk.answered()[-1] == "slow")


async def test_an_intent_that_is_under_way_is_not_called_again(desk: Desk, provider: Provider) -> None:
    desk.start("order-1", "order-1")
    await until(lambda: provider.under_way == 1)
    desk.start("order-1")
    provider.gate.set()
    await until(lambda: desk.calls.in_flight == 0)
    await turns()
    assert (provider.asked, desk.answered()) == (["order-1"], ["order-1"])


async def test_an_intent_that_is_queued_is_not_queued_again(narrow: Desk, provider: Provider) -> None:
    narrow.start("order-1", "order-2", "order-2", "order-1", "order-2")
    provider.gate.set()
    await until(lambda: narrow.calls.in_flight == 0)
    await turns()
    assert provider.asked == ["order-1", "order-2"]


async def test_an_answered_intent_may_be_called_again(desk: Desk, provider: Provider) -> None:
    provider.gate.set()
    for _ in range(2):
        desk.start("order-1")
        await until(lambda: desk.calls.in_flight == 0)
    assert provider.asked == ["order-1", "order-1"]


async def test_a_charge_and_a_refund_of_one_order_are_two_intents(desk: Desk, provider: Provider) -> None:
    desk.calls.start(0, payment("order-1"))
    desk.calls.start(0, payment("order-1", PaymentStatus.REFUNDING))
    provider.gate.set()
    await until(lambda: len(desk.answers) == 2)
    assert {type(answer) for _, answer in desk.answers} == {Charged, Refunded}


async def test_answers_come_with_the_partition_of_their_intent(desk: Desk, provider: Provider) -> None:
    for partition in range(8):
        desk.start(f"order-{partition}", partition=partition)
    provider.gate.set()
    await until(lambda: len(desk.answers) == 8)
    assert sorted(desk.answers, key=lambda answer: answer[0]) == [
        (partition, charged(f"order-{partition}")) for partition in range(8)
    ]


async def test_an_unknown_outcome_is_asked_for_until_it_is_known(desk: Desk, provider: Provider) -> None:
    provider.script["order-1"] = [PaymentUnknown("timed out") for _ in range(3)]
    provider.gate.set()
    desk.start("order-1", partition=5)
    await until(lambda: bool(desk.answers))
    assert (provider.asked, desk.answers) == (["order-1"] * 4, [(5, charged("order-1"))])


async def test_an_unknown_outcome_is_asked_for_in_turn_with_the_others(
    narrow: Desk, provider: Provider
) -> None:
    provider.script = {name: [PaymentUnknown("timed out")] for name in ("order-0", "order-1")}
    provider.slow = {"order-2": asyncio.Event()}
    provider.gate.set()
    narrow.start(*orders(5))
    await until(lambda: provider.asked[-1:] == ["order-2"])
    await until(lambda: not narrow.calls._put_off)  # noqa: SLF001  # both wait in the queue again
    provider.slow["order-2"].set()
    await until(lambda: len(narrow.answers) == 5)
    assert provider.asked == [f"order-{number}" for number in (0, 1, 2, 0, 3, 1, 4)]


async def test_a_refused_call_stays_open_and_is_not_repeated_soon_and_holds_up_no_other(
    narrow: Desk, provider: Provider
) -> None:
    provider.script["order-0"] = [GatewayRefused("no such account")]
    provider.gate.set()
    narrow.start(*orders(3))
    await until(lambda: len(narrow.answers) == 2)
    narrow.start("order-0")
    await turns()
    assert Counter(provider.asked) == dict.fromkeys(orders(3), 1)
    assert (narrow.answered(), narrow.calls.in_flight) == (["order-1", "order-2"], 1)


async def test_cancel_drops_what_is_under_way_and_what_is_queued(provider: Provider) -> None:
    desk = Desk(provider, max_in_flight=3)
    desk.start(*orders(10))
    await until(lambda: provider.under_way == 3)
    await desk.calls.cancel()
    provider.gate.set()
    await turns()
    assert sorted(provider.dropped) == orders(3)
    assert (provider.asked, desk.answers, desk.calls.in_flight) == (orders(3), [], 0)


async def test_after_a_cancel_the_same_intents_are_called_anew(provider: Provider) -> None:
    desk = Desk(provider, max_in_flight=3)
    desk.start(*orders(10))
    await until(lambda: provider.under_way == 3)
    await desk.calls.cancel()
    desk.start(*orders(10), partition=1)
    await until(lambda: provider.under_way == 3)
    provider.gate.set()
    await until(lambda: len(desk.answers) == 10)
    assert sorted(desk.answered()) == orders(10)
    assert {partition for partition, _ in desk.answers} == {1}
    await desk.calls.cancel()


async def test_a_cancel_among_idle_callers_leaves_all_places_free(provider: Provider) -> None:
    desk = Desk(provider, max_in_flight=4)
    provider.gate.set()
    desk.start(*orders(8))
    await until(lambda: desk.calls.in_flight == 0)
    await desk.calls.cancel()
    provider.gate.clear()
    desk.start(*orders(8))
    await until(lambda: provider.under_way == 4)
    await desk.calls.cancel()


async def test_a_cancel_of_nothing_is_fine(desk: Desk) -> None:
    await desk.calls.cancel()
    assert desk.calls.in_flight == 0


async def test_a_fault_that_nobody_foresaw_ends_the_process_for_its_intent_would_be_forgotten(
    desk: Desk, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr("app.calls.die", ends.append)
    provider.script["order-1"] = [ZeroDivisionError("what?")]
    provider.gate.set()
    desk.start("order-1")
    await until(lambda: bool(ends))
    assert ends == ["ZeroDivisionError('what?')"]


async def test_idle_callers_take_up_new_calls_and_are_joined_by_others(
    desk: Desk, provider: Provider
) -> None:
    provider.gate.set()
    desk.start(*orders(4))
    await until(lambda: desk.calls.in_flight == 0)
    provider.gate.clear()
    desk.start(*orders(8))
    await until(lambda: provider.under_way == 8)


async def test_there_is_room_until_several_calls_wait_for_each_under_way_and_again_as_they_end(
    narrow: Desk,
) -> None:
    names = orders(10)
    narrow.start(*names[:1])
    await turns()
    room = []
    for name in names[1:6]:
        room.append(narrow.calls.room.is_set())
        narrow.start(name)
    assert (room, narrow.calls.room.is_set()) == ([True, True, True, True, False], False)
    narrow.provider.gate.set()
    await until(lambda: len(narrow.answers) == 6)
    assert narrow.calls.room.is_set()


async def test_a_call_that_is_refused_takes_no_room(provider: Provider, narrow: Desk) -> None:
    names = orders(10)
    provider.script = {name: [GatewayRefused("no such token")] for name in names}
    provider.gate.set()
    narrow.start(*names)
    await until(lambda: len(provider.asked) == 10)
    await turns()
    assert narrow.calls.room.is_set()


async def test_a_refused_call_is_made_again_after_a_while_and_reported_once(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(provider, put_off=Backoff(1, 2))
    provider.script["order-0"] = [GatewayRefused("no such account") for _ in range(4)]
    provider.gate.set()
    desk.start(*orders(2))
    await until(lambda: len(desk.answers) == 2)
    assert Counter(provider.asked) == {"order-0": 5, "order-1": 1}
    (told,) = (record for record in caplog.records if "refused" in record.message)
    assert told.levelname == "ERROR"
    assert (told.__dict__["order_id"], told.__dict__["correlation_id"]) == ("order-0", "correlation")
    assert desk.calls.in_flight == 0
    await desk.calls.cancel()


async def test_a_refusal_after_an_answer_is_reported_anew(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(provider, put_off=SHORT)
    provider.gate.set()
    for times in (1, 2):
        provider.script["order-0"] = [GatewayRefused("no such account")]
        desk.start("order-0")
        await until(lambda: desk.calls.in_flight == 0)
        assert sum("refused" in record.message for record in caplog.records) == times
    await desk.calls.cancel()


@pytest.fixture
async def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have all waits be over at once; give how long they would have been."""
    waits: list[float] = []
    loop = asyncio.get_running_loop()

    def at_once(wait_s: float, do: Any, *given: Any) -> asyncio.TimerHandle:
        waits.append(wait_s)
        return loop.call_at(loop.time(), do, *given)

    class Hasty:
        call_later = staticmethod(at_once)
        create_future = staticmethod(loop.create_future)

    monkeypatch.setattr("app.calls.asyncio.get_running_loop", Hasty)
    return waits


@pytest.mark.parametrize("fault", [GatewayRefused("no such account"), PaymentUnknown("503")], ids=repr)
async def test_the_wait_after_a_call_in_vain_doubles_up_to_its_bound_and_begins_anew_after_an_answer(
    provider: Provider, waits: list[float], fault: Exception
) -> None:
    growing = Backoff(1_000, 10_000)
    desk = Desk(provider, unclear=growing, put_off=growing)
    provider.gate.set()
    for times in (6, 1):
        provider.script["order-0"] = [fault] * times
        desk.start("order-0")
        await until(lambda: desk.calls.in_flight == 0)
    assert waits == [1, 2, 4, 8, 10, 10, 1]
    await desk.calls.cancel()


async def test_a_refusal_after_doubts_is_reported_and_waits_as_the_first_one_does(
    provider: Provider, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(provider, unclear=Backoff(1_000, 10_000), put_off=Backoff(60_000, 3_600_000))
    provider.script["order-0"] = [*[PaymentUnknown("503")] * 3, GatewayRefused("no such account")]
    provider.gate.set()
    desk.start("order-0")
    await until(lambda: desk.calls.in_flight == 0)
    assert waits == [1, 2, 4, 60]
    assert sum("refused" in record.message for record in caplog.records) == 1
    await desk.calls.cancel()


async def test_a_cancel_drops_what_was_put_off(provider: Provider) -> None:
    desk = Desk(provider, put_off=SHORT)
    provider.script["order-0"] = [GatewayRefused("no such account")]
    provider.gate.set()
    desk.start("order-0")
    await until(lambda: provider.asked == ["order-0"])
    await desk.calls.cancel()
    await asyncio.sleep(0.01)  # for what must not happen there is no condition
    assert (provider.asked, desk.calls.in_flight) == (["order-0"], 0)


# The breaker


async def test_while_the_provider_is_away_intents_wait_and_one_at_a_time_tries(
    desk: Desk, provider: Provider
) -> None:
    provider.away = True
    desk.start(*orders(50))
    await until(lambda: provider.breaker.state is BreakerState.OPEN)
    await turns()
    assert len(provider.asked) == MOST_FAILURES
    assert (desk.answers, desk.calls.in_flight) == ([], 50)
    await until(lambda: len(provider.asked) == MOST_FAILURES + 4)
    assert provider.tries < 60, "callers spin"
    before, tried = provider.asked[:MOST_FAILURES], provider.asked[MOST_FAILURES:]
    assert all(one != other for one, other in pairwise(tried)), "another one tries each time"
    assert len([each for each in tried if each in before]) == 2, "what was tried takes turns with what is new"


async def test_once_the_provider_is_back_every_intent_is_called_at_once(
    desk: Desk, provider: Provider
) -> None:
    provider.away = True
    desk.start(*orders(300))
    await until(lambda: provider.breaker.state is BreakerState.OPEN)
    provider.away = False
    provider.slow = dict.fromkeys(orders(300), provider.gate)
    await until(lambda: provider.under_way == 1)
    await turns()
    assert provider.under_way == 1, "only one tries"
    provider.gate.set()
    await until(lambda: len(desk.answers) == 300)
    assert sorted(desk.answered()) == sorted(orders(300))
    assert desk.calls.in_flight == 0


async def test_what_comes_while_the_provider_is_away_waits_with_the_rest(
    desk: Desk, provider: Provider
) -> None:
    provider.away = True
    desk.start(*orders(5))
    await until(lambda: provider.breaker.state is BreakerState.OPEN)
    desk.start("later-0", "later-1")
    provider.gate.set()
    provider.away = False
    await until(lambda: len(desk.answers) == 7)
    assert desk.calls.in_flight == 0


async def test_while_the_provider_is_away_there_is_room_for_some_more_and_again_when_it_is_back(
    narrow: Desk, provider: Provider
) -> None:
    provider.away = True
    narrow.start(*orders(3))
    await until(lambda: provider.breaker.state is BreakerState.OPEN)
    await until(lambda: not narrow.calls._put_off)  # noqa: SLF001  # all three wait in the queue again
    await turns()
    assert narrow.calls.room.is_set()
    narrow.start("order-3", "order-4")
    await turns()
    assert not narrow.calls.room.is_set()
    provider.away = False
    provider.gate.set()
    await until(lambda: len(narrow.answers) == 5)
    assert narrow.calls.room.is_set()


async def test_a_cancel_while_the_provider_is_away_forgets_all_and_the_same_intents_can_wait_again(
    desk: Desk, provider: Provider
) -> None:
    provider.away = True
    desk.start(*orders(20))
    await until(lambda: provider.breaker.state is BreakerState.OPEN)
    await desk.calls.cancel()
    asked = len(provider.asked)
    await until(provider.breaker.admits)
    await turns()
    assert (len(provider.asked), desk.calls.in_flight) == (asked, 0)
    provider.away = False
    provider.gate.set()
    desk.start(*orders(20))
    await until(lambda: len(desk.answers) == 20)
