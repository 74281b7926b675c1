"""The payment provider as the payments stage sees it: charge, refund, and a time-out that is no failure."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPMethod, HTTPStatus
from types import TracebackType
from typing import Annotated, Generic, Literal, Protocol, Self, TypeVar

import aiohttp
import stamina
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from yarl import URL

from app.settings import PaymentSettings
from models.payment import Charged, Declined, Payment, Refunded

KEY_HEADER = "Idempotency-Key"
REFUND_PREFIX = "refund-"
LEAST_ATTEMPTS = 2
"""One attempt is never enough: the second asks what became of the first."""

_ANSWERED = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.PAYMENT_REQUIRED})
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_SHOWN_BYTES = 500


class PaymentUnknown(Exception):  # noqa: N818  # names what is known, and that is not a failure
    """Say that no attempt learnt the outcome: keep the intent, and call again later."""


class GatewayRefused(Exception):  # noqa: N818  # the provider's word, not a fault of the call
    """Say what the provider will never accept: a bug or a bad setting, not a decline."""


class PaymentGateway(Protocol):
    """Be what the payments stage needs of a provider; the same payment may be sent any number of times."""

    async def charge(self, payment: Payment) -> Charged | Declined:
        """Charge the payment, once.

        Raises:
            PaymentUnknown: no clear answer; call again later.
            GatewayRefused: calling again will not help.
        """

    async def refund(self, payment: Payment) -> Refunded:
        """Give the charge of the payment back in full, once.

        Raises:
            PaymentUnknown: no clear answer; call again later.
            GatewayRefused: calling again will not help, as when there is no charge to give back.
        """


class HttpGateway:
    """Call the provider over one pool of connections, opened by the first call.

    The key of a charge is the order id, the key of its refund `refund-` and the order id: a provider may
    have one space of keys for both. A call's time runs from when it has a connection, not while it waits.
    """

    def __init__(self, settings: PaymentSettings) -> None:
        self._settings = settings
        self._url = URL(settings.url)
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pool for good; calls under way, and later ones, end as `PaymentUnknown`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def charge(self, payment: Payment) -> Charged | Declined:
        """Charge the payment, as `PaymentGateway.charge` says."""
        terms: _Terms = {"amount": payment.amount, "currency": payment.currency}
        body = {**terms, "token": payment.payment_token}
        answer = await self._settle(_Request("charges", payment.order_id, terms, body, _CHARGE_ANSWER))
        if isinstance(answer, _Decline):
            return Declined(order_id=payment.order_id, reference=answer.reason, at=datetime.now(UTC))
        return Charged(order_id=payment.order_id, reference=answer.id, at=datetime.now(UTC))

    async def refund(self, payment: Payment) -> Refunded:
        """Give the charge of the payment back, as `PaymentGateway.refund` says."""
        key = f"{REFUND_PREFIX}{payment.order_id}"
        body: _Terms = {"charge": payment.order_id, "amount": payment.amount}
        terms = {**body, "currency": payment.currency}
        answer = await self._settle(_Request("refunds", key, terms, body, _REFUND_ANSWER))
        return Refunded(order_id=payment.order_id, reference=answer.id, at=datetime.now(UTC))

    async def _settle(self, request: "_Request[A]") -> "A":
        try:
            async for attempt in self._attempts():
                with attempt:
                    # Whatever went wrong before, were it a 503, is no proof that no money moved.
                    known = await self._find(request) if attempt.num > 1 else None
                    return known or await self._send(request)
        except _UNCLEAR as error:
            raise PaymentUnknown(f"{request}: no clear answer, the last was {error!r}") from error
        raise AssertionError("retries end with an answer or an error")

    def _attempts(self) -> AsyncIterator[stamina.Attempt]:
        backoff_s = self._settings.backoff_ms / 1_000
        return stamina.retry_context(
            on=_UNCLEAR,
            attempts=max(self._settings.attempts, LEAST_ATTEMPTS),
            timeout=None,  # each call has its own, and so have the waits between them
            wait_initial=backoff_s,
            wait_max=self._settings.backoff_max_ms / 1_000,
            wait_jitter=backoff_s,
        )

    async def _find(self, request: "_Request[A]") -> "A | None":
        reply = await self._call(request, HTTPMethod.GET, self._url / request.path / request.key)
        return None if reply.status == HTTPStatus.NOT_FOUND else _read(request, reply)

    async def _send(self, request: "_Request[A]") -> "A":
        reply = await self._call(request, HTTPMethod.POST, self._url / request.path, request.body)
        return _read(request, reply)

    async def _call(
        self, request: "_Request[A]", method: HTTPMethod, url: URL, body: "_Terms | None" = None
    ) -> "_Reply":
        headers = {KEY_HEADER: request.key}
        async with (
            self._slots,
            self._pool().request(method, url, json=body, headers=headers, allow_redirects=False) as reply,
        ):
            assert isinstance(reply, _Reply)
            reply.raw = await reply.read()
        _check_key(request, reply, reply.headers.get(KEY_HEADER, request.key))
        return reply

    def _pool(self) -> aiohttp.ClientSession:
        if self._closed:
            raise PaymentUnknown("the gateway is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=self._settings.max_in_flight),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_ms / 1_000),
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Reply,
            )
        return self._session


class _Unclear(Exception):  # noqa: N818  # what came is no answer, yet the money may have moved
    pass


_UNCLEAR = (aiohttp.ClientError, TimeoutError, _Unclear)


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    idempotency_key: str
    amount: int
    currency: str


class _Charge(_Answer):
    status: Literal["completed"]
    id: Annotated[str, Field(min_length=1)]


class _Decline(_Answer):
    status: Literal["declined"]
    reason: Annotated[str, Field(min_length=1)]


class _Refund(_Answer):
    status: Literal["completed"]
    id: Annotated[str, Field(min_length=1)]
    charge: str


A = TypeVar("A", bound=_Answer)

_CHARGE_ANSWER: TypeAdapter[_Charge | _Decline] = TypeAdapter(
    Annotated[_Charge | _Decline, Field(discriminator="status")]
)
_REFUND_ANSWER = TypeAdapter(_Refund)

_Terms = Mapping[str, str | int]


@dataclass(frozen=True)
class _Request(Generic[A]):
    path: str
    key: str
    terms: _Terms  # what the answer must repeat
    body: _Terms
    shape: TypeAdapter[A]

    def __str__(self) -> str:
        return f"{self.path}/{self.key}"  # without the body: it holds the token


class _Connector(aiohttp.TCPConnector):
    """Leave out wires over which an answer came that nobody waits for: aiohttp would take it for the next."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # as aiohttp has it
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class _Reply(aiohttp.ClientResponse):
    """Remember the wire: aiohttp gives it back to the pool before anyone has judged what came over it."""

    raw: bytes = b""
    _wire: asyncio.Transport | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self._wire = connection.transport
        return await super().start(connection)

    def distrust(self) -> None:
        """Cut the wire: what comes over it may be one answer behind for ever."""
        if self._wire is not None:
            self._wire.abort()


def _read(request: _Request[A], reply: _Reply) -> A:
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _LATER:
        raise _Unclear(f"status {reply.status}")
    if reply.status not in _ANSWERED:
        raise GatewayRefused(f"{request}: status {reply.status}: {_shown(reply.raw)}")
    try:
        answer = request.shape.validate_json(reply.raw)
    except ValidationError:
        reply.distrust()
        raise _Unclear(f"status {reply.status} with a body of another shape: {_shown(reply.raw)}") from None
    _check_key(request, reply, answer.idempotency_key)
    if answer.model_dump(include=set(request.terms)) != request.terms:
        raise GatewayRefused(f"{request}: the key stands for other terms: {_shown(reply.raw)}")
    return answer


def _check_key(request: _Request[A], reply: _Reply, key: str) -> None:
    if key != request.key:
        reply.distrust()
        raise _Unclear(f"an answer for {key!r}")


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN_BYTES].decode(errors="replace")
