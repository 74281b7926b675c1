"""Whoever is told outside, for tests: a warehouse that fails to order, and a real mail server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import aiohttp
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.e2e.shop import Document, Shop
from tests.e2e.system import HOST

TAKEN = "250 taken"
BUSY = "451 later, perhaps"


async def figure(shop: Shop, stage: str, name: str) -> float:
    """Return what a worker says of the messages of a stage."""
    async with shop.session.get(f"{shop.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    wanted = f'orders_outbound_{name}{{stage="{stage}"}}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


class Warehouse:
    """Look at what the simulator was told, and order faults of it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def told(self, order_id: str) -> list[Document]:
        """Return what it was told of an order, in the order in which it came."""
        async with self._session.get(f"{self._url}/transfers") as answer:
            shown = await answer.json()
        return [each for each in shown["transfers"] if each["order_id"] == order_id]

    async def kinds(self, order_id: str) -> list[str]:
        """Return what kinds of messages it was told of an order."""
        return [each["type"] for each in await self.told(order_id)]

    async def refused(self) -> int:
        """Return how many it has refused for their signatures."""
        async with self._session.get(f"{self._url}/transfers") as answer:
            return int((await answer.json())["refused"])

    async def fault(self, **faults: Any) -> None:
        """Order faults, or none."""
        async with self._session.put(f"{self._url}/faults/transfers", json=faults) as answer:
            assert answer.status == 200


class MailServer:
    """Take mail; refuse as told, for everybody or for one address."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.failures = 0
        self.silences = 0
        self.delay_s = 0.0
        self.unknown: set[str] = set()
        self.port = 0

    def to(self, address: str) -> list[EmailMessage]:
        """Return what was sent to an address, oldest first."""
        return [mail for mail in self.mails if mail["To"] == address]

    async def handle_RCPT(  # noqa: N802  # as aiosmtpd names it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take an address, unless it is unknown."""
        if address in self.unknown:
            return f"550 <{address}> is nobody"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail, unless it is to fail, and say so; or hang up, as it may be told to, without a word."""
        if self.failures:
            self.failures -= 1
            return BUSY
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        if self.silences:
            self.silences -= 1
            assert server.transport is not None
            server.transport.close()
        await asyncio.sleep(self.delay_s)  # it has it, and takes its time to say so
        return TAKEN


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[MailServer]:
    """Give a mail server on a port of its own; with a context it speaks TLS from the first byte on."""
    handler = MailServer()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: SMTP(handler, loop=loop, **options), HOST, 0, ssl=tls)
    handler.port = listening.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        listening.close()
