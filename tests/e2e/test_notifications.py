"""Customers hear how their orders ended, by real mail, once each."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from uuid import uuid4

import aiohttp
import pytest

from tests.e2e.letters import listed, operate
from tests.e2e.outside import MailServer, figure, mail_server
from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System, secluded

STOCK = 100
TIMEOUT_MS = 1_500


@pytest.fixture(scope="module")
async def post_office() -> AsyncIterator[MailServer]:
    """Give a mail server."""
    async with mail_server() as running:
        yield running


@pytest.fixture(scope="module")
async def mailing(post_office: MailServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Give a system of its own, which sends mail."""
    with secluded(tmp_path_factory.mktemp("mailing")) as system:
        system.settings |= {
            "ORDERS_NOTIFICATIONS__CHANNEL": "smtp",
            "ORDERS_NOTIFICATIONS__SMTP__PORT": str(post_office.port),
            "ORDERS_NOTIFICATIONS__TIMEOUT_MS": str(TIMEOUT_MS),
            "ORDERS_NOTIFICATIONS__BACKOFF_MS": "100",
            "ORDERS_NOTIFICATIONS__BACKOFF_MAX_MS": "400",
            "ORDERS_NOTIFICATIONS__BREAKER_PAUSE_MS": "200",
        }
        yield system


@pytest.fixture(scope="module")
async def url(mailing: System) -> str:
    """Give the address of a worker."""
    _, url = await mailing.worker()
    return url


@pytest.fixture
async def shop(session: aiohttp.ClientSession, url: str) -> Shop:
    """Give a customer."""
    return Shop(session, url)


@pytest.fixture
async def sku(shop: Shop) -> str:
    """Give a SKU that is in stock."""
    made = new_sku()
    await shop.restock(made, STOCK)
    return made


@pytest.fixture
def customer() -> str:
    """Give a customer whom no other test has."""
    return f"customer-{uuid4().hex[:12]}"


async def mails(post_office: MailServer, customer: str, count: int) -> list[EmailMessage]:
    """Return what a customer was sent, once it is so many."""
    address = f"{customer}@customers.example"

    async def ask() -> list[EmailMessage]:
        return post_office.to(address)

    found: list[EmailMessage] = await until(ask, lambda found: len(found) >= count)
    return found


async def test_each_end_is_told_once_and_a_cancellation_with_its_reason(
    shop: Shop, post_office: MailServer, sku: str, customer: str
) -> None:
    sold = str((await shop.buy(order(item(sku), customer=customer)))["order_id"])
    await shop.buy(order(item(sku), customer=customer, token="tok_declined"))
    await shop.refund(sold)
    found = await mails(post_office, customer, 3)
    assert sorted(mail["Subject"].split()[-1] for mail in found) == ["cancelled", "refunded", "way"]
    (cancelled,) = (mail for mail in found if "cancelled" in mail["Subject"])
    assert "payment declined" in cancelled.get_content()
    own = [mail["Subject"].split()[-1] for mail in found if sold in mail["Subject"]]
    assert own == ["way", "refunded"]
    assert len({mail["Message-ID"] for mail in found}) == 3


async def test_a_server_that_is_busy_is_asked_again(
    shop: Shop, post_office: MailServer, sku: str, customer: str
) -> None:
    post_office.failures = 3
    await shop.buy(order(item(sku), customer=customer))
    assert len(await mails(post_office, customer, 1)) == 1
    assert post_office.failures == 0


async def test_a_server_that_takes_longer_than_the_timeout_to_say_that_it_has_a_mail_gets_it_once(
    shop: Shop, post_office: MailServer, sku: str, customer: str
) -> None:
    async def delivered() -> float:
        return await figure(shop, "notifications", "delivered_total")

    before = await delivered()
    post_office.delay_s = 2 * TIMEOUT_MS / 1_000
    try:
        await shop.buy(order(item(sku), customer=customer))
        await until(delivered, lambda count: count == before + 1)
    finally:
        post_office.delay_s = 0
    assert len(await mails(post_office, customer, 1)) == 1


async def test_an_address_that_is_nobodys_makes_a_dead_letter_that_can_be_put_back(
    shop: Shop, mailing: System, post_office: MailServer, sku: str, customer: str
) -> None:
    address = f"{customer}@customers.example"
    post_office.unknown.add(address)
    order_id = str((await shop.buy(order(item(sku), customer=customer)))["order_id"])
    letters = await until(lambda: listed(mailing, "--order", order_id), lambda found: len(found) == 1)
    assert letters[0]["topic"] == "NOTIFICATION_EVENTS"
    assert letters[0]["error"] == "Undeliverable: SMTPRecipientRefused 550"
    assert "DEAD_LETTER" in await shop.timeline(order_id)

    post_office.unknown.clear()
    ended = await operate(mailing, "retry", letters[0]["id"])
    assert ended.code == 0, ended.err
    assert len(await mails(post_office, customer, 1)) == 1
    assert await listed(mailing, "--order", order_id) == []


async def test_no_log_names_a_customer_or_their_address(
    shop: Shop, mailing: System, post_office: MailServer, sku: str, customer: str
) -> None:
    await shop.buy(order(item(sku), customer=customer))
    await mails(post_office, customer, 1)
    (log,) = (worker.log for worker in mailing.workers.values())
    assert "customer" not in log.read_text("utf-8")
