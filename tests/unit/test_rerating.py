"""Rating calls again, on a ledger in memory: random calls against what other prices would have charged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rerating import PriceList, card, used

from ptmeter import (
    PT,
    AccountChange,
    Basis,
    Ceiling,
    ConfigurationError,
    InvalidArgumentError,
    Meter,
    Money,
    Policy,
    Processing,
    RateCard,
    Workload,
)
from ptmeter.cli.rating import KnownCounts
from ptmeter.configuration import kept_card
from ptmeter.domain.rates import Complexity, Content
from ptmeter.domain.rerating import Span, authority
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.operations import rerating
from ptmeter.repricing import Repricing
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN: dict[str, Any] = {"since": START, "until": datetime(2026, 2, 1, tzinfo=UTC)}
WHO: dict[str, Any] = {"by": "ann", "reason": "the list was wrong"}
GRANT = 10_000

workloads = st.builds(
    Workload,
    complexity=st.sampled_from(Complexity),
    content=st.sampled_from(Content),
    retry_rate=st.integers(0, 2_000),
    processing=st.sampled_from([Processing.STANDARD, Processing.BATCH]),
    tool_calls=st.integers(0, 8),
)


@dataclass(frozen=True)
class Made:
    """A call that was made: how, by whom, and what it used."""

    account: str
    model: str
    how: str
    tokens: int
    cached: int
    output: int
    workload: Workload


calls = st.lists(
    st.builds(
        Made,
        account=st.sampled_from(["acme", "zeta"]),
        model=st.sampled_from(["small", "large", "banded"]),
        how=st.sampled_from(["record", "call", "late"]),
        tokens=st.integers(0, 9_000),
        cached=st.integers(0, 9_000),
        output=st.integers(0, 9_000),
        workload=workloads,
    ),
    min_size=1,
    max_size=12,
)
names = [f"{name}{processing}" for name in ("small", "large", "banded") for processing in ("", "_batch")]
OLD = dict.fromkeys(names, 100_000) | {"large": 1_000_000}
lists = st.fixed_dictionaries(dict.fromkeys(names, st.integers(1, 2_000_000)))


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def prices() -> PriceList:
    return PriceList(small=100_000, large=1_000_000, banded=100_000)


@pytest.fixture
def meter(clock: Clock, prices: PriceList) -> Iterator[Meter]:
    with opened(clock, prices) as meter:
        yield meter


def opened(clock: Clock, prices: PriceList, of: RateCard | None = None, **options: Any) -> Meter:
    """A meter in memory whose accounts have enough, in both units."""
    options |= {"card": of or card(), "catalogue": prices, "clock": clock, "tokens": KnownCounts()}
    meter = Meter.open("memory://", **options)
    for account in ("acme", "zeta"):
        meter.funds.grant(account, core=GRANT, advanced=GRANT, source="test", key="g")
    return meter


def make(meter: Meter, clock: Clock, made: list[Made]) -> None:
    """Make calls, in every way in which a call can come to a charge."""
    for number, each in enumerate(made):
        usage, key = used(each.tokens, each.cached, each.output), f"c{number}"
        charge = meter._platform.pricing.charge(each.model, usage, each.workload)
        how = (
            each.how if charge.amount else "call"
        )  # what costs nothing can only be a call that was on time
        if how == "record":
            meter.record(each.account, model=each.model, response=usage, key=key, workload=each.workload)
        else:
            asked = meter.call(
                each.account,
                model=each.model,
                messages={"tokens": 1},
                key=key,
                max_tokens=1,
                workload=each.workload,
            )
            with asked as call:  # a small hold, so that most calls go beyond it
                if how == "late":
                    clock.turn(timedelta(minutes=20))
                    meter.sweep()
                call.record(usage)
        clock.turn(timedelta(minutes=1))


def available(meter: Meter) -> dict[str, PT]:
    """What each account has, in each unit."""
    return {
        f"{account}.{unit}": meter.balance(account)[unit].available
        for account in ("acme", "zeta")
        for unit in ("core", "advanced")
    }


def rows(meter: Meter) -> list[Any]:
    """The journal."""
    return [row for account in ("acme", "zeta") for row in meter.statement(account, limit=10_000).entries]


# --- what always holds ------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(calls, lists, lists)
def test_rated_again_it_is_as_if_the_new_price_had_been_the_first(
    made: list[Made], old: dict[str, int], new: dict[str, int]
) -> None:
    """
    After it, accounts have what they had if the new list had been there all along; by the old list, or taken
    back, what they had before. Done twice it is done once. The rows of the calls stay as they were.
    """
    clock, prices = Clock(START), PriceList(**old)
    meter, other = opened(clock, prices), opened(Clock(START), PriceList(**new))
    make(meter, clock, made)
    make(other, Clock(START), made)
    before, journal = available(meter), rows(meter)

    prices.rates = new
    foreseen = meter.prices.preview(**SPAN)
    assert before == available(meter)
    done = meter.prices.rerate(**SPAN, **WHO)
    assert available(other) == available(meter)
    assert (foreseen.accounts, foreseen.models) == (done.accounts, done.models)
    assert done.posted == len(rows(meter)) - len(journal)
    again = meter.prices.rerate(**SPAN, **WHO)
    assert (0, ()) == (again.posted, again.accounts)

    prices.rates = old
    meter.prices.rerate(**SPAN, **WHO)
    assert before == available(meter)
    prices.rates = new
    meter.prices.rerate(**SPAN, **WHO)
    assert available(other) == available(meter)
    meter.prices.rerate(**SPAN, **WHO, basis=Basis.FIRST)
    assert before == available(meter)
    assert journal == [row for row in rows(meter) if not row.kind.startswith("adjust")]
    assert meter.verify().clean


@settings(deadline=None, max_examples=40)
@given(calls, lists, st.integers(1, 5), st.integers(0, 9))
def test_stopped_anywhere_it_goes_on(made: list[Made], new: dict[str, int], size: int, stop: int) -> None:
    """Whatever the page, and after whichever it is stopped: run again, every call is corrected once."""
    clock, prices = Clock(START), PriceList(**OLD)
    meter, other = opened(clock, prices), opened(Clock(START), PriceList(**new))
    make(meter, clock, made)
    make(other, Clock(START), made)
    prices.rates = new

    store, span = meter._platform.store, Span(**SPAN)
    place: rerating.Place | None = rerating.START
    for _ in range(stop):
        if place is None:
            break
        page = store.survey(
            partial(rerating.draft, span=span, rate=Repricing(prices, kept_card), place=place, rows=size)
        )
        who = authority("ann", "stopped")
        assert [] == store.run(partial(rerating.correct, corrections=page.corrections, who=who, card=None))
        place = page.next
    meter.prices.rerate(**SPAN, **WHO)

    assert available(other) == available(meter)
    ids = [row.id for row in rows(meter) if row.kind.startswith("adjust")]
    assert len(ids) == len(set(ids))
    assert meter.verify().clean


# --- what it says -------------------------------------------------------------------------------


def test_a_correction_names_its_call(meter: Meter, prices: PriceList, clock: Clock) -> None:
    """It is booked now under the date of the call, and says which call, both prices, who and why."""
    meter.record("acme", model="small", response=used(10_000), key="c")
    charged = meter.statement("acme").entries[-1]
    old, clock_before = prices.price("small", START).version, clock()
    clock.turn(timedelta(days=3))
    prices.rates = {"small": 200_000}

    done = meter.prices.rerate(**SPAN, **WHO)

    [*_, row] = meter.statement("acme").entries
    new, house = prices.price("small", START).version, card().version
    assert ("adjust_down", PT.of("1.38"), charged.effective_at) == (row.kind, row.amount, row.effective_at)
    assert row.booked_at > clock_before + timedelta(days=2)
    assert row.note == (
        f"rated again (1): core transfer {charged.number}, 1.39 PT core -> 2.77 PT core; "
        f"price {old} -> {new}, card {house} -> {house}; ann: the list was wrong"
    )
    assert [AccountChange("acme", "core", 1, PT.of("1.38"))] == [*done.accounts]
    [change] = done.models
    assert ("core", "small", 1, PT.of("1.39"), PT.of("2.77")) == change[:5]
    assert (Money(1_040_000), Money(2_080_000)) == (change.cost, change.cost_again)


def test_what_a_call_cost_is_reported_and_stays(meter: Meter, prices: PriceList) -> None:
    """By bands the price has no part in the charge: nothing is posted, and the cost is told."""
    meter.record("acme", model="banded", response=used(900), key="c")
    prices.rates = {"banded": 300_000}

    done = meter.prices.rerate(**SPAN, **WHO)

    [change] = done.models
    assert (0, Money(130_000), Money(390_000)) == (done.posted, change.cost, change.cost_again)
    assert Money(130_000) == meter.statement("acme").entries[-1].cost


def test_only_the_calls_of_the_span(meter: Meter, prices: PriceList, clock: Clock) -> None:
    """Another time, another account, another model: those calls stay as they are."""
    make(
        meter,
        clock,
        [
            Made(account, model, "record", 9_000, 0, 0, Workload())
            for account in ("acme", "zeta")
            for model in ("small", "large")
        ],
    )
    prices.rates = {"small": 200_000, "large": 2_000_000}
    later: dict[str, Any] = {"since": clock(), "until": clock() + timedelta(days=1)}

    assert 0 == meter.prices.preview(**later).calls
    assert 4 == meter.prices.preview(**SPAN).calls
    assert 2 == meter.prices.preview(**SPAN, account="zeta").calls
    assert 1 == meter.prices.preview(**SPAN, account="zeta", model="acme/large").calls
    assert 2 == meter.prices.preview(**SPAN, model="large").calls
    assert 0 == meter.prices.preview(**SPAN, model="other/large").calls
    assert 0 == meter.prices.preview(**SPAN, unpriced=True).calls


def test_another_card_moves_a_call_to_another_unit(meter: Meter) -> None:
    """What was charged in one unit is given back and charged in the other; taken back, it is as before."""
    before = available(meter)
    meter.record("acme", model="large", response=used(9_000), key="c")
    charged = available(meter)

    meter.prices.rerate(**SPAN, **WHO, card=card(large_in="advanced"))

    moved = available(meter)
    assert before["acme.core"] == moved["acme.core"]
    assert before["acme.core"] - charged["acme.core"] == before["acme.advanced"] - moved["acme.advanced"]
    meter.prices.rerate(**SPAN, **WHO, card=card(large_in="advanced", step="100"))
    assert PT.of(100) == before["acme.advanced"] - available(meter)["acme.advanced"]
    meter.prices.rerate(**SPAN, **WHO, basis=Basis.FIRST)
    assert charged == available(meter)
    assert meter.verify().clean


def test_a_model_without_a_price_stays_as_it_is(meter: Meter, prices: PriceList) -> None:
    """It is reported with the number of its calls; others are corrected."""
    for number, model in enumerate(("small", "small", "large")):
        meter.record("acme", model=model, response=used(9_000), key=f"c{number}")
    prices.rates = {"large": 2_000_000}

    done = meter.prices.rerate(**SPAN, **WHO)

    assert ({"small": 2}, 1, 1) == (dict(done.unrated), done.calls, done.posted)


def test_what_was_charged_at_a_ceiling_is_put_right_when_a_price_is_known(
    clock: Clock, prices: PriceList
) -> None:
    """Unpriced calls, in the ceiling's unit, become what the card and the price say, in theirs."""
    ceiling = Ceiling("advanced", dict.fromkeys(TOKEN_CLASSES, 9_000_000))
    meter = opened(clock, prices, policy=Policy(unpriced=ceiling))
    meter.record("acme", model="new", response=used(1_000), key="c")
    meter.record("acme", model="small", response=used(1_000), key="d")
    assert {"new": 1} == dict(meter.prices.preview(**SPAN, unpriced=True).unrated)
    prices.rates = {"new": 100_000, "small": 900_000}

    done = meter.prices.rerate(**SPAN, **WHO, unpriced=True)

    assert [("advanced", 1), ("core", 1)] == [(each.unit, each.calls) for each in done.accounts]
    assert PT.of(GRANT) == available(meter)["acme.advanced"]
    assert (1, 0) == (done.posted, meter.prices.rerate(**SPAN, **WHO, unpriced=True).posted)


