"""`meter.top_ups`, as people type it, in both colours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    PT,
    AccountNotFoundError,
    Alert,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidArgumentError,
    Money,
    Plans,
    TopUp,
    TopUpNotFoundError,
    TopUpNotOpenError,
    TopUpState,
    UnknownUnitError,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

TERMS: dict[str, Any] = {"unit": "core", "below": 20, "amount": 50, "per_month": 2}
HOUR = timedelta(hours=1)


@pytest.fixture
async def meter(opened: Opener, clock: Clock) -> AsyncIterator[AsyncMeter]:
    """A meter on which acme has 100 core PT, which sell at a cent, and tops up by 50 below 20."""
    async with opened(plans=Plans({}), clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="g")
        assert None is await meter.top_ups.set("acme", **TERMS)
        yield meter


async def use(meter: AsyncMeter, pt: int, key: str, account: str = "acme") -> None:
    hold = await meter.hold(account, core=pt, key=key)
    await meter.settle(hold, core=pt, key=key)


async def requested(meter: AsyncMeter) -> list[TopUp]:
    """The top-ups that messages ask for, the earliest first."""
    found = await meter.outbox.list(topic="top_up.")
    return [message.facts for message in reversed(found) if isinstance(message.facts, TopUp)]


async def test_the_debit_that_leaves_too_little_asks(meter: AsyncMeter) -> None:
    """Once, in its own transaction: what is asked for, for how much money, and a message that says so."""
    await use(meter, 80, "a")
    assert () == await meter.top_ups.list()
    await use(meter, 1, "b")
    await use(meter, 5, "c")

    (asked,) = await meter.top_ups.list(account="acme", state=TopUpState.OPEN)
    assert (PT.of(50), Money.usd("0.5")) == (asked.amount, asked.price)
    assert [asked] == await requested(meter)
    assert asked == await meter.top_ups.find(asked.id)


async def test_a_call_without_a_hold_asks_too(meter: AsyncMeter) -> None:
    """What is recorded afterwards is used all the same, and what is lent for it is to be closed too."""
    usage = Usage(input_uncached=200_000, output_text=10_000)
    receipt = await meter.record("acme", model="gpt-4o-mini", response=usage, key="r")

    (asked,) = await meter.top_ups.list()
    missing = int(20 - (100 - receipt.charged["core"].whole))
    assert -(-missing // 50) * 50 == asked.amount.whole


async def test_what_is_paid_is_granted_once(meter: AsyncMeter) -> None:
    """The payment's key grants once; another payment of the same top-up grants nothing and says so."""
    await use(meter, 90, "a")
    (asked,) = await meter.top_ups.list()

    granted = await meter.top_ups.paid(asked.id, key="pi_1")
    again = await meter.top_ups.paid(asked.id, key="pi_1")
    with pytest.raises(TopUpNotOpenError, match="paid already by 'pi_1'"):
        await meter.top_ups.paid(asked.id, key="pi_2")
    with pytest.raises(TopUpNotOpenError):
        await meter.top_ups.failed(asked.id, reason="late news")

    assert PT.of(60) == granted.available["core"]
    assert (False, True) == (granted.replayed, again.replayed)
    assert PT.of(60) == (await meter.balance("acme")).core.available
    paid = await meter.top_ups.find(asked.id)
    assert (TopUpState.PAID, "pi_1") == (paid.state, paid.key)
    assert (await meter.verify()).clean


async def test_a_key_that_granted_something_else_is_refused(meter: AsyncMeter) -> None:
    """The top-up stays open: nothing of it was granted."""
    await meter.funds.grant("acme", advanced=1, source="by hand", key="pi_1")
    await use(meter, 90, "a")
    (asked,) = await meter.top_ups.list()

    with pytest.raises(IdempotencyConflictError):
        await meter.top_ups.paid(asked.id, key="pi_1")
    assert TopUpState.OPEN is (await meter.top_ups.find(asked.id)).state


async def test_after_a_failure_nothing_is_asked_for_a_while(meter: AsyncMeter, clock: Clock) -> None:
    """A debit meanwhile asks for nothing, the first one after it does; told twice of a failure, it is one."""
    await use(meter, 85, "a")
    (asked,) = await meter.top_ups.list()
    failed = await meter.top_ups.failed(asked.id, reason="card declined")
    clock.turn(HOUR)

    assert failed == await meter.top_ups.failed(asked.id, reason="again")
    await use(meter, 1, "b")
    assert (failed,) == await meter.top_ups.list()
    clock.turn(23 * HOUR)
    await use(meter, 1, "c")

    latest, _ = await meter.top_ups.list()
    assert (TopUpState.OPEN, 2) == (latest.state, latest.attempts)
    assert 2 == len(await requested(meter))


