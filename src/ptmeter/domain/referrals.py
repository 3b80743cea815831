"""
Referrals: who may use whose code, what the first payment of the referred account earns, and what a refund takes back.

Amounts are whole micro-PT and nano-units. A reward is rounded down, and what a refund takes back of it up, so that
nobody keeps a fraction of what was refunded; refunded whole, it takes back exactly what was given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError
from .accounts import payer
from .checks import LONGEST_NAME
from .keys import digest
from .messages import Message
from .pt import MICRO, PT, Money
from .rates import WHOLE
from .referral_terms import RewardKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from .accounts import Path
    from .referral_terms import Bound, ReferralTerms, RewardTerms

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""What codes are made of: no 0, 1, I, L or O, which are read for one another."""

CODE_LENGTH: Final = 10
"""Letters of a code: 31^10 are 8.2e14, too many to guess one that somebody has."""

REWARD: Final = "referral.reward"
"""The topic of a reward in money, in the outbox."""

REVERSAL: Final = "referral.reversal"
"""The topic of what is to be taken back of one."""


class ReferralState(StrEnum):
    """What has become of a referral."""

    USED = "used"
    """The code was used; nothing was paid yet."""
    REWARDED = "rewarded"
    """The first payment came in and was rewarded, and is not refunded whole."""
    REVERSED = "reversed"
    """That payment was refunded whole, so the referral counts no more."""
    REFUSED = "refused"
    """That payment came in and is not rewarded: ``refusal`` says why."""


class ReferralRefusal(StrEnum):
    """Why a code cannot be used, or a payment is not rewarded."""

    UNKNOWN_CODE = "unknown_code"
    """Nobody has such a code."""
    ALREADY_REFERRED = "already_referred"
    """The account used a code before; it may use one."""
    OWN_CODE = "own_code"
    """It is the account's own."""
    RELATED = "related"
    """The code is that of an account above or below, or of another member of the same team."""
    MUTUAL = "mutual"
    """The account referred the one whose code this is."""
    NOT_NEW = "not_new"
    """The account has been there for too long."""
    SAME_CARD = "same_card"
    """Too many accounts were seen with the card."""
    SAME_IP = "same_ip"
    """Too many accounts were seen at the address."""
    TOO_MANY = "too_many"
    """The code was used too often in the time there is for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """
    What a referral earned one account, and what of it was taken back.

    ``what`` is the unit of PT, or the currency. ``short`` is what was to be taken back and was not there any more;
    of money it is always 0, for who pays it out knows what is left. ``lot`` is the transfer that brought the PT.
    """

    account: str
    kind: RewardKind
    what: str
    amount: int
    taken_back: int = 0
    short: int = 0
    lot: int = 0
    expires_at: datetime | None = None

    @property
    def given(self) -> PT | Money:
        """What was given, whatever was taken back since."""
        return self._shown(self.amount)

    @property
    def reversed(self) -> PT | Money:
        """What was taken back."""
        return self._shown(self.taken_back)

    @property
    def shortfall(self) -> PT | Money:
        """What was to be taken back and was not there any more."""
        return self._shown(self.short)

    def _shown(self, amount: int) -> PT | Money:
        return PT(amount) if self.kind is RewardKind.PT else Money(amount, self.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """
    An account that used another's code, what its first payment earned and what was refunded of that.

    ``refunded`` is in all. ``replayed`` says that the same was asked before, and nothing was done again.
    """

    account: str
    referrer: str
    code: str
    used_at: datetime
    state: ReferralState = ReferralState.USED
    payment_id: str = ""
    payment: Money | None = None
    refunded: Money | None = None
    paid_at: datetime | None = None
    rewards: tuple[Reward, ...] = ()
    refusal: ReferralRefusal | None = None
    replayed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralStats:
    """
    How far an account has come: what it referred and earned.

    ``count`` is how many of its referrals are rewarded, which its tier goes by; ``uses`` how often its code was used.
    ``tier`` is the place of the tier that holds for the next, from 0, and ``next_at`` the count of the one after.
    ``given``, ``reversed`` and ``shortfall`` are sums by kind and by unit or currency.
    """

    account: str
    code: str
    uses: int
    count: int
    tier: int
    next_at: int | None
    given: Mapping[tuple[RewardKind, str], PT | Money]
    reversed: Mapping[tuple[RewardKind, str], PT | Money]
    shortfall: Mapping[tuple[RewardKind, str], PT | Money]


# --- may a code be used? ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What is known of who uses a code and whose it is: their paths up the tree, and what was before.

    ``referrer_of_owner`` is who referred the code's owner; ``first_booked`` when the first was booked for the account.
    """

    account: Path
    owner: Path
    is_referred: bool
    referrer_of_owner: str | None
    first_booked: datetime | None
    at: datetime


def may_use(facts: Facts, terms: ReferralTerms) -> ReferralRefusal | None:
    """Why the account may not use the code, whoever it is and wherever it comes from; ``None`` if it may."""
    account, owner = facts.account[0].name, facts.owner[0].name
    if account == owner:
        return ReferralRefusal.OWN_CODE
    if facts.is_referred:
        return ReferralRefusal.ALREADY_REFERRED
    if are_related(facts.account, facts.owner):
        return ReferralRefusal.RELATED
    if facts.referrer_of_owner == account:
        return ReferralRefusal.MUTUAL
    if terms.new_within and facts.first_booked and facts.first_booked + terms.new_within <= facts.at:
        return ReferralRefusal.NOT_NEW
    return None


def are_related(one: Path, other: Path) -> bool:
    """Whether one is the other, is above it, uses the same PT, or stands right below the same account."""
    above = {account.name for account in one}, {account.name for account in other}
    if one[0].name in above[1] or other[0].name in above[0]:
        return True
    return payer(one) == payer(other) or (one[0].parent is not None and one[0].parent == other[0].parent)


