"""
Calls that were answered and could not be charged: set aside when they end, and decided about by a person.

What was decided about a call and what it moves are one transaction: a call is never settled without being
charged, nor charged without being settled.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from ..domain.checks import LONGEST_NAME
from ..domain.instants import microseconds, moment
from ..domain.ledger import wallet_id
from ..domain.pt import PT
from ..domain.quarantine import (
    Backlog,
    Quarantined,
    QuarantinePage,
    QuarantineState,
    call_id,
    decide,
    decided_key,
    disagreement,
    kept_payload,
    kept_problem,
    settlement_id,
)
from ..domain.rates import Charge
from ..domain.receipts import Receipt, warnings
from ..errors import (
    ConfigurationError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InvalidArgumentError,
    InvariantError,
    NotFoundError,
    PtmeterError,
)
from . import holding, metering
from .posting import alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..domain.admission import Rules
    from ..domain.ledger import Overage, Posted
    from ..domain.quarantine import Decision
    from ..domain.rates import RateCard, Workload
    from ..domain.receipts import Hold
    from ..domain.usage import Usage
    from ..ports import Books, Posting

Rate: TypeAlias = "Callable[[Quarantined, Usage, Workload], Charge]"
"""Rates a call by what was in force when it was received."""

CardAt: TypeAlias = "Callable[[datetime], RateCard]"
"""The rate card that was in force at a time."""


# --- setting aside ----------------------------------------------------------------------------


def keep(
    books: Books,
    account: str,
    *,
    key: str,
    unit: str,
    model: str,
    route: str,
    held: PT | None,
    payer: str | None,
    workload: Workload,
    problem: str,
    payload: object,
    more: tuple[str, ...] = (),
) -> Quarantined:
    """
    Put a call into quarantine; one of that account and key that is there already stays as it is.

    Raises:
        InvalidArgumentError: The account, the key or the model is no name.
    """
    wallet_id(account, unit)
    if len(model) > LONGEST_NAME:
        msg = f"{model[:LONGEST_NAME]!r}… cannot name a model: no name is longer than {LONGEST_NAME} characters"
        raise InvalidArgumentError(msg)
    call = Quarantined(
        account=account,
        key=key,
        unit=unit,
        model=model,
        route=route,
        held=held,
        payer=payer,
        workload=workload,
        more=more,
        problem=kept_problem(problem),
        payload=kept_payload(payload),
        received_at=books.ledger.now(),
    )
    books.quarantine.keep(call)
    return find(books, account, key=key)


# --- deciding ---------------------------------------------------------------------------------


def settle(
    books: Books,
    account: str,
    *,
    key: str,
    decision: Decision,
    rate: Rate,
    card_at: CardAt,
    overage: Overage,
    rules: Rules | None,
) -> Receipt:
    """
    Charge a call what a person takes to be right, by the price and the card of its time.

    Its hold is settled, or late if it expired, in the wallet it was taken from and at the multiple of the rate it
    was admitted at, whoever pays for the account by now; what was held for it besides is given back. A call that had none is charged under its own key, to
    who pays for the account now. A refusal is raised, so nothing of it is remembered and the same decision can be
    made again.

    Raises:
        NotFoundError: No such call is in quarantine.
        QuarantineResolvedError: It was decided otherwise.
        HoldNotPendingError: Its hold was settled or voided by somebody: then dismiss it.
        IdempotencyConflictError: It was recorded with another usage since: then dismiss it.
        InsufficientFundsError: Less is available and the overage policy forbids owing.
        InvalidArgumentError: It would be charged nothing: dismiss it instead; or nobody says how it was processed.
        ConfigurationError: The account uses the PT of another, and there are no *rules* to charge it by.
    """
    found = _locked(books, account, key)
    after = decide(found, decision, at=books.ledger.now())
    if after is found:
        return _receipt_again(books, found)
    assert decision.usage is not None
    workload, card = decision.workload(found), card_at(found.received_at)
    charge = rate(found, decision.usage, workload)
    if not charge.amount:
        msg = f"call {key!r} of account {account!r} would be charged nothing: dismiss it instead"
        raise InvalidArgumentError(msg)
    work = _recorded if found.held is None else _settled
    facts = _Facts(charge=charge, usage=decision.usage, card=card, overage=overage, rules=rules)

    receipt = alone(books, partial(work, call=after, facts=facts))

    if isinstance(receipt, PtmeterError):
        raise receipt
    settled = replace(after, payer=after.payer or _payer(books, account, rules))
    if receipt.replayed and not _is_as_decided(books, settled):
        raise IdempotencyConflictError(account, key)
    books.quarantine.resolve(settled)
    return replace(receipt, key=key)


def dismiss(books: Books, account: str, *, key: str, decision: Decision) -> Quarantined:
    """
    Charge a call to nobody for good: its hold is given back, if that is still open.

    Raises:
        NotFoundError: No such call is in quarantine.
        QuarantineResolvedError: It was settled.
    """
    found = _locked(books, account, key)
    after = decide(found, decision, at=books.ledger.now())
    if after is found:
        return found

    if after.held is not None:
        given_back = alone(books, partial(_given_back, call=after))
        if isinstance(given_back, PtmeterError) and not isinstance(given_back, HoldNotPendingError):
            raise given_back
    books.quarantine.resolve(after)
    return after


# --- reading back -----------------------------------------------------------------------------


def find(books: Books, account: str, *, key: str) -> Quarantined:
    """
    The call in quarantine, however it stands.

    Raises:
        NotFoundError: No such call is in quarantine.
    """
    found = books.quarantine.find(account, key)
    if found is None:
        raise _missing(account, key)
    return found


def page(books: Books, state: QuarantineState | None, *, after: str | None, limit: int) -> QuarantinePage:
    """
    Calls in that state or in any, the oldest first.

    Raises:
        InvalidArgumentError: *after* did not come from such a page, or *limit* is not positive.
    """
    if limit < 1:
        msg = f"a page has at least one call, not {limit}"
        raise InvalidArgumentError(msg)
    found = books.quarantine.page(state, after=_read_place(after), limit=limit + 1)
    shown, more = tuple(found[:limit]), len(found) > limit
    return QuarantinePage(shown, _write_place(shown[-1]) if more else None)


def backlog(books: Books) -> Backlog:
    """How much waits for a decision."""
    return Backlog(*books.quarantine.backlog(), books.ledger.now())


# --- the postings -----------------------------------------------------------------------------


class _Facts(TypedDict):
    """What a call is charged by, however it is."""

    charge: Charge
    usage: Usage
    card: RateCard
    overage: Overage
    rules: Rules | None


def _settled(books: Books, *, call: Quarantined, facts: _Facts) -> Posting[Receipt | PtmeterError]:
    charge = facts["charge"]
    return (
        yield from metering.settle_extended(
            books,
            _hold(books, call, call.key),
            {charge.unit: charge.amount.micro},
            more=_more(books, call),
            key=decided_key(call),
            effective_at=call.received_at,
            **facts,
        )
    )


def _recorded(books: Books, *, call: Quarantined, facts: _Facts) -> Posting[Receipt | PtmeterError]:
    charge = facts["charge"]
    _payer(books, call.account, facts["rules"])
    return (
        yield from metering.debit(
            books,
            call.account,
            {charge.unit: charge.amount.micro},
            key=decided_key(call),
            effective_at=call.received_at,
            **facts,
        )
    )


def _given_back(books: Books, *, call: Quarantined) -> Posting[Receipt | PtmeterError]:
    held = _hold(books, call, call.key)
    return (yield from metering.void(books, held, key=decided_key(call), more=_more(books, call)))


def _hold(books: Books, call: Quarantined, key: str) -> Hold:
    return holding.find_hold(books, call.account, [call.unit], key=key, payer=call.payer)


def _more(books: Books, call: Quarantined) -> list[Hold]:
    return [_hold(books, call, key) for key in call.more]


def _payer(books: Books, account: str, rules: Rules | None) -> str:
    """Who pays for the account's calls now: whose wallet a debit by these *rules* has gone to."""
    found = books.accounts.payer(account)
    if rules is None and found != account:
        msg = f"account {account!r} uses the PT of {found!r}: open the meter with the platform's plans to charge it"
        raise ConfigurationError(msg)
    return found


