"""Outside calls, hundreds at once, away from the stream: their answers come back into it.

The intent behind each call is safe before the call starts, so a call may be dropped at any time and made
again, with the same key, by whoever then owns its partition. A call whose outcome stays unknown goes to
the back of the queue and is made again for as long as the intent is open.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.delivery.exits import die
from app.gateway import GatewayRefused, PaymentUnknown
from app.settings import PaymentSettings
from models.payment import Answer, Payment

logger = logging.getLogger(__name__)


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
        self._queue: asyncio.Queue[tuple[int, Payment]] = asyncio.Queue()
        self._open: set[tuple[str, str]] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._idle = 0

    def start(self, partition: int, payment: Payment) -> None:
        """Queue the call for an intent, unless it is queued or under way already."""
        intent = (payment.order_id, payment.status)
        if intent in self._open:
            return
        self._open.add(intent)
        self._queue.put_nowait((partition, payment))
        if self._idle < self._queue.qsize() and len(self._callers) < self._settings.max_in_flight:
            caller = asyncio.ensure_future(self._call())
            caller.add_done_callback(_end_with)
            self._callers.add(caller)

    async def cancel(self) -> None:
        """Drop every call, queued or under way."""
        callers, self._callers = self._callers, set()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        self._open.clear()
        self._idle = 0
        while not self._queue.empty():
            self._queue.get_nowait()

    @property
    def in_flight(self) -> int:
        """Return how many intents are queued or under way."""
        return len(self._open)

    async def _call(self) -> None:
        while True:
            partition, payment = await self._next()
            try:
                answer = await self._ask(payment)
            except PaymentUnknown as error:
                logger.warning(
                    "payment of order %s: outcome unknown, asked again: %s", payment.order_id, error
                )
                self._queue.put_nowait((partition, payment))
            except GatewayRefused:
                # Neither paid nor declined: only a person can say what to do, so the intent stays open.
                logger.exception("payment of order %s: refused by the provider", payment.order_id)
            else:
                self._open.discard((payment.order_id, payment.status))
                self._answer(partition, answer)

    async def _next(self) -> tuple[int, Payment]:
        self._idle += 1
        try:
            return await self._queue.get()
        finally:
            self._idle -= 1


def _end_with(caller: asyncio.Task[None]) -> None:
    """End the process with a caller that failed: its intent would be forgotten until the next restart."""
    if not caller.cancelled() and (error := caller.exception()) is not None:
        logger.critical("a call to the provider failed in a way nobody foresaw", exc_info=error)
        die(repr(error))
