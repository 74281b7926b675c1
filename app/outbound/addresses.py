"""Where webhooks may go: to public addresses, unless a setting allows the others.

What is checked is what is connected to: the client is given the addresses that were looked at, and looks
nothing up by itself. Else whoever has a host's name could answer the second question differently.
"""

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from app.http_client import Resolve

NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            "192.0.0.0/24",  # of which two are anycast, to whatever translates addresses nearby
            *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "224.0.0.0/3"),
            *("::/3", "4000::/2", "8000::/1"),  # all but 2000::/3, which is all of global unicast
            "2001::/23",  # protocols of the IETF: some are for all, and webhooks go to none
            *("2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    )
)
"""What IANA's registries of special-purpose addresses do not have as globally reachable unicast.

Which of it `ipaddress` takes for global depends on the version of Python.
"""

_TRANSLATED = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):  # noqa: N818  # reads as the verdict on a host
    """Say that a host has an address that nothing may be sent to."""


def resolver(*, private: bool) -> Resolve:
    """Return how hosts are looked up; with `private` they may be anywhere."""
    return partial(_resolve, private=private)


async def _resolve(host: str, port: int, *, private: bool) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if not private and not all(is_public(address) for address in addresses):
        raise AddressRefused("an address that is not public, see outbound.private_addresses")
    return addresses


def is_public(address: str) -> bool:
    """Tell whether anybody on the internet may have this address; a disguise is seen through."""
    seen = _undisguised(ip_address(address.partition("%")[0]))
    return not any(seen in network for network in NOT_PUBLIC)


def _undisguised(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
