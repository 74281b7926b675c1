"""The channels by which customers hear."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from app.outbound.channels import Notice, channel_of
from app.outbound.templates import Text
from app.settings import Settings
from models.notification import label
from models.outbound import offer
from tests.app.outbound.test_webhook import SECRET, Receiver
from tests.e2e.outside import MailServer, mail_server
from tests.models.scenario import moment
from tests.models.test_outbound import notice

EVENT = notice("CANCELLED", "PAYMENT_DECLINED")
NOTICE = Notice(
    offer(EVENT, 0, label(EVENT), moment(9)), EVENT, "ada@customers.example", Text("Cancelled", "Sorry\n")
)


def settings(**notifications: Any) -> Settings:
    return Settings.model_validate({"notifications": notifications, "outbound": {"private_addresses": True}})


@pytest.fixture
async def post_office() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


async def test_the_log_says_that_a_customer_is_told_and_not_who(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await channel_of(settings(channel="log"))(NOTICE)
    assert "order order-1: its customer is told that it is CANCELLED" in caplog.text
    assert "ada" not in caplog.text


async def test_a_mail_has_the_subject_and_the_text_of_the_template(post_office: MailServer) -> None:
    await channel_of(settings(channel="smtp", smtp={"port": post_office.port}))(NOTICE)
    (mail,) = post_office.mails
    assert (mail["To"], mail["Subject"], mail.get_content().strip()) == (
        "ada@customers.example",
        "Cancelled",
        "Sorry",
    )
    assert mail["Message-ID"] == f"<{EVENT.event_id}@shop.example>"


async def test_a_webhook_has_what_was_said_and_all_that_it_was_made_of() -> None:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/in", receiver.take)
    async with TestServer(app) as server:
        url = str(server.make_url("/in"))
        await channel_of(settings(channel="webhook", url=url, secret=SECRET))(NOTICE)
    ((headers, body),) = receiver.came
    Webhook(SECRET).verify(body, headers)
    assert json.loads(body)["data"] == {
        "order_id": "order-1",
        "customer_id": "ada",
        "status": "cancelled",
        "reason": "payment declined",
        "sequence": 1,
        "to": "ada@customers.example",
        "subject": "Cancelled",
        "text": "Sorry\n",
    }
