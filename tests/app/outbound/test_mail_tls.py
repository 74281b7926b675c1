"""Mail over TLS, and to servers that want to know who sends: with success, and what gets none."""

import shutil
import ssl
import subprocess
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.outbound.carrying import Declined, Unanswered
from tests.app.outbound.test_mail import mail, mailer
from tests.e2e.outside import MailServer, mail_server
from tests.e2e.system import HOST

OWN_NAME = f"IP:{HOST}"
USER, PASSWORD = "shop", "hush-hush"
OPENSSL = shutil.which("openssl") or ""

pytestmark = [
    pytest.mark.skipif(not OPENSSL, reason="openssl is not there"),
    pytest.mark.parametrize("security", ["tls", "starttls"]),
]


class Doorkeeper:
    """Let one user in, and remember who asked."""

    def __init__(self) -> None:
        self.asked: list[LoginPassword] = []

    def __call__(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: LoginPassword
    ) -> AuthResult:
        self.asked.append(given)
        right = given == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)


@pytest.fixture
def door() -> Doorkeeper:
    return Doorkeeper()


def certificate(folder: Path, name: str) -> Path:
    """Make a certificate that nobody but itself vouches for, with its key in the same file."""
    made = folder / "certificate.pem"
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made))
    said = ("-subj", "/CN=mail", "-addext", f"subjectAltName={name}", "-days", "2")
    shown = subprocess.run(  # noqa: S603  # nothing in it comes from others
        (OPENSSL, "req", "-x509", *key, *said), capture_output=True, check=True
    )
    made.write_bytes(made.read_bytes() + shown.stdout)
    return made


def serving(security: str, made: Path, door: Doorkeeper) -> AbstractAsyncContextManager[MailServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made)
    if security == "tls":  # for aiosmtpd there is no TLS but that of STARTTLS
        return mail_server(context, authenticator=door, auth_require_tls=False)
    return mail_server(tls_context=context, require_starttls=True, authenticator=door)


async def send(port: int, security: str, password: str = PASSWORD) -> None:
    chosen = mailer(port, host=HOST, security=security, username=USER, password=password)
    await chosen.send(mail())


async def test_a_server_that_is_vouched_for_gets_the_mail_of_a_user_whom_it_knows(
    security: str, door: Doorkeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificate(tmp_path, OWN_NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    async with serving(security, made, door) as server:
        await send(server.port, security)
        assert [taken["Message-ID"] for taken in server.mails] == ["<an-id@shop.example>"]
        assert len(door.asked) == 1


async def test_a_server_that_nobody_vouches_for_gets_neither_mail_nor_password(
    security: str, door: Doorkeeper, tmp_path: Path
) -> None:
    async with serving(security, certificate(tmp_path, OWN_NAME), door) as server:
        with pytest.raises(Unanswered, match=r"^(SMTPConnectError|SSLCertVerificationError)$"):
            await send(server.port, security)
        assert (server.mails, door.asked) == ([], [])


async def test_a_server_that_is_vouched_for_under_another_name_gets_neither_mail_nor_password(
    security: str, door: Doorkeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificate(tmp_path, "DNS:other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    async with serving(security, made, door) as server:
        with pytest.raises(Unanswered, match=r"^(SMTPConnectError|SSLCertVerificationError)$"):
            await send(server.port, security)
        assert (server.mails, door.asked) == ([], [])


async def test_a_wrong_password_is_an_answer_and_gets_nothing_sent(
    security: str, door: Doorkeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificate(tmp_path, OWN_NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    async with serving(security, made, door) as server:
        with pytest.raises(Declined, match=r"^SMTPAuthenticationError 535$"):
            await send(server.port, security, "another")
        assert server.mails == []
