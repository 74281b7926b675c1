"""Mail, by a real server: what it takes, what it refuses, and what that says of the next attempt."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.outbound.carrying import Declined, Hopeless, Unanswered
from app.outbound.mail import Mail, Mailer
from app.settings import SmtpSettings
from tests.e2e.outside import MailServer, mail_server
from tests.e2e.system import HOST, free_port

AT = datetime(2026, 1, 1, tzinfo=UTC)


def mail(to: str = "ada@customers.example", subject: str = "Your order") -> Mail:
    return Mail("an-id", "orders@shop.example", to, subject, "Hello\n", AT)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


def mailer(port: int, timeout_s: float = 10, **settings: object) -> Mailer:
    return Mailer(SmtpSettings.model_validate({"port": port, **settings}), timeout_s)


async def test_a_mail_arrives_with_an_id_that_is_the_same_however_often_it_is_sent(
    server: MailServer,
) -> None:
    for _ in range(2):
        await mailer(server.port).send(mail())
    first, again = server.mails
    assert first["Message-ID"] == again["Message-ID"] == "<an-id@shop.example>"
    assert (first["To"], first["From"], first["Subject"]) == (
        "ada@customers.example",
        "orders@shop.example",
        "Your order",
    )
    assert first.as_bytes() == again.as_bytes()


async def test_a_server_that_is_busy_may_be_asked_again(server: MailServer) -> None:
    server.failures = 1
    with pytest.raises(Declined, match=r"^SMTPDataError 451$"):
        await mailer(server.port).send(mail())
    await mailer(server.port).send(mail())


async def test_an_address_that_is_nobodys_is_hopeless_and_is_not_named(server: MailServer) -> None:
    server.unknown.add("ada@customers.example")
    with pytest.raises(Hopeless, match=r"^SMTPRecipientRefused 550$"):
        await mailer(server.port).send(mail())


async def test_no_server_is_no_answer() -> None:
    with pytest.raises(Unanswered, match=r"^SMTPConnectError$"):
        await mailer(free_port()).send(mail())


async def test_a_server_that_never_says_a_word_is_no_answer() -> None:
    mute = await asyncio.get_running_loop().create_server(asyncio.Protocol, HOST, 0)
    with pytest.raises(Unanswered, match=r"^SMTPConnectTimeoutError$"):
        await mailer(mute.sockets[0].getsockname()[1], timeout_s=0.1).send(mail())
    mute.close()


async def test_a_server_that_looks_at_a_mail_for_longer_than_the_timeout_has_it_once_and_it_counts(
    server: MailServer,
) -> None:
    server.delay_s = 1.5
    await mailer(server.port, timeout_s=0.5).send(mail())
    assert len(server.mails) == 1


async def test_a_server_that_looks_at_a_mail_for_ever_is_no_answer(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.outbound.mail.TAKING_S", 0.1)
    server.delay_s = 3_600
    with pytest.raises(Unanswered, match=r"^SMTPReadTimeoutError$"):
        await mailer(server.port).send(mail())


async def test_a_connection_that_is_lost_behind_a_mail_is_no_answer_and_a_repeat_has_the_same_id(
    server: MailServer,
) -> None:
    server.silences = 1
    with pytest.raises(Unanswered, match=r"^SMTPServerDisconnected$"):
        await mailer(server.port).send(mail())
    await mailer(server.port).send(mail())
    assert [taken["Message-ID"] for taken in server.mails] == ["<an-id@shop.example>"] * 2


async def test_a_server_without_tls_gets_no_mail_where_tls_is_wanted(server: MailServer) -> None:
    with pytest.raises((Unanswered, Declined)):
        await mailer(server.port, security="starttls").send(mail())
    assert server.mails == []


@pytest.mark.parametrize(
    "to", ["a b@customers.example", "a,b@evil.example@customers.example", 'q"@customers.example']
)
async def test_a_customer_is_never_taken_for_another_address(server: MailServer, to: str) -> None:
    await mailer(server.port).send(mail(to))
    (taken,) = server.mails
    assert taken["To"].addresses[0].domain == "customers.example"
    assert len(taken["To"].addresses) == 1


@pytest.mark.parametrize(
    "to", ["ada\r\nBcc: all@evil.example@customers.example", "ada@", "ada\n@customers.example"]
)
async def test_what_can_be_no_address_is_hopeless(server: MailServer, to: str) -> None:
    with pytest.raises(Hopeless):
        await mailer(server.port).send(mail(to))
    assert server.mails == []
