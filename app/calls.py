"""Outside calls, hundreds at once, away from the stream: their answers come back into it.

The intent behind each call is safe before the call starts, so a call may be dropped at any time and made
again, with the same key, by whoever then owns its partition. A call whose outcome stays unknown goes to
the back of the queue and is made again for as long as the intent is open. One that is refused is made
again, too, after a while that doubles each time. While the breaker is open none is made: intents stay queued,
and one caller tries when it is time.
"""

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from app.breaker import Breaker, BreakerState
from app.delivery.exits import die
from app.gateway import GatewayRefused, PaymentUnknown, ProviderAway
from app.settings import PaymentSettings
from models.payment import Answer, Payment

logger = logging.getLogger(__name__)


WAITING_EACH = 4
"""How many calls may wait for each that is under way."""

MOST_DOUBLINGS = 32
"""Of the wait after a refusal: more than any setting has use for."""


class Calls:
    """Run the calls of this worker's open intents, at most `max_in_flight` at a time, each intent once."""

    def __init__(
        self,
        ask: Callable[[Payment], Awaitable[Answer]],
        answer: Callable[[int, Answer], None],
        settings: PaymentSettings,
        breaker: Breaker,
    ) -> None:
        self._ask = ask
        self._answer = answer
        self._settings = settings
        self._breaker = breaker
        self._queue: deque[tuple[int, Payment]] = deque()
        self._open: set[str] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._alarm: asyncio.TimerHandle | None = None  # for when the breaker lets one try
        self._put_off: dict[str, asyncio.TimerHandle] = {}
        self._refusals: Counter[str] = Counter()
        self.room = asyncio.Event()  # for more to be begun; the rest can wait in Kafka
        self._note_room()
        breaker.watch(self._go_on)

    def start(self, partition: int, payment: Payment) -> None:
        """Queue the call for an intent, unless it is queued or under way already."""
        intent = _name(payment)
        if intent in self._open:
            return
        self._open.add(intent)
        self._begin(partition, payment)

    def _begin(self, partition: int, payment: Payment) -> None:
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
        for handle in (self._alarm, *self._put_off.values()):
            if handle is not None:
                handle.cancel()
        self._alarm = None
        for held in (self._idle, self._queue, self._open, self._put_off, self._refusals):
            held.clear()
        self._note_room()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        """Return how many intents are queued, under way or put off."""
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
            while not (self._queue and self._breaker.admits()):  # others may have been quicker
                await self._wait()
            partition, payment = self._next()
            try:
                answer = await self._ask(payment)
            except ProviderAway:  # to the back: else the same one would try each time
                self._put(partition, payment)
            except PaymentUnknown as error:
                logger.warning(
                    "payment of order %s: outcome unknown, asked again: %s", payment.order_id, error
                )
                self._put(partition, payment)
            except GatewayRefused as error:
                self._delay(partition, payment, error)
            else:
                self._open.discard(_name(payment))
                self._refusals.pop(_name(payment), None)
                self._answer(partition, answer)

    def _wait(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._idle.append(waiter)
        wait_s = self._breaker.wait_s()
        # For ever means that one tries, who goes on by itself. None at all means that it is time just now.
        if self._alarm is None and self._queue and wait_s < math.inf:
            self._alarm = loop.call_later(wait_s, self._let_one_try)
        return waiter

    def _let_one_try(self) -> None:
        self._alarm = None
        if self._idle:
            self._idle.pop().set_result(None)

    def _go_on(self, state: BreakerState) -> None:
        """Wake as many as there is work for, once calls may be made again."""
        if state is BreakerState.CLOSED:
            for _ in range(min(len(self._idle), len(self._queue))):
                self._idle.pop().set_result(None)

    def _delay(self, partition: int, payment: Payment, error: GatewayRefused) -> None:
        """Try again much later: it is neither paid nor declined, and a person may have to do something."""
        intent = _name(payment)
        times = self._refusals[intent]
        self._refusals[intent] += 1
        if not times:
            logger.error(
                "payment of order %s: refused by the provider, tried again from time to time: %s",
                payment.order_id,
                error,
            )
        longest_ms = self._settings.refused_backoff_max_ms
        wait_ms = min(self._settings.refused_backoff_ms << min(times, MOST_DOUBLINGS), longest_ms)
        loop = asyncio.get_running_loop()
        self._put_off[intent] = loop.call_later(wait_ms / 1_000, self._resume, partition, payment)

    def _resume(self, partition: int, payment: Payment) -> None:
        del self._put_off[_name(payment)]
        self._begin(partition, payment)


def _end_with(caller: asyncio.Task[None]) -> None:
    """End the process with a caller that failed: its intent would be forgotten until the next restart."""
    if not caller.cancelled() and (error := caller.exception()) is not None:
        logger.critical("a call to the provider failed in a way nobody foresaw", exc_info=error)
        die(repr(error))


def _name(payment: Payment) -> str:
    return f"{payment.status} {payment.order_id}"  # of which the hash is quicker than a pair with an enum's
