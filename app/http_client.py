"""A small HTTP/1.1 client: many short calls to one server, over connections that are kept.

One call a connection at a time, and no call is ever repeated: whoever calls knows what a repeat may do. A
connection is used again only after a whole answer, and is cut as soon as a byte comes over it that nobody
has asked for: it would be taken for the next call's answer.
"""

import asyncio
import ssl
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, cast

import httptools
from yarl import URL

KEPT_S = 15.0
"""How long an idle connection is worth keeping; servers keep theirs for longer."""

MOST_BYTES = 1_048_576
"""How long an answer may be."""

_FIRST_FINAL = 200
"""The statuses below announce that the answer is still to come."""


class CallFailed(Exception):  # noqa: N818  # no verdict on the call: the server may have done what it says
    """Say that no whole answer came."""


class Reply(NamedTuple):
    """Be a whole answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    wire: "Wire"

    def distrust(self) -> None:
        """Cut the connection that it came over: what comes next may be one answer behind for ever."""
        self.wire.cut("the answer before was not to be trusted")


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Return the addresses that a host may be reached at, or raise an `OSError`."""


async def as_named(host: str, _port: int) -> Sequence[str]:
    """Leave it to the loop to look the host up."""
    return (host,)


class HttpClient:
    """Call one server, at most `limit` calls at once, each for at most `timeout_s` once it is its turn.

    Connections go to the addresses that `resolve` gives, and to no others.
    """

    def __init__(self, url: URL, *, limit: int, timeout_s: float, resolve: Resolve = as_named) -> None:
        self.closed = False
        self._host, self._port = url.host or "", url.port or 0
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._turns = asyncio.Semaphore(limit)
        self._wires: set[Wire] = set()
        self._idle: OrderedDict[Wire, float] = OrderedDict()  # and since when, the longest first
        self._due: dict[Wire, float] = {}  # calls over kept connections, and until when, the earliest first
        self._alarm: asyncio.TimerHandle | None = None
        self._always = _headers_of_every_call(url)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], json: bytes | None = None
    ) -> Reply:
        """Send one request, with its path as it is written on the wire, and return the answer.

        Raises:
            CallFailed: there is no connection, or it was cut, or what came over it is no HTTP.
            TimeoutError: no whole answer came in time.
            ValueError: a header that would end before it is meant to.
        """
        request = self._request(method, path, headers, json)
        wire = None
        await self._turns.acquire()
        try:
            wire = self._kept()
            if wire is not None:
                self._watch(wire)
                reply = await wire.ask(request)
            else:  # seldom enough for a timer of its own
                async with asyncio.timeout(self._timeout_s):
                    wire = await self._connect()
                    reply = await wire.ask(request)
        except BaseException:
            if wire is not None:
                wire.cut("nobody waits for the answer any more")
            raise
        finally:
            self._turns.release()
        self._due.pop(wire, None)
        if wire.reusable:
            self._idle[wire] = asyncio.get_running_loop().time()
        return reply

    def close(self) -> None:
        """Cut every connection, for good; calls under way, and later ones, fail."""
        self.closed = True
        for wire in tuple(self._wires):
            wire.cut("the client is closed")

    def hold(self, wire: "Wire") -> None:
        """Remember a connection that was made."""
        self._wires.add(wire)

    def forget(self, wire: "Wire") -> None:
        """Forget a connection that is no more."""
        self._wires.discard(wire)
        self._idle.pop(wire, None)
        self._due.pop(wire, None)

    def _watch(self, wire: "Wire") -> None:
        """See to it that the call does not take too long, without a timer for each."""
        loop = asyncio.get_running_loop()
        self._due[wire] = due = loop.time() + self._timeout_s
        if self._alarm is None:
            self._alarm = loop.call_at(due, self._look)

    def _look(self) -> None:
        self._alarm = None
        loop = asyncio.get_running_loop()
        for wire, due in tuple(self._due.items()):
            if due > loop.time():
                self._alarm = loop.call_at(due, self._look)
                return
            wire.cut("no whole answer came in time", TimeoutError)

    def _kept(self) -> "Wire | None":
        while self._idle:
            # The one that has rested longest: what nobody has asked for has come over it by now, if it does.
            wire, since = self._idle.popitem(last=False)
            if asyncio.get_running_loop().time() - since < KEPT_S:
                return wire
            wire.cut("it was idle for too long")
        return None

    async def _connect(self) -> "Wire":
        if self.closed:
            raise CallFailed("the client is closed")
        try:
            wire = await self._reach(await self._resolve(self._host, self._port))
        except OSError as error:
            raise CallFailed(f"no connection to {self._host}:{self._port}: {error}") from error
        if self.closed:  # meanwhile
            wire.cut("the client is closed")
            raise CallFailed("the client is closed")
        return wire

    async def _reach(self, addresses: Sequence[str]) -> "Wire":
        """Connect to the first address that can be connected to."""
        loop = asyncio.get_running_loop()
        name = None if self._tls is None else self._host
        *others, last = addresses
        for address in others:
            with suppress(OSError):
                made = await loop.create_connection(
                    lambda: Wire(self), address, self._port, ssl=self._tls, server_hostname=name
                )
                return made[1]
        _, wire = await loop.create_connection(
            lambda: Wire(self), last, self._port, ssl=self._tls, server_hostname=name
        )
        return wire

    def _request(self, method: str, path: str, headers: Mapping[str, str], json: bytes | None) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\n{self._always}"
        for name, value in headers.items():
            if "\n" in value or "\r" in value:
                raise ValueError("a header holds the end of a line")
            head += f"{name}: {value}\r\n"
        if json is None:
            return f"{head}\r\n".encode()
        head += f"Content-Type: application/json\r\nContent-Length: {len(json)}\r\n\r\n"
        return head.encode() + json