# --- what is refused ----------------------------------------------------------------------------


def test_who_has_too_little_is_reported_and_made_up_for(
    meter: Meter, prices: PriceList, clock: Clock
) -> None:
    """A correction that the account cannot pay is refused and said so; a day later it can be made."""
    meter.record("acme", model="small", response=used(10_000), key="c")
    meter.record("zeta", model="small", response=used(10_000), key="c")
    meter.funds.adjust("acme", core=-PT.of(GRANT).whole + PT.of("1.40").whole, reason="test", key="a")
    prices.rates = {"small": 200_000}

    done = meter.prices.rerate(**SPAN, **WHO)

    assert ((AccountChange("acme", "core", 1, PT.of("1.38")),), 1) == (done.refused, done.posted)
    meter.funds.grant("acme", core=100, source="test", key="more")
    clock.turn(timedelta(days=1))
    made_up = meter.prices.rerate(**SPAN, **WHO)
    assert (1, ()) == (made_up.posted, made_up.refused)
    assert 0 == meter.prices.rerate(**SPAN, **WHO).posted


def test_two_that_disagree_do_not_both_correct_a_call(meter: Meter) -> None:
    """What was worked out before somebody else corrected the call is refused; what agrees is found done."""
    meter.record("acme", model="small", response=used(10_000), key="c")
    store, who = meter._platform.store, authority("ann", "why")

    def worked_out(rate: int) -> list[rerating.Rated]:
        repricing = Repricing(PriceList(small=rate), kept_card)
        return store.survey(
            partial(rerating.draft, span=Span(**SPAN), rate=repricing, place=rerating.START)
        ).corrections

    mine, same, other = worked_out(200_000), worked_out(200_000), worked_out(300_000)
    assert mine
    refusals = [
        store.run(partial(rerating.correct, corrections=each, who=who, card=None))
        for each in (mine, same, other)
    ]

    assert [0, 0, 1] == [len(each) for each in refusals]
    assert PT.of(GRANT - 2) > available(meter)["acme.core"] > PT.of(GRANT - 3)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"by": " "}, "say who"),
        ({"reason": ""}, "say why"),
        ({"since": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - the point
        ({"until": START}, "ends after it begins"),
    ],
)
def test_what_is_asked_wrongly_is_refused(meter: Meter, changed: dict[str, Any], sentence: str) -> None:
    """Nobody, no reason, a time without a zone and a span of nothing are refused, before anything is read."""
    with pytest.raises(InvalidArgumentError, match=sentence):
        meter.prices.rerate(**(SPAN | WHO | changed))


