"""
Keys and ids: a caller's own name for a request, and the eight bytes it is recorded under.

An id need only be unique within its wallet. There 64 bits are enough: among a million transfers the
chance that any two share one is 2.7e-8. Even then nobody gets another's answer, for a fingerprint is a
second hash of the key, with what was asked: of the two requests the later one is refused as a conflict.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZE: Final = 8
"""Bytes of an id and of a fingerprint; as a signed integer they fit a column of any database."""


def transfer_id(account: str, verb: str, key: str, *more: str) -> bytes:
    """
    The id under which *verb* with *key* is recorded for *account*: 8 bytes, the same for ever.

    A key is the caller's own name for a request. It is scoped by account and verb, so two accounts can
    use the same key, and one key can name a hold and its settle; but not by unit, so a request sent again
    for another model is recognised as the contradiction it is.

    Raises:
        InvalidArgumentError: The key is empty or no text.
    """
    if not isinstance(key, str) or not key:  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"a key is a text that names the request, such as its id, not {key!r}"
        raise InvalidArgumentError(msg)
    return digest((account, verb, key, *more))


def transfer_ids(account: str, verb: str, key: str, units: Iterable[str]) -> dict[str, bytes]:
    """The ids of one request's transfers in several units: the first has the key's own id."""
    first, *others = sorted(units)
    own = {first: transfer_id(account, verb, key)}
    return own | {unit: transfer_id(account, verb, key, unit) for unit in others}


def fingerprint(account: str, verb: str, key: str, *arguments: object) -> bytes:
    """
    What tells a request from any other under its id: 8 bytes of its key and its *arguments*.

    It is hashed apart from the id, so keys whose ids collide differ here.
    """
    return digest(("fingerprint", account, verb, key, *arguments))


def wallet_number(account: str, unit: str) -> int:
    """The short name of a wallet in every table: 64 bits, signed, the same in every database."""
    return int.from_bytes(digest(("wallet", account, unit)), "big", signed=True)


def digest(parts: tuple[object, ...], *, size: int = SIZE) -> bytes:
    """Hash *parts* so that no two different tuples of scalars share their bytes."""
    framed = bytearray()
    for part in parts:
        kind, text = _bytes(part)
        framed += len(text).to_bytes(4, "big") + kind + text
    return blake2b(framed, digest_size=size).digest()


def _bytes(part: object) -> tuple[bytes, bytes]:
    """Text as it is, for how Python quotes it depends on the version; whatever else as Python shows it."""
    if isinstance(part, bytes):
        return b"b", part
    if isinstance(part, str):
        return b"s", part.encode("utf-8", "surrogatepass")
    return b"t", repr(part).encode()


def is_id(text: str) -> bool:
    """Whether *text* is an id as it is shown: eight bytes in hexadecimal digits."""
    return len(text) == 2 * SIZE and all(digit in "0123456789abcdef" for digit in text)
