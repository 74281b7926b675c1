"""A body that does not come to its end, from which no request may hang for ever."""

import asyncio
from http import HTTPStatus
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from web import requests
from web.problems import Problem
from web.requests import PlaceOrder, read_body

JSON = {"Content-Type": "application/json"}


def request(*pieces: bytes) -> web.Request:
    """Return a request of whose body only this has come."""
    content = StreamReader(Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    for piece in pieces:
        content.feed_data(piece)
    return make_mocked_request("POST", "/orders", headers=JSON, payload=content)


@pytest.mark.parametrize("pieces", [(), (b'{"customer_id":',)], ids=["nothing", "a part"])
async def test_a_body_that_stops_in_the_middle_is_refused_in_the_end(
    monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(requests, "limits", requests.limits.model_copy(update={"body_ms": 10}))
    with pytest.raises(Problem) as refused:
        await read_body(request(*pieces), PlaceOrder)
    assert refused.value.status == HTTPStatus.REQUEST_TIMEOUT
    assert f"{len(b''.join(pieces))} bytes" in refused.value.detail
    assert refused.value.headers == {"Connection": "close"}
