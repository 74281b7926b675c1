"""Outside calls, hundreds at once, away from the stream: their answers come back into it.

The intent behind each call is safe before the call starts, so a call may be dropped at any time and made
again, with the same key, by whoever then owns its partition. A call whose outcome stays unknown goes to
the back of the queue and is made again for as long as the intent is open.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from app.delivery.exits import die
from app.gateway import GatewayRefused, PaymentUnknown
from app.settings import PaymentSettings
from models.payment import Answer, Payment

logger = logging.getLogger(__name__)


WAITING_EACH = 4
"""How many calls may wait for each that is under way."""


class Calls:
    """Run the calls of this worker's open intents, at most `max_in_flight` at a time, each intent once."""

    def __init__(
        self,
        ask: Callable[[Payment], Awaitable[Answer]],
        answer: Callable[[int, Answer], None],
        settings: PaymentSettings,
    ) -> None:
        self._ask = ask
        self._answer = answer
        self._settings = settings
        self._queue: deque[tuple[int, Payment]] = deque()
        self._open: set[str] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self.room = asyncio.Event()  # for more to be begun; the rest can wait in Kafka
        self._note_room()

    def start(self, partition: int, payment: Payment) -> None:
        """Queue the call for an intent, unless it is queued or under way already."""
        intent = _name(payment)
        if intent in self._open:
            return
        self._open.add(intent)
        self._put(partition, payment)
        if self._idle:
            self._idle.pop().set_result(None)
        elif len(self._callers) < self._settings.max_in_flight:
            caller = asyncio.ensure_future(self._call())
            caller.add_done_callback(_end_with)
            self._callers.add(caller)

    async def cancel(self) -> None:
        """Drop every call, queued or under way."""
        callers, self._callers = self._callers, set()
        self._idle.clear()
        self._queue.clear()
        self._open.clear()
        self._note_room()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        """Return how many intents are queued or under way."""
        return len(self._open)

    def _put(self, partition: int, payment: Payment) -> None:
        self._queue.append((partition, payment))
        self._note_room()

    def _next(self) -> tuple[int, Payment]:
        queued = self._queue.popleft()
        self._note_room()
        return queued

    def _note_room(self) -> None:
        if len(self._queue) < WAITING_EACH * self._settings.max_in_flight:
            self.room.set()
        else:
            self.room.clear()

    async def _call(self) -> None:
        while True:
            while not self._queue:  # others may have been quicker
                await self._wait()
            partition, payment = self._next()
            try:
                answer = await self._ask(payment)
            except PaymentUnknown as error:
                logger.warning(
                    "payment of order %s: outcome unknown, asked again: %s", payment.order_id, error
                )
                self._put(partition, payment)
            except GatewayRefused:
                # Neither paid nor declined: only a person can say what to do, so the intent stays open.
                logger.exception("payment of order %s: refused by the provider", payment.order_id)
            else:
                self._open.discard(_name(payment))
                self._answer(partition, answer)

    def _wait(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        return waiter


def _end_with(caller: asyncio.Task[None]) -> None:
    """End the process with a caller that failed: its intent would be forgotten until the next restart."""
    if not caller.cancelled() and (error := caller.exception()) is not None:
        logger.critical("a call to the provider failed in a way nobody foresaw", exc_info=error)
        die(repr(error))


def _name(payment: Payment) -> str:
    return f"{payment.status} {payment.order_id}"  # of which the hash is quicker than a pair with an enum's