def settlement(books: Books, call: Quarantined) -> Posted | None:
    """What charged a settled call, with its usage, as the journal has it."""
    payer = call.payer or call.account
    for posted in books.ledger.posted(payer, [settlement_id(call)]):
        place = posted.transfer
        for wallet in books.ledger.wallets(payer, live=True):
            if wallet.id == place.wallet:
                (row,) = books.ledger.journal(wallet, after=place.seq - 1, limit=1)
                return replace(posted, transfer=row)
    return None


def _is_as_decided(books: Books, call: Quarantined) -> bool:
    """Whether what charged a call before is what was decided about it now, and no more like it in its amount."""
    posted = settlement(books, call)
    return posted is not None and disagreement(replace(call, held=None), None, posted.transfer) is None


def _receipt_again(books: Books, call: Quarantined) -> Receipt:
    """What settling the call came to, from the journal: its price and its card are those of then."""
    posted = settlement(books, call)
    if posted is None:
        msg = f"call {call.key!r} of account {call.account!r} is settled and was not charged: run `ptmeter verify`"
        raise InvariantError(msg)
    return _receipt(call, posted)


def _receipt(call: Quarantined, posted: Posted) -> Receipt:
    event, unit = posted.transfer.usage, posted.transfer.wallet.unit
    assert event is not None
    return Receipt(
        account=call.account,
        key=call.key,
        charged={unit: PT(posted.charged)},
        held={} if call.held is None else {unit: call.held},
        available={unit: PT(posted.available)},
        booked_at=posted.transfer.booked_at,
        charge=Charge(
            model=call.model,
            unit=unit,
            amount=PT(posted.charged // posted.transfer.multiple),
            cost=event.cost,
            price=event.price,
            card_version=event.card_version,
            workload=event.workload,
        ),
        usage=event.usage,
        warnings=warnings((posted.transfer,), event.usage),
        replayed=True,
    )


def _locked(books: Books, account: str, key: str) -> Quarantined:
    found = books.quarantine.lock(account, key)
    if found is None:
        raise _missing(account, key)
    return found


def _missing(account: str, key: str) -> NotFoundError:
    return NotFoundError(f"no call of account {account!r} is in quarantine under key {key!r}")


def _read_place(after: str | None) -> tuple[datetime, bytes] | None:
    if after is None:
        return None
    try:
        received, number = after.split(":")
        return moment(int(received)), bytes.fromhex(number)
    except ValueError:
        msg = f"{after!r} is not a place in quarantine: pass on the `after` of the page before"
        raise InvalidArgumentError(msg) from None


def _write_place(call: Quarantined) -> str:
    return f"{microseconds(call.received_at)}:{call_id(call.account, call.key).hex()}"
