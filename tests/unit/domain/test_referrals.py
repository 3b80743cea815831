"""Referrals decided: who is related to whom, what a payment earns, what a refund takes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import PT, InvalidArgumentError, Money, RewardKind
from ptmeter.domain.accounts import Account
from ptmeter.domain.referral_terms import HUNDREDTH, Bound, ReferralTerms, RewardTerms, RewardTier
from ptmeter.domain.referrals import (
    Facts,
    ReferralRefusal,
    are_related,
    is_reached,
    may_use,
    rewards,
    spelled,
    to_take_back,
    trace,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
SELLS_AT = {"core": Money.usd("0.01"), "free": Money(0), "euro": Money(10**7, "EUR")}


def path(*names: str, pooled: int = 0) -> tuple[Account, ...]:
    """An account and those above it; the first *pooled* of them use the PT of the next."""
    return tuple(
        Account(name=name, parent=parent, pooled=place < pooled)
        for place, (name, parent) in enumerate(zip(names, (*names[1:], None), strict=True))
    )


def facts(**changed: Any) -> Facts:
    known = {
        "account": path("new"),
        "owner": path("owner"),
        "is_referred": False,
        "referrer_of_owner": None,
        "first_booked": None,
        "at": AT,
    }
    return Facts(**known | changed)


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        (path("a"), path("b"), False),
        (path("a"), path("a"), True),
        (path("a", "team"), path("team"), True),
        (path("a", "team", "org"), path("org"), True),
        (path("a", "team"), path("b", "team"), True),
        (path("a", "team"), path("b", "other"), False),
        (path("a", "one", "org"), path("b", "two", "org"), False),
        (path("a", "one", "org", pooled=2), path("b", "two", "org", pooled=2), True),
        (path("a", "one", "org", pooled=1), path("b", "two", "org", pooled=2), False),
    ],
    ids=["strangers", "the same", "member", "far below", "one team", "two teams", "one organisation",
         "one purse", "two purses"],
)  # fmt: skip
def test_who_is_related(one: Any, other: Any, related: bool) -> None:
    """Above, below, under the same parent, or using the same PT; whichever of the two is asked first."""
    assert [related, related] == [are_related(one, other), are_related(other, one)]


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({}, None),
        ({"account": path("owner")}, ReferralRefusal.OWN_CODE),
        ({"is_referred": True}, ReferralRefusal.ALREADY_REFERRED),
        ({"owner": path("owner", "new")}, ReferralRefusal.RELATED),
        ({"referrer_of_owner": "new"}, ReferralRefusal.MUTUAL),
        ({"referrer_of_owner": "somebody"}, None),
        ({"first_booked": AT - MONTH}, ReferralRefusal.NOT_NEW),
        ({"first_booked": AT - MONTH + timedelta(microseconds=1)}, None),
    ],
    ids=str,
)
def test_who_may_use_a_code(changed: Any, refused: ReferralRefusal | None) -> None:
    """A new account that is nobody's of the owner's, once."""
    assert refused is may_use(facts(**changed), ReferralTerms(new_within=MONTH))


def test_without_a_time_every_account_is_new() -> None:
    """Terms that do not say for how long an account is new take any."""
    assert may_use(facts(first_booked=AT - 100 * MONTH), ReferralTerms()) is None


def test_a_bound_is_reached_by_what_there_is() -> None:
    """The most there may be are enough to refuse one more; where no bound is, nothing is too much."""
    assert [False, True, True] == [is_reached(Bound(2), seen) for seen in (1, 2, 3)]
    assert is_reached(Bound(0), 0)
    assert not is_reached(None, 10**9)


def test_a_trace_depends_on_the_key() -> None:
    """Another key, another kind or another value is another trace; a card is no address."""
    assert 4 == len(
        {trace(b"k", "ip", "x"), trace(b"l", "ip", "x"), trace(b"k", "card", "x"), trace(b"k", "ip", "y")}
    )
    assert trace(b"k", "ip", "x") == trace(b"k", "ip", "x")


def test_a_code_is_what_is_left_of_it() -> None:
    """However it is typed."""
    assert "AB23" == spelled(" ab-2 3\n")


# --- amounts ---

PRICES = st.integers(1, 10**14)
SHARES = st.integers(0, 10_000)


def terms(kind: RewardKind, share: int, **more: Any) -> RewardTerms:
    unit = "core" if kind is RewardKind.PT else None
    return RewardTerms(kind=kind, unit=more.pop("unit", unit), tiers=(RewardTier(0, share, **more),))


def earned(of: RewardTerms, payment: Money, count: int = 0) -> tuple[Any, ...]:
    found = rewards("a", of, payment, count=count, sells_at=SELLS_AT, step=HUNDREDTH, at=AT)
    return tuple((reward.kind, reward.what, reward.amount) for reward in found)


@given(PRICES, SHARES)
def test_a_share_is_rounded_down(nano: int, share: int) -> None:
    """PT to the micro-PT, money to the cent: never more than the share, and less by less than a step."""
    exact = Fraction(nano * share, 10_000)
    pt = sum(amount for _, _, amount in earned(terms(RewardKind.PT, share), Money(nano)))
    cash = sum(amount for _, _, amount in earned(terms(RewardKind.CASH, share), Money(nano)))

    assert 0 <= exact * 10**6 / 10**7 - pt < 1
    assert 0 <= exact - cash < HUNDREDTH.nano
    assert 0 == cash % HUNDREDTH.nano


@given(st.integers(0, 10**15), PRICES, st.lists(PRICES, max_size=8))
def test_what_is_taken_back_is_never_more_than_given(amount: int, paid: int, refunds: list[int]) -> None:
    """It grows with what is refunded, keeps nobody more than their part, and whole it is all."""
    due = [to_take_back(amount, Money(paid), Money(each)) for each in sorted(min(r, paid) for r in refunds)]

    assert due == sorted(due)
    assert all(0 <= each <= amount for each in due)
    assert [amount, 0] == [to_take_back(amount, Money(paid), Money(each)) for each in (paid, 0)]
    for each, refund in zip(due, sorted(min(r, paid) for r in refunds), strict=True):
        assert 0 <= each - Fraction(amount * refund, paid) < 1


def test_a_bonus_and_a_share_of_one_unit_are_one_lot() -> None:
    """They come together; another unit's is a lot of its own, and money is money."""
    bonus = {"core": PT.of(5), "advanced": PT.of(1)}

    assert (
        (RewardKind.PT, "advanced", 10**6),
        (RewardKind.PT, "core", 205 * 10**6),
    ) == earned(terms(RewardKind.PT, 2_000, bonus=bonus), Money.usd(10))
    assert (
        (RewardKind.PT, "advanced", 10**6),
        (RewardKind.PT, "core", 5 * 10**6),
        (RewardKind.CASH, "EUR", 2 * 10**9),
    ) == earned(terms(RewardKind.CASH, 2_000, bonus=bonus), Money(10**10, "EUR"))


def test_the_tier_is_the_highest_that_is_reached() -> None:
    """From its count on, not before."""
    of = RewardTerms(
        kind=RewardKind.CASH, tiers=(RewardTier(0, 100), RewardTier(2, 200), RewardTier(5, 300))
    )

    assert [100, 100, 200, 200, 200, 300, 300] == [of.tier(count).share for count in range(7)]


@pytest.mark.parametrize("unit", ["free", "euro"])
def test_pt_without_a_price_in_the_currency_are_no_reward(unit: str) -> None:
    """A payment comes to no number of PT that sell at nothing, or in another currency."""
    with pytest.raises(InvalidArgumentError, match=r"sell (at nothing|in EUR)"):
        earned(terms(RewardKind.PT, 100, unit=unit), Money.usd(1))
