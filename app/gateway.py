"""The payment provider as the payments stage sees it: charge, refund, and a time-out that is no failure."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPMethod, HTTPStatus
from types import TracebackType
from typing import Annotated, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

import stamina
from msgspec import Meta, Struct
from msgspec.json import Decoder, encode
from yarl import URL

from app.breaker import Breaker, BreakerOpen
from app.calls import CallBarred, CallRefused, CallUnclear
from app.http_client import CallFailed, Reply
from app.settings import PaymentSettings
from app.tracing.following import client_kind
from models.payment import Charged, Declined, Payment, PaymentStatus, Refunded

KEY_HEADER = "Idempotency-Key"
REFUND_PREFIX = "refund-"

_ANSWERED = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.PAYMENT_REQUIRED})
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_UNDER_WAY = HTTPStatus.CONFLICT
_KEY_HEADER = KEY_HEADER.lower().encode()
_SHOWN_CHARACTERS = 500
_HIDDEN = "[token]"


class PaymentUnknown(CallUnclear):
    """Say that no attempt learnt the outcome: keep the intent, and call again later."""


class ProviderAway(PaymentUnknown, CallBarred):
    """Say that no call was made, for the last ones failed: keep the intent until calls may be made again."""


class GatewayRefused(CallRefused):
    """Say what the provider does not accept: a bug or a bad setting, not a decline."""


class PaymentGateway(Protocol):
    """Be what the payments stage needs of a provider; the same payment may be sent any number of times."""

    async def charge(self, payment: Payment) -> Charged | Declined:
        """Charge the payment, once.

        Raises:
            PaymentUnknown: no clear answer; call again later.
            ProviderAway: the same, and no call was made; call again when calls may be made.
            GatewayRefused: calling again will not help, unless somebody does something about it.
        """

    async def refund(self, payment: Payment) -> Refunded:
        """Give the charge of the payment back in full, once.

        Raises:
            PaymentUnknown: no clear answer; call again later.
            ProviderAway: the same, and no call was made; call again when calls may be made.
            GatewayRefused: calling again will not help, as when there is no charge to give back.
        """


class HttpGateway:
    """Call the provider over one pool of connections, each opened when it is first needed.

    The key of a charge is the order id, the key of its refund `refund-` and the order id: a provider may
    have one space of keys for both. A call's time runs from when it is its turn, not while it waits for it.
    The breaker hears of every call, of questions by key and of repeats too; but that a key is not known says
    nothing of whether the provider charges.
    """

    def __init__(self, settings: PaymentSettings, breaker: Breaker) -> None:
        self._settings = settings
        self._breaker = breaker
        self._url = URL(settings.url)
        self._doubtful: set[str] = set()  # keys of requests that may have been sent: no clear answer yet
        self._paths = {name: (self._url / name).raw_path for name in ("charges", "refunds")}
        self._client = client_kind()(
            self._url, limit=settings.max_in_flight, timeout_s=settings.timeout_ms / 1_000
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pool for good; calls under way, and later ones, end as `PaymentUnknown`."""
        self._client.close()

    def doubt(self, payment: Payment) -> None:
        """Ask first what became of the payment's intent: an earlier owner may have sent it, long ago."""
        self._doubtful.add(
            _refund_key(payment) if payment.status is PaymentStatus.REFUNDING else _key(payment)
        )

    def forget(self) -> None:
        """Begin anew: what was in doubt is another owner's, or is taken up again."""
        self._doubtful.clear()

    async def charge(self, payment: Payment) -> Charged | Declined:
        """Charge the payment, as `PaymentGateway.charge` says."""
        body: _Body = {"amount": payment.amount, "currency": payment.currency, "token": payment.payment_token}
        answer = await self._settle(
            _Request("charges", _key(payment), payment.amount, payment.currency, body, _CHARGE_ANSWER)
        )
        if isinstance(answer, _Decline):
            return Declined(order_id=payment.order_id, reference=answer.reason, at=datetime.now(UTC))
        return Charged(order_id=payment.order_id, reference=answer.id, at=datetime.now(UTC))

    async def refund(self, payment: Payment) -> Refunded:
        """Give the charge of the payment back, as `PaymentGateway.refund` says."""
        body: _Body = {"charge": _key(payment), "amount": payment.amount}
        answer = await self._settle(
            _Request("refunds", _refund_key(payment), payment.amount, payment.currency, body, _REFUND_ANSWER)
        )
        return Refunded(order_id=payment.order_id, reference=answer.id, at=datetime.now(UTC))

    async def _settle(self, request: "_Request[A]") -> "A":
        try:
            answer = await self._begin(request)
        except _UNCLEAR as error:
            self._doubtful.add(request.key)
            answer = await self._insist(request, error)
        self._doubtful.discard(request.key)
        return answer

    async def _begin(self, request: "_Request[A]") -> "A":
        """Send the request, unless it was sent before: then ask what became of it first.

        With the breaker open there is one call at a time, so a request that is never answered when it is
        sent would else be sent again each time, and open it again.
        """
        found = await self._find(request) if request.key in self._doubtful else None
        return found or await self._send(request)

    async def _insist(self, request: "_Request[A]", first: Exception) -> "A":
        try:
            async for attempt in self._attempts():
                with attempt:
                    if attempt.num == 1:
                        raise first  # was made already: nearly every call ends with it, and needs no retries
                    # Whatever went wrong before, were it a 503, is no proof that no money moved.
                    return await self._find(request) or await self._send(request)
        except _UNCLEAR as error:
            raise PaymentUnknown(f"{request}: no clear answer, the last was {error!r}") from error
        raise AssertionError("retries end with an answer or an error")

    def _attempts(self) -> AsyncIterator[stamina.Attempt]:
        backoff_s = self._settings.backoff_ms / 1_000
        return stamina.retry_context(
            on=_UNCLEAR,
            attempts=self._settings.attempts,
            timeout=None,  # each call has its own, and so have the waits between them
            wait_initial=backoff_s,
            wait_max=self._settings.backoff_max_ms / 1_000,
            wait_jitter=backoff_s,
        )

    def _find(self, request: "_Request[A]") -> "Awaitable[A | None]":
        path = (self._url / request.path / request.key).raw_path
        return self._call(request, HTTPMethod.GET, path, None, _read_found)

    def _send(self, request: "_Request[A]") -> "Awaitable[A]":
        return self._call(request, HTTPMethod.POST, self._paths[request.path], encode(request.body), _read)

    async def _call(
        self,
        request: "_Request[A]",
        method: HTTPMethod,
        path: str,
        json: bytes | None,
        read: "Callable[[_Request[A], Reply], T]",
    ) -> "T":
        """Make one call, if calls may be made, and tell the breaker whether the provider is there."""
        if self._client.closed:
            raise PaymentUnknown("the gateway is closed")
        try:
            call = self._breaker.begin()
        except BreakerOpen:
            raise ProviderAway(f"{request}: not called, for the provider does not answer") from None
        try:
            answer = read(request, await self._client.call(method, path, {KEY_HEADER: request.key}, json))
        except (GatewayRefused, _UnderWay):  # it is there, and says so
            self._breaker.succeed(call)
            raise
        except _UNCLEAR:
            self._breaker.fail(call)
            raise
        except BaseException:
            self._breaker.abandon(call)
            raise
        if answer is None:
            self._breaker.abandon(call)
        else:
            self._breaker.succeed(call)
        return answer


