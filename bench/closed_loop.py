"""A closed loop over HTTP: each connection posts its next order as soon as the one before is answered.

With `wrk` where it is installed: one thread of it costs a tenth of what the loop in Python does, which stands
in otherwise. A closed loop says how much there can be, and little about how long customers would wait: it
waits for a slow server.
"""

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import orjson
import uvloop

from app.errors import Failure
from app.load.figures import Latencies
from app.load.pace import Clock
from app.load.plan import Plan, bodies
from app.load.wire import Connection, Request, target
from bench.orders import SKUS

SCRIPT = Path(__file__).with_name("orders.lua")
MORE_S = 15.0
CONNECT_S = 5.0


class Answers(NamedTuple):
    """Be what a closed loop has come to; latencies are of all answers, in milliseconds."""

    client: str
    seconds: float
    accepted: int
    refused: int
    p50_ms: float
    p99_ms: float


def post_orders(url: str, connections: int, seconds: int) -> Answers:
    """Post orders of every SKU over so many connections for so long.

    Raises:
        Failure: nobody listens.
    """
    if shutil.which("wrk") is None:
        return post_in_python(url, connections, seconds)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), url]
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            command, capture_output=True, text=True, check=True, timeout=seconds + MORE_S
        )
    except subprocess.SubprocessError as error:
        raise Failure(f"{' '.join(command)}: {error}") from error
    return of_wrk(done.stdout)


def post_in_python(url: str, connections: int, seconds: float) -> Answers:
    """Do the same without wrk, in this process."""
    return uvloop.run(Loop(url).run(connections, seconds))


def of_wrk(output: str) -> Answers:
    """Return what wrk's script has printed as its last line."""
    found = orjson.loads(output.strip().splitlines()[-1])
    return Answers(
        client="wrk",
        seconds=found["duration_us"] / 1e6,
        accepted=found["requests"] - found["refused"],
        refused=found["refused"] + found["failed"],
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
    )


@dataclass
class Loop:
    """Be the owner of all connections: whichever is answered sends again, until the time is over."""

    url: str

    def __post_init__(self) -> None:
        self._target = target(self.url)
        self._bodies = bodies(Plan(rate=1, seconds=1, skus=SKUS))
        self._clock = Clock()
        self._latencies = Latencies()
        self._accepted = self._refused = 0
        self._is_over = False

    async def run(self, connections: int, seconds: float) -> Answers:
        """Return what came of it when the time is over.

        Raises:
            Failure: nobody listens.
        """
        loop = asyncio.get_running_loop()
        opened = []
        try:
            async with asyncio.timeout(CONNECT_S):
                for _ in range(connections):
                    _, connection = await loop.create_connection(
                        lambda: Connection(self), self._target.host, self._target.port
                    )
                    opened.append(connection)
        except OSError as error:  # a TimeoutError among them
            raise Failure(f"nobody answers at {self.url}") from error
        self._clock.start()
        for connection in opened:
            self._send(connection)
        await asyncio.sleep(seconds)
        self._is_over, took_s = True, self._clock.now()
        for connection in opened:
            connection.abandon()
        found = self._latencies.summary()
        return Answers("python", took_s, self._accepted, self._refused, found.p50, found.p99)

    def answered(self, connection: Connection, request: Request, status: int, body: bytes) -> None:
        """Count an answer and send the next order (the connection's call)."""
        del body
        if self._is_over:
            return
        self._latencies.record(self._clock.now() - request.intended)
        self._accepted += status == HTTPStatus.ACCEPTED
        self._refused += status != HTTPStatus.ACCEPTED
        if not connection.is_closing:
            self._send(connection)

    def lost(self, connection: Connection, request: Request | None) -> None:
        """Count a request without an answer (the connection's call)."""
        del connection
        self._refused += request is not None

    def _send(self, connection: Connection) -> None:
        now = self._clock.now()
        connection.send(self._target.request(now, next(self._bodies)), now)
