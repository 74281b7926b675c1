"""Outside calls, hundreds at once, away from the stream: their answers come back into it.

The intent behind each call is safe before the call starts, so a call may be dropped at any time and made
again, with the same key, by whoever then owns its partition. A call whose outcome stays unknown is made
again for as long as the intent is open, in turn with those that are new. One that is refused is made again,
too. Both wait first, for twice as long each time; a refusal for much longer. While the breaker is open none
is made: intents stay queued, and one caller tries when it is time.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from app.breaker import Breaker, BreakerState
from app.delivery.exits import die
from app.logs import about
from app.turns import Turns

logger = logging.getLogger(__name__)

I = TypeVar("I")  # noqa: E741  # an intent
A = TypeVar("A")

WAITING_EACH = 4
"""How many calls may wait for each that is under way."""

MOST_DOUBLINGS = 32
"""Of a wait: more than any setting has use for."""


class CallUnclear(Exception):  # noqa: N818  # names what is known, and that is not a failure
    """Say that the outcome is unknown: the intent waits for a moment, and goes to the back of the queue."""


class CallBarred(CallUnclear):
    """Say that no call was made: the intent waits until calls may be made again."""


class CallPutOff(Exception):  # noqa: N818  # the call was made, and is made again
    """Say that it came to nothing: the intent is put off, for twice as long each time."""


class CallRefused(CallPutOff):
    """Say the same, and that a person may have to do something about it."""


class Backoff(NamedTuple):
    """Say how long an intent waits the first time, and at most; twice as long each time."""

    first_ms: int
    longest_ms: int

    def wait_s(self, times: int) -> float:
        """Return how long it waits that has waited so many times."""
        return min(self.first_ms << min(times, MOST_DOUBLINGS), self.longest_ms) / 1_000


class Pace(NamedTuple):
    """Say how many calls may be under way, how intents wait for the next one, and how many may be held."""

    max_in_flight: int
    unclear: Backoff
    put_off: Backoff
    max_open: float = math.inf


class Naming(NamedTuple, Generic[I]):
    """Say what an intent is told apart by, and what it is called in the log."""

    key: Callable[[I], str]
    text: Callable[[I], str]


class Calls(Generic[I, A]):
    """Run the calls of this worker's open intents, at most `max_in_flight` at a time, each intent once."""

    def __init__(
        self,
        ask: Callable[[I], Awaitable[A]],
        answer: Callable[[int, A], None],
        pace: Pace,
        breaker: Breaker,
        naming: Naming[I],
    ) -> None:
        self._ask = ask
        self._answer = answer
        self._pace = pace
        self._breaker = breaker
        self._naming = naming
        self._queue = Turns[tuple[int, I]]()
        self._open: set[str] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._alarm: asyncio.TimerHandle | None = None  # for when the breaker lets one try
        self._put_off: dict[str, asyncio.TimerHandle] = {}
        self._refusals: Counter[str] = Counter()
        self._doubts: Counter[str] = Counter()
        self.room = asyncio.Event()  # for more to be begun; the rest can wait in Kafka
        self._note_room()
        breaker.watch(self._go_on)

    def start(self, partition: int, intent: I) -> None:
        """Queue the call for an intent, unless it is queued or under way already."""
        key = self._naming.key(intent)
        if key in self._open:
            return
        self._open.add(key)
        self._begin(partition, intent)

    def _begin(self, partition: int, intent: I, *, again: bool = False) -> None:
        self._put(partition, intent, again=again)
        if self._idle:
            self._idle.pop().set_result(None)
        elif len(self._callers) < self._pace.max_in_flight:
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
        for held in (self._idle, self._queue, self._open, self._put_off, self._refusals, self._doubts):
            held.clear()
        self._note_room()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        """Return how many intents are queued, under way or put off."""
        return len(self._open)

    def _put(self, partition: int, intent: I, *, again: bool = False) -> None:
        self._queue.put((partition, intent), again=again)
        self._note_room()

    def _next(self) -> tuple[int, I]:
        queued = self._queue.take()
        self._note_room()
        return queued

    def _note_room(self) -> None:
        most_queued = WAITING_EACH * self._pace.max_in_flight
        if len(self._queue) < most_queued and len(self._open) < self._pace.max_open:
            self.room.set()
        else:
            self.room.clear()

    async def _call(self) -> None:
        while True:
            while not (self._queue and self._breaker.admits()):  # others may have been quicker
                await self._wait()
            partition, intent = self._next()
            try:
                answer = await self._ask(intent)
            except CallBarred:  # mostly amid its attempts, so what came of the first is not known
                self._put(partition, intent, again=True)
            except CallUnclear as error:
                text = self._naming.text(intent)
                logger.warning("%s: outcome unknown, asked again: %s", text, error, extra=about(intent))
                self._delay(partition, intent, self._pace.unclear, self._doubts)
            except CallPutOff as error:
                if self._naming.key(intent) not in self._refusals:
                    _tell(self._naming.text(intent), error, about(intent))
                self._delay(partition, intent, self._pace.put_off, self._refusals)
            else:
                self._forget(intent)
                self._answer(partition, answer)

    def _forget(self, intent: I) -> None:
        key = self._naming.key(intent)
        self._open.discard(key)
        self._refusals.pop(key, None)
        self._doubts.pop(key, None)
        self._note_room()

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

    def _delay(self, partition: int, intent: I, backoff: Backoff, waits: Counter[str]) -> None:
        """Try again later, ever later: it is neither done nor not."""
        key = self._naming.key(intent)
        wait_s = backoff.wait_s(waits[key])
        waits[key] += 1
        loop = asyncio.get_running_loop()
        self._put_off[key] = loop.call_later(wait_s, self._resume, partition, intent)

    def _resume(self, partition: int, intent: I) -> None:
        del self._put_off[self._naming.key(intent)]
        self._begin(partition, intent, again=True)


def _tell(text: str, error: CallPutOff, fields: dict[str, str]) -> None:
    if isinstance(error, CallRefused):
        said = "%s: refused by the provider, tried again from time to time: %s"
        logger.error(said, text, error, extra=fields)
    else:
        said = "%s: came to nothing, tried again ever more seldom: %s"
        logger.warning(said, text, error, extra=fields)


def _end_with(caller: asyncio.Task[None]) -> None:
    """End the process with a caller that failed: its intent would be forgotten until the next restart."""
    if not caller.cancelled() and (error := caller.exception()) is not None:
        logger.critical("a call to the provider failed in a way nobody foresaw", exc_info=error)
        die(repr(error))
