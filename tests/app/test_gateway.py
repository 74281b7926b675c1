import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler
from msgspec.structs import replace

from app.breaker import Breaker, BreakerState
from app.gateway import GatewayRefused, HttpGateway, PaymentUnknown, ProviderAway
from app.settings import PaymentSettings
from app.simulator import HOST, KEY_HEADER, LOAD, Entry, Ledger, Load, Token, create_app
from models.payment import Answer, Charged, Declined, Payment, PaymentStatus, Refunded

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SHORT_MS = 150
NEVER = 10**9
DEADLINE_S = 30
LOOK_S = 0.01


def payment(order_id: str = "order-1", token: str = Token.OK, amount: int = 500) -> Payment:
    return Payment(
        order_id=order_id,
        amount=amount,
        currency="EUR",
        payment_token=token,
        correlation_id="correlation",
        causation_id="causation",
        settled_at=LONG_AGO,
    )


def settings(
    url: str, *, timeout_ms: int = 10_000, attempts: int = 5, in_flight: int = 500
) -> PaymentSettings:
    return PaymentSettings(
        url=url,
        timeout_ms=timeout_ms,
        attempts=attempts,
        backoff_ms=1,
        backoff_max_ms=50,
        max_in_flight=in_flight,
    )


def gateway_of(chosen: PaymentSettings, breaker: Breaker | None = None) -> HttpGateway:
    """Return a gateway with a breaker that never opens, or with this one."""
    return HttpGateway(chosen, breaker or Breaker(NEVER, 1))


