"""Commands for one account: grant, balance, statement, summary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import Meter, Processing, Usage, Workload
from ptmeter.configuration import reference_plans
from ptmeter.domain.commands import Freeze, Reverse
from ptmeter.domain.pt import MICRO
from ptmeter.operations import freezing

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

TRIAL = ("--source", "trial", "--key", "trial:acme")


# --- grant ---


def test_grant_gives_several_units_at_once(run: Run, db: str) -> None:
    """``core=100 advanced=7.5`` gives both, exactly, and says what is available."""
    given = run("grant", "acme", "core=100", "advanced=7.5", *TRIAL, "--json").json

    assert {"advanced": "7.5", "core": "100"} == given["granted"] == given["available"]
    assert not given["replayed"]


def test_grant_under_the_same_key_gives_once(run: Run, db: str) -> None:
    """The same grant again is recognised by its key: nothing is given twice, and it says so."""
    first, again = run("grant", "acme", "core=100", *TRIAL), run("grant", "acme", "core=100", *TRIAL)

    assert (0, 0) == (first.code, again.code)
    assert "has 100 PT (core) available" in first.out
    assert "nothing was given again" in again.out
    assert "100" == run("balance", "acme", "--json").json["units"]["core"]["available"]


def test_grant_insists_on_a_key_and_says_why(run: Run, db: str) -> None:
    """Without ``--key`` nothing is granted; the help says what a key is for."""
    ended = run("grant", "acme", "core=100", "--source", "trial")

    assert (2, True) == (ended.code, "--key" in ended.err)
    assert "nothing is given twice" in " ".join(run("grant", "--help").out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["100"], "write UNIT=PT"),
        (["core="], "write UNIT=PT"),
        (["core=1", "core=2"], "given twice"),
        (["core=0"], "a grant takes"),
        (["core=-5"], "a grant takes"),
        (["core=1e-9"], "in steps of"),
        (["core=ten"], "core: 'ten' is no number of PT"),
        (["gold=1"], "the units are advanced, core"),
        (["source=1"], "the units are advanced, core"),
    ],
)
def test_grant_refuses_what_is_no_amount(words: list[str], sentence: str, run: Run, db: str) -> None:
    """An amount that is not exact, not positive or of no known unit is refused with what would be right."""
    ended = run("grant", "acme", *words, *TRIAL)

    assert 2 == ended.code
    assert sentence in ended.err


def test_grant_expires_when_told(run: Run, db: str) -> None:
    """``--expires`` takes a date, midnight UTC, or a time with its offset."""
    run("grant", "acme", "core=1", "--source", "a", "--key", "1", "--expires", "2999-01-01")
    run("grant", "acme", "core=2", "--source", "a", "--key", "2", "--expires", "2998-12-31T20:00-05:00")
    expiring = run("balance", "acme", "--json").json["units"]["core"]["expiring"]

    assert [
        {"at": "2999-01-01T00:00:00+00:00", "amount": "1"},
        {"at": "2999-01-01T01:00:00+00:00", "amount": "2"},
    ] == expiring


@pytest.mark.parametrize("time", ["tomorrow", "2026-13-01", "2026-11-22T18:30", "2026-11-22 18:30:00"])
def test_a_time_without_its_offset_is_no_time(time: str, run: Run, db: str) -> None:
    """A time that could mean two moments is refused."""
    ended = run("grant", "acme", "core=1", *TRIAL, "--expires", time)

    assert (2, True) == (ended.code, "with the offset" in ended.err)


def test_grant_takes_units_from_a_card_of_ones_own(run: Run, db: str, tmp_path: Path) -> None:
    """With ``--card`` the units are those of that card; an unreadable card is wrong usage."""
    card = tmp_path / "card.json"
    card.write_text(
        '{"name": "own", "effective_from": "2020-01-01", "units": {"gems": {"pays_for": "0.001", '
        '"sells_at": "0.01", "method": "banded", "bands": [{"tokens": 1000, "pt": 1}], "step": 1}}, '
        '"models": [{"unit": "gems", "patterns": ["*"]}]}'
    )

    assert 0 == run("grant", "acme", "gems=3", *TRIAL, "--card", str(card)).code
    assert 2 == run("grant", "acme", "core=3", *TRIAL, "--card", str(card)).code
    assert 2 == run("grant", "acme", "core=3", *TRIAL, "--card", str(tmp_path / "none.json")).code


# --- balance ---


def test_balance_shows_all_there_is(run: Run, meter: Meter) -> None:
    """Available, held, spent, owed and expiring, per unit, exactly; for people with what a PT is."""
    until = datetime.now(UTC) + timedelta(days=3)
    meter.funds.grant("acme", core="20.25", source="promotion", key="p", expires_at=until)
    meter.hold("acme", core=10, key="h")
    meter.record("acme", model="gpt-4o-mini", response=Usage(input_uncached=2_000), key="r")
    found = run("balance", "acme", "--json").json
    shown = run("balance", "acme").out

    core = found["units"]["core"]

    assert ("107.25", "10", "3", "0") == tuple(
        core[name] for name in ("available", "held", "spent", "owed")
    )
    assert [{"at": until.isoformat(), "amount": "7.25"}] == core["expiring"]
    assert "5" == found["units"]["advanced"]["available"]
    assert "107.25" in shown
    assert "1 core PT pays for about US$0.001" in shown


def test_balance_of_nobody_is_wrong_usage(run: Run, meter: Meter) -> None:
    """An account that was never given anything is not there."""
    assert (2, "account_not_found") == (
        run("balance", "nobody").code,
        run("balance", "nobody", "--json").error["code"],
    )


# --- statement ---


def test_statement_lists_each_transfer_with_the_balance_after_it(run: Run, meter: Meter) -> None:
    """An entry says what, how much, what was left, and of a call the model, tokens and exact cost."""
    meter.record("acme", model="gpt-4o-mini", response=Usage(input_uncached=1_000, output_text=9), key="r")
    entries = run("statement", "acme", "--json").json["entries"]
    charged = entries[-1]

    assert ["grant", "grant", "debit"] == [entry["kind"] for entry in entries]
    assert ("core", "1", "99", "0.0001554", "USD") == tuple(
        charged[name] for name in ("unit", "amount", "available_after", "cost", "currency")
    )
    assert {"input_uncached": 1_000, "output_text": 9} == charged["tokens"]
    assert "gpt-4o-mini, 1,009 tokens" in run("statement", "acme").out
    batch = Workload(processing=Processing.BATCH)
    meter.record("acme", model="gpt-4o-mini", response=Usage(input_uncached=50), key="b", workload=batch)
    assert "gpt-4o-mini (batch), 50 tokens" in run("statement", "acme").out
    lines = run("statement", "acme", "--json").json["entries"]
    assert [None, "standard", "batch"] == [line["processing"] for line in lines][-3:]


def test_statement_goes_on_where_the_page_ended(run: Run, meter: Meter) -> None:
    """``--after`` takes what the page before said; together the pages are the whole, without overlap."""
    for number in range(7):
        meter.funds.grant("acme", core=1, source="x", key=f"{number}")
    whole = run("statement", "acme", "--json").json["entries"]
    pages, after = [], None
    while True:
        more = ("--after", after) if after else ()
        page = run("statement", "acme", "--limit", "4", "--json", *more).json
        pages += page["entries"]
        after = page["after"]
        if after is None:
            break

    assert whole == pages
    assert "there is more: add --after" in run("statement", "acme", "--limit", "4").out


def test_statement_keeps_to_a_time(run: Run, meter: Meter) -> None:
    """``--since`` is included and ``--until`` is not."""
    assert [2, 0, 0] == [
        len(run("statement", "acme", *bounds, "--json").json["entries"])
        for bounds in (
            ("--since", "2020-01-01", "--until", "2999-01-01"),
            ("--since", "2999-01-01"),
            ("--until", "2020-01-01"),
        )
    ]


def test_statement_says_which_member_called(run: Run, meter: Meter, db: str) -> None:
    """A team sees who used its PT, and on what."""
    with Meter.open(db, plans=reference_plans()) as theirs:
        theirs.accounts.place("ann", under="acme")
        theirs.record("ann", model="gpt-4o-mini", response=Usage(input_uncached=20), key="r1")

    assert "ann: gpt-4o-mini, 20 tokens" in run("statement", "acme").out
    assert "ann" == run("statement", "acme", "--json").json["entries"][-1]["member"]


def test_statement_refuses_a_place_it_did_not_name(run: Run, meter: Meter) -> None:
    """A made-up ``--after`` is wrong usage."""
    assert 2 == run("statement", "acme", "--after", "yesterday").code


# --- summary ---


def test_summary_adds_up_a_span(run: Run, meter: Meter) -> None:
    """By unit, from opening to closing, and by model."""
    meter.record("acme", model="gpt-4o-mini", response=Usage(input_uncached=20), key="r1")
    span = ("--since", "2020-01-01", "--until", "2999-01-01")
    found = run("summary", "acme", *span, "--json").json
    balance = run("balance", "acme", "--json").json["units"]

    for name, unit in found["units"].items():
        assert balance[name]["spent"] == unit["charged"]
        assert "0" == unit["opening"]
    assert ["gpt-4o-mini"] == [use["model"] for use in found["models"]]
    shown = run("summary", "acme", *span).out
    assert "gpt-4o-mini" in shown
    assert "closing" in shown


def test_summary_wants_a_span(run: Run, meter: Meter) -> None:
    """Both ends, in order."""
    assert 2 == run("summary", "acme", "--since", "2026-01-01").code
    assert 2 == run("summary", "acme", "--since", "2026-01-01", "--until", "2025-01-01").code


# --- disputes ---


@pytest.fixture
def disputed(db: str) -> str:
    """Acme's payment is in dispute, and partly lost: of 100 PT 20 were taken back, and 60 are frozen."""
    with Meter.open(db) as meter:
        meter.funds.grant("acme", core=100, source="top-up", key="pi_1")
        store = meter._platform.store
        facts: dict[str, Any] = {
            "account": "acme",
            "lots": {"core": 1},
            "reason": "case 7",
            "key": "case 7",
        }
        for kind, amounts, frozen in (
            (Freeze, {"core": 80 * MICRO}, {}),
            (Reverse, {"core": 20 * MICRO}, {"core": 20 * MICRO}),
        ):
            store.post("acme", partial(freezing.move, kind=kind, amounts=amounts, frozen=frozen, **facts))
    return db


