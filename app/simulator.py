"""The simulated payment provider: a real HTTP server that fails to order, and its true ledger.

Beside it are the simulated warehouse and whoever tells customers, of `app.receiver`.
"""

import asyncio
import os
import signal
import socket
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import orjson
import typer
import uuid_utils
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Meta, Struct, to_builtins
from msgspec.json import Decoder, encode
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app import runtime
from app.errors import SimulatorRefused
from app.receiver import Receiver
from app.written import Written, json_bytes

HOST = "127.0.0.1"
PORT = 6080
KEY_HEADER = "Idempotency-Key"
RECEIVED = ("transfers", "notifications")
"""What is told outside, and taken here."""

SLOW_S = 1.0
FLAKY_FAILURES = 2
REFUND_FAILURES = 7
"""More than a worker makes attempts in a row, as the settings have it: it has to come back to it."""

SECOND_ANSWER_S = 0.02
"""After the client took the first answer and gave the connection back to its pool, before it forgot it."""

_BACKLOG = 1_024  # a full backlog makes hundreds of clients that connect at once wait for whole seconds
_STOP_S = 2.0  # more than SLOW_S: a stop lets slow charges end
_LOOK_S = 0.05
_LINE_START = b'{"kind":"'

_KEY_FORM = r"^[A-Za-z0-9._:-]{1,255}$"
Key = Annotated[str, Field(pattern=_KEY_FORM)]
_StoredKey = Annotated[str, Meta(pattern=_KEY_FORM)]
Amount = Annotated[int, Field(ge=0)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Kind = Literal["charge", "refund"]
_KEY = TypeAdapter(Key)


class Token(StrEnum):
    """Name what a token orders; any other is declined as `unknown_token`."""

    OK = "tok_ok"
    DECLINED = "tok_declined"
    SLOW = "tok_slow"  # completes after a second, even if the client has gone
    TIMEOUT = "tok_timeout"  # charges, but never answers a POST
    FLAKY = "tok_flaky"  # 503 twice, then completes
    DUPLICATE = "tok_duplicate"  # answers twice
    REFUND_FLAKY = "tok_refund_flaky"  # completes; its refund is 503 seven times, then completes


_TOKENS = frozenset(Token)


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class ChargeRequest(_Body):
    """Ask for `amount` minor units."""

    amount: Amount
    currency: Currency
    token: Annotated[str, Field(min_length=1, max_length=1_024)]


class RefundRequest(_Body):
    """Ask to give `amount` minor units of a charge back; `charge` is the idempotency key of the charge."""

    charge: Key
    amount: Amount


class RefundFaults(_Body):
    """Say whether refunds fail, all of them, from now on."""

    failing: bool


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Be one line of the ledger: what was asked under a key and what came of it; `amount` in minor units.

    `charge` is the key of the charge that a refund gives back; only what is completed moved money.
    """

    kind: Kind
    id: str
    idempotency_key: _StoredKey
    charge: _StoredKey | None = None
    amount: Annotated[int, Meta(ge=0)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    token: str
    outcome: Literal["completed", "declined"] = "completed"
    reason: str | None = None
    at: Annotated[datetime, Meta(tz=True)]


_STORED = Decoder(Entry)


class Refused(Exception):  # noqa: N818  # becomes an answer
    """Say what the provider does not do, and the HTTP status of the answer that says so."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Ledger:
    """Keep every charge and refund in order; where a file is given, on its disk before anyone hears of it.

    Raises:
        SimulatorRefused: the file can't be used, or holds something that is no ledger.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._by_key: dict[tuple[Kind, str], Entry] = {}
        self._refunded: Counter[str] = Counter()
        self._file: BinaryIO | None = None
        if path is not None:
            self._file, entries = _carry_on(path)
            for entry in entries:
                self._remember(entry)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all there is, oldest first."""
        return tuple(self._entries)

    def close(self) -> None:
        """Close the file; nothing can be recorded after."""
        if self._file is not None:
            self._file.close()

    def find(self, kind: Kind, key: str) -> Entry | None:
        """Return what came of the key, None if nothing did yet."""
        return self._by_key.get((kind, key))

    def charge(self, key: str, wanted: ChargeRequest) -> Entry:
        """Record the charge, or return what came of it the first time.

        Raises:
            Refused: the key was used for another charge.
        """
        known = self.find("charge", key)
        if known is not None:
            same = (known.amount, known.currency, known.token) == (
                wanted.amount,
                wanted.currency,
                wanted.token,
            )
            return _same_or_refuse(known, same=same)
        reason = _reason_to_decline(wanted.token)
        return self._append(
            Entry(
                kind="charge",
                id=f"ch_{uuid_utils.uuid4().hex}",
                idempotency_key=key,
                amount=wanted.amount,
                currency=wanted.currency,
                token=wanted.token,
                outcome="completed" if reason is None else "declined",
                reason=reason,
                at=datetime.now(UTC),
            )
        )

    def refund(self, key: str, wanted: RefundRequest) -> Entry:
        """Record the refund, or return what came of it the first time.

        Raises:
            Refused: the key was used for another refund, or the charge has not that much left to give back.
        """
        known = self.find("refund", key)
        if known is not None:
            same = (known.charge, known.amount) == (wanted.charge, wanted.amount)
            return _same_or_refuse(known, same=same)
        charge = self._refundable(wanted)
        return self._append(
            Entry(
                kind="refund",
                id=f"re_{uuid_utils.uuid4().hex}",
                idempotency_key=key,
                charge=wanted.charge,
                amount=wanted.amount,
                currency=charge.currency,
                token=charge.token,
                at=datetime.now(UTC),
            )
        )

    def _refundable(self, wanted: RefundRequest) -> Entry:
        charge = self.find("charge", wanted.charge)
        if charge is None or charge.outcome != "completed":
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"no completed charge has the key {wanted.charge}")
        left = charge.amount - self._refunded[wanted.charge]
        if wanted.amount > left:
            raise Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"{left} of {charge.amount} are left to give back, not {wanted.amount}",
            )
        return charge

    def _append(self, entry: Entry) -> Entry:
        if self._file is not None:
            self._file.write(encode(entry) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self._remember(entry)
        return entry

    def _remember(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._by_key[entry.kind, entry.idempotency_key] = entry
        if entry.charge is not None:
            self._refunded[entry.charge] += entry.amount


def _reason_to_decline(token: str) -> str | None:
    if token not in _TOKENS:
        return "unknown_token"
    return "card_declined" if token == Token.DECLINED else None


def _same_or_refuse(known: Entry, *, same: bool) -> Entry:
    if not same:
        raise Refused(HTTPStatus.CONFLICT, f"{known.idempotency_key} is the key of another {known.kind}")
    return known


def _carry_on(path: Path) -> tuple[BinaryIO, list[Entry]]:
    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if lines and _is_torn(lines[-1]):
            del lines[-1]  # a crash cut it off before anyone heard of it
        entries = [_STORED.decode(line) for line in lines]
        file = path.open("ab")
        file.truncate(sum(map(len, lines)))
    except OSError as error:
        raise SimulatorRefused(
            f"{path} can't be kept as the ledger ({error.strerror}); name another file"
        ) from None
    except (ValueError, RecursionError):
        raise SimulatorRefused(f"{path} holds something that is no ledger; name another file") from None
    return file, entries


def _is_torn(line: bytes) -> bool:
    # Anything else without a line's end is a file that is not ours to cut.
    return not line.endswith(b"\n") and (line.startswith(_LINE_START) or _LINE_START.startswith(line))


@dataclass
class Load:
    """Count requests: under way now, under way at most, and in total."""

    now: int = 0
    most: int = 0
    total: int = 0

    def begin(self) -> None:
        """Count a request that is under way from now on."""
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)

    def end(self) -> None:
        """Count a request that is no longer under way."""
        self.now -= 1


LOAD = web.AppKey("LOAD", Load)


def create_app(ledger: Ledger) -> web.Application:
    """Return the provider's HTTP over the ledger; `app[LOAD]` tells how many requests it had at once."""
    provider = _Provider(ledger)
    app = web.Application(middlewares=[_explain])
    app[LOAD] = Load()
    app.on_shutdown.append(provider.stop)
    app.add_routes(
        [
            web.post("/charges", provider.charge),
            web.post("/refunds", provider.refund),
            web.get("/charges", provider.list_entries),
            web.get("/charges/{key}", provider.find_charge),
            web.get("/refunds/{key}", provider.find_refund),
            web.put("/faults/refunds", provider.switch_refunds),
            *(route for kind in RECEIVED for route in Receiver(kind).routes()),
        ]
    )
    return app


def run(port: int | None = None, ledger: Path | None = None, bind: str = HOST) -> None:
    """Serve in the foreground until Ctrl-C or SIGTERM, on port 6080 of the loopback if none is given.

    Raises:
        SimulatorRefused: the port is taken, or the ledger can't be used.
    """
    uvloop.run(_serve(bind, PORT if port is None else port, ledger))


async def _serve(bind: str, port: int, path: Path | None) -> None:
    told_to_stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, told_to_stop.set)
    # The port comes first: whoever does not get it leaves the ledger of whoever has it alone.
    with _listen(bind, port) as listener, closing(Ledger(path)) as ledger:
        runtime.settle()  # the ledger only grows: the collector would look through all of it, again and again
        runner = web.AppRunner(create_app(ledger), access_log=None, shutdown_timeout=_STOP_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener, backlog=_BACKLOG).start()
            url = f"http://{bind}:{listener.getsockname()[1]}"
            typer.echo(f"payment simulator on {url}, tokens {', '.join(Token)}; Ctrl-C stops it")
            await told_to_stop.wait()
        finally:
            await runner.cleanup()


