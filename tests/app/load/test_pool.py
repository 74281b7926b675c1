import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.errors import LoadRefused
from app.load.figures import Tally
from app.load.pool import Limits, Pool
from app.load.wire import target
from tests.app.load.fakes import SetClock
from tests.e2e.system import HOST, free_port

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEADLINE_S = 30
LOOK_S = 0.005


class Bench:
    """Be a pool on a clock of its own, and what it has counted."""

    def __init__(self, url: str, limits: Limits) -> None:
        self.clock = SetClock()
        self.tally = Tally()
        self.accepted: list[tuple[float, bytes]] = []
        self.pool = Pool(target(url), limits, self.clock, self.tally, self._accept)

    def offer(self, intended: float, body: bytes = b"{}") -> None:
        """Offer an order as the pacer does."""
        self.tally.offered += 1
        self.pool.offer(intended, body)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():  # noqa: ASYNC110  # a test looks
                await asyncio.sleep(LOOK_S)

    def _accept(self, intended: float, body: bytes) -> None:
        self.accepted.append((intended, body))


@asynccontextmanager
async def running(answer: Answer, limits: Limits) -> AsyncIterator[Bench]:
    """Give a pool of open connections to a server that answers in this way."""
    app = web.Application()
    app.router.add_post("/orders", answer)
    async with TestServer(app) as server:
        bench = Bench(str(server.make_url("")), limits)
        await bench.pool.open()
        tending = asyncio.create_task(bench.pool.tend())
        yield bench
        tending.cancel()
        bench.pool.close()


class Gate:
    """Hold requests back until it is opened."""

    def __init__(self) -> None:
        self.came = 0
        self._open = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer when the gate is open."""
        await request.read()
        self.came += 1
        await self._open.wait()
        return web.Response(status=202, body=b"ok")

    def open(self) -> None:
        """Let all through."""
        self._open.set()


async def echo(request: web.Request) -> web.Response:
    """Answer with what came."""
    assert request.content_type == "application/json"
    return web.Response(status=202, body=await request.read())


async def test_an_order_is_posted_and_its_answer_handed_on() -> None:
    async with running(echo, Limits(connections=2)) as bench:
        bodies = [b'{"number":%d,"more":"%s"}' % (number, b"x" * number * 100) for number in range(200)]
        for number, body in enumerate(bodies):
            bench.offer(float(number), body)
        await bench.until(lambda: bench.tally.open == 0)
        assert sorted(bench.accepted) == [(float(number), body) for number, body in enumerate(bodies)]
        assert bench.tally.statuses == {202: 200}


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        for piece in (b"one ", b"two ", b"three"):
            await response.write(piece)
        return response

    async with running(in_pieces, Limits(connections=1)) as bench:
        bench.offer(0.0)
        bench.offer(1.0)
        await bench.until(lambda: bench.tally.open == 0)
        assert bench.accepted == [(0.0, b"one two three"), (1.0, b"one two three")]


async def test_other_answers_are_counted_by_status() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=int(await request.text()))

    async with running(refuse, Limits(connections=3)) as bench:
        for status in (429, 503, 503, 422, 500):
            bench.offer(0.0, b"%d" % status)
        await bench.until(lambda: bench.tally.open == 0)
        assert bench.tally.statuses == {429: 1, 503: 2, 422: 1, 500: 1}
        assert (bench.accepted, bench.tally.accepted_after.count, bench.tally.refused_after.count) == (
            [],
            0,
            5,
        )


async def test_what_waits_for_a_connection_is_counted_from_its_intended_time() -> None:
    gate = Gate()
    async with running(gate.answer, Limits(connections=1, timeout_s=100)) as bench:
        bench.offer(0.0)
        bench.offer(1.0)
        await bench.until(lambda: gate.came == 1)
        bench.clock.time = 60.0
        gate.open()
        await bench.until(lambda: bench.tally.open == 0)
        found = bench.tally.accepted_after.summary()
        assert (found.count, round(found.p50 / 1000), round(found.max / 1000)) == (2, 59, 60)


async def test_a_request_without_an_answer_in_time_is_unknown_and_its_connection_replaced() -> None:
    gate = Gate()
    async with running(gate.answer, Limits(connections=1, timeout_s=10)) as bench:
        bench.offer(0.0)
        await bench.until(lambda: gate.came == 1)
        bench.clock.time = 10.1
        await bench.until(lambda: bench.tally.unknown == 1)
        gate.open()
        bench.offer(10.1)
        await bench.until(lambda: bench.tally.open == 0)
        assert (bench.tally.accepted, bench.tally.unknown) == (1, 1)


async def test_a_request_whose_connection_breaks_is_unknown() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with running(hang_up, Limits(connections=2)) as bench:
        for _ in range(5):
            bench.offer(0.0)
        await bench.until(lambda: bench.tally.open == 0)
        assert (bench.tally.unknown, bench.tally.sent) == (5, 5)


async def test_a_connection_that_the_server_closes_behind_its_answer_is_replaced() -> None:
    async def last(_request: web.Request) -> web.Response:
        response = web.Response(status=202)
        response.force_close()
        return response

    async with running(last, Limits(connections=2)) as bench:
        for _ in range(6):
            bench.offer(0.0)
        await bench.until(lambda: bench.tally.open == 0)
        assert bench.tally.statuses == {202: 6}


async def test_more_than_may_wait_is_not_sent() -> None:
    gate = Gate()
    async with running(gate.answer, Limits(connections=1, waiting=2)) as bench:
        for _ in range(5):
            bench.offer(0.0)
        assert bench.tally.not_sent == 2
        gate.open()
        await bench.until(lambda: bench.tally.open == 0)
        assert (bench.tally.accepted, bench.tally.sent) == (3, 3)


async def test_what_has_waited_for_too_long_is_not_sent() -> None:
    gate = Gate()
    async with running(gate.answer, Limits(connections=1, timeout_s=10)) as bench:
        bench.offer(0.0)
        bench.clock.time = 5.0
        bench.offer(-6.0)
        bench.offer(1.0)
        await bench.until(lambda: bench.tally.not_sent == 1)
        gate.open()
        await bench.until(lambda: bench.tally.open == 0)
        assert (bench.tally.accepted, bench.tally.not_sent) == (2, 1)


async def test_closing_leaves_what_is_on_its_way_unknown_and_what_waits_unsent() -> None:
    gate = Gate()
    async with running(gate.answer, Limits(connections=1)) as bench:
        bench.offer(0.0)
        bench.offer(0.0)
        await bench.until(lambda: gate.came == 1)
        bench.pool.close()
        assert (bench.tally.unknown, bench.tally.not_sent, bench.tally.open) == (1, 1, 0)


async def test_what_is_no_http_leaves_the_request_unknown() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(babble, HOST, 0)
    async with server:
        bench = Bench(f"http://{HOST}:{server.sockets[0].getsockname()[1]}", Limits(connections=1))
        await bench.pool.open()
        bench.offer(0.0)
        await bench.until(lambda: bench.tally.unknown == 1)
        bench.pool.close()


async def test_where_nobody_listens_is_said() -> None:
    url = f"http://{HOST}:{free_port()}"
    with pytest.raises(LoadRefused, match=f"nobody answers at {url}"):
        await Bench(url, Limits()).pool.open()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:6066", "https://localhost", "http://", "http://h:port", "http://h?q=1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(LoadRefused, match="expected http://HOST:PORT"):
        target(url)


def test_limits_are_shared_by_the_addresses() -> None:
    assert Limits(connections=128, waiting=1_000, timeout_s=3).shared_by(3) == Limits(43, 334, 3)
