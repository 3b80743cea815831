"""Commands for accounting months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ptmeter import Meter
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from .conftest import Run

pytestmark = pytest.mark.sqlite

AUGUST = "2024-08"
CLOSE = ("periods", "close", AUGUST, "--by", "ann")


@pytest.fixture
def august(db: str) -> str:
    """The ledger behind ``db``, in which something happened in August 2024."""
    clock = Clock(datetime(2024, 8, 5, tzinfo=UTC))
    with Meter.open(db, clock=clock) as meter:
        meter.funds.grant("acme", core=100, source="trial", key="t")
        meter.settle(meter.hold("acme", core=6, key="r"), core=4, key="r")
        meter.hold("acme", core=6, key="open", ttl=timedelta(days=40))
    return db


def test_a_month_is_closed_shown_and_listed(run: Run, august: str) -> None:
    """Closing prints the hash to publish; shown and listed, the month has it too, and who closed it."""
    closed = run(*CLOSE, "--json").json

    assert ("sealed", 1, 66) == (closed["state"], closed["wallets"], len(closed["hash"]))
    assert f"{AUGUST} is sealed: 1 wallets, {closed['hash']}\n" == run(*CLOSE).out
    assert closed == run("periods", "show", AUGUST, "--json").json
    assert {"periods": [closed]} == run("periods", "list", "--json").json
    assert ["closing", "sealed"] == [event["state"] for event in closed["history"]]
    shown = run("periods", "show", AUGUST).out
    assert "ann" in shown
    assert closed["hash"] in run("periods", "list").out


def test_the_reports_add_up(run: Run, august: str) -> None:
    """In the documents amounts are exact, and each says whether it ties; for people there are tables."""
    run(*CLOSE)
    moves = run("periods", "roll-forward", AUGUST, "--json").json
    balance = run("periods", "trial-balance", AUGUST, "--json").json

    [total] = moves["totals"]
    assert (True, "100", "4", "96", "6") == (
        moves["ties"],
        *(total[name] for name in ("granted", "charged", "closing", "held")),
    )
    sides = {line["side"]: line["closing"] for line in balance["lines"]}
    assert balance["balanced"]
    assert ("90", "6", "4", "-100") == tuple(sides[s] for s in ("available", "held", "spent", "issuance"))
    assert "each unit sums to zero" in run("periods", "trial-balance", AUGUST).out
    assert "= closing" in run("periods", "roll-forward", AUGUST).out


def test_reopening_takes_a_second_person(run: Run, august: str) -> None:
    """The same name twice is refused with exit code 3; two names and a reason reopen the month."""
    run(*CLOSE)
    words = ("periods", "reopen", AUGUST, "--by", "ann", "--reason", "restored", "--json")

    alone = run(*words, "--approved-by", "ann")
    reopened = run(*words, "--approved-by", "bob").json

    assert (3, "approval_missing") == (alone.code, alone.error["code"])
    assert ("reopened", "bob", "restored") == (
        reopened["state"],
        *(reopened["history"][-1][name] for name in ("approved_by", "reason")),
    )
    assert 3 == run("periods", "trial-balance", AUGUST).code


@pytest.mark.parametrize(("month", "code"), [("2024-09", "period_order"), ("2924-08", "period_not_over")])
def test_it_says_why_a_month_cannot_be_closed(run: Run, august: str, month: str, code: str) -> None:
    """A month whose turn it is not, or that is not over, is refused with a sentence and exit code 3."""
    ended = run("periods", "close", month, "--by", "ann", "--json")

    assert (3, code) == (ended.code, ended.error["code"])


def test_closing_makes_no_database(run: Run, db: str) -> None:
    """A file that is not there is not made: a month of nothing would be closed."""
    assert 4 == run(*CLOSE).code


@pytest.mark.parametrize("report", ["roll-forward", "trial-balance"])
def test_of_a_month_before_the_ledger_that_is_said(run: Run, august: str, report: str) -> None:
    """It is not told to be closed, which would be refused; the month that came first is named."""
    refused = run("periods", report, "2020-01")

    assert 3 == refused.code
    assert (
        "2020-01 was over before the ledger began: the first month to report on is 2024-08" in refused.err
    )
    assert "close it first" in run("periods", report, AUGUST).err
