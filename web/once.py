"""Wishes with an idempotency key: who asks again gets the first answer again, and nothing is done twice.

The key's owner looks for what was made of the key: in the table, and among what it has sent that is not found
there yet. What it sends has an id that follows from the key. So where it is sent a second time all the same,
because the fate of the first was unknown or its owner gave way amid it, its stage takes it for a repeat. The
first in the log counts; an owner that can't be sure that its own is the first lets the table say so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import islice

from aiohttp import web

from app.settings import current
from app.tenure import ANSWER_S
from models.idempotency import derive, find_use
from models.messages import Message
from tables import queries
from web.accepting import accept
from web.answers import accepted
from web.forwarding import Body, forward, moving
from web.keyed import First, Wish
from web.keys import HEADER
from web.problems import Problem, later

_settings = current().web

LIFETIME = timedelta(seconds=_settings.idempotency_s)

DOUBT = timedelta(minutes=10)
"""How long a wish is kept in mind that was not acknowledged: no request to Kafka is under way for so long."""

MOST = 100_000
"""How many wishes may be kept in mind."""

MOST_BYTES = 32 * 1024 * 1024
"""How many bytes of JSON those may be that are not acknowledged; as objects they are three times that."""

AT_A_TIME = 2
"""How many of them each request looks at again: more than it adds, so that they become fewer."""


class Held:
    """Count the bytes of the messages that may have to be sent again."""

    def __init__(self) -> None:
        self.bytes = 0

    def has_room(self, more: int) -> bool:
        """Tell whether so many more may be held."""
        return self.bytes + more <= MOST_BYTES


class Sent:
    """Be a wish that was sent, and is not known to be in its table.

    It keeps the message until Kafka has acknowledged it, and of the wish no more than it takes to find it.
    """

    def __init__(self, wish: Wish, first: First, held: Held) -> None:
        self.first = first
        self._id_name = wish.id_name
        self._find = wish.find
        self._message: Message | None = wish.message(first)
        self._outcome: asyncio.Future[None] | None = None
        self._held = held
        self._size = len(wish.body)
        held.bytes += self._size

    @property
    def pending(self) -> bool:
        """Tell whether Kafka is still to answer."""
        return self._outcome is not None and not self._outcome.done()

    @property
    def doubtful(self) -> bool:
        """Tell whether nobody knows if Kafka has it."""
        return self._message is not None and not self.pending

    def let_go(self) -> None:
        """Keep the message no longer: it is not sent again."""
        if self._message is not None:
            self._message = None
            self._held.bytes -= self._size

    async def send(self, accept: Callable[..., Awaitable[None]]) -> bool:
        """Return once Kafka has acknowledged it, and whether that had been asked for before.

        In doubt the very same message is sent once more; what is under way is not.

        Raises:
            Problem: 503 when Kafka has not acknowledged it in time.
        """
        again = self._message is None or self.pending
        if self._message is not None and not again:
            self._outcome = asyncio.ensure_future(self._acknowledged(accept, self._message))
        if self._outcome is not None:
            await asyncio.shield(self._outcome)  # others may wait for it too
        return again

    async def _acknowledged(self, accept: Callable[..., Awaitable[None]], message: Message) -> None:
        await accept(message, **{self._id_name: self.first.id})
        self.let_go()

    def is_over(self, now: datetime) -> bool:
        """Tell whether there is no need to keep it in mind: the table says it all, or is another worker's."""
        if self.pending:
            return False
        try:
            known = self._find(self.first.id) is not None
        except queries.NotHere:
            return True
        return known or now - self.first.at > (DOUBT if self.doubtful else LIFETIME)


class Once:
    """Answer each key once, and the same again."""

    def __init__(self, accept: Callable[..., Awaitable[None]] = accept) -> None:
        self._accept = accept
        self._sent: dict[str, Sent] = {}
        self._held = Held()

    async def answer(self, wish: Wish) -> tuple[First, bool]:
        """Return what was made of the key's first request, and whether that was another than this.

        Raises:
            Problem: 422 where that was another wish, 503 while nobody can tell what was made of it.
        """
        try:
            tenure = await wish.hold()
            now = datetime.now(UTC)
            self._forget(now)
            first = self._first(wish, now)
            if first.fingerprint != wish.fingerprint:
                raise _other(first)
            if first.id not in self._sent:
                return first, True
            again = await self._sent[first.id].send(self._accept)
            if not queries.is_sure(tenure):
                first = await _told(wish, first)
        except (queries.Moving, queries.NotHere) as error:
            raise moving(error) from error
        return first, again

    def _first(self, wish: Wish, now: datetime) -> First:
        """Return what was made of the key, which may be this very wish.

        Raises:
            Problem: nothing was, and nothing is made of it now.
        """
        use = find_use(lambda turn: self._look(wish, derive(wish.key, turn, wish.fits)), now, LIFETIME)
        if use.first is not None:
            return use.first
        if len(self._sent) >= MOST or not self._held.has_room(len(wish.body)):
            raise later("too many requests with a key wait for Kafka", _settings.retry_after_s)
        first = wish.begin(derive(wish.key, use.turn, wish.fits), now)
        self._sent[first.id] = Sent(wish, first, self._held)
        return first

    def _look(self, wish: Wish, name: str) -> First | None:
        """Return what was made under this id: what the table says goes before what was sent."""
        known = wish.find(name)
        if known is not None:
            if (sent := self._sent.pop(name, None)) is not None:
                sent.let_go()
            return known
        sent = self._sent.get(name)
        return None if sent is None else sent.first

    def _forget(self, now: datetime) -> None:
        """Look at those that were not looked at for longest; what is still needed goes behind the others."""
        for name in [*islice(self._sent, AT_A_TIME)]:
            sent = self._sent.pop(name)
            if sent.is_over(now):
                sent.let_go()
            else:
                self._sent[name] = sent


async def _told(wish: Wish, first: First) -> First:
    """Return what the table says was made of the key.

    Raises:
        Problem: 422 where it was another wish, 503 where the table does not say in time.
    """
    known = await wish.appeared(first.id)
    if known is None:
        raise later(
            "it is stored, but may not be the first with its key: not known yet",
            _settings.retry_after_s,
            **{wish.id_name: first.id},
        )
    if known.fingerprint != wish.fingerprint:
        raise _other(known)
    return known


def _other(first: First) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"this key was used for another body at {first.at:%Y-%m-%d %H:%M:%S} UTC: take a new one",
        errors=[{"loc": ["header", HEADER], "msg": "Used for another body", "type": "idempotency_key_used"}],
    )


_answer = Once().answer


async def respond(request: web.Request, wish: Wish) -> web.StreamResponse:
    """Answer 202 once Kafka has the wish, or as when its key was used first; the key's owner does.

    Raises:
        Problem: as `Once.answer` says.
    """
    try:
        owner = wish.owner()
    except queries.Moving as error:
        raise moving(error) from error
    if owner is not None:
        # It may wait twice for Kafka and for its stage: until it knows of the key, and for what it sends.
        patience_s = ANSWER_S + (_settings.accept_timeout_ms + 2 * _settings.appear_timeout_ms) / 1000
        return await forward(request, owner, patience_s, Body(wish.body, {HEADER: request.headers[HEADER]}))
    first, replayed = await _answer(wish)
    return accepted(request, first.answer, wish.location(first), replayed=replayed)
