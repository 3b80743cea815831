"""`meter.outbox` and `meter.alerts`, as people type them, in both colours."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import transaction

from ptmeter import (
    PT,
    Ahead,
    Alert,
    Backoff,
    Delivered,
    InvalidArgumentError,
    Message,
    MessageState,
    Notice,
    read_plans,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

PRO = {
    "price_per_month": 9,
    "allowance": {"core": 100},
    "units": ["core", "advanced"],
    "low_balance": {"core": 15},
}
PLANS = read_plans({"plans": {"pro": PRO}})
DAY = timedelta(days=1)
NO_JITTER: dict[str, Any] = {"jitter": lambda: 0.0}


@pytest.fixture
async def meter(opened: Opener, clock: Clock) -> AsyncIterator[AsyncMeter]:
    """A meter on which acme is on a plan of 100 core PT."""
    async with opened(plans=PLANS, clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s")
        yield meter


@pytest.fixture
def taking(asynchronous: bool) -> Callable[[Callable[[Message], Any]], Any]:
    """Makes a handler of the meter's colour."""

    def made(take: Callable[[Message], Any]) -> Any:
        async def take_later(message: Message) -> None:
            take(message)

        return take_later if asynchronous else take

    return made


def refuse(message: Message) -> None:
    msg = f"no way to {message.account}"
    raise OSError(msg)


@pytest.fixture
def use(meter: AsyncMeter, clock: Clock) -> Callable[..., Any]:
    """Uses so many PT, and lets a moment pass: two transfers are not booked at the same one."""

    async def using(pt: int, key: str, account: str = "acme") -> None:
        hold = await meter.hold(account, core=pt, key=key)
        await meter.settle(hold, core=pt, key=key)
        clock.turn(timedelta(milliseconds=1))

    return using


async def test_a_notice_is_delivered_once(
    meter: AsyncMeter, use: Callable[..., Any], taking: Callable[..., Any]
) -> None:
    """The handler gets a message with what was crossed; asked again, there is nothing to deliver."""
    told: list[Message] = []
    await use(86, "k")

    assert Delivered(delivered=2) == await meter.outbox.deliver(taking(told.append))
    assert Delivered() == await meter.outbox.deliver(taking(told.append))
    by_alert = {m.facts.alert: m for m in told if isinstance(m.facts, Notice)}
    assert {Alert.ALLOWANCE, Alert.LOW_BALANCE} == by_alert.keys()
    allowance = by_alert[Alert.ALLOWANCE]
    assert ("acme", "alert.allowance", 1) == (allowance.account, allowance.topic, allowance.attempts)
    assert "acme: 80 % of the core allowance is used, 86 PT" == str(allowance.facts)
    assert 2 == len(await meter.outbox.list(state=MessageState.DELIVERED))


async def test_what_fails_is_tried_again_and_then_dead(
    meter: AsyncMeter, use: Callable[..., Any], clock: Clock, taking: Callable[..., Any]
) -> None:
    """An error of the handler's keeps the message, with its text; after the last attempt it waits for a retry."""
    await use(80, "k")
    backoff, told = Backoff(attempts=2), []

    async def deliver(take: Callable[[Message], Any]) -> Delivered:
        return await meter.outbox.deliver(taking(take), backoff=backoff, **NO_JITTER)

    assert Delivered(failed=1) == await deliver(refuse)
    assert Delivered() == await deliver(refuse)
    clock.turn(backoff.first)
    assert Delivered(dead=1) == await deliver(refuse)
    (dead,) = await meter.outbox.list(state=MessageState.DEAD)
    assert "OSError: no way to acme" == dead.problem
    clock.turn(DAY)
    assert Delivered() == await deliver(told.append)

    await meter.outbox.retry("acme", dead.id)
    assert Delivered(delivered=1) == await deliver(told.append)
    assert [dead.id] == [message.id for message in told]


