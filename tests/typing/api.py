"""
The public face as a type checker sees it: pyright reads this file in strict mode, and nobody ever runs it.

What is asserted here is what an editor shows to whoever types ``meter.``: amounts are `PT`, a hold and a receipt
are values, both colours differ in nothing but ``await``, and a float is no amount.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_type

from ptmeter import (
    PT,
    AsyncMeter,
    Balance,
    Ceiling,
    Checkpoint,
    Durability,
    Entitlement,
    Estimate,
    Granted,
    Hold,
    HoldSize,
    InsufficientFundsError,
    Light,
    MarginReport,
    Meter,
    ModelLockedError,
    Money,
    Overage,
    Page,
    Policy,
    PublicKey,
    Receipt,
    Referral,
    ReferralStats,
    Report,
    Rerating,
    SigningKey,
    Status,
    Subscribed,
    Summary,
    UnitBalance,
    Usage,
    When,
    reference_card,
    reference_plans,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def opening(engine: Engine) -> None:
    """A URL or an engine, and everything else by keyword."""
    assert_type(Meter.open("sqlite:///pt.db"), Meter)
    policy = Policy(
        hold_ttl=timedelta(minutes=5),
        hold=HoldSize.EXPECTED,
        overage=Overage.REJECT,
        unpriced=Ceiling("core", {}),
        durability=Durability.RELAXED,
    )
    with Meter.open(engine, card=reference_card(), plans=reference_plans(), policy=policy) as meter:
        assert_type(meter, Meter)
    with engine.begin() as connection:
        assert_type(meter.joined(connection), Meter)


def metering(meter: Meter, chunks: Iterator[bytes]) -> None:
    """A call from its estimate to its receipt."""
    estimate = assert_type(meter.estimate("gpt-4o-mini", MESSAGES, max_tokens=100), Estimate)
    assert_type(estimate.hold, PT)
    assert_type(estimate.cost_at_most, Money)
    with meter.call("acme", model="gpt-4o-mini", messages=MESSAGES, key="k") as call:
        assert_type(call.hold, Hold | None)
        call.record({"usage": {}})
        for chunk in call.stream(chunks):
            assert_type(chunk, bytes)
    assert_type(call.receipt, Receipt | None)


def moving(meter: Meter) -> None:
    """PT in and out; amounts are whole PT by unit."""
    assert_type(meter.funds.grant("acme", source="top-up", key="pi_1", core=10, advanced="7.25"), Granted)
    assert_type(meter.funds.adjust("acme", reason="goodwill", key="a", core=Decimal("-1.5")), Granted)
    assert_type(meter.plans.assign("acme", "pro", key="in_1", until=LATER), Granted)
    begun = assert_type(meter.plans.subscribe("acme", "pro", key="s", interval="year"), Subscribed)
    assert_type(begun.subscription.status, Status)
    assert_type(meter.plans.change("acme", "team", key="c", when=When.NOW).amounts["core"], PT)
    assert_type(meter.plans.cancel("acme", key="x", when="now"), Subscribed)
    assert_type(meter.plans.renew("acme"), Subscribed)
    assert_type(meter.plans.renew_due(limit=10).accounts, tuple[str, ...])
    assert_type(meter.plans.price(meter.plans.find("acme"), at=LATER), Money)
    held = assert_type(meter.hold("acme", key="h", ttl=timedelta(minutes=1), core=10), Hold)
    receipt = assert_type(meter.settle(held, key="s", core="7.25", overage=Overage.ALLOW), Receipt)
    assert_type(receipt.charged["core"], PT)
    assert_type(meter.void(held, key="v"), Receipt)
    assert_type(meter.find_hold("acme", key="h"), Hold)
    assert_type(meter.record("acme", model="gpt-4o-mini", response=Usage(), key="r"), Receipt)
    meter.hold("acme", key="h", core=0.1)  # pyright: ignore[reportArgumentType] - a float is no amount


def reading(meter: Meter) -> None:
    """Balances by unit, statements by page, and what was found wrong."""
    balance = assert_type(meter.balance("acme"), Balance)
    assert_type(balance["core"], UnitBalance)
    assert_type(balance.core.available, PT)
    assert_type(meter.may("acme", model="gpt-4o-mini"), Entitlement)
    assert_type(meter.may("acme", feature="teams").cheapest, str | None)
    page = assert_type(meter.statement("acme", since=LATER, limit=10), Page)
    assert_type(page.after, str | None)
    assert_type([entry.amount for entry in page.entries], list[PT])
    assert_type(meter.summary("acme", since=LATER, until=LATER), Summary)
    assert_type(meter.prices.preview(since=LATER, until=LATER, model="gpt-4o-mini"), Rerating)
    assert_type(meter.prices.rerate(since=LATER, until=LATER, by="ann", reason="why").posted, int)
    assert_type(meter.verify(), Report)
    assert_type(meter.verify().clean, bool)
    assert_type(meter.verify().checkpoint, Checkpoint | None)
    assert_type(meter.sweep(limit=10).more, bool)


def earning(meter: Meter) -> None:
    """Margins are told apart by a word; what was paid is money or how a person writes it."""
    report = assert_type(meter.margins.report(by="model", since=date(2026, 8, 1)), MarginReport)
    assert_type(report.lines[0].light, Light | None)
    meter.funds.grant("acme", source="pack", key="pi_2", core=10, paid="8.80")
    meter.funds.grant("acme", source="pack", key="pi_3", core=10, paid=Money.usd(8))
    meter.funds.grant("acme", source="pack", key="pi_4", core=10, paid=8.80)  # pyright: ignore[reportArgumentType]


def signing(meter: Meter) -> None:
    """Checkpoints are signed with one key and proved by the other."""
    key = assert_type(SigningKey.read("ptmeter.key"), SigningKey)
    assert_type(meter.checkpoints.take("checkpoints.jsonl", key=key), Checkpoint)
    public = assert_type(key.public, PublicKey)
    assert_type(meter.checkpoints.verify("checkpoints.jsonl", key=public), Report)
    meter.checkpoints.verify("checkpoints.jsonl", key=key)  # pyright: ignore[reportArgumentType] - it is secret


def referring(meter: Meter) -> None:
    """A payment that is no first one of a referred account is nothing to referrals."""
    assert_type(meter.referrals.code("ann"), str)
    assert_type(meter.referrals.use("CODE", account="bob", key="k", ip="192.0.2.1"), Referral)
    assert_type(meter.referrals.paid("bob", payment=Money(1), payment_id="pi_1"), Referral | None)
    assert_type(meter.referrals.refunded("pi_1", amount=Money(1)), Referral | None)
    assert_type(meter.referrals.list("ann", limit=10), tuple[Referral, ...])
    assert_type(meter.referrals.stats("ann"), ReferralStats)


def refusing(meter: Meter) -> None:
    """Errors carry their facts."""
    try:
        meter.hold("acme", key="h", core=1)
    except InsufficientFundsError as error:
        assert_type(error.available, Decimal)
        assert_type(error.retryable, bool)
    except ModelLockedError as error:
        assert_type(error.opens_with, str | None)


async def asynchronously(engine: AsyncEngine, chunks: AsyncIterator[bytes]) -> None:
    """The same, awaited."""
    async with AsyncMeter.open(engine) as meter:
        assert_type(meter, AsyncMeter)
        assert_type(meter.estimate("gpt-4o-mini", "Hello"), Estimate)
        assert_type(await meter.funds.grant("acme", source="top-up", key="pi_1", core=10), Granted)
        async with meter.call("acme", model="gpt-4o-mini", messages=MESSAGES, key="k") as call:
            async for chunk in call.stream(chunks):
                assert_type(chunk, bytes)
        assert_type(call.receipt, Receipt | None)
        held = assert_type(await meter.hold("acme", key="h", core=10), Hold)
        assert_type(await meter.settle(held, key="s", core=1), Receipt)
        assert_type((await meter.balance("acme")).core.held, PT)
        assert_type(await meter.verify(), Report)
        async with engine.begin() as connection:
            assert_type(meter.joined(connection), AsyncMeter)
        meter.hold("acme", key="h", core=1.5)  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
