"""A bounded number of connections to one target, and the queue of the requests that wait for one."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.errors import LoadRefused
from app.load.figures import Tally
from app.load.pace import Clock
from app.load.wire import Connection, Request, Target

CONNECT_S = 5.0
MEND_EVERY_S = 0.1
LOOK_EVERY_S = 0.05

Accepted = Callable[[float, bytes], None]
"""Takes the intended time and the body of a 202."""


@dataclass(frozen=True)
class Limits:
    """Be how many connections one target gets, how many requests wait for one, and all wait how long."""

    connections: int = 128
    waiting: int = 10_000
    timeout_s: float = 10.0

    def shared_by(self, targets: int) -> "Limits":
        """Return what each of several targets gets."""
        return Limits(-(-self.connections // targets), -(-self.waiting // targets), self.timeout_s)


class Pool:
    """Send to one target, and count what becomes of it."""

    def __init__(
        self, target: Target, limits: Limits, clock: Clock, tally: Tally, accepted: Accepted
    ) -> None:
        self._target = target
        self._limits = limits
        self._clock = clock
        self._tally = tally
        self._accepted = accepted
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[Request] = deque()

    async def open(self) -> None:
        """Open every connection.

        Raises:
            LoadRefused: nobody listens.
        """
        try:
            for _ in range(self._limits.connections):
                await self._connect()
        except OSError as error:
            raise LoadRefused(
                f"nobody answers at {self._target.url}: start a worker with `python -m app worker`,"
                " or name another address with --url"
            ) from error

    async def tend(self) -> None:
        """Give up what has waited too long, and replace connections that ended; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._expire())
            tasks.create_task(self._mend())

    def offer(self, intended: float, body: bytes) -> None:
        """Send an order now, or as soon as a connection is free."""
        request = self._target.request(intended, body)
        if self._idle:
            self._idle.pop().send(request, self._clock.now())
        elif len(self._waiting) < self._limits.waiting:
            self._waiting.append(request)
        else:
            self._tally.not_sent += 1

    def close(self) -> None:
        """End every connection: what waits is not sent, and what is on its way stays unknown."""
        self._tally.not_sent += len(self._waiting)
        self._waiting.clear()
        for connection in self._connections:
            self._tally.unknown += connection.is_busy
            connection.abandon()

    def answered(self, connection: Connection, request: Request, status: int, body: bytes) -> None:
        """Count an answer, and use the connection for the next request."""
        self._tally.answered(status, request.intended, self._clock.now())
        if not connection.is_closing:
            self._use(connection)
        if status == 202:  # noqa: PLR2004  # HTTPStatus costs more than the comparison
            self._accepted(request.intended, body)

    def lost(self, connection: Connection, request: Request | None) -> None:
        """Count a request without an answer, and forget the connection."""
        self._connections.discard(connection)
        if request is not None:
            self._tally.unknown += 1
        with suppress(ValueError):
            self._idle.remove(connection)

    def _use(self, connection: Connection) -> None:
        if self._waiting:
            connection.send(self._waiting.popleft(), self._clock.now())
        else:
            self._idle.append(connection)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S):
            _, connection = await loop.create_connection(
                lambda: Connection(self), self._target.host, self._target.port
            )
        if not connection.is_closing:
            self._connections.add(connection)
            self._use(connection)

    async def _mend(self) -> None:
        while True:
            await asyncio.sleep(MEND_EVERY_S)
            with suppress(OSError):  # a TimeoutError among them
                for _ in range(self._limits.connections - len(self._connections)):
                    await self._connect()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            oldest = self._clock.now() - self._limits.timeout_s
            for connection in [one for one in self._connections if one.is_busy and one.sent_at < oldest]:
                connection.abort()
            while self._waiting and self._waiting[0].intended < oldest:
                self._waiting.popleft()
                self._tally.not_sent += 1
