"""Commands for mitigations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ptmeter import Meter, Usage, reference_plans
from ptmeter.cli.failures import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

BY = ("--by", "ann", "--reason", "margin 38 %")
APPLY = ("mitigations", "apply", "advanced", "--share", "0", "--hours", "12", *BY, "--key", "m1")


def test_one_is_applied_listed_and_undone(run: Run, meter: Meter) -> None:
    """It holds for the router at once, and is kept with who undid it."""
    applied = run(*APPLY, "--json").json

    assert ("", "advanced", "0", "ann", "margin 38 %", False) == tuple(
        applied[name] for name in ("scope", "unit", "share", "by", "reason", "replayed")
    )
    assert run(*APPLY, "--json").json["replayed"]
    assert [applied["id"]] == [each.id for each in meter.mitigations.list(active=True)]
    assert [applied] == run("mitigations", "list", "--active", "--json").json["mitigations"]
    shown = run("mitigations", "list").out
    assert all(text in shown for text in (applied["id"], "everybody", "0 %", "margin 38 %"))
    undone = run("mitigations", "undo", applied["id"], "--by", "bob", "--reason", "enough", "--json").json
    assert ("bob", "enough") == (undone["undone_by"], undone["undone_because"])
    assert [] == run("mitigations", "list", "--active", "--json").json["mitigations"]
    assert "by bob: enough" in run("mitigations", "list").out


def test_it_may_be_one_accounts_or_a_plans_and_begin_later(run: Run, meter: Meter) -> None:
    """With a share that is exact to a hundredth of a percent."""
    one = run(*APPLY, "--account", "acme", "--from", "2126-01-01", "--share", "12.25", "--json").json
    other = run(*APPLY, "--plan", "pro", "--json").json

    assert ("account:acme", "0.1225", "2126-01-01T00:00:00+00:00", "2126-01-01T12:00:00+00:00") == tuple(
        one[name] for name in ("scope", "share", "starts_at", "ends_at")
    )
    assert "plan:pro" == other["scope"]
    assert "there may be more" in run("mitigations", "list", "--limit", "1").out
    assert [other["id"]] == [
        each["id"]
        for each in run("mitigations", "list", "--before", one["id"], "--json").json["mitigations"]
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--share", "a lot"), "invalid_argument"),
        (("--share", "0.001"), "invalid_argument"),
        (("--share", "NaN"), "invalid_argument"),
        (("--by", " "), "invalid_argument"),
        (("--account", "nobody"), "account_not_found"),
        (("--plan", "gold"), "configuration"),
    ],
)
def test_what_cannot_be_one_is_refused(
    run: Run, meter: Meter, arguments: tuple[str, ...], code: str
) -> None:
    """A share that is none, nobody who applies it, and whom there is not."""
    refused = run(*APPLY, *arguments, "--json")

    assert code == refused.error["code"]
    assert () == meter.mitigations.list()


def test_undoing_what_is_not_there_is_an_error(run: Run, meter: Meter) -> None:
    """So is undoing what somebody else undid."""
    assert () == meter.mitigations.list()
    missing = run("mitigations", "undo", "0" * 16, *BY, "--json")
    assert "mitigation_not_found" == missing.error["code"]
    applied = run(*APPLY, "--json").json["id"]
    run("mitigations", "undo", applied, *BY)
    again = run("mitigations", "undo", applied, "--by", "bob", "--reason", "enough", "--json")

    assert (ExitCode.REFUSED, "mitigation_over") == (again.code, again.error["code"])


def test_margins_say_what_they_call_for_and_have_it_hold(run: Run, db: str) -> None:
    """Nothing where nothing was charged; a proposal that changes nothing; applied once."""
    with Meter.open(db, plans=reference_plans()) as meter:
        meter.funds.grant("acme", core=9, source="trial", key="g", paid=0)
        empty = run("mitigations", "from-margins", "--apply")
        meter.record("acme", model="gpt-4o-mini", response=Usage(output_text=9), key="r")
        few = run("mitigations", "from-margins", "--apply", "--json").json
        said = run("mitigations", "from-margins", "--calls", "1", "--json").json
        kept = meter.mitigations.list()
        done = run("mitigations", "from-margins", "--calls", "1", "--apply").out
        again = run("mitigations", "from-margins", "--calls", "1", "--apply", "--json").json

    assert "no call was charged" in empty.out
    assert (1, []) == (few["calls"], few["called_for"])
    assert ["0"] == [each["share"] for each in said["called_for"]]
    assert ([], ()) == (said["applied"], kept)
    assert "1 applied, 0 standing" in done
    assert "a gross margin of nothing is below 40 %" in done
    assert ([], 1) == (again["applied"], len(again["standing"]))


def test_nothing_is_made_where_there_is_no_database(run: Run, tmp_path: Path) -> None:
    """A mistyped file is an error, not an empty answer."""
    missing = tmp_path / "missing.db"

    assert run("mitigations", "list", "--db", f"sqlite:///{missing}").code != 0
    assert not missing.exists()
