"""What is held for a call before it is sent: set aside, or found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.admission import Admission
from ..domain.commands import Hold as PlaceHold
from ..domain.keys import fingerprint, transfer_id, transfer_ids
from ..domain.ledger import wallet_id
from ..domain.pt import PT
from ..domain.receipts import Hold
from ..errors import HoldNotFoundError, HoldNotPendingError, PtmeterError
from .posting import post_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from ..domain.admission import Rules
    from ..domain.commands import Linked
    from ..domain.estimates import Estimate
    from ..domain.ledger import Posted
    from ..ports import Books, Posting


def hold(
    books: Books,
    account: str,
    amounts: Mapping[str, int],
    *,
    key: str,
    ttl: timedelta,
    request: bytes = b"",
    rules: Rules | None = None,
    model: str | None = None,
    extends: int | None = None,
) -> Posting[Hold | PtmeterError]:
    """
    Set PT aside, in all units or none: of the account's own or of whose PT it uses, as *rules* allow.

    What *extends* a call that is under way, admitted at so many times the rate, is no call of its own: it asks how
    much may be used, and nothing else.
    *request* is the digest of what the amounts were estimated from, if they were: sent again, the same
    request gets the same hold, even if it would be estimated differently today.
    """
    arguments = (request,) if request else (ttl.total_seconds(), *sorted(amounts.items()))
    asked = fingerprint(account, "hold", key, *arguments)
    ids = transfer_ids(account, "hold", key, amounts)

    def group(payer: str, former: tuple[str, ...]) -> Linked:
        admission = None
        if rules:
            admission = Admission(account=account, rules=rules, model=model, former=former)
        return tuple(
            PlaceHold(
                wallet=wallet_id(payer, unit),
                id=ids[unit],
                fingerprint=asked,
                amount=amounts[unit],
                ttl=ttl,
                admission=admission,
                extends=extends,
            )
            for unit in ids
        )

    posted = yield from post_for(books, account, group, key, rules)
    return posted if isinstance(posted, PtmeterError) else _held(account, key, posted)


def begin_call(
    books: Books,
    account: str,
    estimate: Estimate,
    *,
    key: str,
    ttl: timedelta,
    request: bytes,
    rules: Rules | None,
) -> Posting[Hold | PtmeterError]:
    """
    Set PT aside for a call that is about to be sent, if the account's plan and limits allow it.

    Sent again under its key a call finds its hold; unless that is resolved, for then the call was
    answered and charged, or given up, and sending it once more would be a new one.
    """
    amounts = {estimate.unit: estimate.hold.micro or 1}  # a free call holds its place, no more
    placed = yield from hold(
        books,
        account,
        amounts,
        key=key,
        ttl=ttl,
        request=request,
        rules=rules,
        model=estimate.model,
    )
    if isinstance(placed, Hold) and placed.replayed and not _is_open(books, placed):
        return HoldNotPendingError(account, key)
    return placed


def find_hold(
    books: Books, account: str, units: Iterable[str], *, key: str, payer: str | None = None
) -> Hold:
    """
    The hold placed under *key*, open or not; *units* are those of the platform.

    *payer* is whose PT it set aside, if that is known: who pays for the account now may be another.

    Raises:
        HoldNotFoundError: There never was one.
    """
    first = transfer_id(account, "hold", key)
    ids = [first, *(transfer_id(account, "hold", key, unit) for unit in units)]
    whose = [payer] if payer else [books.accounts.payer(account), *books.accounts.former_payers(account)]
    posted = next(filter(None, (books.ledger.posted(each, ids) for each in whose)), None)
    if not posted:
        raise HoldNotFoundError(account, key)
    return _held(account, key, posted)


def _held(account: str, key: str, posted: Sequence[Posted]) -> Hold:
    booked = [p.transfer.expires_at for p in posted if p.transfer.expires_at]
    return Hold(
        account=account,
        key=key,
        amounts={p.transfer.wallet.unit: PT(p.transfer.amount) for p in posted},
        payer=posted[0].transfer.wallet.account,
        multiples={p.transfer.wallet.unit: p.transfer.multiple for p in posted},
        expires_at=min(booked),
        available={p.transfer.wallet.unit: PT(p.available) for p in posted},
        replayed=posted[0].replayed,
    )


def _is_open(books: Books, held: Hold) -> bool:
    holds = transfer_ids(held.account, "hold", held.key, held.amounts)
    return books.ledger.are_open({wallet_id(held.payer, unit): holds[unit] for unit in holds})