def _listen(bind: str, port: int) -> socket.socket:
    try:
        return socket.create_server((bind, port), backlog=_BACKLOG)
    except OSError as error:
        cause = os.strerror(error.errno or 0)  # without what `create_server` adds to it
        raise SimulatorRefused(f"port {port} of {bind}: {cause}; pick another with --port N") from None


class _Provider:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._failed: Counter[str] = Counter()
        self._refunds_fail = False
        self._stopping = asyncio.Event()

    async def stop(self, _: web.Application) -> None:
        self._stopping.set()

    async def charge(self, request: web.Request) -> web.StreamResponse:
        key = _key(request)
        wanted = ChargeRequest.model_validate_json(await _body(request))
        work = self._carry_out(key, wanted)
        # What takes its time is done even if the client gives up meanwhile.
        entry = await (asyncio.shield(work) if wanted.token == Token.SLOW else work)
        status = HTTPStatus.CREATED if entry.reason is None else HTTPStatus.PAYMENT_REQUIRED
        response = _answer(request, entry, status)
        await self._trouble_after(request, response, wanted.token)
        return response

    async def refund(self, request: web.Request) -> web.StreamResponse:
        key = _key(request)
        wanted = RefundRequest.model_validate_json(await _body(request))
        if self._ledger.find("refund", key) is None:
            self._trouble_before_refund(key, wanted)
        return _answer(request, self._ledger.refund(key, wanted), HTTPStatus.CREATED)

    async def switch_refunds(self, request: web.Request) -> web.StreamResponse:
        faults = RefundFaults.model_validate_json(await _body(request))
        self._refunds_fail = faults.failing
        return web.json_response(faults.model_dump())

    async def list_entries(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"entries": to_builtins(self._ledger.entries)})

    async def find_charge(self, request: web.Request) -> web.StreamResponse:
        return self._find("charge", request)

    async def find_refund(self, request: web.Request) -> web.StreamResponse:
        return self._find("refund", request)

    def _find(self, kind: Kind, request: web.Request) -> web.StreamResponse:
        entry = self._ledger.find(kind, request.match_info["key"])
        if entry is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"no {kind} has the key {request.match_info['key']}")
        return _answer(request, entry, HTTPStatus.OK)

    async def _carry_out(self, key: str, wanted: ChargeRequest) -> Entry:
        if self._ledger.find("charge", key) is None:
            await self._trouble_before(key, wanted.token)
        return self._ledger.charge(key, wanted)

    async def _trouble_before(self, key: str, token: str) -> None:
        if token == Token.SLOW:
            await asyncio.sleep(SLOW_S)
        if token == Token.FLAKY:
            self._fail(key, FLAKY_FAILURES, token)

    def _trouble_before_refund(self, key: str, wanted: RefundRequest) -> None:
        if self._refunds_fail:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "ordered for all refunds; try again")
        charge = self._ledger.find("charge", wanted.charge)
        if charge is not None and charge.token == Token.REFUND_FLAKY:
            self._fail(key, REFUND_FAILURES, charge.token)

    def _fail(self, key: str, times: int, token: str) -> None:
        """Fail so many times for this key, then no more."""
        if self._failed[key] < times:
            self._failed[key] += 1
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"ordered by {token}; try again")
        del self._failed[key]

    async def _trouble_after(self, request: web.Request, response: web.StreamResponse, token: str) -> None:
        if token == Token.TIMEOUT:
            # aiohttp tells a handler of its client's end in no other way than by the missing transport.
            while request.transport is not None and not self._stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _LOOK_S)
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "ordered by tok_timeout")
        if token == Token.DUPLICATE and isinstance(response, Written):
            asyncio.get_running_loop().call_later(SECOND_ANSWER_S, _write, request.transport, response.raw)


