"""What a worker takes up from an earlier owner: it is asked for by its key before anything is sent."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from agents import payments
from app.breaker import Breaker
from app.calls import Calls
from app.delays import Delays
from app.gateway import HttpGateway
from models.payment import Answer, Payment, PaymentStatus
from tests.app.test_gateway import Simulator, gateway_of, payment, settings, simulated
from tests.app.turning import until

CHARGING = payment()
REFUNDING = replace(CHARGING, status=PaymentStatus.REFUNDING)
CALLS: dict[Payment, Callable[[HttpGateway], Awaitable[Answer]]] = {
    CHARGING: lambda gateway: gateway.charge(CHARGING),
    REFUNDING: lambda gateway: gateway.refund(REFUNDING),
}


@pytest.fixture
async def provider() -> AsyncIterator[Simulator]:
    async with simulated() as provider:
        yield provider


@pytest.fixture
async def answers(monkeypatch: pytest.MonkeyPatch, provider: Simulator) -> AsyncIterator[list[Answer]]:
    """Give what comes back into the stream of a worker that calls the simulator."""
    found: list[Answer] = []
    async with gateway_of(settings(provider.url)) as gateway:
        monkeypatch.setattr(payments, "gateway", gateway)
        monkeypatch.setattr(payments, "delays", Delays(gateway.refund, payments.tell_delay))
        monkeypatch.setattr(payments, "find_untold", list)
        calls = Calls[Payment, Answer](
            payments.ask,
            lambda _, answer: found.append(answer),
            payments.pace,
            Breaker(1, 1),
            payments.naming,
        )
        monkeypatch.setattr(payments, "calls", calls)
        yield found
        await payments.drop_calls()


def take_up(monkeypatch: pytest.MonkeyPatch, about: Payment) -> None:
    monkeypatch.setattr(payments, "find_open", lambda: [(0, about)])
    payments.take_up()


@pytest.mark.parametrize(
    ("intent", "asked"),
    [(CHARGING, "GET /charges/order-1"), (REFUNDING, "GET /refunds/refund-order-1")],
    ids=["charge", "refund"],
)
async def test_what_an_earlier_owner_has_sent_is_not_sent_again(
    provider: Simulator,
    answers: list[Answer],
    monkeypatch: pytest.MonkeyPatch,
    intent: Payment,
    asked: str,
) -> None:
    async with gateway_of(settings(provider.url)) as earlier:
        await earlier.charge(CHARGING)
        await CALLS[intent](earlier)
    made = provider.entries
    provider.asked.clear()
    take_up(monkeypatch, intent)
    await until(lambda: bool(answers))
    assert provider.asked == [asked]
    assert (provider.entries, answers[0].reference) == (made, made[-1].id)


async def test_what_an_earlier_owner_had_not_sent_yet_is_asked_for_and_sent(
    provider: Simulator, answers: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_up(monkeypatch, CHARGING)
    await until(lambda: bool(answers))
    assert provider.asked == ["GET /charges/order-1", "POST /charges"]
    assert answers[0].reference == provider.entry.id
