"""Anonymous visitors: an account for each address, which is not to be read off its name."""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..errors import InvalidArgumentError

PREFIX = 64
"""Bits of an IPv6 address that say whose it is; the others each device makes up by itself (RFC 4291, 2.5.4)."""


def visitor_name(ip: str, *, under: str, secret: bytes) -> str:
    """
    The account of whoever comes from *ip*, below the account *under* that pays for visitors.

    The address is hashed with *secret*, for there are few enough of them to try all without one.

    Raises:
        InvalidArgumentError: It is no IP address, or the secret is shorter than 16 bytes or longer than 64.
    """
    if not 16 <= len(secret) <= blake2b.MAX_KEY_SIZE:  # noqa: PLR2004 - said in the message
        msg = "the secret that addresses are hashed with has 16 to 64 bytes, and stays the same"
        raise InvalidArgumentError(msg)
    return f"{under}/{blake2b(network(ip).packed, digest_size=8, key=secret).hexdigest()}"


def network(ip: str) -> IPv4Address | IPv6Address:
    """
    What of *ip* says whose it is: the address, and of IPv6 the network's; IPv4 in IPv6's clothes is IPv4.

    Raises:
        InvalidArgumentError: It is no IP address.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        msg = f"{ip!r} is no IP address"
        raise InvalidArgumentError(msg) from None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address) >> PREFIX << PREFIX)
    return address
