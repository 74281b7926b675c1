"""Webhooks: signed as the standard says, never redirected, and taken only where a 2xx says so."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.outbound.carrying import Declined, NotDelivered, Unanswered
from app.outbound.webhook import Poster
from app.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Keep what came, and answer with a status."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.status = HTTPStatus.OK
        self.headers: dict[str, str] = {}

    async def take(self, request: web.Request) -> web.Response:
        self.came.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    async with TestServer(app) as server:
        yield str(server.make_url("/in?from=us"))


def poster(url: str, *, private: bool = True, **more: Any) -> Poster:
    document = {"url": url, "secret": SECRET, **more}
    settings = Settings.model_validate({"transfer": document, "outbound": {"private_addresses": private}})
    return Poster(settings.transfer, settings)


async def test_a_message_is_signed_so_that_anybody_with_the_secret_can_verify_it(
    url: str, receiver: Receiver
) -> None:
    await poster(url).post("msg-1", {"type": "ORDER_COMPLETED"})
    ((headers, body),) = receiver.came
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["webhook-id"] == "msg-1"
    assert Webhook(SECRET).verify(body, headers) == {"type": "ORDER_COMPLETED"}
    for other in (body + b" ", body.replace(b"COMPLETED", b"CANCELLED")):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(other, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "b3RoZXIg" * 4).verify(body, headers)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, Unanswered) for status in (500, 502, 503, 408, 425, 429)),
        *((status, Declined) for status in (301, 302, 307, 308, 400, 401, 404, 410, 422)),
    ],
)
async def test_only_a_2xx_says_that_it_was_taken(
    url: str, receiver: Receiver, status: int, error: type[NotDelivered]
) -> None:
    receiver.status = HTTPStatus(status)
    with pytest.raises(error, match=f"status {status}"):
        await poster(url).post("msg-1", {})


async def test_a_redirect_is_not_followed(url: str, receiver: Receiver) -> None:
    receiver.status, receiver.headers = HTTPStatus.TEMPORARY_REDIRECT, {"Location": url}
    with pytest.raises(Declined, match="status 307"):
        await poster(url).post("msg-1", {})
    assert len(receiver.came) == 1


async def test_an_address_that_is_not_public_is_not_called(url: str, receiver: Receiver) -> None:
    with pytest.raises(Unanswered, match="not public"):
        await poster(url, private=False).post("msg-1", {})
    assert receiver.came == []


async def test_nobody_there_is_no_answer() -> None:
    with pytest.raises(Unanswered, match="no connection"):
        await poster("http://127.0.0.1:9").post("msg-1", {})
