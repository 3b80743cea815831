"""The command that rates calls again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.rerating import card

from ptmeter import Meter, Usage
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

SPAN = ("rerate", "--since", "2026-11-01", "--until", "2026-12-01")
APPLY = ("--apply", "--by", "ann", "--reason", "the list was wrong")


@pytest.fixture
def november(db: str) -> str:
    """The ledger behind ``db``, in which calls were made in November 2026, rated by a house card."""
    clock = Clock(datetime(2026, 11, 5, tzinfo=UTC))
    with Meter.open(db, card=card(), clock=clock) as meter:
        for account, tokens in (("acme", 10_000), ("zeta", 100_000)):
            meter.funds.grant(account, core=150, source="trial", key="t")
            usage = Usage(input_uncached=tokens)
            meter.record(account, model="gpt-4o-mini", response=usage, key="r")
            clock.turn(timedelta(minutes=1))
    return db


@pytest.fixture
def dearer(tmp_path: Path) -> str:
    """A price file by which it costs four times as much."""
    rates = {"input_uncached": "0.60", "output_text": "2.40"}
    document = {"prices": {"openai/gpt-4o-mini": [{"usd_per_million_tokens": rates}]}}
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


def test_it_shows_and_only_then_posts(run: Run, november: str, dearer: str) -> None:
    """Without --apply nothing is posted; with it the corrections are, once, by the cards the calls had."""
    words = (*SPAN, "--prices", dearer)
    before = run("balance", "acme", "--json").json

    shown = run(*words, "--json").json
    assert before == run("balance", "acme", "--json").json
    applied = run(*words, *APPLY, "--json").json

    assert (False, 0, True, 2) == tuple(
        document[name] for document in (shown, applied) for name in ("applied", "corrections")
    )
    assert shown["accounts"] == applied["accounts"]
    assert [("acme", "5.98"), ("zeta", "59.85")] == [
        (change["account"], change["amount"]) for change in applied["accounts"]
    ]
    [model] = applied["models"]
    assert ("gpt-4o-mini", 2, "0.0165", "0.066") == tuple(
        model[name] for name in ("model", "calls", "cost", "cost_again")
    )
    assert 0 == run(*words, *APPLY, "--json").json["corrections"]
    assert "ann: the list was wrong" in run("statement", "acme", "--json").out
    people = run(*words)
    assert "calls rated again: 2; nothing was posted: add --apply" in people.out


def test_it_takes_back_what_it_did(run: Run, november: str, dearer: str) -> None:
    """By what was charged at first, the account has what it had."""
    before = run("balance", "zeta", "--json").json["units"]["core"]["available"]
    run(*SPAN, "--prices", dearer, *APPLY)
    assert before != run("balance", "zeta", "--json").json["units"]["core"]["available"]

    run(*SPAN, "--basis", "first", *APPLY)

    assert before == run("balance", "zeta", "--json").json["units"]["core"]["available"]


def test_what_is_refused_is_told(run: Run, november: str, dearer: str) -> None:
    """Too few PT for a correction: it is listed, the others are posted, and the exit code is 3."""
    with Meter.open(november, card=card()) as meter:
        meter.funds.adjust("zeta", core="-120", reason="test", key="a")

    ended = run(*SPAN, "--prices", dearer, *APPLY)

    assert 3 == ended.code
    assert "1 correction posted" in ended.out
    made, refused = ended.out.split("REFUSED, NOT CHARGED")
    assert ("acme" in made, "zeta" in made) == (True, False)
    assert ("acme" in refused, "zeta" in refused) == (False, True)
    assert "charged more, or less" in made


def test_what_was_posted_is_told_apart_from_what_was_not(run: Run, november: str, dearer: str) -> None:
    """Run again, what is refused again is under nothing that says it was charged; nor is it for scripts."""
    with Meter.open(november, card=card()) as meter:
        meter.funds.adjust("zeta", core="-120", reason="test", key="a")
    first = run(*SPAN, "--prices", dearer, *APPLY, "--json").json
    again = run(*SPAN, "--prices", dearer, *APPLY, "--json").json
    people = run(*SPAN, "--prices", dearer, *APPLY).out

    assert (["acme"], ["zeta"]) == tuple(
        [change["account"] for change in first[name]] for name in ("posted", "refused")
    )
    assert ([], ["zeta"]) == (again["posted"], [change["account"] for change in again["refused"]])
    assert "charged more, or less" not in people
    assert 1 == people.count("zeta")


def test_an_account_or_a_model_that_is_not_there_is_said_to_be(run: Run, november: str) -> None:
    """An unknown account is wrong usage; of a model there may be no call in that time, which is told."""
    nobody = run(*SPAN, "--account", "nobody")

    assert (2, "") == (nobody.code, nobody.out)
    assert "there is no account 'nobody'" in nobody.err
    assert "no such call of gpt-4o-: " in run(*SPAN, "--model", "gpt-4o-").out
    assert "no such call" not in run(*SPAN, "--model", "gpt-4o-mini").out


def test_who_and_why_are_asked_for_by_their_options(run: Run, november: str) -> None:
    """Without --by, or without --reason, the error names both."""
    for words in ((), ("--by", "ann"), ("--reason", "why")):
        assert (
            "--apply puts on record who and why: add --by NAME and --reason WHY"
            in run(*SPAN, "--apply", *words).err
        )


def test_its_arguments_are_checked(run: Run, november: str, db: str) -> None:
    """An author without --apply, --apply without an author, and a file that is not there are wrong usage."""
    assert 2 == run(*SPAN, "--by", "ann").code
    assert 2 == run(*SPAN, "--apply").code
    assert 2 == run(*SPAN, "--prices", "nowhere.json").code
    assert 4 == run(*SPAN, "--db", "sqlite:///nowhere.db").code