def test_a_card_put_together_in_code_has_to_be_given(clock: Clock, prices: PriceList) -> None:
    """It cannot be read back from what was kept of it, and the error says so; given, it serves."""
    house = card()
    made = RateCard(
        name="code", effective_from=START, units=house.units, models=house.models, source={"name": "code"}
    )
    meter = opened(clock, prices, made)
    meter.record("acme", model="small", response=used(10_000), key="c")
    prices.rates = {"small": 200_000}

    with pytest.raises(ConfigurationError):
        meter.prices.preview(**SPAN)
    assert 1 == meter.prices.rerate(**SPAN, **WHO, card=made).posted


def test_a_settle_beyond_its_hold_counts_whole(meter: Meter, clock: Clock, prices: PriceList) -> None:
    """The control of the above: such calls are among them, in two rows, and one correction puts both right."""
    make(meter, clock, [Made("acme", "small", "call", 9_000, 0, 9_000, Workload())])
    kinds = [row.kind for row in rows(meter)]
    assert {"settle", "debit"} <= set(kinds)
    prices.rates = {"small": 50_000}

    done = meter.prices.rerate(**SPAN, **WHO)

    charged = sum(row.amount.micro for row in rows(meter) if row.kind in {"settle", "debit"})
    [change] = done.models
    assert (1, 1, charged) == (done.posted, change.calls, change.charged.micro)
