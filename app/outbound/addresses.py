"""Where webhooks may go: to public addresses, unless a setting allows the others.

What is checked is what is connected to: the client is given the addresses that were looked at, and looks
nothing up by itself. Else whoever has a host's name could answer the second question differently.
"""

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from app.http_client import Resolve

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
    return seen.is_global and not (seen.is_multicast or seen.is_reserved or _is_site_local(seen))


def _undisguised(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_site_local(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and address.is_site_local
