"""What margins call for: by the floor and the lights, for whom they are of, with the figures in the reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ptmeter import ConfigurationError, Grouping, MarginGoals, Mitigated, Mitigation, MitigationTerms
from ptmeter.domain.margin_mitigations import called_for, stands_in
from ptmeter.domain.margins import MarginReport, Sum, margins
from ptmeter.domain.rollups import Figures

NOW = datetime(2026, 8, 31, 9, tzinfo=UTC)
DAY = date(2026, 8, 31)
NEXT = date(2026, 9, 1)
GOALS = MarginGoals()
TERMS = MitigationTerms()


def line(
    name: str, *, margin: int, advanced: int = 20, calls: int = 100, revenue: int = 10**9
) -> list[Sum]:
    """Roll-ups of a group with that gross margin in percent, so much of whose PT are advanced, in percent."""
    cost = revenue * (100 - margin) // 100 if revenue else 10**9
    core = Figures(calls=calls, amount=100 - advanced, cost=cost, revenue=revenue)
    return [
        Sum(name, "core", "USD", core),
        *([Sum(name, "advanced", "USD", Figures(amount=advanced))] if advanced else []),
    ]


def report(by: Grouping, *lines: list[Sum]) -> MarginReport:
    return margins([each for one in lines for each in one], by, since=DAY, until=NEXT, goals=GOALS)


def found(*reports: MarginReport, terms: MitigationTerms = TERMS) -> list[Mitigation]:
    return called_for(reports, terms, since=DAY, until=NEXT, at=NOW)


def platform(margin: int, **more: Any) -> MarginReport:
    return report(Grouping.PLATFORM, line("platform", margin=margin, **more))


def test_below_the_floor_the_unit_is_closed_to_everybody() -> None:
    """At 39 % core models only, for twelve hours, with the figures in the reason."""
    (closed,) = found(platform(39))

    assert ("advanced", 0, "", "ptmeter") == (closed.unit, closed.share, closed.scope, closed.by)
    assert (NOW, NOW + timedelta(hours=12)) == (closed.starts_at, closed.ends_at)
    assert (
        "a gross margin of 39 % is below 40 % (revenue US$1, cost US$0.61, 100 calls in 2026-08-31)"
        == closed.reason
    )


@pytest.mark.parametrize(
    ("margin", "share"), [(39, 0), (40, 1_250), (49, 1_250), (50, None), (64, None), (90, None)]
)
def test_each_light_of_the_platform_has_its_remedy(margin: int, share: int | None) -> None:
    """Below the floor closed, at the floor and red reduced, at yellow and green left alone."""
    assert ([] if share is None else [share]) == [each.share for each in found(platform(margin))]


def test_what_costs_and_earns_nothing_is_below_every_floor() -> None:
    """Without revenue there is no share to say, and the unit is closed."""
    (closed,) = found(platform(0, revenue=0))

    assert 0 == closed.share
    assert closed.reason.startswith("a gross margin of nothing is below 40 % (revenue US$0, cost US$1")


def test_a_floor_closes_though_nobody_used_the_unit_and_a_light_reduces_what_was_used() -> None:
    """The floor is the whole platform's; less of what is not used at all is no remedy."""
    assert [0] == [each.share for each in found(platform(39, advanced=0))]
    assert [] == found(platform(45, advanced=0))


def test_too_much_of_the_unit_is_a_red_light_too() -> None:
    """Of 25 % as planned 27.5 % is the edge: 28 % calls for less, 27 % does not."""
    (reduced,) = found(platform(90, advanced=28))

    assert (1_250, NOW + timedelta(hours=24)) == (reduced.share, reduced.ends_at)
    assert reduced.reason.startswith("28 % of the PT used are advanced, more than 27.5 % (revenue")
    assert [] == found(platform(90, advanced=27))


def test_plans_and_accounts_are_reduced_by_themselves() -> None:
    """Each red one for itself, those on no plan for nobody; the floor is not theirs."""
    plans = report(Grouping.PLAN, line("pro", margin=10), line("team", margin=90), line("", margin=10))
    accounts = report(Grouping.ACCOUNT, line("acme", margin=45), line("zeta", margin=66))

    assert [("plan:pro", 1_250), ("account:acme", 1_250)] == [
        (each.scope, each.share) for each in found(platform(80), plans, accounts)
    ]


def test_a_handful_of_calls_calls_for_nothing() -> None:
    """99 calls prove nothing, whatever they earned."""
    assert [] == found(platform(1, calls=99))
    assert 1 == len(found(platform(1, calls=99), terms=MitigationTerms(calls=99)))


def test_of_two_currencies_the_worse_decides() -> None:
    """A platform that charges in two has two lines; one mitigation comes of them, the strictest."""
    euros = [each._replace(currency="EUR") for each in line("platform", margin=30)]
    dollars = line("platform", margin=45, revenue=2 * 10**9)
    both = report(Grouping.PLATFORM, dollars, euros)

    assert [0] == [each.share for each in found(both)]


def test_one_window_has_one_mitigation_of_a_scope() -> None:
    """Its id follows from window, unit and scope, not from the figures; another window's is another."""
    first, second = found(platform(39)), found(platform(12))
    other = called_for([platform(39)], TERMS, since=DAY - timedelta(days=1), until=NEXT, at=NOW)

    assert [each.id for each in first] == [each.id for each in second]
    assert first[0].id != other[0].id
    assert "2026-08-30 to 2026-08-31" in other[0].reason


def test_what_does_as_much_stands_in() -> None:
    """By ptmeter, of the same unit and scope, and at least as strict; a person's does not count."""
    (new,) = found(platform(45))
    there = replace(new, key="earlier")

    assert there is stands_in([there], new)
    assert stands_in([replace(there, share=0)], new)
    for other in ({"share": 1_251}, {"unit": "core"}, {"scope": "plan:pro"}, {"by": "ann"}):
        assert stands_in([replace(there, **other)], new) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": -1},
        {"floor": 10_001},
        {"share": 10_001},
        {"closed_for": timedelta(0)},
        {"reduced_for": -timedelta(1)},
        {"calls": 0},
        {"days": 0},
        {"by": (Grouping.MODEL,)},
    ],
)
def test_terms_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    """Shares beyond all, no time at all, no calls, and scopes that there are not."""
    with pytest.raises(ConfigurationError):
        MitigationTerms(**wrong)


def test_it_says_what_was_done() -> None:
    """In a sentence: nothing to go by, nothing called for, so many applied."""
    done = Mitigated(since=DAY, until=NEXT, calls=0)
    (new,) = found(platform(39))

    assert "no call was charged in 2026-08-31, so margins call for nothing" == str(done)
    assert "the margins of 5 calls in 2026-08-31 call for nothing" == str(replace(done, calls=5))
    assert str(replace(done, calls=5, called_for=(new,), applied=(new,))).endswith(
        "call for 1 mitigation: 1 applied, 0 standing already"
    )
