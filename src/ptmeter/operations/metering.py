"""How a call ends: what was held for it is settled or given back; or it is charged at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Required, TypedDict

from ..domain.admission import Admission
from ..domain.commands import Debit, Settle, Void
from ..domain.keys import fingerprint, transfer_id, transfer_ids
from ..domain.ledger import Overage, Posted, UsageEvent, wallet_id
from ..domain.pt import PT
from ..domain.receipts import Hold, Receipt, warnings
from ..errors import (
    InvalidArgumentError,
    PtmeterError,
)
from .posting import post_for, post_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from typing_extensions import Unpack

    from ..domain.admission import Rules
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

    posted = yield from post_for(books, account, group, key, rules)
    if isinstance(posted, PtmeterError):
        return posted
    nothing_held = Hold(account=account, key=key, amounts={}, expires_at=books.ledger.now())
    return _receipt_of(nothing_held, posted, key, charge, usage)


def _receipt(
    books: Books,
    held: Hold,
    group: Linked,
    key: str,
    charge: Charge | None = None,
    usage: Usage | None = None,
) -> Posting[Receipt | PtmeterError]:
    posted = yield from post_one(books, group, key, hold_key=held.key, asker=held.account)
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
