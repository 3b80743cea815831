"""
Referrals: give out codes, have them used, reward the first payment, take back what a refund calls for.

Everything that happens to a referrer's referrals happens under the lock of its code, so that tiers and bounds are
counted exactly. After it come traces, then wallets, in one order for everybody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..domain.checks import check_name
from ..domain.commands import Adjust, Grant
from ..domain.keys import digest, fingerprint, transfer_id, transfer_ids
from ..domain.ledger import Posted, Refusal, wallet_id
from ..domain.pt import Money
from ..domain.referral_terms import RewardKind
from ..domain.referrals import (
    Facts,
    Referral,
    ReferralRefusal,
    ReferralState,
    are_related,
    check_payment,
    is_code,
    is_reached,
    may_use,
    refunded_to,
    rewards,
    spelled,
    taken_back,
    to_give,
    to_reverse,
    to_take_back,
)
from ..errors import (
    ContentionError,
    IdempotencyConflictError,
    PtmeterError,
    ReferralRefusedError,
)
from .posting import post_one
from .refusing import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ..domain.referral_terms import Bound, ReferralTerms
    from ..domain.referrals import Reward
    from ..ports import Books, Posting


class Seen(NamedTuple):
    """What an account is seen with, as keyed hashes (`referrals.trace`); ``None`` for what is not looked at."""

    card: bytes | None = None
    ip: bytes | None = None

    @property
    def traces(self) -> list[bytes]:
        """Those there are."""
        return [trace for trace in self if trace is not None]


def code(books: Books, account: str, *, candidates: Sequence[str], seen: Seen) -> str:
    """
    The account's code: the one it has, or else the first of *candidates* that is nobody's.

    Raises:
        ContentionError: All of them are somebody's.
    """
    check_name(account)
    for candidate in candidates:
        if books.referrals.code_of(account) is None:
            books.referrals.add_code(account, candidate)
    found = books.referrals.code_of(account)
    if found is None:
        msg = "every code that was drawn is another account's"
        raise ContentionError(msg)
    if seen.traces:
        books.referrals.lock_traces(seen.traces)
        books.referrals.note_traces(account, seen.traces)
    return found


def use(
    books: Books, code: str, *, account: str, terms: ReferralTerms, seen: Seen, key: str
) -> Referral | PtmeterError:
    """Have *account* use a code, if it may."""
    check_name(account)
    code = spelled(code)
    request = transfer_id(account, "referral", key)
    asked = fingerprint(account, "referral", key, code, seen.card or b"", seen.ip or b"")
    owner = books.referrals.owner_of(code) if is_code(code) else None
    books.referrals.lock_codes([account, owner] if owner else [account])
    earlier = books.referrals.find(account)
    if earlier and (same := _same_request(books, earlier, request, asked, key)):
        return same
    if owner is None:
        return ReferralRefusedError(account, ReferralRefusal.UNKNOWN_CODE)
    at = books.ledger.now()
    refused = may_use(_facts(books, account, owner, at), terms)
    refused = refused or _out_of_bounds(books, account, terms, seen, at)
    if not refused and is_reached(terms.bounds.code, _uses(books, owner, terms.bounds.code, at)):
        refused = ReferralRefusal.TOO_MANY
    new = Referral(account=account, referrer=owner, code=code, used_at=at)
    if not refused and not books.referrals.add(new, request, asked):
        refused = ReferralRefusal.ALREADY_REFERRED  # by another code, at the same moment
    if refused:
        return ReferralRefusedError(account, refused)
    books.referrals.note_traces(account, seen.traces)
    return new


def paid(
    books: Books,
    account: str,
    *,
    payment: Money,
    payment_id: str,
    terms: ReferralTerms,
    sells_at: Mapping[str, Money],
    seen: Seen,
) -> Posting[Referral | PtmeterError | None]:
    """Reward the first payment of an account that was referred; ``None`` if it is not that."""
    check_payment(payment_id, payment)
    found = _locked(books, books.referrals.find(account))
    if found is None:
        return None
    if found.payment_id:
        if found.payment_id != payment_id:
            return None
        if found.payment != payment:
            return IdempotencyConflictError(account, payment_id)
        return replace(found, replayed=True)
    books.referrals.lock_traces([digest(("referral payment", payment_id))])
    if books.referrals.find_payment(payment_id):
        return IdempotencyConflictError(account, payment_id)
    at = books.ledger.now()
    found = replace(found, payment=payment, payment_id=payment_id, paid_at=at)
    related = are_related(books.accounts.path(account), books.accounts.path(found.referrer))
    refused = ReferralRefusal.RELATED if related else _out_of_bounds(books, account, terms, seen, at)
    books.referrals.note_traces(account, seen.traces)
    if refused:
        done: Referral | PtmeterError = replace(found, state=ReferralState.REFUSED, refusal=refused)
    else:
        count = books.referrals.count(found.referrer)
        earned = _earned(found, payment, terms, count, sells_at, at)
        found = replace(found, state=ReferralState.REWARDED, rewards=tuple(earned))
        done = yield from _given(books, found)
    if isinstance(done, Referral):
        books.referrals.save(done)
        books.outbox.add([*to_give(done, at)])
    return done


def refunded(
    books: Books, payment_id: str, *, amount: Money | None
) -> Posting[Referral | PtmeterError | None]:
    """Take back what of the rewards is left, pro rata to what was refunded; ``None`` if nothing was rewarded."""
    check_payment(payment_id)
    found = _locked(books, books.referrals.find_payment(payment_id))
    if found is None or found.payment is None:
        return None
    before = found.refunded or Money(0, found.payment.currency)
    in_all = refunded_to(found, amount)
    if in_all == before and found.refunded is not None:
        return replace(found, replayed=True)
    at = books.ledger.now()
    due = [
        to_take_back(reward.amount, found.payment, in_all)
        - to_take_back(reward.amount, found.payment, before)
        for reward in found.rewards
    ]
    found = replace(found, refunded=in_all)
    if in_all == found.payment and found.state is ReferralState.REWARDED:
        found = replace(found, state=ReferralState.REVERSED)
    done = yield from _taken(books, found, due, at)
    if isinstance(done, Referral):
        books.referrals.save(done)
    return done


# --- who, and from where ------------------------------------------------------------------------


def _same_request(
    books: Books, earlier: Referral, request: bytes, asked: bytes, key: str
) -> Referral | PtmeterError | None:
    """The referral again, if it is this request that led to it."""
    known = books.referrals.asked(earlier.account)
    if known is None or known[0] != request:
        return None
    if known[1] != asked:
        return IdempotencyConflictError(earlier.account, key)
    return replace(earlier, replayed=True)


def _facts(books: Books, account: str, owner: str, at: datetime) -> Facts:
    referrer = books.referrals.find(owner)
    wallets = books.ledger.wallets(account, live=True)
    first = [row.booked_at for wallet in wallets for row in books.ledger.journal(wallet, limit=1)]
    return Facts(
        account=books.accounts.path(account),
        owner=books.accounts.path(owner),
        is_referred=books.referrals.find(account) is not None,
        referrer_of_owner=referrer.referrer if referrer else None,
        first_booked=min(first, default=None),
        at=at,
    )


def _out_of_bounds(
    books: Books, account: str, terms: ReferralTerms, seen: Seen, at: datetime
) -> ReferralRefusal | None:
    """Why the card or the address is seen with too many accounts; from here on nobody else is seen with them."""
    if not seen.traces:
        return None
    books.referrals.lock_traces(seen.traces)
    for bound, trace, refused in (
        (terms.bounds.card, seen.card, ReferralRefusal.SAME_CARD),
        (terms.bounds.ip, seen.ip, ReferralRefusal.SAME_IP),
    ):
        if bound is None or trace is None:
            continue
        if is_reached(bound, books.referrals.seen(trace, beside=account, since=_since(bound, at))):
            return refused
    return None


def _uses(books: Books, owner: str, bound: Bound | None, at: datetime) -> int:
    return books.referrals.uses(owner, _since(bound, at)) if bound else 0


def _since(bound: Bound, at: datetime) -> datetime | None:
    return at - bound.within if bound.within else None


def _locked(books: Books, found: Referral | None) -> Referral | None:
    """The referral as it is once its referrer's code is locked."""
    if found is None:
        return None
    books.referrals.lock_codes([found.referrer])
    return books.referrals.find(found.account)