async def test_money_that_comes_after_a_failure_is_not_lost(meter: AsyncMeter) -> None:
    """A payment that was said to have failed and came in all the same is granted."""
    await use(meter, 85, "a")
    (asked,) = await meter.top_ups.list()
    await meter.top_ups.failed(asked.id, reason="no answer")

    granted = await meter.top_ups.paid(asked.id, key="pi_1")

    assert PT.of(65) == granted.available["core"]


async def test_an_empty_account_is_not_stuck(meter: AsyncMeter, clock: Clock) -> None:
    """Who has nothing left makes no debit that could ask: a scan asks once the pause is over, and asks once."""
    await use(meter, 100, "a")
    (asked,) = await meter.top_ups.list()
    await meter.top_ups.failed(asked.id, reason="card declined")

    assert 0 == (await meter.top_ups.scan()).top_ups
    clock.turn(24 * HOUR)
    assert 1 == (await meter.top_ups.scan(portion=1)).top_ups
    assert 0 == (await meter.top_ups.scan()).top_ups


async def test_terms_that_are_met_already_ask_at_once(meter: AsyncMeter) -> None:
    """Set on an account that has too little; stopped, it asks for nothing any more."""
    await meter.funds.grant("zeta", core=10, source="trial", key="g")

    asked = await meter.top_ups.set("zeta", **TERMS)
    await meter.top_ups.stop("acme", unit="core")
    await use(meter, 100, "a")

    assert asked is not None
    assert (asked,) == await meter.top_ups.list()
    assert [asked] == await requested(meter)


async def test_the_month_has_a_cap(meter: AsyncMeter, clock: Clock) -> None:
    """Four fit into two dollars; then it is told, once, and nothing asked for until the next month."""
    for number in range(8):
        left = (await meter.balance("acme")).core.available.whole
        await use(meter, int(left) - 19, f"u{number}")
        clock.turn(timedelta(seconds=1))
        for opened in await meter.top_ups.list(state=TopUpState.OPEN):
            await meter.top_ups.paid(opened.id, key=opened.id)
        if (await meter.balance("acme")).core.available == PT.of(19):
            break
    await use(meter, 1, "last")

    assert 4 == len(await meter.top_ups.list())
    assert [Alert.TOP_UP_CAPPED] == [notice.alert for notice in await meter.alerts.list("acme")]
    clock.turn(timedelta(days=31))
    await use(meter, 1, "in february")
    assert 5 == len(await meter.top_ups.list())


async def test_a_team_tops_up_for_its_members(meter: AsyncMeter) -> None:
    """Who pays asks: a member's debit leaves the team too little."""
    await meter.accounts.place("ann", under="acme")
    await use(meter, 90, "a", "ann")

    assert ["acme"] == [asked.account for asked in await meter.top_ups.list()]


async def test_what_is_refused(meter: AsyncMeter) -> None:
    """Unknown ids, accounts and units, amounts of nothing, and a page of nothing."""
    for unknown in ("0" * 16, "pi_1", ""):
        with pytest.raises(TopUpNotFoundError):
            await meter.top_ups.paid(unknown, key="k")
        with pytest.raises(TopUpNotFoundError):
            await meter.top_ups.failed(unknown, reason="r")
    with pytest.raises(AccountNotFoundError):
        await meter.top_ups.set("nobody", **TERMS)
    with pytest.raises(UnknownUnitError):
        await meter.top_ups.set("acme", **{**TERMS, "unit": "gold"})
    for name in ("below", "amount", "per_month"):
        with pytest.raises(ConfigurationError, match=f"a top-up takes more than 0 as {name}, not"):
            await meter.top_ups.set("acme", **{**TERMS, name: -5})
        with pytest.raises(InvalidArgumentError, match=f"^{name}: 'x' is no number of"):
            await meter.top_ups.set("acme", **{**TERMS, name: "x"})
    with pytest.raises(InvalidArgumentError):
        await meter.top_ups.list(limit=0)


async def test_a_meter_without_plans_watches_no_balance(in_memory: Opener) -> None:
    """It says so, rather than never asking."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", core=1, source="trial", key="g")
        with pytest.raises(ConfigurationError, match="no plans"):
            await meter.top_ups.set("acme", **TERMS)
