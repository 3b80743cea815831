"""Referrals on every database: used, paid and refunded by many at once, everything happens once and within its bounds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.integration.wiring import engine_on, meter_on, query, servers
from tests.referring import PLANS

from ptmeter import (
    PT,
    Money,
    Policy,
    PtmeterError,
    Referral,
    ReferralRefusedError,
    read_plans,
)
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.backends import Backend

    from ptmeter import Meter

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY: Final = Policy(referral_key=b"not in the database")
TEN: Final = Money.usd(10)
PROCESSES: Final = 5
MANY: Final = 100
WITHIN: Final = PLANS["referrals"]["bounds"]["code"]["most"]


@pytest.fixture(params=servers("sqlite", "postgres", "mysql"))
def url(request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]) -> str:
    return backend_of(request.param).empty()


def opened(url: str, **changed: Any) -> Any:
    plans = {**PLANS, "referrals": {**PLANS["referrals"], **changed}}
    return meter_on(url, plans=read_plans(plans), policy=POLICY, clock=Clock(START))


def at_once(url: str, works: Sequence[Callable[[Meter], Any]], **changed: Any) -> list[Any]:
    """The works shared out to meters of their own, some threads each, all at the same moment: what each came to."""
    threads = min(len(works), PROCESSES * 2)
    barrier = Barrier(threads)

    def carry_out(meter: Meter, mine: Sequence[Callable[[Meter], Any]]) -> list[Any]:
        barrier.wait()
        done: list[Any] = []
        for work in mine:
            try:
                done.append(work(meter))
            except PtmeterError as refused:
                done.append(refused)
        return done

    with ExitStack() as stack, ThreadPoolExecutor(threads) as pool:
        meters = [stack.enter_context(opened(url, **changed)) for _ in range(min(threads, PROCESSES))]
        futures = [
            pool.submit(carry_out, meters[n % len(meters)], works[n::threads]) for n in range(threads)
        ]
        return [each for future in futures for each in future.result()]


def using(code: str, account: str, key: str = "k", **more: Any) -> Callable[[Meter], Any]:
    return lambda meter: meter.referrals.use(code, account=account, key=key, **more)


def paying(account: str) -> Callable[[Meter], Any]:
    return lambda meter: meter.referrals.paid(account, payment=TEN, payment_id=f"pi:{account}")


def told(done: Sequence[Any]) -> tuple[int, dict[str, int]]:
    """How many were accepted, and how many were refused by reason; anything else is a fault."""
    assert [] == [each for each in done if not isinstance(each, Referral | ReferralRefusedError)]
    reasons = [str(each.reason) for each in done if isinstance(each, ReferralRefusedError)]
    return len(done) - len(reasons), {reason: reasons.count(reason) for reason in set(reasons)}


def test_a_hundred_new_accounts_at_once_stay_within_the_bound(url: str) -> None:
    """Of a hundred that use one code at the same moment exactly as many pass as may in a day."""
    with opened(url) as meter:
        code = meter.referrals.code("ann")
    done = at_once(url, [using(code, f"a{number}") for number in range(MANY)])

    assert (WITHIN, {"too_many": MANY - WITHIN}) == told(done)
    assert [(WITHIN,)] == query(url, "SELECT count(*) FROM ptm_referral")


def test_one_account_at_once_is_referred_once(url: str) -> None:
    """By the same code or by others, under keys of their own, one passes; under one key and code all get its answer."""
    with opened(url) as meter:
        codes = [meter.referrals.code(name) for name in ("ann", "bob", "cat", "dan")]
    others = at_once(url, [using(codes[n % 4], "new", f"k{n}") for n in range(20)])
    same = at_once(url, [using(codes[0], "newer")] * 20)

    assert (1, {"already_referred": 19}) == told(others)
    assert (20, {}) == told(same)
    assert 19 == sum(each.replayed for each in same)


def test_one_address_or_card_passes_so_often_by_whatever_code(url: str) -> None:
    """The bound of an address holds across codes, which are locked apart; so does that of a card."""
    with opened(url) as meter:
        codes = [meter.referrals.code(f"owner{number}") for number in range(10)]
    by_ip = at_once(url, [using(codes[n % 10], f"a{n}", ip="192.0.2.1") for n in range(30)])
    by_card = at_once(url, [using(codes[n % 10], f"b{n}", card="a card") for n in range(30)])

    assert (3, {"same_ip": 27}) == told(by_ip)
    assert (1, {"same_card": 29}) == told(by_card)


def test_two_do_not_refer_each_other(url: str) -> None:
    """Who uses the other's code at the same moment as the other uses theirs: one of them does."""
    with opened(url) as meter:
        pairs = [(f"x{n}", f"y{n}") for n in range(10)]
        codes = {name: meter.referrals.code(name) for pair in pairs for name in pair}
    works = [using(codes[a], b) for x, y in pairs for a, b in ((x, y), (y, x))]

    assert (10, {"mutual": 10}) == told(at_once(url, works))


def test_a_code_is_drawn_once_by_whomever(url: str) -> None:
    """Asked for by twenty at once, an account's code is one and the same."""
    done = at_once(url, [lambda meter: meter.referrals.code("ann")] * 20)

    assert 1 == len(set(done))
    assert [(done[0],)] == query(url, "SELECT code FROM ptm_referral_code")