# --- PT and money -------------------------------------------------------------------------------


def _earned(
    found: Referral,
    payment: Money,
    terms: ReferralTerms,
    count: int,
    sells_at: Mapping[str, Money],
    at: datetime,
) -> Iterator[Reward]:
    for name, side in ((found.referrer, terms.referrer), (found.account, terms.referred)):
        if side:
            yield from rewards(name, side, payment, count=count, sells_at=sells_at, step=terms.step, at=at)


def _given(books: Books, found: Referral) -> Posting[Referral | PtmeterError]:
    """Grant what is earned in PT: a lot of its own for each account and unit, under the payment."""
    group: dict[tuple[str, str], Grant] = {}
    for name in dict.fromkeys(reward.account for reward in found.rewards):
        earned = {r.what: r for r in found.rewards if r.account == name and r.kind is RewardKind.PT}
        ids = transfer_ids(name, "referral", found.payment_id, earned) if earned else {}
        for unit, reward in earned.items():
            group[name, unit] = Grant(
                wallet=wallet_id(name, unit),
                id=ids[unit],
                fingerprint=fingerprint(name, "referral", found.payment_id, unit, reward.amount),
                amount=reward.amount,
                note=f"referral {found.code}",
                expires_at=reward.expires_at,
                paid=0,
            )
    if not group:
        return found
    posted = yield from post_one(books, tuple(group.values()), found.payment_id)
    if isinstance(posted, PtmeterError):
        return posted
    lots = {each.transfer.wallet: each.transfer.seq for each in posted}
    brought = [
        replace(r, lot=lots[wallet_id(r.account, r.what)]) if r.kind is RewardKind.PT else r
        for r in found.rewards
    ]
    return replace(found, rewards=tuple(brought))