async def test_a_process_that_dies_between_call_and_note(
    meter: AsyncMeter, use: Callable[..., Any], clock: Clock, taking: Callable[..., Any]
) -> None:
    """What it had taken is delivered again once its lease is over: at least once, and the same message."""
    await use(80, "k")
    told: list[Message] = []

    def die(message: Message) -> None:
        told.append(message)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await meter.outbox.deliver(taking(die))
    assert Delivered() == await meter.outbox.deliver(taking(told.append))
    clock.turn(Backoff().lease)
    assert Delivered(delivered=1) == await meter.outbox.deliver(taking(told.append))
    assert told[0].id == told[1].id


async def test_handlers_have_their_topics(
    meter: AsyncMeter, use: Callable[..., Any], taking: Callable[..., Any]
) -> None:
    """The longest beginning that fits has a message; what fits none is left for others."""
    await use(90, "k")
    told: dict[str, list[str]] = {"alert.": [], "alert.low": []}
    handlers = {
        topic: taking(lambda message, mine=mine: mine.append(message.topic)) for topic, mine in told.items()
    }

    assert Delivered() == await meter.outbox.deliver({"invoice.": taking(refuse)})
    await meter.outbox.deliver(handlers)

    assert {"alert.": ["alert.allowance"] * 2, "alert.low": ["alert.low_balance"]} == told


async def test_no_more_are_delivered_than_were_asked_for(
    meter: AsyncMeter, use: Callable[..., Any], taking: Callable[..., Any]
) -> None:
    """A limit of one leaves the others due; more than are taken at once are delivered too."""
    for number in range(24):
        account = f"a{number}"
        await meter.plans.subscribe(account, "pro", key="s")
        await use(80, "k", account)
    told: list[Message] = []

    assert Delivered(delivered=1) == await meter.outbox.deliver(taking(told.append), limit=1)
    assert Delivered(delivered=23) == await meter.outbox.deliver(taking(told.append))
    assert 24 == len({message.account for message in told})


async def test_what_deliver_refuses(meter: AsyncMeter, taking: Callable[..., Any]) -> None:
    """No handler at all, and no message."""
    with pytest.raises(InvalidArgumentError, match="needs a handler"):
        await meter.outbox.deliver({})
    with pytest.raises(InvalidArgumentError, match="at least one"):
        await meter.outbox.deliver(taking(refuse), limit=0)
    with pytest.raises(InvalidArgumentError, match="at least one"):
        await meter.outbox.list(limit=0)


async def test_a_handler_of_the_other_colour_loses_nothing(
    meter: AsyncMeter, asynchronous: bool, use: Callable[..., Any]
) -> None:
    """A synchronous meter waits for no coroutine, and says so; an asynchronous one takes a plain function."""
    await use(90, "low")
    told: list[Message] = []

    async def tell_later(message: Message) -> None:
        told.append(message)

    handler: Any = told.append if asynchronous else tell_later
    delivered = await meter.outbox.deliver(handler, **NO_JITTER)

    waiting = await meter.outbox.list(state=MessageState.PENDING)
    if asynchronous:
        assert (len(told), 0, 0) == (delivered.delivered, delivered.failed, len(waiting))
        assert told
    else:
        assert (0, len(waiting)) == (delivered.delivered, delivered.failed)
        assert ["is asynchronous" in message.problem for message in waiting] == [True] * len(waiting) != []
        assert [] == told


@pytest.mark.sqlite
async def test_a_handler_is_never_called_in_a_transaction(
    on_file: Opener, taking: Callable[..., Any]
) -> None:
    """A meter inside a transaction of the application's delivers nothing."""
    async with on_file() as meter:
        await meter.funds.grant("acme", core=1, source="test", key="g")
        async with transaction(on_file.url, asynchronous=on_file.asynchronous) as theirs:
            joined = meter.joined(theirs.connection)
            with pytest.raises(InvalidArgumentError, match="outside of a transaction"):
                await joined.outbox.deliver(taking(refuse))


# --- ahead of time ------------------------------------------------------------------------------------