def _write(wire: asyncio.Transport | None, raw: bytes) -> None:
    if wire is not None and not wire.is_closing():
        wire.write(raw)


def _answer(request: web.Request, entry: Entry, status: HTTPStatus) -> web.StreamResponse:
    shown = {
        "id": entry.id,
        "idempotency_key": entry.idempotency_key,
        "charge": entry.charge,
        "amount": entry.amount,
        "currency": entry.currency,
        "reason": entry.reason,
        "at": entry.at,
        "status": entry.outcome,
    }
    body = orjson.dumps(shown, option=orjson.OPT_UTC_Z)
    return json_bytes(request, body, status, {KEY_HEADER: entry.idempotency_key})


async def _body(request: web.Request) -> bytes:
    if request.content.is_eof():  # it came with the head, as small ones do
        return request.content.read_nowait()
    return await request.read()


def _key(request: web.Request) -> str:
    if KEY_HEADER not in request.headers:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the header {KEY_HEADER} is missing")
    return _KEY.validate_python(request.headers[KEY_HEADER])


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    load = request.app[LOAD]
    load.begin()
    try:
        response = await handler(request)
    except Refused as refused:
        response = _problem(refused.status, refused.detail)
    except ValidationError as error:
        response = _problem_of_body(error)
    except web.HTTPException as error:  # no such path, no such method, too large
        response = _problem(HTTPStatus(error.status), error.reason)
    finally:
        load.end()
    if isinstance(response, Written):  # with the key in it
        return response
    if KEY_HEADER in request.headers:
        response.headers[KEY_HEADER] = request.headers[KEY_HEADER]
    return response


def _problem_of_body(error: ValidationError) -> web.Response:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return _problem(HTTPStatus.BAD_REQUEST, faults[0]["msg"])
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the request is not as it must be", errors=faults)


def _problem(status: HTTPStatus, detail: str, **more: Any) -> web.Response:
    problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, **more}
    return web.json_response(problem, status=status, content_type="application/problem+json")