def _taken(
    books: Books, found: Referral, due: Sequence[int], at: datetime
) -> Posting[Referral | PtmeterError]:
    """Take what is *due* of each reward: PT from their own lot, as far as it goes, money by a message."""
    commands = {
        place: _take_back(found, reward, amount)
        for place, (reward, amount) in enumerate(zip(found.rewards, due, strict=True))
        if amount and reward.kind is RewardKind.PT
    }
    outcomes = (yield [(command,) for command in commands.values()]) if commands else []
    taken = dict(enumerate(due))
    for (place, command), (outcome,) in zip(commands.items(), outcomes, strict=True):
        if isinstance(outcome, Posted):
            taken[place] = outcome.transfer.amount
        elif outcome.reason is Refusal.INSUFFICIENT_FUNDS:
            taken[place] = 0
        else:
            return refusal(books, command, outcome, found.payment_id, found.payment_id)
    changed = tuple(
        taken_back(reward, due[place], taken[place]) for place, reward in enumerate(found.rewards)
    )
    told = [
        to_reverse(found, reward, amount, at)
        for reward, amount in zip(changed, due, strict=True)
        if amount and reward.kind is not RewardKind.PT
    ]
    books.outbox.add(told)
    return replace(found, rewards=changed)


def _take_back(found: Referral, reward: Reward, amount: int) -> Adjust:
    """The correction that takes up to *amount* of what is free in the reward's lot, for a refund of so much in all."""
    assert found.refunded is not None
    name, in_all = reward.account, str(found.refunded.nano)
    return Adjust(
        wallet=wallet_id(name, reward.what),
        id=transfer_id(name, "referral refunded", found.payment_id, reward.what, in_all),
        fingerprint=fingerprint(name, "referral refunded", found.payment_id, in_all, amount),
        amount=-amount,
        note=f"referral {found.code}: its payment was refunded",
        lot=reward.lot,
    )