def test_tiers_are_counted_when_all_pay_at_once(url: str) -> None:
    """Each payment twice, all at the same moment: every place in the tiers is taken once."""
    names = [f"a{number}" for number in range(10)]
    with opened(url, bounds={}) as meter:
        code = meter.referrals.code("ann")
        for name in names:
            meter.referrals.use(code, account=name, key="k")
    done = at_once(url, [paying(name) for name in names * 2], bounds={})
    with opened(url, bounds={}) as meter:
        earned = sorted(each.rewards[0].given for each in meter.referrals.list("ann"))
        balance, report = meter.balance("ann"), meter.verify()

    assert (20, {}) == told(done)
    assert [PT.of(200)] * 2 + [PT.of(350)] * 2 + [PT.of(850)] * 6 == earned
    assert PT.of(2 * 200 + 2 * 350 + 6 * 850) == balance.core.available
    assert report.clean


def test_one_payment_is_one_accounts(url: str) -> None:
    """Two accounts that claim the same payment at the same moment: one is rewarded."""
    with opened(url, bounds={}) as meter:
        codes = [meter.referrals.code(f"owner{number}") for number in range(10)]
        for number, code in enumerate(codes):
            meter.referrals.use(code, account=f"a{number}", key="k")
    works = [
        lambda meter, n=n: meter.referrals.paid(f"a{n}", payment=TEN, payment_id="pi") for n in range(10)
    ]
    done = at_once(url, works, bounds={})

    assert ["idempotency_conflict"] * 9 == [each.code for each in done if isinstance(each, PtmeterError)]


def test_refunds_at_once_take_back_what_they_come_to(url: str) -> None:
    """News of a refund in any order and however often, while the PT are being used: the greatest counts, once."""
    with opened(url) as meter:
        meter.referrals.use(meter.referrals.code("ann"), account="bob", key="k")
        meter.referrals.paid("bob", payment=TEN, payment_id="pi:bob")
    refunds: list[Callable[[Meter], Any]] = [
        lambda meter, n=n: meter.referrals.refunded("pi:bob", amount=Money.usd(n % 9)) for n in range(1, 28)
    ]
    spending: list[Callable[[Meter], Any]] = [
        lambda meter, n=n: meter.hold("ann", core=2, key=f"h{n}") for n in range(20)
    ]
    done = at_once(url, [*refunds, *spending])
    with opened(url) as meter:
        [found] = meter.referrals.list("ann")
        core, report = meter.balance("ann").core, meter.verify()

    assert [] == [each for each in done if isinstance(each, PtmeterError)]
    assert (Money.usd(8), PT.of(160)) == (found.refunded, found.rewards[0].reversed)
    assert (PT(0), PT.of(40)) == (core.available, core.held)
    assert report.clean


def test_money_is_left_in_the_outbox(url: str) -> None:
    """What is earned in money is a message, and so is what is to be taken back of it; each is there once."""
    with opened(url) as meter:
        meter.referrals.use(meter.referrals.code("ann"), account="bob", key="k")
        for _ in range(2):
            meter.referrals.paid("bob", payment=TEN, payment_id="pi:bob")
        for amount in ("2.50", "2.50", "10"):
            meter.referrals.refunded("pi:bob", amount=Money.usd(amount))
        rewards = meter.referrals.list("ann")[0].rewards
    found = query(url, "SELECT account, topic, body FROM ptm_outbox")
    facts = sorted((account, topic, json.loads(body)["amount"]) for account, topic, body in found)

    assert [
        ("bob", "referral.reversal", 250_000_000),
        ("bob", "referral.reversal", 750_000_000),
        ("bob", "referral.reward", 1_000_000_000),
    ] == facts
    assert [(Money.usd(1), Money.usd(1))] == [
        (reward.given, reward.reversed) for reward in rewards if reward.what == "USD"
    ]


def test_all_that_a_referral_has_is_kept(url: str) -> None:
    """What is written is what is read again, to the microsecond and the nano-dollar."""
    with opened(url) as meter:
        used = meter.referrals.use(meter.referrals.code("Ánn"), account="Bób", key="k")
        assert (used,) == meter.referrals.list("Ánn")
        paid = meter.referrals.paid("Bób", payment=Money(12_345_678_901), payment_id="pi:ü")
        assert (paid,) == meter.referrals.list("Ánn")
        refunded = meter.referrals.refunded("pi:ü", amount=Money(1))
        assert (refunded,) == meter.referrals.list("Ánn")


def test_in_your_own_transaction_it_stands_or_falls_with_it(url: str) -> None:
    """A code that was used in an application's transaction which is rolled back was never used."""
    isolation = {} if url.startswith("sqlite") else {"isolation_level": "READ COMMITTED"}
    with opened(url) as meter, engine_on(url, **isolation) as engine:
        code = meter.referrals.code("ann")
        with engine.connect() as connection:
            connection.begin()
            meter.joined(connection).referrals.use(code, account="bob", key="k")
            connection.rollback()
        found = meter.referrals.use(code, account="bob", key="other")

        assert not found.replayed
