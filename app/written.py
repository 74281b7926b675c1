"""Answers that aiohttp's server sends in one piece, for what is answered thousands of times a second.

aiohttp puts an answer together header by header, and that takes longer than all the rest of a small request.
"""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time


def json_bytes(
    request: web.BaseRequest, body: bytes, status: HTTPStatus, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Return the answer with a body that is JSON already.

    The headers go out as they are: none may hold the end of a line. Whoever asks in an older HTTP, or wants
    the connection closed, gets the answer from aiohttp.
    """
    if request.version != HttpVersion11 or not request.keep_alive:
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)
    lines = [_begin(status)]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n")
    return Written(status, "\r\n".join(lines).encode() + body)


@cache  # an enum tells its value and its phrase slowly
def _begin(status: HTTPStatus) -> str:
    return f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json"


class Written(web.StreamResponse):
    """Be an answer in one piece, head and body, over a connection that goes on."""

    def __init__(self, status: HTTPStatus, raw: bytes) -> None:
        super().__init__(status=status)
        self.raw = raw

    @property
    def keep_alive(self) -> bool:
        """Tell aiohttp that the connection goes on."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write all there is.

        Raises:
            ConnectionResetError: the client has gone, as aiohttp has it.
        """
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError
        request.transport.write(self.raw)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all is written."""