def is_reached(bound: Bound | None, seen: int) -> bool:
    """Whether one more would be too many, *seen* being those there are within the bound's time."""
    return bound is not None and seen >= bound.most


def spelled(code: str) -> str:
    """A code as it is kept, however somebody typed it."""
    return "".join(code.upper().split()).replace("-", "")


def is_code(text: str) -> bool:
    """Whether a code as it is kept could be somebody's: what is none need not be looked for."""
    return len(text) == CODE_LENGTH and set(text) <= set(ALPHABET)


def trace(key: bytes, what: str, value: str) -> bytes:
    """
    What is kept of a card or an address: a hash with a key that is not in the database, 8 bytes.

    Hashed without one, every address there is could be tried.
    """
    return digest(("referral trace", what, key, value))


# --- what is earned -----------------------------------------------------------------------------


def rewards(
    account: str,
    terms: RewardTerms,
    payment: Money,
    *,
    count: int,
    sells_at: Mapping[str, Money],
    step: Money,
    at: datetime,
) -> tuple[Reward, ...]:
    """
    What *payment* earns *account*, which had *count* rewarded referrals before; nothing that is nothing.

    A share of it becomes PT by what a PT sells at, rounded down to the micro-PT; money is rounded down to *step*.

    Raises:
        InvalidArgumentError: PT sell in another currency than the payment's, or for nothing.
    """
    tier = terms.tier(count)
    expires_at = at + terms.expires_after if terms.expires_after else None
    pt = {unit: amount.micro for unit, amount in tier.bonus.items()}
    money = 0
    if terms.unit is not None:
        pt[terms.unit] = pt.get(terms.unit, 0) + _pt_for(payment, tier.share, terms.unit, sells_at)
    else:
        money = payment.nano * tier.share // (WHOLE * step.nano) * step.nano
    earned = [(RewardKind.PT, unit, amount) for unit, amount in sorted(pt.items())]
    earned.append((terms.kind, payment.currency, money))
    return tuple(
        Reward(account=account, kind=kind, what=what, amount=amount, expires_at=expires_at)
        for kind, what, amount in earned
        if amount
    )


def _pt_for(payment: Money, share: int, unit: str, sells_at: Mapping[str, Money]) -> int:
    price = sells_at[unit]
    if price.currency != payment.currency:
        msg = (
            f"a payment in {payment.currency} cannot be rewarded in {unit} PT, which sell in {price.currency}: "
            f"convert it first"
        )
        raise InvalidArgumentError(msg)
    if not price.nano:
        msg = f"{unit} PT sell at nothing, so no payment comes to a number of them"
        raise InvalidArgumentError(msg)
    return payment.nano * share * MICRO // (WHOLE * price.nano)


# --- what is taken back -------------------------------------------------------------------------


def to_take_back(amount: int, payment: Money, refunded: Money) -> int:
    """What is to be taken back in all of a reward, when so much of its payment was refunded: rounded up."""
    kept = amount * (payment.nano - refunded.nano) // payment.nano
    return amount - kept


def check_payment(payment_id: str, payment: Money | None = None) -> None:
    """
    Make sure that something can be a payment.

    Raises:
        InvalidArgumentError: It is of nothing or less, or its id could not be kept.
    """
    if not payment_id or len(payment_id) > LONGEST_NAME or not payment_id.isprintable():
        msg = f"a payment's id is a text of 1 to {LONGEST_NAME} printable characters, not {payment_id!r}"
        raise InvalidArgumentError(msg)
    if payment is not None and payment.nano <= 0:
        msg = f"a payment is more than nothing, not {payment}"
        raise InvalidArgumentError(msg)


def refunded_to(found: Referral, amount: Money | None) -> Money:
    """
    How much of the referral's payment is refunded in all, if now it is *amount*; all of it, if that is not said.

    Less than before changes nothing: news of refunds may come in any order.

    Raises:
        InvalidArgumentError: It is negative, more than was paid, or in another currency.
    """
    assert found.payment is not None
    now = found.payment if amount is None else amount
    if now.currency != found.payment.currency or not 0 <= now.nano <= found.payment.nano:
        msg = f"{now} cannot have been refunded of a payment of {found.payment}: say how much in all"
        raise InvalidArgumentError(msg)
    return max(now, found.refunded or Money(0, now.currency), key=lambda each: each.nano)


def taken_back(reward: Reward, due: int, taken: int) -> Reward:
    """The reward after *taken* was got of what was *due* now."""
    return replace(reward, taken_back=reward.taken_back + taken, short=reward.short + due - taken)


# --- what is told -------------------------------------------------------------------------------


def to_give(found: Referral, at: datetime) -> Iterator[Message]:
    """The messages that have rewards in money given."""
    for reward in found.rewards:
        if reward.kind is not RewardKind.PT:
            yield _told(REWARD, found, reward, reward.amount, reward.amount, at)


def to_reverse(found: Referral, reward: Reward, due: int, at: datetime) -> Message:
    """The message that has so much of a reward in money taken back, as it is after that."""
    return _told(REVERSAL, found, reward, due, reward.taken_back, at)


def _told(topic: str, found: Referral, reward: Reward, amount: int, in_all: int, at: datetime) -> Message:
    facts: dict[str, object] = {
        "kind": reward.kind,
        "currency": reward.what,
        "amount": amount,
        "in_all": in_all,
        "payment": found.payment_id,
        "referred": found.account,
        "expires_at": reward.expires_at.isoformat() if reward.expires_at else None,
    }
    name = digest((topic, found.payment_id, reward.account, reward.kind, in_all))
    return Message(id=name.hex(), account=reward.account, topic=topic, facts=facts, noted_at=at, due_at=at)
