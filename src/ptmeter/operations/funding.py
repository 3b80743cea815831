"""PT in: grants, and corrections with a reason."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ..domain.commands import Adjust, Grant
from ..domain.instants import microseconds
from ..domain.keys import fingerprint, transfer_ids
from ..domain.ledger import wallet_id
from ..domain.pt import PT
from ..domain.receipts import Granted
from ..errors import InvalidArgumentError, PtmeterError
from .posting import post_one

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..domain.commands import Linked
    from ..ports import Books, Posting


def grant(
    books: Books,
    account: str,
    amounts: Mapping[str, int],
    *,
    source: str,
    key: str,
    priority: int = 50,
    expires_at: datetime | None = None,
    paid: Mapping[str, int] = MappingProxyType({}),
    said: int | None = None,
) -> Posting[Granted | PtmeterError]:
    """
    Give PT to an account, opening it if need be; each unit becomes a lot, for which so much was *paid*.

    The request is what the caller *said* was paid for all of it. How a rate card divides that is none of it: sent
    again under another card, it is the same request.
    """
    if not source:
        msg = "say where the PT come from, such as source='top-up'"
        raise InvalidArgumentError(msg)
    until = expires_at and microseconds(expires_at)
    sum_said = () if said is None else ("paid", said)
    facts = (source, priority, until, *sorted(amounts.items()), *sum_said)
    asked = fingerprint(account, "grant", key, *facts)
    ids = transfer_ids(account, "grant", key, amounts)
    group = tuple(
        Grant(
            wallet=wallet_id(account, unit),
            id=ids[unit],
            fingerprint=asked,
            amount=amounts[unit],
            note=source,
            priority=priority,
            expires_at=expires_at,
            paid=paid.get(unit),
        )
        for unit in ids
    )
    return (yield from _granted(books, account, amounts, group, key))


def adjust(
    books: Books, account: str, amounts: Mapping[str, int], *, reason: str, key: str
) -> Posting[Granted | PtmeterError]:
    """Correct an account by signed amounts; a negative one needs PT that are available."""
    asked = fingerprint(account, "adjust", key, reason, *sorted(amounts.items()))
    ids = transfer_ids(account, "adjust", key, amounts)
    group = tuple(
        Adjust(
            wallet=wallet_id(account, unit),
            id=ids[unit],
            fingerprint=asked,
            amount=amounts[unit],
            note=reason,
        )
        for unit in ids
    )
    return (yield from _granted(books, account, amounts, group, key))


def _granted(
    books: Books, account: str, amounts: Mapping[str, int], group: Linked, key: str
) -> Posting[Granted | PtmeterError]:
    posted = yield from post_one(books, group, key)
    if isinstance(posted, PtmeterError):
        return posted
    return Granted(
        account=account,
        key=key,
        amounts={unit: PT(amount) for unit, amount in amounts.items()},
        available={p.transfer.wallet.unit: PT(p.available) for p in posted},
        replayed=posted[0].replayed,
    )
