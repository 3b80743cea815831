"""The life of a call: hold, then settle or void; or a debit at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Required, TypeAlias, TypedDict

from ..domain.admission import Admission
from ..domain.commands import Debit, Settle, Void
from ..domain.commands import Hold as PlaceHold
from ..domain.keys import fingerprint, transfer_id, transfer_ids
from ..domain.ledger import Overage, Posted, UsageEvent, wallet_id
from ..domain.pt import PT
from ..domain.receipts import Hold, Receipt, warnings
from ..errors import (
    ContentionError,
    HoldNotFoundError,
    HoldNotPendingError,
    InvalidArgumentError,
    PtmeterError,
)
from .posting import post_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from typing_extensions import Unpack

    from ..domain.admission import Rules, UnderWay
    from ..domain.commands import Linked
    from ..domain.estimates import Estimate
    from ..domain.ledger import Outcome
    from ..domain.rates import Charge, RateCard
    from ..domain.usage import Usage
    from ..ports import Books, Posting


class Settling(TypedDict, total=False):
    """What `settle` may be told besides."""

    key: Required[str]
    charge: Charge | None
    usage: Usage | None
    card: RateCard | None
    estimate: Estimate | None
    effective_at: datetime | None
    rules: Rules | None


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
    extends: UnderWay | None = None,
) -> Posting[Hold | PtmeterError]:
    """
    Set PT aside, in all units or none: of the account's own or of whose PT it uses, as *rules* allow.

    What *extends* a call that is under way is no call of its own: it asks how much may be used, and nothing else.
    *request* is the digest of what the amounts were estimated from, if they were: sent again, the same
    request gets the same hold, even if it would be estimated differently today.
    """
    arguments = (request,) if request else (ttl.total_seconds(), *sorted(amounts.items()))
    asked = fingerprint(account, "hold", key, *arguments)
    ids = transfer_ids(account, "hold", key, amounts)

    def group(payer: str, former: tuple[str, ...]) -> Linked:
        admission = None
        if rules:
            admission = Admission(account=account, rules=rules, model=model, extends=extends, former=former)
        return tuple(
            PlaceHold(
                wallet=wallet_id(payer, unit),
                id=ids[unit],
                fingerprint=asked,
                amount=amounts[unit],
                ttl=ttl,
                admission=admission,
            )
            for unit in ids
        )

    posted = yield from _post_for(books, account, group, key, rules)
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


def settle(
    books: Books,
    held: Hold,
    amounts: Mapping[str, int],
    *,
    key: str,
    overage: Overage,
    charge: Charge | None = None,
    usage: Usage | None = None,
    card: RateCard | None = None,
    estimate: Estimate | None = None,
    effective_at: datetime | None = None,
    rules: Rules | None = None,
) -> Posting[Receipt | PtmeterError]:
    """
    Charge what the call really cost, up to or beyond its hold; units not named are given back.

    A hold that was admitted at a multiple of the rate is charged at that multiple.
    Giving back comes after charging and by itself: a hold that expired meanwhile is back already, which
    is no reason not to be paid.
    """
    if foreign := set(amounts) - set(held.amounts):
        msg = f"the hold under key {held.key!r} is not in {', '.join(sorted(foreign))}"
        raise InvalidArgumentError(msg)
    if card:
        books.cards.keep(card)
    event = _event(charge, usage)
    asked = fingerprint(held.account, "settle", key, held.key, *sorted(amounts.items()), *_facts(usage))
    charged = [unit for unit in held.amounts if amounts.get(unit)] or list(held.amounts)
    returned = [unit for unit in held.amounts if unit not in charged]
    ids = transfer_ids(held.account, "settle", key, charged)
    ids |= {unit: transfer_id(held.account, "settle", key, unit) for unit in returned}
    holds = transfer_ids(held.account, "hold", held.key, held.amounts)
    commands = {
        unit: Settle(
            wallet=wallet_id(held.payer, unit),
            id=ids[unit],
            fingerprint=asked,
            hold_id=holds[unit],
            amount=amounts.get(unit, 0) * held.multiples.get(unit, 1),
            multiple=held.multiples.get(unit, 1),
            rules=rules,
            usage=event if charge is None or charge.unit == unit else None,
            overage=overage,
            effective_at=effective_at,
        )
        for unit in ids
    }
    receipt = yield from _receipt(
        books, held, tuple(commands[unit] for unit in charged), key, charge, usage
    )
    if isinstance(receipt, PtmeterError):
        return receipt
    given_back = _posted((yield [(commands[unit],) for unit in returned])) if returned else {}
    return replace(
        receipt,
        charged={**receipt.charged, **dict.fromkeys(given_back, PT(0))},
        available={**receipt.available, **given_back},
        estimate=estimate,
    )


def settle_extended(
    books: Books,
    held: Hold,
    amounts: Mapping[str, int],
    *,
    more: Sequence[Hold],
    overage: Overage,
    **others: Unpack[Settling],
) -> Posting[Receipt | PtmeterError]:
    """
    Charge a call for which *more* was held while its answer was written.

    That is given back first, in the same transaction, so that it is there to be charged in one piece; as far
    as it was held until now, it goes beyond nothing.
    """
    if more:
        outcomes = yield [_given_back(each, each.key) for each in more]
        there = [each for each, done in zip(more, outcomes, strict=True) if isinstance(done[0], Posted)]
        overage = Overage.ALLOW if _is_covered(held, there, amounts) else overage
    return (yield from settle(books, held, amounts, overage=overage, **others))


def void(
    books: Books, held: Hold, *, key: str, more: Sequence[Hold] = ()
) -> Posting[Receipt | PtmeterError]:
    """Give a hold back whole, and *more* that was held for it: the call failed and costs nothing."""
    if more:
        yield [_given_back(each, each.key) for each in more]
    return (yield from _receipt(books, held, _given_back(held, key), key))


def _given_back(held: Hold, key: str) -> Linked:
    ids = transfer_ids(held.account, "void", key, held.amounts)
    holds = transfer_ids(held.account, "hold", held.key, held.amounts)
    return tuple(
        Void(
            wallet=wallet_id(held.payer, unit),
            id=ids[unit],
            fingerprint=fingerprint(held.account, "void", key, held.key),
            hold_id=holds[unit],
        )
        for unit in ids
    )


def _is_covered(held: Hold, more: Sequence[Hold], amounts: Mapping[str, int]) -> bool:
    """Whether what is charged was held, with *more* that was held later."""
    whole = Counter({unit: amount.micro for unit, amount in held.amounts.items()})
    for each in more:
        whole.update({unit: amount.micro for unit, amount in each.amounts.items()})
    return all(amount * held.multiples.get(unit, 1) <= whole[unit] for unit, amount in amounts.items())


def debit(
    books: Books,
    account: str,
    amounts: Mapping[str, int],
    *,
    key: str,
    note: str = "",
    overage: Overage = Overage.REJECT,
    charge: Charge | None = None,
    usage: Usage | None = None,
    card: RateCard | None = None,
    effective_at: datetime | None = None,
    rules: Rules | None = None,
) -> Posting[Receipt | PtmeterError]:
    """
    Charge at once, without a hold; refused if less is available, unless *overage* allows it.

    What was used was used: no limit of *rules* refuses it, it only counts.
    """
    if card:
        books.cards.keep(card)
    asked = fingerprint(account, "debit", key, note, *sorted(amounts.items()), *_facts(usage))
    ids = transfer_ids(account, "debit", key, amounts)

    def group(payer: str, former: tuple[str, ...]) -> Linked:
        admission = Admission(account=account, rules=rules, former=former) if rules else None
        return tuple(
            Debit(
                wallet=wallet_id(payer, unit),
                id=ids[unit],
                fingerprint=asked,
                amount=amounts[unit],
                note=note,
                overage=overage,
                usage=_event(charge, usage),
                effective_at=effective_at,
                admission=admission,
            )
            for unit in ids
        )

    posted = yield from _post_for(books, account, group, key, rules)
    if isinstance(posted, PtmeterError):
        return posted
    nothing_held = Hold(account=account, key=key, amounts={}, expires_at=books.ledger.now())
    return _receipt_of(nothing_held, posted, key, charge, usage)


_Group: TypeAlias = "Callable[[str, tuple[str, ...]], Linked]"
"""The commands of a request for the PT of who pays, once it was looked for with those who paid before."""


def _post_for(
    books: Books, account: str, group: _Group, key: str, rules: Rules | None
) -> Posting[list[Posted] | PtmeterError]:
    """Post a group for an account, with the PT of who pays for it; looked up again if that has changed."""
    if rules is None:
        return (yield from post_one(books, group(account, ()), key))
    posted = yield from post_one(books, _group_for(books, account, group), key)
    if isinstance(posted, ContentionError):
        books.accounts.forget(account)
        posted = yield from post_one(books, _group_for(books, account, group), key)
    return posted


def _group_for(books: Books, account: str, group: _Group) -> Linked:
    """The group for who pays now, or for who paid when the same request was carried out."""
    former = books.accounts.former_payers(account)
    for earlier in (group(name, former) for name in former):
        if books.ledger.posted(earlier[0].wallet.account, [command.id for command in earlier]):
            return earlier
    return group(books.accounts.payer(account), former)


def _receipt(
    books: Books,
    held: Hold,
    group: Linked,
    key: str,
    charge: Charge | None = None,
    usage: Usage | None = None,
) -> Posting[Receipt | PtmeterError]:
    posted = yield from post_one(books, group, key, hold_key=held.key)
    if isinstance(posted, PtmeterError):
        return posted
    return _receipt_of(held, posted, key, charge, usage)


def _receipt_of(
    held: Hold, posted: Sequence[Posted], key: str, charge: Charge | None, usage: Usage | None
) -> Receipt:
    return Receipt(
        account=held.account,
        key=key,
        charged={p.transfer.wallet.unit: PT(p.charged) for p in posted},
        held=held.amounts,
        available={p.transfer.wallet.unit: PT(p.available) for p in posted},
        booked_at=max(p.transfer.booked_at for p in posted),
        charge=charge,
        usage=usage,
        warnings=warnings(tuple(p.transfer for p in posted), usage),
        replayed=posted[0].replayed,
    )


def _posted(outcomes: Sequence[tuple[Outcome, ...]]) -> dict[str, PT]:
    """What is available after it, by unit, for those that were carried out."""
    found = [outcome for group in outcomes for outcome in group if isinstance(outcome, Posted)]
    return {posted.transfer.wallet.unit: PT(posted.available) for posted in found}


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


def _facts(usage: Usage | None) -> tuple[object, ...]:
    return usage.facts() if usage else ()


def _event(charge: Charge | None, usage: Usage | None) -> UsageEvent | None:
    if charge is None or usage is None:
        return None
    return UsageEvent(
        usage=usage,
        price=charge.price,
        card_version=charge.card_version,
        cost=charge.cost,
        workload=charge.workload,
    )