def _key(payment: Payment) -> str:
    return payment.order_id


def _refund_key(payment: Payment) -> str:
    return f"{REFUND_PREFIX}{payment.order_id}"


class _Unclear(Exception):  # noqa: N818  # what came is no answer, yet the money may have moved
    pass


class _UnderWay(_Unclear):  # the provider works on this very key, or it stands for something else: ask
    pass


_UNCLEAR = (CallFailed, TimeoutError, _Unclear)


_Named = Annotated[str, Meta(min_length=1)]


class _Answer(Struct, frozen=True):
    idempotency_key: str
    amount: int
    currency: str


class _Charge(_Answer, frozen=True, tag_field="status", tag="completed"):
    id: _Named


class _Decline(_Answer, frozen=True, tag_field="status", tag="declined"):
    reason: _Named


class _Refund(_Answer, frozen=True):
    status: Literal["completed"]  # no tag: where there is one shape, an answer without it would do
    id: _Named
    charge: str


A = TypeVar("A", bound=_Answer)
T = TypeVar("T")

_CHARGE_ANSWER = Decoder(_Charge | _Decline)
_REFUND_ANSWER = Decoder(_Refund)


_Body = Mapping[str, str | int]


class _Request(NamedTuple, Generic[A]):
    path: str
    key: str
    amount: int
    currency: str
    body: _Body
    shape: Decoder[A]

    def __str__(self) -> str:
        return f"{self.path}/{self.key}"  # without the body: it holds the token


def _read(request: _Request[A], reply: Reply) -> A:
    _check_header(request, reply)
    if reply.status not in _ANSWERED:
        raise _no_answer(request, reply)
    try:
        answer = request.shape.decode(reply.body)
    except (ValueError, RecursionError):
        reply.distrust()
        raise _Unclear(
            f"status {reply.status} with a body of another shape: {_shown(request, reply.body)}"
        ) from None
    _check_key(request, reply, answer.idempotency_key)
    if answer.amount != request.amount or answer.currency != request.currency:
        raise GatewayRefused(f"{request}: the key stands for other terms: {_shown(request, reply.body)}")
    return answer


def _read_found(request: _Request[A], reply: Reply) -> A | None:
    if reply.status == HTTPStatus.NOT_FOUND:
        _check_header(request, reply)
        return None
    return _read(request, reply)


def _no_answer(request: _Request[A], reply: Reply) -> Exception:
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _LATER:
        return _Unclear(f"status {reply.status}")
    if reply.status == _UNDER_WAY:
        return _UnderWay(f"status {reply.status}: {_shown(request, reply.body)}")
    return GatewayRefused(f"{request}: status {reply.status}: {_shown(request, reply.body)}")


def _check_header(request: _Request[A], reply: Reply) -> None:
    if _KEY_HEADER in reply.headers:
        _check_key(request, reply, reply.headers[_KEY_HEADER].decode(errors="replace"))


def _check_key(request: _Request[A], reply: Reply, key: str) -> None:
    if key != request.key:
        reply.distrust()
        raise _Unclear(f"an answer for {key!r}")


def _shown(request: _Request[A], raw: bytes) -> str:
    """Return the beginning of what the provider said, but for the token, which it may have said again."""
    said = raw.decode(errors="replace")
    if token := request.body.get("token"):
        said = said.replace(str(token), _HIDDEN)
    return said[:_SHOWN_CHARACTERS]
