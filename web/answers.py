"""JSON answers, with times as RFC 3339 in UTC."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time

_ACCEPTED_HEAD = (
    "HTTP/1.1 202 Accepted\r\n"
    "Content-Type: application/json\r\n"
    "Location: {location}\r\n"
    "Content-Length: {length}\r\n"
    "Date: {date}\r\n"
    "\r\n"
)


def json_answer(
    document: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the document as JSON."""
    return _answer(_json(document), status, headers)


def accepted(request: web.Request, document: Mapping[str, Any], location: str) -> web.StreamResponse:
    """Return the 202 of what Kafka has, with the place to look at.

    `location` is of our making: it goes into the head as it is.
    """
    body = _json(document)
    if request.version != HttpVersion11 or not request.keep_alive:
        return _answer(body, HTTPStatus.ACCEPTED, {"Location": location})
    head = _ACCEPTED_HEAD.format(location=location, length=len(body), date=rfc822_formatted_time())
    return _Written(head.encode() + body)


class _Written(web.StreamResponse):
    """Be an answer in one piece, head and body, over a connection that goes on.

    aiohttp takes longer to put an answer together than all the rest of an accepted order takes.
    """

    def __init__(self, raw: bytes) -> None:
        super().__init__(status=HTTPStatus.ACCEPTED)
        self._raw = raw

    @property
    def keep_alive(self) -> bool:
        """Tell aiohttp that the connection goes on."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write all there is.

        Raises:
            ConnectionResetError: the client has gone, as aiohttp has it.
        """
        if request.transport is None:
            raise ConnectionResetError
        request.transport.write(self._raw)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all is written."""


def _answer(body: bytes, status: HTTPStatus, headers: Mapping[str, str] | None) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)
