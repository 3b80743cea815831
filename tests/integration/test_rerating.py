"""Rating calls again on every database: in pages, stopped and gone on with, over a month that is sealed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.wiring import meter_on, query, servers
from tests.rerating import PriceList, card, used

from ptmeter import PT, Basis, Processing, Workload
from ptmeter.configuration import kept_card
from ptmeter.domain.rates import Complexity, Content
from ptmeter.domain.rerating import Span, authority
from ptmeter.operations import rerating
from ptmeter.repricing import Repricing
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend

    from ptmeter import Meter

START = datetime(2026, 1, 5, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
SPAN: dict[str, Any] = {"since": START, "until": FEBRUARY}
WHO: dict[str, Any] = {"by": "ann", "reason": "the list was wrong"}
HARD = Workload(
    complexity=Complexity.COMPLEX,
    content=Content.MIXED,
    retry_rate=700,
    tool_calls=3,
    processing=Processing.BATCH,
)
ACCOUNTS = [f"a{number}" for number in range(5)]

JANUARY = (
    "SELECT * FROM ptm_transfer WHERE booked_at < 1769904000000000 ORDER BY wallet_id, seq",
    "SELECT * FROM ptm_closing ORDER BY wallet_id",
)


def make_calls(meter: Meter) -> None:
    """Calls of five accounts, plain and hard, in time, late and beyond their holds."""
    for account in ACCOUNTS:
        meter.funds.grant(account, core=1_000, source="test", key="g")
        for number in range(6):
            key, workload = f"c{number}", HARD if number % 2 else Workload()
            if number % 3 == 2:
                usage = used(7_000 + number)
                meter.record(account, model="small", response=usage, key=key, workload=workload)
                continue
            asked = meter.call(
                account, model="small", messages="hi", max_tokens=1, key=key, workload=workload
            )
            with asked as call:
                call.record(used(9_000 + number, cached=number, output=number))


def balances(meter: Meter) -> list[PT]:
    return [meter.balance(account).core.available for account in ACCOUNTS]


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_sealed_month_is_rated_again(name: str, backend_of: Callable[[str], Backend]) -> None:
    """
    Killed in the middle and gone on with, each call is corrected once, in the open month; January keeps its
    rows, its closings and its hash, recorded anew as well; and taken back, everybody has what he had.
    """
    url, clock = backend_of(name).empty(), Clock(START)
    prices = PriceList(small=100_000, small_batch=50_000)
    with meter_on(url, card=card(), catalogue=prices, clock=clock) as meter:
        make_calls(meter)
        clock.turn(FEBRUARY + timedelta(days=1) - clock())
        sealed = meter.periods.close("2026-01", by="ann")
        before, january = balances(meter), [query(url, statement) for statement in JANUARY]
        prices.rates = {"small": 130_000, "small_batch": 70_000}
        foreseen = meter.prices.preview(**SPAN)

        killed_after(meter, prices, pages=2)
        halfway = balances(meter)
        done = meter.prices.rerate(**SPAN, **WHO)

        assert 0 < done.posted < 30
        assert before != halfway != balances(meter)
        charged = [PT(0)] * len(ACCOUNTS)
        for change in foreseen.accounts:
            charged[ACCOUNTS.index(change.account)] += change.amount
        assert charged == [one - other for one, other in zip(before, balances(meter), strict=True)]
        assert 0 == meter.prices.rerate(**SPAN, **WHO).posted
        assert january == [query(url, statement) for statement in JANUARY]
        assert sealed == meter.periods.show("2026-01")
        meter.periods.reopen("2026-01", reason="to see", by="ann", approved_by="bob")
        assert sealed.hash == meter.periods.close("2026-01", by="ann").hash
        assert 30 == meter.prices.rerate(**SPAN, **WHO, basis=Basis.FIRST).posted
        assert before == balances(meter)
        assert meter.verify().clean


def killed_after(meter: Meter, prices: PriceList, *, pages: int) -> None:
    """Rate a few short pages again, and stop."""
    store, place = meter._platform.store, rerating.START
    repricing = Repricing(prices, kept_card)
    for _ in range(pages):
        read = partial(rerating.draft, span=Span(**SPAN), rate=repricing, place=place, rows=9)
        page = store.survey(read)
        post = partial(
            rerating.correct, corrections=page.corrections, who=authority("ann", "why"), card=None
        )
        assert [] == store.run(post)
        assert page.next
        place = page.next


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_calls_move_to_another_unit_and_back(name: str, backend_of: Callable[[str], Backend]) -> None:
    """By another card, what was charged in one unit is given back and charged in the other, once; and back."""
    url, elsewhere = backend_of(name).empty(), card(large_in="advanced")
    with meter_on(url, card=card(), catalogue=PriceList(large=100_000), clock=Clock(START)) as meter:
        for account in ACCOUNTS:
            meter.funds.grant(account, core=10, advanced=10, source="test", key="g")
            meter.record(account, model="large", response=used(9_000), key="c")
        charged = balances(meter)

        done = [meter.prices.rerate(**SPAN, **WHO, card=elsewhere).posted for _ in range(2)]

        assert [5, 0] == done
        assert [PT.of(10)] * 5 == balances(meter)
        assert charged == [meter.balance(account).advanced.available for account in ACCOUNTS]
        assert 5 == meter.prices.rerate(**SPAN, **WHO).posted
        assert charged == balances(meter)
        assert meter.verify().clean


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_prices_that_were_used_are_counted(name: str, backend_of: Callable[[str], Backend]) -> None:
    """Every price by which calls were rated, with how many and the last of them; what only stands by is not."""
    url, clock = backend_of(name).empty(), Clock(START)
    prices = PriceList(small=100_000, small_batch=50_000)
    with meter_on(url, card=card(), catalogue=prices, clock=clock) as meter:
        make_calls(meter)
        clock.turn(timedelta(days=1))
        prices.rates = {"small": 200_000, "small_batch": 100_000}
        meter.record("a0", model="small", response=used(9_000), key="last")

        uses = meter._platform.store.survey(lambda books: books.prices.uses())

        assert [(200_000, 15), (400_000, 15), (800_000, 1)] == sorted(
            (use.price.rates["output_text"], use.calls) for use in uses
        )
        assert meter.statement("a0", limit=1_000).entries[-1].booked_at == max(use.last_at for use in uses)
