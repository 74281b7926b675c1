"""What goes over one connection: one order after another, in pieces, in older HTTP, and the end of it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from tests.e2e.shop import item, new_sku, order

BODY = json.dumps(order(item(new_sku()))).encode()
DEADLINE_S = 30


class Wire:
    """Be a connection to the worker, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0.01)

    async def answer(self) -> tuple[str, dict[str, str], dict[str, str]]:
        async with asyncio.timeout(DEADLINE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self._reader.readexactly(int(headers["Content-Length"]))
        return status, headers, json.loads(body)

    async def ends(self) -> bool:
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.read(1) == b""

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
async def wire(worker: str) -> AsyncIterator[Wire]:
    url = URL(worker)
    opened = Wire(*await asyncio.open_connection(url.host, url.port))
    yield opened
    await opened.close()


def head(*extra: str, version: str = "1.1", length: int | None = len(BODY)) -> bytes:
    lines = [f"POST /orders HTTP/{version}", "Host: shop", "Content-Type: application/json", *extra]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


async def test_an_accepted_order_is_answered_with_where_to_look(wire: Wire) -> None:
    await wire.send(head() + BODY)
    status, headers, document = await wire.answer()
    assert status == "HTTP/1.1 202 Accepted"
    assert headers["Content-Type"] == "application/json"
    assert headers["Location"] == f"/orders/{document['order_id']}"
    assert headers["Date"].endswith(" GMT")
    assert document["status"] == "PENDING"


async def test_orders_follow_each_other_over_one_connection(wire: Wire) -> None:
    ids = []
    for _ in range(3):
        await wire.send(head() + BODY)
        ids.append((await wire.answer())[2]["order_id"])
    assert len(set(ids)) == 3


async def test_orders_sent_without_waiting_are_answered_one_by_one(wire: Wire) -> None:
    await wire.send((head() + BODY) * 3)
    ids = [(await wire.answer())[2]["order_id"] for _ in range(3)]
    assert len(set(ids)) == 3


async def test_an_order_may_come_in_pieces(wire: Wire) -> None:
    raw = head() + BODY
    await wire.send(raw[:30], raw[30:-20], raw[-20:-5], raw[-5:])
    assert (await wire.answer())[0] == "HTTP/1.1 202 Accepted"


async def test_an_order_may_come_in_chunks(wire: Wire) -> None:
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:50], BODY[50:])]
    await wire.send(head("Transfer-Encoding: chunked", length=None), *chunks, b"0\r\n\r\n")
    assert (await wire.answer())[0] == "HTTP/1.1 202 Accepted"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_that_wants_an_end_gets_it_after_the_answer(wire: Wire, version: str) -> None:
    await wire.send(head("Connection: close", version=version) + BODY)
    status, _, document = await wire.answer()
    assert status == f"HTTP/{version} 202 Accepted"
    assert document["status"] == "PENDING"
    assert await wire.ends()
