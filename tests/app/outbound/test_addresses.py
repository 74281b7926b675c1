"""Webhooks go to public addresses, and to the very ones that were looked at."""

import asyncio

import pytest
from yarl import URL

from app.http_client import CallFailed, HttpClient
from app.outbound.addresses import is_public, resolver


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "64:ff9b::808:808"])
def test_anybody_may_have_a_public_address(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("0.0.0.0", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),  # noqa: S104
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2002:a00:1::1"),
    ],
)
def test_what_is_not_public_is_found_in_any_disguise(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433"]
)
async def test_a_host_at_an_address_that_is_not_public_is_not_called(host: str) -> None:
    client = HttpClient(URL(f"http://{host}:9"), limit=1, timeout_s=5, resolve=resolver(private=False))
    with pytest.raises(CallFailed, match="not public"):
        await client.call("POST", "/", {}, b"{}")


async def test_with_leave_it_may_be_anywhere() -> None:
    assert list(await resolver(private=True)("127.0.0.1", 80)) == ["127.0.0.1"]


async def test_what_is_connected_to_is_the_address_that_was_looked_at_and_not_the_name() -> None:
    called: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # nobody is at the first

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = URL(f"http://warehouse.invalid:{port}")
        client = HttpClient(url, limit=1, timeout_s=5, resolve=resolve)
        assert (await client.call("POST", "/", {})).status == 200
        client.close()
    assert "Host: warehouse.invalid" in called[0]