@dataclass(frozen=True)
class Simulator:
    """Be the real provider, in this process: where it is, how busy it was, what it recorded."""

    url: str
    load: Load
    ledger: Ledger
    asked: list[str]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all it recorded."""
        return self.ledger.entries

    @property
    def entry(self) -> Entry:
        """Return the only thing it recorded."""
        (only,) = self.ledger.entries
        return only


@asynccontextmanager
async def simulated() -> AsyncIterator[Simulator]:
    """Run the simulator, which writes down what it is asked."""
    ledger = Ledger()
    app = create_app(ledger)
    asked: list[str] = []

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path}")
        return await handler(request)

    app.middlewares.append(note)
    async with TestServer(app) as server:
        yield Simulator(str(server.make_url("/")), app[LOAD], ledger, asked)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with simulated() as provider:
        yield provider


@pytest.fixture
async def gateway(simulator: Simulator) -> AsyncIterator[HttpGateway]:
    async with gateway_of(settings(simulator.url)) as opened:
        yield opened


@pytest.fixture
async def hasty(simulator: Simulator) -> AsyncIterator[HttpGateway]:
    async with gateway_of(settings(simulator.url, timeout_ms=SHORT_MS, attempts=20)) as opened:
        yield opened


async def test_tok_ok_is_charged_under_the_order_id(gateway: HttpGateway, simulator: Simulator) -> None:
    before = datetime.now(UTC)
    answer = await gateway.charge(payment())
    assert isinstance(answer, Charged)
    assert before <= answer.at <= datetime.now(UTC)
    assert (answer.order_id, answer.reference) == ("order-1", simulator.entry.id)
    assert (simulator.entry.idempotency_key, simulator.entry.amount) == ("order-1", 500)


async def test_tok_declined_is_declined_with_the_reason(gateway: HttpGateway) -> None:
    answer = await gateway.charge(payment(token=Token.DECLINED))
    assert isinstance(answer, Declined)
    assert (answer.order_id, answer.reference) == ("order-1", "card_declined")


async def test_tok_flaky_is_charged_once_after_its_failures(
    gateway: HttpGateway, simulator: Simulator
) -> None:
    assert isinstance(await gateway.charge(payment(token=Token.FLAKY)), Charged)
    assert len(simulator.entries) == 1


async def test_a_time_out_is_asked_about_by_key(hasty: HttpGateway, simulator: Simulator) -> None:
    answer = await hasty.charge(payment(token=Token.TIMEOUT))
    assert isinstance(answer, Charged)
    assert answer.reference == simulator.entry.id
    assert simulator.load.total == 2


async def test_the_fewest_attempts_that_settings_allow_are_enough_to_ask(simulator: Simulator) -> None:
    async with gateway_of(settings(simulator.url, timeout_ms=SHORT_MS, attempts=2)) as gateway:
        assert isinstance(await gateway.charge(payment(token=Token.TIMEOUT)), Charged)


async def test_a_charge_that_lands_after_the_time_out_is_made_once(
    hasty: HttpGateway, simulator: Simulator
) -> None:
    answer = await hasty.charge(payment(token=Token.SLOW))
    assert isinstance(answer, Charged)
    assert answer.reference == simulator.entry.id


async def test_repeats_at_once_charge_once(gateway: HttpGateway, simulator: Simulator) -> None:
    answers = await asyncio.gather(*(gateway.charge(payment()) for _ in range(50)))
    assert {answer.reference for answer in answers} == {simulator.entry.id}


async def test_slow_calls_run_at_once(gateway: HttpGateway, simulator: Simulator) -> None:
    orders = [payment(f"order-{number}", Token.SLOW) for number in range(200)]
    await asyncio.gather(*map(gateway.charge, orders))
    assert simulator.load.most > 100, "a busy machine may need longer to connect than the first calls take"
    assert len(simulator.entries) == 200


async def test_as_many_calls_as_the_limit_run_at_once() -> None:
    everyone = asyncio.Barrier(500)

    async def wait_for_everyone(request: web.Request) -> web.StreamResponse:
        await everyone.wait()
        return web.json_response({**RIGHT, "idempotency_key": request.headers[KEY_HEADER]})

    async with (
        stub(wait_for_everyone) as url,
        gateway_of(settings(url, timeout_ms=DEADLINE_S * 1_000, in_flight=500)) as gateway,
    ):
        await asyncio.gather(*(gateway.charge(payment(f"order-{number}")) for number in range(500)))


async def test_no_more_calls_than_the_limit_run_at_once_and_waiting_is_no_time_out(
    simulator: Simulator,
) -> None:
    async with gateway_of(settings(simulator.url, timeout_ms=1_900, in_flight=3)) as gateway:
        orders = [payment(f"order-{number}", Token.SLOW) for number in range(6)]
        await asyncio.gather(*map(gateway.charge, orders))
    assert simulator.load.most == 3
    assert simulator.load.total == 6


async def test_a_stale_second_answer_is_never_taken_for_another_orders(simulator: Simulator) -> None:
    async with gateway_of(settings(simulator.url, in_flight=1)) as gateway:
        await gateway.charge(payment("order-1", Token.DUPLICATE))
        answer = await gateway.charge(payment("order-2", Token.SLOW))
    # The stale answer came between, and its wire was given up: asked by key (404), sent again, answered.
    assert simulator.load.total == 4
    charges = {entry.idempotency_key: entry.id for entry in simulator.entries}
    assert answer.reference == charges["order-2"]
    assert len(simulator.entries) == 2


async def test_many_second_answers_mix_nothing_up(gateway: HttpGateway, simulator: Simulator) -> None:
    tokens = [Token.DUPLICATE, Token.OK, Token.FLAKY]
    orders = [payment(f"order-{number}", tokens[number % 3]) for number in range(150)]
    answers = await asyncio.gather(*map(gateway.charge, orders))
    charges = {entry.idempotency_key: entry.id for entry in simulator.entries}
    assert {answer.order_id: answer.reference for answer in answers} == charges
    assert len(simulator.entries) == 150


async def test_a_refund_is_made_once_under_a_key_of_its_own(
    gateway: HttpGateway, simulator: Simulator
) -> None:
    await gateway.charge(payment())
    refunding = replace(payment(), status=PaymentStatus.REFUNDING)
    answers = await asyncio.gather(*(gateway.refund(refunding) for _ in range(10)))
    _, refund = simulator.entries
    assert all(isinstance(answer, Refunded) for answer in answers)
    assert {answer.reference for answer in answers} == {refund.id}
    assert (refund.idempotency_key, refund.charge, refund.amount) == ("refund-order-1", "order-1", 500)


async def test_what_is_in_doubt_is_asked_for_and_sent_only_where_it_is_not_known(
    simulator: Simulator,
) -> None:
    for asked in (["GET /charges/order-1", "POST /charges"], ["GET /charges/order-1"]):
        simulator.asked.clear()
        async with gateway_of(settings(simulator.url)) as gateway:  # of another process
            gateway.doubt(payment())
            answer = await gateway.charge(payment())
        assert simulator.asked == asked
        assert answer.reference == simulator.entry.id


async def test_what_is_known_or_another_owners_is_in_doubt_no_more(simulator: Simulator) -> None:
    async with gateway_of(settings(simulator.url)) as gateway:
        gateway.doubt(payment())
        await gateway.charge(payment())
        gateway.doubt(payment("order-2"))
        gateway.forget()
        simulator.asked.clear()
        await gateway.charge(payment())
        await gateway.charge(payment("order-2"))
    assert simulator.asked == ["POST /charges", "POST /charges"]


async def test_a_refund_without_a_charge_is_refused(gateway: HttpGateway) -> None:
    with pytest.raises(GatewayRefused, match=r"refunds/refund-order-1: status 422: .*no completed charge"):
        await gateway.refund(payment())


async def test_a_key_used_again_with_another_amount_is_refused(
    gateway: HttpGateway, simulator: Simulator
) -> None:
    await gateway.charge(payment(amount=500))
    with pytest.raises(GatewayRefused, match=r"charges/order-1: the key stands for other terms"):
        await gateway.charge(payment(amount=501))
    assert simulator.entry.amount == 500


async def test_a_key_that_turns_out_to_stand_for_another_amount_is_refused() -> None:
    async def lose_the_first_answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500) if request.method == "POST" else web.json_response(RIGHT)

    async with stub(lose_the_first_answer) as url, gateway_of(settings(url)) as gateway:
        with pytest.raises(GatewayRefused, match="other terms"):
            await gateway.charge(payment(amount=501))


async def test_a_refusal_does_not_show_the_token(gateway: HttpGateway) -> None:
    await gateway.charge(payment(amount=500))
    with pytest.raises(GatewayRefused) as refusal:
        await gateway.charge(payment(amount=501))
    assert Token.OK not in str(refusal.value)


async def test_a_refusal_does_not_show_a_token_that_the_provider_says_again() -> None:
    async def say_it_again(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text=f"what is {(await request.json())['token']}?")

    async with stub(say_it_again) as url, gateway_of(settings(url)) as gateway:
        with pytest.raises(GatewayRefused, match=r"what is \[token\]\?"):
            await gateway.charge(payment())


async def test_a_provider_that_is_down_leaves_the_payment_unknown() -> None:
    with socket.create_server((HOST, 0)) as free:
        url = f"http://{HOST}:{free.getsockname()[1]}"
    async with gateway_of(settings(url)) as gateway:
        with pytest.raises(PaymentUnknown, match="charges/order-1: no clear answer"):
            await gateway.charge(payment())
        with pytest.raises(PaymentUnknown, match="refunds/refund-order-1: no clear answer"):
            await gateway.refund(payment())


async def test_an_unknown_payment_is_settled_by_a_later_call(simulator: Simulator) -> None:
    slow = payment(token=Token.SLOW)
    async with gateway_of(settings(simulator.url, timeout_ms=SHORT_MS, attempts=2)) as gateway:
        with pytest.raises(PaymentUnknown):
            await gateway.charge(slow)
        answer = await call_until_known(gateway.charge, slow)
    assert answer.reference == simulator.entry.id


async def call_until_known(call: Callable[[Payment], Awaitable[Answer]], about: Payment) -> Answer:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(PaymentUnknown):
                return await call(about)


async def test_a_call_under_way_when_the_gateway_closes_is_unknown(
    gateway: HttpGateway, simulator: Simulator
) -> None:
    call = asyncio.create_task(gateway.charge(payment(token=Token.TIMEOUT)))
    await charged(simulator)
    await gateway.close()
    with pytest.raises(PaymentUnknown, match="closed"):
        await call


async def charged(simulator: Simulator) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not simulator.entries:  # noqa: ASYNC110  # a ledger tells nobody
            await asyncio.sleep(LOOK_S)


async def test_a_cancelled_call_ends_at_once_and_is_not_made_again(
    gateway: HttpGateway, simulator: Simulator
) -> None:
    call = asyncio.create_task(gateway.charge(payment(token=Token.TIMEOUT)))
    await charged(simulator)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert simulator.load.total == 1


RIGHT = {"id": "ch_1", "idempotency_key": "order-1", "amount": 500, "currency": "EUR", "status": "completed"}
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def stub(respond: Respond) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


def first_then_right(status: int, body: str, headers: dict[str, str] | None = None) -> Respond:
    """Answer so to the first call, with 404 to a question by key, and as one should to the next charge."""
    posts = 0

    async def respond(request: web.Request) -> web.StreamResponse:
        nonlocal posts
        posts += request.method == "POST"
        if request.method == "GET":
            return web.Response(status=404)
        if posts == 1:
            return web.Response(status=status, text=body, headers=headers)
        return web.json_response(RIGHT, status=201)

    return respond


UNCLEAR = [
    (500, ""),
    (503, "try again"),
    (429, "slow down"),
    (408, ""),
    (409, "this key is under way"),
    (201, "<html>captive portal</html>"),
    (201, "[]"),
    (201, json.dumps({**RIGHT, "status": "pending"})),
    (201, json.dumps({**RIGHT, "amount": "500"})),
    (201, json.dumps({**RIGHT, "amount": 500.0})),
    (201, json.dumps({**RIGHT, "id": ""})),
    (201, '{"nested":' + "[" * 100_000),
    (201, json.dumps({**RIGHT, "idempotency_key": "order-2"})),
    (402, json.dumps({"status": "declined", "reason": "not said whose"})),
]


@pytest.mark.parametrize(("status", "body"), UNCLEAR)
async def test_an_unclear_answer_is_no_answer(status: int, body: str) -> None:
    async with stub(first_then_right(status, body)) as url, gateway_of(settings(url)) as gateway:
        assert (await gateway.charge(payment())).reference == "ch_1"


@pytest.mark.parametrize("without", ["status", "charge"])
async def test_a_refund_of_another_shape_is_no_answer(without: str) -> None:
    right = {**RIGHT, "idempotency_key": "refund-order-1", "charge": "order-1"}
    bodies = [{name: right[name] for name in right if name != without}, right]

    async def respond(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404) if request.method == "GET" else web.json_response(bodies.pop(0))

    async with stub(respond) as url, gateway_of(settings(url)) as gateway:
        assert (await gateway.refund(payment())).reference == "ch_1"
    assert bodies == []


@pytest.mark.parametrize("status", [409, 422, 404, 503])
async def test_another_orders_refusal_is_no_answer(status: int) -> None:
    respond = first_then_right(status, "", {KEY_HEADER: "order-2"})
    async with stub(respond) as url, gateway_of(settings(url)) as gateway:
        assert (await gateway.charge(payment())).reference == "ch_1"


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 415, 422])
async def test_what_the_provider_does_not_accept_is_refused_at_once(status: int) -> None:
    respond = first_then_right(status, "because", {"Location": "/elsewhere"})
    async with stub(respond) as url, gateway_of(settings(url)) as gateway:
        with pytest.raises(GatewayRefused, match=f"status {status}: because"):
            await gateway.charge(payment())


async def test_answers_that_stay_unclear_leave_the_payment_unknown() -> None:
    async def respond(_: web.Request) -> web.StreamResponse:
        return web.Response(text="not JSON")

    async with stub(respond) as url, gateway_of(settings(url)) as gateway:
        with pytest.raises(PaymentUnknown, match="not JSON"):
            await gateway.charge(payment())


# The breaker


def answering(statuses: list[int], asked: list[str]) -> Respond:
    """Answer with these statuses, one after the other, then as one should; write down what was asked."""

    async def respond(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        if statuses:
            return web.Response(status=statuses.pop(0), text="because")
        return web.json_response({**RIGHT, "idempotency_key": request.headers[KEY_HEADER]})

    return respond


async def test_after_failures_in_a_row_no_call_is_made_and_the_payment_stays_unknown() -> None:
    asked: list[str] = []
    breaker = Breaker(3, DEADLINE_S * 10)
    async with (
        stub(answering([503] * 99, asked)) as url,
        gateway_of(settings(url), breaker) as gateway,
    ):
        for _ in range(5):
            with pytest.raises(ProviderAway):
                await gateway.charge(payment())
    assert asked == ["POST", "GET", "GET"]
    assert breaker.state is BreakerState.OPEN


async def test_a_call_that_tries_and_is_answered_lets_all_calls_be_made() -> None:
    clock = [0.0]
    breaker = Breaker(1, 5, lambda: clock[0])
    async with stub(answering([503], [])) as url, gateway_of(settings(url), breaker) as gateway:
        with pytest.raises(ProviderAway):
            await gateway.charge(payment())
        clock[0] = 5
        assert (await gateway.charge(payment())).reference == "ch_1"
    assert breaker.state is BreakerState.CLOSED


def only_questions_answered(asked: list[str]) -> Respond:
    """Know no key, and take nothing; write down what was asked."""

    async def respond(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        return web.Response(status=404 if request.method == "GET" else 503)

    return respond


async def test_a_provider_that_answers_questions_and_makes_no_charge_is_away() -> None:
    asked: list[str] = []
    breaker = Breaker(3, DEADLINE_S * 10)
    async with stub(only_questions_answered(asked)) as url, gateway_of(settings(url), breaker) as gateway:
        with pytest.raises(ProviderAway):
            await gateway.charge(payment())
    assert asked == ["POST", "GET", "POST", "GET", "POST"]
    assert breaker.state is BreakerState.OPEN


async def test_a_try_that_learns_only_that_its_key_is_not_known_does_not_let_all_calls_be_made() -> None:
    asked: list[str] = []
    states: list[BreakerState] = []
    clock = [0.0]
    breaker = Breaker(1, 5, lambda: clock[0])
    breaker.watch(states.append)
    async with stub(only_questions_answered(asked)) as url, gateway_of(settings(url), breaker) as gateway:
        for clock[0] in (0.0, 5.0):
            with pytest.raises(ProviderAway):
                await gateway.charge(payment())
    assert asked == ["POST", "GET", "POST"]
    assert states == [BreakerState.OPEN, BreakerState.OPEN]


async def test_a_try_that_learns_only_that_its_key_is_not_known_charges_at_once() -> None:
    clock = [0.0]
    breaker = Breaker(1, 5, lambda: clock[0])
    respond = first_then_right(503, "")
    async with stub(respond) as url, gateway_of(settings(url), breaker) as gateway:
        with pytest.raises(ProviderAway):
            await gateway.charge(payment())
        clock[0] = 5
        assert (await gateway.charge(payment())).reference == "ch_1"
    assert breaker.state is BreakerState.CLOSED


async def test_a_try_asks_what_became_of_a_charge_that_was_sent_before(simulator: Simulator) -> None:
    """A charge that is never answered when it is sent would open the breaker again with each try."""
    clock = [0.0]
    breaker = Breaker(1, 5, lambda: clock[0])
    async with gateway_of(settings(simulator.url, timeout_ms=SHORT_MS), breaker) as gateway:
        with pytest.raises(ProviderAway):
            await gateway.charge(payment(token=Token.TIMEOUT))
        clock[0] = 5
        assert isinstance(await gateway.charge(payment(token=Token.TIMEOUT)), Charged)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_a_refusal_is_no_failure(status: int) -> None:
    breaker = Breaker(1, 5)
    async with stub(answering([status], [])) as url, gateway_of(settings(url), breaker) as gateway:
        with pytest.raises(GatewayRefused):
            await gateway.charge(payment())
    assert breaker.state is BreakerState.CLOSED


async def test_a_decline_and_a_key_that_is_under_way_are_no_failures(simulator: Simulator) -> None:
    breaker = Breaker(1, 5)
    async with gateway_of(settings(simulator.url), breaker) as gateway:
        assert isinstance(await gateway.charge(payment(token=Token.DECLINED)), Declined)
    async with stub(answering([409], [])) as url, gateway_of(settings(url), breaker) as gateway:
        assert (await gateway.charge(payment())).reference == "ch_1"
    assert breaker.state is BreakerState.CLOSED


async def test_a_time_out_and_a_provider_that_is_down_are_failures(simulator: Simulator) -> None:
    late, down = Breaker(1, DEADLINE_S * 10), Breaker(1, DEADLINE_S * 10)
    async with gateway_of(settings(simulator.url, timeout_ms=SHORT_MS), late) as gateway:
        with pytest.raises(ProviderAway):
            await gateway.charge(payment(token=Token.TIMEOUT))
    with socket.create_server((HOST, 0)) as free:
        url = f"http://{HOST}:{free.getsockname()[1]}"
    async with gateway_of(settings(url), down) as gateway:
        with pytest.raises(ProviderAway):
            await gateway.charge(payment())
    assert late.state is down.state is BreakerState.OPEN


async def test_a_try_that_is_cancelled_leaves_the_next_one_free(simulator: Simulator) -> None:
    clock = [0.0]
    breaker = Breaker(1, 5, lambda: clock[0])
    breaker.fail(breaker.begin())
    clock[0] = 5
    async with gateway_of(settings(simulator.url), breaker) as gateway:
        call = asyncio.create_task(gateway.charge(payment(token=Token.TIMEOUT)))
        await charged(simulator)
        assert not breaker.admits()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert breaker.admits()
