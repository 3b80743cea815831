"""What came of referrals: who was referred, how far an account has come, and what it earned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..domain.pt import PT, Money
from ..domain.referral_terms import RewardKind
from ..domain.referrals import Referral, ReferralStats
from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..domain.referral_terms import ReferralTerms
    from ..domain.referrals import Reward
    from ..ports import Books

PAGE: Final = 1_000


def listed(
    books: Books, account: str, *, before: str | None = None, limit: int = 100
) -> tuple[Referral, ...]:
    """
    The referrals of an account, the latest first, beginning behind that of the account *before*.

    Raises:
        InvalidArgumentError: *limit* is not positive, or *before* is none of them.
    """
    if limit < 1:
        msg = f"ask for at least one referral, not {limit}"
        raise InvalidArgumentError(msg)
    behind = None
    if before is not None:
        last = books.referrals.find(before)
        if last is None or last.referrer != account:
            msg = f"{before!r} was not referred by {account!r}, so no page ends with it"
            raise InvalidArgumentError(msg)
        behind = last.used_at, last.account
    return tuple(books.referrals.listed(account, before=behind, limit=limit))


def stats(books: Books, account: str, *, terms: ReferralTerms) -> ReferralStats:
    """How far an account has come: referrals, tier, and what it earned on either side of them."""
    count = books.referrals.count(account)
    tiers = terms.referrer.tiers if terms.referrer else ()
    reached = [tier for tier in tiers if tier.at_least <= count]
    mine = [reward for reward in _every_reward(books, account) if reward.account == account]
    return ReferralStats(
        account=account,
        code=books.referrals.code_of(account) or "",
        uses=books.referrals.uses(account),
        count=count,
        tier=max(len(reached) - 1, 0),
        next_at=tiers[len(reached)].at_least if len(reached) < len(tiers) else None,
        given=_sums(mine, [reward.amount for reward in mine]),
        reversed=_sums(mine, [reward.taken_back for reward in mine]),
        shortfall=_sums(mine, [reward.short for reward in mine]),
    )


def _every_reward(books: Books, account: str) -> Iterator[Reward]:
    mine = books.referrals.find(account)
    yield from mine.rewards if mine else ()
    before = None
    while page := books.referrals.listed(account, before=before, limit=PAGE):
        for each in page:
            yield from each.rewards
        before = page[-1].used_at, page[-1].account


def _sums(earned: Sequence[Reward], amounts: Sequence[int]) -> dict[tuple[RewardKind, str], PT | Money]:
    sums: dict[tuple[RewardKind, str], int] = {}
    for reward, amount in zip(earned, amounts, strict=True):
        place = reward.kind, reward.what
        sums[place] = sums.get(place, 0) + amount
    return {
        (kind, what): PT(amount) if kind is RewardKind.PT else Money(amount, what)
        for (kind, what), amount in sorted(sums.items())
    }
