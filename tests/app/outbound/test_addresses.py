"""Webhooks go to public addresses, and to the very ones that were looked at."""

import asyncio
from ipaddress import IPv4Address, IPv6Address
from random import Random

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
        *("::ffff:192.0.0.192", "64:ff9b::192.0.0.192"),
    ],
)
def test_what_is_not_public_is_found_in_any_disguise(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("before", "first", "last", "behind"),
    [
        (None, "0.0.0.0", "0.255.255.255", "1.0.0.0"),  # noqa: S104
        ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
        ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
        ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
        ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
        ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
        ("191.255.255.255", "192.0.0.0", "192.0.0.7", None),
        (None, "192.0.0.8", "192.0.0.9", None),
        (None, "192.0.0.10", "192.0.0.192", None),
        (None, "192.0.0.193", "192.0.0.255", "192.0.1.0"),
        ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
        ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
        ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
        ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
        ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
        ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
        ("223.255.255.255", "224.0.0.0", "239.255.255.255", None),
        (None, "240.0.0.0", "255.255.255.255", None),
        (None, "::", "::1", None),
        (None, "::2", "::ffff:7fff:ffff:ffff", None),
        (None, "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", None),
        (None, "100::", "100:0:0:1:ffff:ffff:ffff:ffff", None),
        (None, "200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
        ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:0:ffff::", None),
        (None, "2001:1::1", "2001:1::3", None),
        (None, "2001:2::", "2001:4:112::1", None),
        (None, "2001:10::", "2001:3f::", None),
        (None, "2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
        ("2001:db7:ffff::1", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
        ("2001:ffff::1", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
        (None, "2002:808:808::1", "2002:7f00:1::1", None),
        ("3ffe:ffff::1", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
        ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "5eff:ffff::", None),
        (None, "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
        (None, "6000::", "fbff:ffff::", None),
        (None, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
        (None, "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
        (None, "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
        (None, "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
    ],
)
def test_no_special_range_is_public_from_its_first_to_its_last_and_its_neighbours_are(
    before: str | None, first: str, last: str, behind: str | None
) -> None:
    assert [address for address in (first, last) if is_public(address)] == []
    assert [address for address in (before, behind) if address and not is_public(address)] == []


@pytest.mark.parametrize("address", ["192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"])
def test_special_ranges_that_are_reachable_from_everywhere_are_public(address: str) -> None:
    assert is_public(address)


def test_whatever_the_standard_library_knows_to_be_not_global_is_not_public() -> None:
    drawn = Random(1)  # noqa: S311  # addresses to try, no secrets
    of_4 = (IPv4Address(drawn.getrandbits(32)) for _ in range(20_000))
    of_6 = (IPv6Address((0x2001 << 112) | drawn.getrandbits(112)) for _ in range(20_000))
    known = [str(each) for each in of_4 if not each.is_global]
    known += [str(each) for each in of_6 if not each.is_global]
    assert len(known) > 1_000
    assert [address for address in known if is_public(address)] == []


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
