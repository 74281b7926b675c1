"""Questions and wishes about a key that another worker owns: ask it, once, within a deadline."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from app import tracing
from app.main import app
from app.settings import current
from tables.queries import Moving
from web.answers import REPLAYED
from web.problems import Problem, later

HOP = "Orders-Hop"
"""The header of a question that one worker asks another: it is answered there or not at all."""

_settings = current().web
_session: aiohttp.ClientSession | None = None


def is_forwarded(request: web.Request) -> bool:
    """Tell whether another worker asks."""
    return HOP in request.headers


def moving(cause: Exception) -> Problem:
    """Return the answer while a key has no owner."""
    return later(f"not at the moment: {cause}", _settings.retry_after_s)


class Body(NamedTuple):
    """Be what is asked besides the path: the body, JSON, and the headers that matter."""

    raw: bytes
    headers: Mapping[str, str]


async def forward(
    request: web.Request, owner: URL, wait_s: float = 0, body: Body | None = None
) -> web.Response:
    """Return the owner's answer to the same question.

    Raises:
        Problem: 503 when the question has been forwarded already, or the owner does not answer in time.
    """
    if is_forwarded(request):
        raise moving(Moving("this worker was asked for a key that it does not own"))
    # HEAD is asked as GET: whoever asks wants to know the length.
    method = hdrs.METH_POST if request.method == hdrs.METH_POST else hdrs.METH_GET
    status, answer, headers = await ask(owner, request.path_qs, wait_s, method=method, body=body)
    return web.Response(status=status, body=answer, headers=headers)


async def ask(
    owner: URL,
    path_qs: str,
    wait_s: float = 0,
    *,
    method: str = hdrs.METH_GET,
    body: Body | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and the headers that matter of another worker's answer.

    Raises:
        Problem: 503 when it does not answer in time.
    """
    timeout = aiohttp.ClientTimeout(total=_settings.forward_timeout_ms / 1000 + wait_s)
    url = URL(f"{str(owner).rstrip('/')}{path_qs}", encoded=True)
    headers = {HOP: "1"} if body is None else {HOP: "1", "Content-Type": "application/json", **body.headers}
    if (traces := tracing.current()) is not None:
        headers |= traces.lines()
    raw = None if body is None else body.raw
    try:
        async with _client().request(method, url, headers=headers, data=raw, timeout=timeout) as answer:
            found = await answer.read()
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return answer.status, found, kept
    except (aiohttp.ClientError, TimeoutError) as error:
        raise moving(
            Moving(f"the worker that owns the key does not answer ({type(error).__name__})")
        ) from error


async def ask_all(owners: tuple[URL, ...], path_qs: str, wait_s: float = 0) -> list[bytes]:
    """Return the bodies of every worker's answer; `wait_s` is what the answers may take to be made.

    Raises:
        Problem: 503 when one of them does not answer well.
    """
    answers = await asyncio.gather(*(ask(owner, path_qs, wait_s) for owner in owners))
    if any(status != HTTPStatus.OK for status, _, _ in answers):
        raise moving(Moving("not every worker can answer for its part"))
    return [body for _, body, _ in answers]


_KEPT = ("Content-Type", "Location", "Retry-After", REPLAYED)


def _client() -> aiohttp.ClientSession:
    global _session  # noqa: PLW0603  # one pool a process, made inside the running loop
    if _session is None or _session.closed:
        # No limit: the long polls of one owner must not keep other questions waiting for a connection.
        _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    return _session


@app.on_before_shutdown.connect  # type: ignore[untyped-decorator]  # Faust is untyped here
async def close(*_: object, **__: object) -> None:
    """Let go of the connections to other workers."""
    if _session is not None:
        await _session.close()
