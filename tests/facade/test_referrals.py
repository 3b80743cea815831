"""Referrals through the meter: codes, their use, what they earn, what refunds take back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.referring import PLANS, NaiveReferrals

from ptmeter import (
    PT,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidArgumentError,
    Meter,
    Money,
    Policy,
    ReferralRefusedError,
    ReferralState,
    RewardKind,
    read_plans,
    reference_plans,
)
from ptmeter.domain.referrals import ALPHABET, CODE_LENGTH
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy(referral_key=b"not in the database")
TEN = Money.usd(10)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
async def meter(opened: Opener, clock: Clock) -> AsyncIterator[AsyncMeter]:
    async with opened(plans=read_plans(PLANS), policy=POLICY, clock=clock) as meter:
        yield meter


async def refused(meter: AsyncMeter, code: str, account: str, **more: Any) -> str:
    with pytest.raises(ReferralRefusedError) as refusal:
        await meter.referrals.use(code, account=account, key=f"use:{account}", **more)
    return refusal.value.reason


async def brought(meter: AsyncMeter, account: str, referrer: str = "ann", cents: int = 1_000) -> None:
    """Have *account* come by the referrer's code, and pay."""
    await meter.referrals.use(await meter.referrals.code(referrer), account=account, key=account)
    await meter.referrals.paid(account, payment=Money(cents * 10**7), payment_id=f"pi:{account}")


# --- codes ---


async def test_a_code_is_drawn_once(meter: AsyncMeter) -> None:
    """An account's code is the same whenever it is asked for, is nobody else's, and is made of plain letters."""
    code = await meter.referrals.code("ann")

    assert code == await meter.referrals.code("ann")
    assert code != await meter.referrals.code("bob")
    assert CODE_LENGTH == len(code)
    assert set(code) <= set(ALPHABET)


