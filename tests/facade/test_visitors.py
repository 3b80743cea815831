"""Anonymous visitors: one question each, by address, with the PT of who pays for them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ptmeter import PT, AccountNotFoundError, InvalidArgumentError, LimitError, read_plans
from ptmeter.domain.visitors import visitor_name
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

pytestmark = pytest.mark.anyio

SECRET = b"sixteen bytes of it"
FREE = {"price_per_month": 0, "allowance": {"core": 3}, "units": ["core"]}


async def test_a_visitor_has_one_question_a_day(opened: Opener) -> None:
    """The second from the same address waits for a day; another address does not; all use one account's PT."""
    clock = Clock()
    async with opened(plans=read_plans({"plans": {"free": FREE}}), clock=clock) as meter:
        await meter.plans.assign("visitors", "free", key="v")
        first = await meter.accounts.visitor("203.0.113.7", under="visitors", secret=SECRET)
        await meter.hold(first.name, core=1, key="q1")
        again = await meter.accounts.visitor("203.0.113.7", under="visitors", secret=SECRET)
        other = await meter.accounts.visitor("203.0.113.8", under="visitors", secret=SECRET)

        with pytest.raises(LimitError) as refused:
            await meter.hold(again.name, core=1, key="q2")
        await meter.hold(other.name, core=1, key="q1")

        assert "203" not in first.name
        assert refused.value.retry_at is not None
        assert timedelta(hours=23) < refused.value.retry_at - clock() <= timedelta(days=1)
        assert PT.of(1) == (await meter.balance("visitors")).core.available
        clock.turn(refused.value.retry_at - clock())
        await meter.hold(again.name, core=1, key="q2")


async def test_visitors_need_somebody_who_pays(opened: Opener) -> None:
    """An account that is not there pays for nobody, and what is no address is nobody."""
    async with opened(plans=read_plans({"plans": {"free": FREE}})) as meter:
        with pytest.raises(AccountNotFoundError):
            await meter.accounts.visitor("203.0.113.7", under="nobody", secret=SECRET)
        with pytest.raises(InvalidArgumentError, match="no IP address"):
            await meter.accounts.visitor("unix socket", under="visitors", secret=SECRET)
        with pytest.raises(InvalidArgumentError, match="16 to 64 bytes"):
            await meter.accounts.visitor("203.0.113.7", under="visitors", secret=b"short")


def test_of_an_address_only_whose_it_is_counts() -> None:
    """IPv6 addresses of one network are one visitor, and an IPv4 address is the same written as IPv6."""

    def name(ip: str) -> str:
        return visitor_name(ip, under="v", secret=SECRET)

    assert name("2001:db8:1:2::1") == name("2001:db8:1:2:ffff::9")
    assert name("2001:db8:1:2::1") != name("2001:db8:1:3::1")
    assert name("203.0.113.7") == name("::ffff:203.0.113.7")
    assert name("203.0.113.7") != visitor_name("203.0.113.7", under="v", secret=SECRET + b"x")
