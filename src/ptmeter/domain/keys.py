"""Keys and ids: a caller's own name for a request, and the sixteen bytes it is recorded under."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable


def transfer_id(account: str, verb: str, key: str, *more: str) -> bytes:
    """
    The id under which *verb* with *key* is recorded for *account*: 16 bytes, the same for ever.

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


def digest(parts: tuple[object, ...], *, size: int = 16) -> bytes:
    """Hash *parts* so that no two different tuples of scalars share their bytes."""
    framed = bytearray()
    for part in parts:
        text = part if isinstance(part, bytes) else repr(part).encode()
        framed += len(text).to_bytes(4, "big") + (b"b" if isinstance(part, bytes) else b"t") + text
    return blake2b(framed, digest_size=size).digest()