def test_balance_shows_what_is_frozen_where_something_is(run: Run, disputed: str) -> None:
    """A column of its own, which nobody sees who was never disputed; scripts always have the figure."""
    assert "60" == run("balance", "acme", "--json").json["units"]["core"]["frozen"]
    assert "frozen" in run("balance", "acme").out
    run("grant", "zeta", "core=1", *TRIAL)
    assert "frozen" not in run("balance", "zeta").out


def test_summary_shows_what_was_taken_back(run: Run, disputed: str) -> None:
    """Granted less what was taken back is what is there, frozen or not."""
    span = ("--since", "2000-01-01", "--until", "2100-01-01")

    core = run("summary", "acme", *span, "--json").json["units"]["core"]
    shown = run("summary", "acme", *span).out

    assert ("100", "20", "80", "60") == tuple(core[n] for n in ("granted", "reversed", "closing", "frozen"))
    assert "reversed" in shown
    assert "of it frozen" in shown


def test_statement_names_what_happened_to_a_payment(run: Run, disputed: str) -> None:
    """Each row says what is frozen after it, and why."""
    entries = run("statement", "acme", "--json").json["entries"]

    assert [("grant", "0"), ("freeze", "80"), ("unfreeze", "60"), ("reverse", "60")] == [
        (entry["kind"], entry["frozen_after"]) for entry in entries
    ]
    assert ["case 7"] * 3 == [entry["note"] for entry in entries[1:]]


@pytest.mark.usefixtures("meter")
def test_a_statement_of_a_time_that_ends_before_it_begins_is_refused(run: Run) -> None:
    """As a summary, margins and rating again are."""
    found = run("statement", "acme", "--since", "2026-09-01", "--until", "2026-08-01")

    assert (2, "") == (found.code, found.out)
    assert "ends after it begins" in found.err


@pytest.mark.usefixtures("meter")
def test_an_error_names_the_command_that_helps(run: Run) -> None:
    """Not the verb of Python that does the same."""
    for words in (("balance", "nobody"), ("statement", "nobody", "--json")):
        told = run(*words).err

        assert "grant it PT first (ptmeter grant)" in told
        assert "meter." not in told