async def test_a_code_that_is_taken_is_drawn_again(
    meter: AsyncMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chance may draw what somebody has: then the next that was drawn is the account's."""
    drawn = iter("A" * CODE_LENGTH * 4 + "A" * CODE_LENGTH + "B" * CODE_LENGTH * 3)
    monkeypatch.setattr("secrets.choice", lambda letters: next(drawn))

    assert "A" * CODE_LENGTH == await meter.referrals.code("ann")
    assert "B" * CODE_LENGTH == await meter.referrals.code("bob")


# --- use ---


async def test_a_code_is_used_however_it_is_typed(meter: AsyncMeter) -> None:
    """Small letters, blanks and hyphens are not what a code is."""
    code = await meter.referrals.code("ann")
    found = await meter.referrals.use(f" {code[:5].lower()}-{code[5:]} ", account="bob", key="k")

    assert ("bob", "ann", code, ReferralState.USED) == (
        found.account,
        found.referrer,
        found.code,
        found.state,
    )
    assert (found,) == await meter.referrals.list("ann")


async def test_the_same_request_is_carried_out_once(meter: AsyncMeter) -> None:
    """Under its key it gets the referral again; with another code it is a contradiction, under another key too late."""
    code, other = await meter.referrals.code("ann"), await meter.referrals.code("eve")
    await meter.referrals.use(code, account="bob", key="k")
    again = await meter.referrals.use(code, account="bob", key="k")

    assert again.replayed
    with pytest.raises(IdempotencyConflictError):
        await meter.referrals.use(other, account="bob", key="k")
    assert "already_referred" == await refused(meter, other, "bob")
    assert 1 == len(await meter.referrals.list("ann"))


async def test_nobody_refers_themselves(meter: AsyncMeter) -> None:
    """Not by a code of their own, nor by that of somebody whom they referred, nor by one that nobody has."""
    code = await meter.referrals.code("ann")
    await meter.referrals.use(code, account="bob", key="k")

    assert "own_code" == await refused(meter, code, "ann")
    assert "mutual" == await refused(meter, await meter.referrals.code("bob"), "ann")
    for unknown in ("2222222222", "", "x\0y", "\ud800" * 10, "A" * 10_000):
        assert "unknown_code" == await refused(meter, unknown, "ann")


@pytest.mark.parametrize("pooled", [True, False])
async def test_a_team_does_not_refer_its_own(meter: AsyncMeter, pooled: bool) -> None:
    """Neither the team a member, nor a member the team, another member, or one of a team below that uses its PT."""
    await meter.funds.grant("team", core=1, source="s", key="k")
    for name, under in (("ann", "team"), ("bob", "team"), ("below", "ann")):
        await meter.accounts.place(name, under=under, pooled=pooled)
    team, ann = await meter.referrals.code("team"), await meter.referrals.code("ann")

    assert ["related"] * 5 == [
        await refused(meter, code, name)
        for code, name in ((team, "ann"), (team, "below"), (ann, "team"), (ann, "bob"), (ann, "below"))
    ]
    await meter.referrals.use(ann, account="stranger", key="k")


async def test_an_account_is_new_for_a_while(meter: AsyncMeter, clock: Clock) -> None:
    """From the first that was booked for it on, so many days and not a moment longer: an opening takes a microsecond."""
    code = await meter.referrals.code("ann")
    for name in ("in time", "late"):
        await meter.funds.grant(name, core=1, source="sign-up", key="k")
    clock.turn(timedelta(days=30))
    await meter.referrals.use(code, account="in time", key="k")
    clock.turn(timedelta(microseconds=1))

    assert "not_new" == await refused(meter, code, "late")


# --- bounds ---


async def test_a_card_is_one_persons(meter: AsyncMeter) -> None:
    """Who refers and who is referred cannot have the same card, nor can two who are referred, by whomever."""
    code, other = await meter.referrals.code("ann", card="hers"), await meter.referrals.code("zoe")
    await meter.referrals.use(code, account="bob", key="k", card="his")

    assert "same_card" == await refused(meter, code, "cat", card="hers")
    assert "same_card" == await refused(meter, other, "cat", card="his")
    await meter.referrals.use(other, account="cat", key="k", card="cats")


async def test_an_address_is_a_households(meter: AsyncMeter, clock: Clock) -> None:
    """So many accounts within a day, whosever code they use; the day after, as many again."""
    code, other = await meter.referrals.code("ann", ip="192.0.2.1"), await meter.referrals.code("zoe")
    await meter.referrals.use(code, account="b", key="k", ip="192.0.2.1")
    await meter.referrals.use(other, account="c", key="k", ip="192.0.2.1")

    assert "same_ip" == await refused(meter, other, "d", ip="192.0.2.1")
    clock.turn(timedelta(hours=24))
    await meter.referrals.use(other, account="d", key="k", ip="192.0.2.1")


async def test_a_code_is_used_so_often_a_day(meter: AsyncMeter, clock: Clock) -> None:
    """The fifth use within a day is one too many, and passes when the first is a day old."""
    code = await meter.referrals.code("ann")
    for number in range(4):
        await meter.referrals.use(code, account=f"a{number}", key="k")

    assert "too_many" == await refused(meter, code, "a4")
    clock.turn(timedelta(hours=24))
    await meter.referrals.use(code, account="a4", key="k")


async def test_a_card_that_is_known_earns_nothing(meter: AsyncMeter) -> None:
    """Cards are mostly seen when they pay: the payment is no error, and is not rewarded, now or later."""
    code = await meter.referrals.code("ann", card="hers")
    await meter.referrals.use(code, account="bob", key="k")
    found = await meter.referrals.paid("bob", payment=TEN, payment_id="pi_1", card="hers")
    later = await meter.referrals.paid("bob", payment=TEN, payment_id="pi_2", card="his")

    assert found is not None
    assert (ReferralState.REFUSED, "same_card", ()) == (found.state, found.refusal, found.rewards)
    assert later is None
    assert 0 == (await meter.referrals.stats("ann")).count


async def test_who_joined_the_team_meanwhile_earns_nothing(meter: AsyncMeter) -> None:
    """Who is of one's own team when the payment comes is not rewarded either."""
    await meter.funds.grant("ann", core=1, source="s", key="k")
    await meter.referrals.use(await meter.referrals.code("ann"), account="bob", key="k")
    await meter.accounts.place("bob", under="ann")
    found = await meter.referrals.paid("bob", payment=TEN, payment_id="pi_1")

    assert found is not None
    assert "related" == found.refusal


async def test_no_card_and_no_address_is_kept(on_file: Opener, clock: Clock) -> None:
    """What is in the file are hashes, that another key makes others of; without a key nothing is taken at all."""
    plans = read_plans(PLANS)
    async with on_file(plans=plans, policy=POLICY, clock=clock) as meter:
        code = await meter.referrals.code("ann", card="fp_4242", ip="192.0.2.77")
    async with on_file(plans=plans, policy=Policy(referral_key=b"other"), clock=clock) as meter:
        await meter.referrals.use(code, account="bob", key="k", card="fp_4242", ip="192.0.2.77")
    with open(on_file.url.removeprefix("sqlite:///"), "rb") as file:  # noqa: ASYNC230, PTH123
        content = file.read()
    async with on_file(plans=plans, clock=clock) as meter:
        with pytest.raises(ConfigurationError, match="referral_key"):
            await meter.referrals.use(code, account="cat", key="k", ip="192.0.2.1")
        await meter.referrals.use(code, account="cat", key="k")

    assert code.encode() in content
    assert [] == [each for each in (b"fp_4242", b"192.0.2.77") if each in content]


# --- rewards ---


async def test_the_first_payment_is_rewarded_on_both_sides(meter: AsyncMeter) -> None:
    """A share in PT at what they sell at, a discount in money rounded down to the cent, and the bonus in PT."""
    await meter.referrals.use(await meter.referrals.code("ann"), account="bob", key="k")
    found = await meter.referrals.paid("bob", payment=Money.usd("49.99"), payment_id="pi_1")

    assert found is not None
    assert [
        ("ann", RewardKind.PT, "core", PT.of("999.8")),
        ("bob", RewardKind.PT, "advanced", PT.of(5)),
        ("bob", RewardKind.DISCOUNT, "USD", Money.usd("4.99")),
    ] == [(r.account, r.kind, r.what, r.given) for r in found.rewards]
    assert PT.of("999.8") == (await meter.balance("ann")).core.available
    assert PT.of(5) == (await meter.balance("bob"))["advanced"].available


async def test_a_payment_is_rewarded_once(meter: AsyncMeter) -> None:
    """Said again it gets the same answer; with another amount or account it is a contradiction."""
    await brought(meter, "bob")
    await meter.referrals.use(await meter.referrals.code("ann"), account="cat", key="k")
    again = await meter.referrals.paid("bob", payment=TEN, payment_id="pi:bob")

    assert again is not None
    assert again.replayed
    with pytest.raises(IdempotencyConflictError):
        await meter.referrals.paid("bob", payment=Money.usd(11), payment_id="pi:bob")
    with pytest.raises(IdempotencyConflictError):
        await meter.referrals.paid("cat", payment=TEN, payment_id="pi:bob")
    assert PT.of(200) == (await meter.balance("ann")).core.available


async def test_what_is_no_first_payment_of_a_referral_earns_nothing(meter: AsyncMeter) -> None:
    """Payments of others, later ones, and refunds of either are nothing to referrals."""
    await brought(meter, "bob")

    assert [None] * 4 == [
        await meter.referrals.paid("stranger", payment=TEN, payment_id="pi_1"),
        await meter.referrals.paid("bob", payment=TEN, payment_id="pi_2"),
        await meter.referrals.refunded("pi_1"),
        await meter.referrals.refunded("pi_2"),
    ]


async def test_the_tier_goes_by_what_is_rewarded(opened: Opener, clock: Clock) -> None:
    """The reference figures: 20 % up to the fifth, then 25 % and 100 PT; a payment that was refunded whole counts no more."""
    async with opened(plans=reference_plans(), clock=clock) as meter:
        for number in range(7):
            await brought(meter, f"a{number}")
        await meter.referrals.refunded("pi:a0")
        await meter.referrals.refunded("pi:a1")
        await meter.referrals.refunded("pi:a2", amount=Money.usd("9.99"))
        await brought(meter, "last")
        earned = {each.account: each.rewards[0].given for each in await meter.referrals.list("ann")}
        stats = await meter.referrals.stats("ann")

    assert [PT.of(200)] * 5 + [PT.of(350)] * 2 == [earned[f"a{number}"] for number in range(7)]
    assert PT.of(350) == earned["last"]  # five of seven still counted
    assert (8, 6, 1, 10) == (stats.uses, stats.count, stats.tier, stats.next_at)


async def test_a_reward_in_pt_lapses_if_the_plans_say_so(opened: Opener, clock: Clock) -> None:
    """It is a lot of its own with its own expiry, and its source is on the statement."""
    terms = {"kind": "pt", "unit": "core", "expires_after": "90 d", "tiers": [{"share": "20%"}]}
    async with opened(plans=read_plans({**PLANS, "referrals": {"referrer": terms}}), clock=clock) as meter:
        await brought(meter, "bob")
        balance = await meter.balance("ann")
        code = await meter.referrals.code("ann")
        notes = [entry.note for entry in (await meter.statement("ann")).entries]

    assert ((START + timedelta(days=90), PT.of(200)),) == tuple(balance.core.expiring)
    assert [f"referral {code}"] == notes


@pytest.mark.parametrize(
    ("payment", "said"),
    [
        (Money(0), "more than nothing"),
        (Money(-1), "more than nothing"),
        (Money(10**9, "EUR"), "convert it first"),
    ],
    ids=str,
)
async def test_a_payment_that_earns_no_number_of_pt_is_refused(
    meter: AsyncMeter, payment: Money, said: str
) -> None:
    """Nothing, less, or another currency than PT sell in; nothing is written, so the right one is rewarded."""
    await meter.referrals.use(await meter.referrals.code("ann"), account="bob", key="k")
    with pytest.raises(InvalidArgumentError, match=said):
        await meter.referrals.paid("bob", payment=payment, payment_id="pi_1")
    found = await meter.referrals.paid("bob", payment=TEN, payment_id="pi_1")

    assert found is not None
    assert ReferralState.REWARDED == found.state


# --- refunds ---


async def test_a_refund_takes_back_its_part(meter: AsyncMeter) -> None:
    """Pro rata, in all, whatever the order it is said in; whole, it is exactly what was given."""
    await brought(meter, "bob", cents=999)
    states = []
    for amount in ("3.33", "3.33", "1", None):
        found = await meter.referrals.refunded("pi:bob", amount=amount and Money.usd(amount))
        assert found is not None
        [reward, *_] = found.rewards
        states.append((found.state, str(reward.reversed), str(reward.shortfall), found.replayed))
    balance = await meter.balance("ann")

    assert [
        (ReferralState.REWARDED, "66.6 PT", "0 PT", False),
        (ReferralState.REWARDED, "66.6 PT", "0 PT", True),
        (ReferralState.REWARDED, "66.6 PT", "0 PT", True),
        (ReferralState.REVERSED, "199.8 PT", "0 PT", False),
    ] == states
    assert PT(0) == balance.core.available


async def test_only_the_reward_is_taken_back(meter: AsyncMeter) -> None:
    """What is spent of it is short; PT that were bought are left alone, though there are enough of them."""
    await brought(meter, "bob")
    await meter.funds.grant("ann", core=500, source="top-up", key="k")
    await meter.settle(await meter.hold("ann", core=150, key="h"), core=150, key="s")
    found = await meter.referrals.refunded("pi:bob")

    assert found is not None
    assert (PT.of(50), PT.of(150)) == (found.rewards[0].reversed, found.rewards[0].shortfall)
    assert PT.of(500) == (await meter.balance("ann")).core.available
    assert (await meter.verify()).clean


async def test_what_a_call_holds_is_not_taken_from_it(meter: AsyncMeter, clock: Clock) -> None:
    """PT that are held are short; those of a hold whose time is over are there again."""
    for name in ("bob", "cat"):
        await brought(meter, name)
    await meter.hold("ann", core=200, key="h")
    found = await meter.referrals.refunded("pi:bob")
    clock.turn(timedelta(hours=1))
    await meter.hold("ann", core=200, key="h2", ttl=timedelta(minutes=1))
    clock.turn(timedelta(minutes=2))
    other = await meter.referrals.refunded("pi:cat")

    assert found is not None
    assert other is not None
    assert PT.of(200) == found.rewards[0].shortfall
    assert PT.of(200) == other.rewards[0].reversed


@pytest.mark.parametrize("payment_id", ["", "x" * 201, "pi\0"], ids=["empty", "long", "unprintable"])
async def test_a_payment_has_an_id_that_can_be_kept(meter: AsyncMeter, payment_id: str) -> None:
    """What no database could keep or find again is refused before any is asked."""
    with pytest.raises(InvalidArgumentError, match="a payment's id"):
        await meter.referrals.paid("bob", payment=TEN, payment_id=payment_id)
    with pytest.raises(InvalidArgumentError, match="a payment's id"):
        await meter.referrals.refunded(payment_id)


async def test_more_than_was_paid_cannot_be_refunded(meter: AsyncMeter) -> None:
    """Nor less than nothing, nor in another currency."""
    await brought(meter, "bob")
    for amount in (Money.usd("10.01"), Money(-1), Money(1, "EUR")):
        with pytest.raises(InvalidArgumentError, match="cannot have been refunded"):
            await meter.referrals.refunded("pi:bob", amount=amount)


async def test_a_payment_that_was_refused_stays_so(meter: AsyncMeter) -> None:
    """There is nothing to take back of it, and its state says still why it earned nothing."""
    await meter.referrals.use(await meter.referrals.code("ann", card="c"), account="bob", key="k")
    await meter.referrals.paid("bob", payment=TEN, payment_id="pi_1", card="c")
    found = await meter.referrals.refunded("pi_1")

    assert found is not None
    assert (ReferralState.REFUSED, TEN) == (found.state, found.refunded)


# --- reading ---


async def test_referrals_are_listed_by_page(meter: AsyncMeter, clock: Clock) -> None:
    """The latest first; a page goes on behind the last account of the one before."""
    for name in ("a", "b", "c"):
        clock.turn(timedelta(days=1))
        await brought(meter, name)
    first = await meter.referrals.list("ann", limit=2)
    rest = await meter.referrals.list("ann", before=first[-1].account)

    assert [["c", "b"], ["a"]] == [[each.account for each in page] for page in (first, rest)]
    wrong: list[dict[str, Any]] = [{"limit": 0}, {"before": "nobody"}]
    for bad in wrong:
        with pytest.raises(InvalidArgumentError):
            await meter.referrals.list("ann", **bad)


async def test_what_an_account_earned_is_added_up(meter: AsyncMeter) -> None:
    """By kind and unit, on either side of referrals, with what was taken back."""
    await brought(meter, "ann", "zoe", cents=500)
    for name in ("bob", "cat"):
        await brought(meter, name)
    await meter.referrals.refunded("pi:bob", amount=Money.usd(5))
    stats = await meter.referrals.stats("ann")

    assert {
        (RewardKind.PT, "core"): PT.of(400),
        (RewardKind.PT, "advanced"): PT.of(5),
        (RewardKind.DISCOUNT, "USD"): Money.usd("0.5"),
    } == stats.given
    assert PT.of(100) == stats.reversed[RewardKind.PT, "core"]
    assert (2, 2, 1, 4) == (stats.uses, stats.count, stats.tier, stats.next_at)


@pytest.mark.parametrize("plans", [None, {"plans": PLANS["plans"]}], ids=["no plans", "no section"])
async def test_without_terms_there_are_no_referrals(in_memory: Opener, plans: Any) -> None:
    """A meter whose plans say nothing of them says what is missing."""
    async with in_memory(plans=plans and read_plans(plans)) as meter:
        with pytest.raises(ConfigurationError, match="section `referrals`"):
            await meter.referrals.code("ann")


# --- any history ---

NAMES = ("ann", "bob", "cat", "dan", "eve", "fay", "gil", "hal")
ACTIONS = st.one_of(
    st.tuples(st.just("use"), st.sampled_from(NAMES), st.sampled_from(NAMES[:3])),
    st.tuples(st.just("pay"), st.sampled_from(NAMES), st.integers(1, 5_000)),
    st.tuples(st.just("refund"), st.sampled_from(NAMES), st.integers(1, 100)),
    st.tuples(st.just("spend"), st.sampled_from(NAMES[:3]), st.integers(1, 400)),
    st.tuples(st.just("replay"), st.just(""), st.integers(0, 9)),
)


@given(st.lists(ACTIONS, min_size=5, max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_comes_to_what_the_naive_one_does(
    shared: dict[str, Any], history: list[tuple[str, str, Any]]
) -> None:
    """
    Uses, payments, refunds in part and whole, spending, and any of it again: the same referrals, to the micro-PT.

    And at the end nothing was taken back that was not given, every PT is accounted for, and the ledger is clean.
    """
    naive, clock = NaiveReferrals(), Clock(START)
    plans = {**PLANS, "referrals": {"referrer": PLANS["referrals"]["referrer"]}}
    done: list[tuple[str, str, Any]] = []
    spent: dict[str, int] = dict.fromkeys(NAMES, 0)
    with Meter.open("memory://", plans=read_plans(plans), clock=clock, **shared) as meter:
        codes = {name: meter.referrals.code(name) for name in NAMES[:3]}
        for number, step in enumerate(history):
            verb, name, value = step
            if verb == "replay":
                again = [each for each in done if each[0] != "spend"][-1 - value : -value or None]
                if not again:
                    continue
                verb, name, value = again[0]
            clock.turn(timedelta(minutes=1))
            _carry_out(meter, naive, codes, (verb, name, value), number, spent)
            done.append((verb, name, value))

        assert _figures(naive) == {
            each.account: (
                each.payment.nano // 10**7 if each.payment else 0,
                each.refunded.nano // 10**7 if each.refunded else 0,
                *((r.amount, r.taken_back, r.short) for r in each.rewards),
            )
            for name in codes
            for each in meter.referrals.list(name)
        }
        for deal in naive.deals:
            assert 0 <= deal.taken + deal.short <= deal.given
        for name in codes:
            mine = [deal for deal in naive.deals if deal.referrer == name and deal.given]
            left = sum(deal.given - deal.taken for deal in mine) - spent[name]
            assert not mine or PT(left) == meter.balance(name).core.available
        assert meter.verify().clean


def _carry_out(
    meter: Meter,
    naive: NaiveReferrals,
    codes: dict[str, str],
    step: tuple[str, str, Any],
    number: int,
    spent: dict[str, int],
) -> None:
    verb, name, value = step
    deal = naive.of(name)
    if verb == "use":
        refusal = naive.use(name, value)
        said = None
        try:
            meter.referrals.use(codes[value], account=name, key=f"{number}")
        except ReferralRefusedError as refused:
            said = refused.reason
        assert refusal == said
    elif verb == "pay" and not (deal and deal.paid):
        naive.pay(name, value)
        naive.order.append(name)
        meter.referrals.paid(name, payment=Money(value * 10**7), payment_id=f"pi:{name}")
    elif verb == "pay" and deal:
        meter.referrals.paid(name, payment=Money(deal.paid * 10**7), payment_id=f"pi:{name}")
    elif verb == "refund" and deal and deal.paid:
        cents = max(1, deal.paid * value // 100)
        naive.refund(name, cents)
        meter.referrals.refunded(f"pi:{name}", amount=Money(cents * 10**7))
    elif verb == "spend" and (used := naive.spend(name, value * 10**6)):
        spent[name] += used
        whole = PT(used).whole
        meter.settle(meter.hold(name, core=whole, key=f"h{number}"), core=whole, key=f"s{number}")


def _figures(naive: NaiveReferrals) -> dict[str, tuple[Any, ...]]:
    return {
        deal.account: (
            deal.paid,
            deal.refunded,
            *([(deal.given, deal.taken, deal.short)] if deal.given else []),
        )
        for deal in naive.deals
    }
