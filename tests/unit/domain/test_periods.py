"""Accounting months and their seals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.accounting import age
from ptmeter.domain.closing_audit import history_problems
from ptmeter.domain.closings import Closing, LotMoves
from ptmeter.domain.ledger import Kind, WalletId
from ptmeter.domain.periods import (
    Period,
    PeriodEvent,
    PeriodState,
    following,
    month,
    month_of,
    seal,
    sealed_before,
)

AUGUST = month("2026-08")
LOT = LotMoves(
    1, AUGUST.start, Kind.GRANT, came_in=20, charged=4, reversed=7, available=5, held=1, frozen=3
)
CLOSING = Closing(
    wallet=WalletId("acme", "core"),
    period="2026-08",
    revision=1,
    seq=3,
    booked_at=AUGUST.start,
    head=b"h" * 33,
    available=5,
    held=1,
    spent=4,
    issued=20,
    frozen=3,
    reversed=7,
    lots=(LOT,),
)


FIGURES = ("available", "held", "spent", "owed", "issued", "lapsed", "adjusted", "frozen", "reversed")


def happened(period: Period, *states: PeriodState) -> list[PeriodEvent]:
    return [
        PeriodEvent(
            period=period,
            number=number,
            state=state,
            at=period.end,
            by="ann",
            approved_by="bob" if state is PeriodState.REOPENED else "",
            reason="a fault" if state is PeriodState.REOPENED else "",
            hash=b"h" * 33 if state is PeriodState.SEALED else b"",
        )
        for number, state in enumerate(states, 1)
    ]


def changes(closing: Closing) -> list[Closing]:
    """The closing with each of its facts changed, one at a time."""
    figures = ("seq", *FIGURES)
    return [
        replace(closing, wallet=WalletId("acm", "ecore")),
        replace(closing, period="2026-09"),
        replace(closing, head=b"x" * 33),
        replace(closing, booked_at=None),
        replace(closing, lots=()),
        *(replace(closing, **{name: getattr(closing, name) + 1}) for name in figures),
        *(
            replace(closing, lots=(LOT._replace(**{name: getattr(LOT, name) + 1}),))
            for name in LOT._fields
            if name not in {"since", "kind"}
        ),
        replace(closing, lots=(LOT._replace(since=AUGUST.end),)),
        replace(closing, lots=(LOT._replace(kind=Kind.ADVANCE),)),
    ]


# --- months ---


@given(st.integers(0, 8_000 * 365 * 86_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_months_are_contiguous(at: datetime) -> None:
    """Every moment is in one month, whose name names it, and the next begins where it ends."""
    period = month_of(at)

    assert period.start <= at < period.end
    assert period == month(period.name)
    assert period.end == following(period).start
    assert period == month_of(period.last)
    assert following(period) == month_of(period.last + timedelta(microseconds=1))


def test_ages_are_in_days_and_nothing_is_younger_than_new() -> None:
    """A lot of 30 days is up to 30 days old, one of 31 is not; what takes effect later is new."""
    ages = [
        age(AUGUST.end - timedelta(days=days), AUGUST.end) for days in (-5, 0, 30, 31, 90, 91, 365, 366)
    ]

    assert ["0-30", "0-30", "0-30", "31-90", "31-90", "91-365", "91-365", "over 365"] == ages


# --- the seal ---


def test_the_seal_covers_every_fact() -> None:
    """Changing any fact of a closing, leaving it out or repeating it gives another hash; the revision does not."""
    original, _ = seal(AUGUST, b"before", [CLOSING])
    others = [seal(AUGUST, b"before", [changed])[0] for changed in changes(CLOSING)]
    others += [seal(AUGUST, b"before", closings)[0] for closings in ([], [CLOSING, CLOSING])]
    others += [seal(AUGUST, b"", [CLOSING])[0], seal(following(AUGUST), b"before", [CLOSING])[0]]

    assert len({original, *others}) == 1 + len(others)
    assert original == seal(AUGUST, b"before", [replace(CLOSING, revision=2)])[0]


def test_the_encoding_is_what_it_was() -> None:
    """The bytes of version 1 never change: published hashes must be found again."""
    assert (
        "019741dd7a8910d76eaf7e10eb76d1305430c6b44001775fd7a8d13cd397594701"
        == seal(AUGUST, b"", [CLOSING])[0].hex()
    )


@pytest.mark.parametrize("name", FIGURES)
def test_figures_that_do_not_tie_are_noticed(name: str) -> None:
    """A closing whose figures do not add up says so."""
    assert CLOSING.problem() is None
    assert replace(CLOSING, **{name: getattr(CLOSING, name) + 1}).problem()


def test_lots_that_do_not_tie_are_noticed() -> None:
    """Lots that come to something else than the wallet, or have less than nothing, are no closing."""
    fewer = replace(CLOSING, lots=(LOT._replace(available=4),))
    negative = replace(CLOSING, lots=(LOT, LOT._replace(number=2, available=-1, held=1, charged=0)))

    assert "its lots have 4 available, 1 held and 3 frozen" == fewer.problem()
    assert replace(CLOSING, lots=(LOT._replace(frozen=2),)).problem()
    assert negative.problem()


# --- what can happen to a period ---


CLOSED = (PeriodState.CLOSING, PeriodState.SEALED)


@pytest.mark.parametrize(
    "events",
    [
        happened(AUGUST, PeriodState.SEALED),
        happened(AUGUST, PeriodState.CLOSING, PeriodState.CLOSING),
        happened(AUGUST, *CLOSED, PeriodState.SEALED),
        happened(AUGUST, *CLOSED)[1:],
        [
            *happened(AUGUST, *CLOSED),
            replace(happened(AUGUST, *CLOSED, PeriodState.REOPENED)[2], approved_by=""),
        ],
        happened(AUGUST, *CLOSED) + happened(following(following(AUGUST)), *CLOSED),
        [replace(happened(AUGUST, PeriodState.CLOSING)[0], reason="for fun")],
        [replace(happened(AUGUST, PeriodState.CLOSING)[0], approved_by="bob")],
        [replace(happened(AUGUST, PeriodState.CLOSING)[0], wallets=3)],
        [replace(happened(AUGUST, PeriodState.CLOSING)[0], period=replace(AUGUST, start=AUGUST.end))],
        [replace(happened(AUGUST, PeriodState.CLOSING)[0], period=replace(AUGUST, name="August"))],
    ],
)
def test_what_cannot_have_happened_is_found(events: list[PeriodEvent]) -> None:
    """A seal without a beginning, a gap in the numbers or the months, a reopening by one: each is a finding."""
    assert history_problems(events)


def test_what_can_happen_is_no_finding() -> None:
    """Months closed, reopened and closed again in order are as they should be."""
    events = happened(AUGUST, *CLOSED, PeriodState.REOPENED, *CLOSED) + happened(following(AUGUST), *CLOSED)

    assert [] == history_problems(events)


def test_a_month_stands_on_the_sealed_one_before() -> None:
    """What a month begins from is the last sealed month before it, not one that is reopened or later."""
    july = month("2026-07")
    events = [*happened(july, *CLOSED), *happened(AUGUST, *CLOSED, PeriodState.REOPENED)]

    found = sealed_before(following(AUGUST), events)

    assert found is not None
    assert "2026-07" == found.name
    assert sealed_before(july, events) is None