async def test_lots_that_lapse_soon_are_told_of_once(meter: AsyncMeter, clock: Clock) -> None:
    """Seven days ahead and one day ahead, for each lot; however often it is looked."""
    ends = clock() + 10 * DAY
    await meter.funds.grant("zeta", core=5, source="trial", key="t", expires_at=ends)
    await meter.funds.grant("zeta", core=7, source="top-up", key="u")
    found: list[int] = []
    for _ in range(11):
        found += [(await meter.alerts.scan(portion=1)).notices for _ in range(2)]
        clock.turn(DAY)
    told = await meter.alerts.list("zeta")

    assert [3, 9] == [place // 2 for place, notices in enumerate(found) if notices]
    assert [1, 7] == [notice.days for notice in told]
    assert {PT.of(5).micro} == {notice.reached for notice in told}
    assert {ends} == {notice.until for notice in told}


async def test_who_will_be_empty_soon_is_told(
    meter: AsyncMeter, use: Callable[..., Any], clock: Clock
) -> None:
    """By what was used in the last 72 hours; who lasts until the next allowance is not."""
    await use(30, "k")
    clock.turn(DAY)
    assert 0 == (await meter.alerts.scan()).notices
    await use(30, "l")

    scanned = await meter.alerts.scan(ahead=Ahead(exhaustion=(3, 2)))
    (notice, *_) = await meter.alerts.list("acme")

    assert (1, 1) == (scanned.wallets, scanned.notices)
    assert (Alert.EXHAUSTION, 2, clock() + timedelta(hours=48)) == (notice.alert, notice.days, notice.until)
    assert 0 == (await meter.alerts.scan(ahead=Ahead(exhaustion=(3, 2)))).notices


async def test_a_team_is_not_emptied_by_those_with_pt_of_their_own(
    meter: AsyncMeter, use: Callable[..., Any]
) -> None:
    """What counts above and was used of other wallets is left out; what members use of the team's is not."""
    await meter.accounts.place("ann", under="acme")
    await meter.accounts.place("sub", under="acme", pooled=False)
    await meter.accounts.place("bob", under="sub")
    await meter.funds.grant("sub", core=1_000, source="top-up", key="g")
    await use(90, "k", "bob")
    assert 0 == (await meter.alerts.scan()).notices

    await use(60, "l", "ann")
    assert 1 == (await meter.alerts.scan()).notices
    assert [] == [n for n in await meter.alerts.list("sub") if n.alert is Alert.EXHAUSTION]


# --- told again ---------------------------------------------------------------------------------------


async def test_a_new_cycle_tells_again(meter: AsyncMeter, use: Callable[..., Any], clock: Clock) -> None:
    """The same share of the same allowance, a month later, is another notice; within the month it is none."""
    await use(80, "a")
    clock.turn(31 * DAY)
    await meter.funds.grant("acme", core=100, source="renewal", key="r")
    await use(80, "b")
    await use(5, "c")

    notices = [n for n in await meter.alerts.list("acme") if n.alert is Alert.ALLOWANCE]
    assert [8_000, 8_000] == [notice.share for notice in notices]
    assert 2 == len({notice.window for notice in notices})


@pytest.mark.sqlite
async def test_a_changed_allowance_tells_again(on_file: Opener, clock: Clock) -> None:
    """With twice the allowance the line of 80 % lies elsewhere, and is crossed once more in the same cycle."""
    for allowance, pt in ((100, 85), (200, 80)):
        pro = PRO | {"allowance": {"core": allowance}}
        async with on_file(plans=read_plans({"plans": {"pro": pro}}), clock=clock) as meter:
            if allowance == 100:
                await meter.plans.subscribe("acme", "pro", key="s")
            await meter.funds.grant("acme", core=100, source="more", key=f"g{allowance}")
            hold = await meter.hold("acme", core=pt, key=f"k{allowance}")
            await meter.settle(hold, core=pt, key=f"k{allowance}")
            notices = await meter.alerts.list("acme")

    assert [PT.of(160).micro, PT.of(80).micro] == [n.line for n in notices if n.share == 8_000]


async def test_a_refill_tells_again_of_a_low_balance(meter: AsyncMeter, use: Callable[..., Any]) -> None:
    """Below the line there is one notice however much more is used; refilled above it there may be another."""

    async def times() -> int:
        return len(await meter.outbox.list(topic="alert.low_balance"))

    for number in range(3):
        await use(4 if number else 86, f"a{number}")
    assert 1 == await times()
    await meter.funds.grant("acme", core=50, source="refill", key="r")
    assert 1 == await times()
    await use(45, "b")
    assert 2 == await times()