class Wire(asyncio.Protocol):
    """Be one connection, and the answer that is coming over it, as `httptools` finds its parts."""

    def __init__(self, client: HttpClient) -> None:
        self.reusable = True
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Reply] | None = None
        self._begin()

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request and return what its answer will be.

        Raises:
            CallFailed: the connection has ended, or ends before a whole answer has come.
        """
        if self._transport.is_closing():
            raise CallFailed("the connection ended before the call")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def cut(self, why: str, failure: type[Exception] = CallFailed) -> None:
        """End the connection at once; a call that is under way over it fails."""
        self.reusable = False
        self._client.forget(self)
        self._transport.abort()
        self._fail(failure(why))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # which uvloop's are in all but name
        self._client.hold(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end for that of the answer, where the answer has no other."""
        self.reusable = False
        self._client.forget(self)
        if error is None and self._ends_with_connection():
            self._settle()
        self._fail(CallFailed(f"the connection was lost: {error or 'the server closed it'}"))

    def data_received(self, data: bytes) -> None:
        """Take the next part of the answer."""
        if self._answer is None:
            self.cut("something came that nobody had asked for")
            return
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.cut(f"what came is no answer: {error}")
        if self._bytes > MOST_BYTES:
            self.cut(f"the answer is longer than {MOST_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Begin an answer; a second one to the same call is no answer."""
        if self._answer is None:
            raise CallFailed("it was answered twice")
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Remember that the head is whole."""
        self._headed = True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Give the answer to whoever waits for it."""
        if self._parser.get_status_code() < _FIRST_FINAL:
            self._begin()
            return
        self.reusable = self._parser.should_keep_alive()
        self._settle()

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._bytes = 0
        self._headed = False

    def _ends_with_connection(self) -> bool:
        return self._headed and not self._headers.keys() & {b"content-length", b"transfer-encoding"}

    def _settle(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            status = self._parser.get_status_code()
            answer.set_result(Reply(status, self._headers, b"".join(self._body), self))

    def _fail(self, failure: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(failure)


def _headers_of_every_call(url: URL) -> str:
    lines = f"Host: {url.host_port_subcomponent}\r\nAccept: application/json\r\n"
    if url.user is None:
        return lines
    credentials = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    return f"{lines}Authorization: Basic {credentials}\r\n"
