"""
The signature of a webhook: whether Stripe sent these bytes, and when.

The rule is that of Stripe's page "Verify webhook signatures manually": the header ``Stripe-Signature`` is
``t=<seconds since 1970>,v1=<hex>``, with a ``v1`` for each secret while one is being rolled, and ``v1`` is the
HMAC-SHA256 of ``<t>.<body>`` under the whole secret. Other schemes, such as the ``v0`` of test events, count for
nothing.

It is stricter than Stripe's own library where that is lenient (`docs/how-to/webhooks.md` says where): a time
in the future is as wrong as one in the past, sizes are capped before anything is hashed, and whatever anybody
sends, nothing is raised but `SignatureInvalidError`.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final, NoReturn

from ..errors import SignatureInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

LONGEST_HEADER: Final = 4_096
"""Characters of a header; a real one has about 100 for each secret."""

MOST_SIGNATURES: Final = 16
"""Signatures in a header; Stripe sends one for each active secret of the endpoint."""

_ELEMENT: Final = re.compile(
    r"[ \t]*(?:t=(?P<t>[1-9][0-9]{0,11})|v1=(?P<v1>[0-9a-f]{64})|(?!t=|v1=)[a-z0-9]+=[^=,]*)[ \t]*"
)


def verify(
    body: bytes, header: str | None, secrets: Iterable[bytes], *, at: datetime, tolerance: timedelta
) -> None:
    """
    Make sure that *body* was signed with one of *secrets*, at most *tolerance* before or after *at*.

    Raises:
        SignatureInvalidError: It was not, or *header* is no signature at all.
    """
    signed_at, signatures = _read(header)
    age = at.timestamp() - int(signed_at)
    if abs(age) > tolerance.total_seconds():
        when = "ago" if age > 0 else "in the future"
        _invalid(f"it was signed {abs(age):.0f} s {when}, which is further than {tolerance}")
    signed = signed_at.encode() + b"." + body
    expected = [hmac.digest(secret, signed, "sha256") for secret in secrets]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures):
        _invalid("it was signed with none of this endpoint's secrets")


def sign(body: bytes, secret: bytes, *, at: datetime) -> str:
    """The header under which Stripe would send *body* at that time."""
    signed_at = str(int(at.timestamp()))
    return f"t={signed_at},v1={hmac.digest(secret, signed_at.encode() + b'.' + body, 'sha256').hex()}"


def _read(header: str | None) -> tuple[str, list[bytes]]:
    """The time as it was written, and the signatures."""
    if not header:
        _invalid("there is no header Stripe-Signature")
    if len(header) > LONGEST_HEADER:
        _invalid(f"its header has {len(header)} characters")
    times: list[str] = []
    signatures: list[bytes] = []
    for element in _elements(header):
        times += [element["t"]] if element["t"] else []
        signatures += [bytes.fromhex(element["v1"])] if element["v1"] else []
    if len(times) != 1 or not 1 <= len(signatures) <= MOST_SIGNATURES:
        _invalid(f"its header has {len(times)} times and {len(signatures)} signatures")
    return times[0], signatures


def _elements(header: str) -> Iterator[re.Match[str]]:
    for text in header.split(","):
        found = _ELEMENT.fullmatch(text)
        if found is None:
            _invalid("its header is not t=<seconds>,v1=<hex>")
        yield found


def _invalid(problem: str) -> NoReturn:
    raise SignatureInvalidError(problem)
