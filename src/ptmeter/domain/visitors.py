"""Anonymous visitors: an account for each address, which is not to be read off its name."""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network

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
    try:
        address = ip_address(ip)
    except ValueError:
        msg = f"{ip!r} is no IP address"
        raise InvalidArgumentError(msg) from None
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        address = mapped or ip_network((int(address), PREFIX), strict=False).network_address
    return f"{under}/{blake2b(address.packed, digest_size=8, key=secret).hexdigest()}"
