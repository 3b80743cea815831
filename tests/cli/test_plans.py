"""Commands for plan files and the subscriptions to them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ptmeter import Meter, read_plans, reference_plans
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

EVERYTHING = {
    "flags": {"sso": {"share": "20%", "allow": ["zeta", "acme"], "deny": ["beta"]}},
    "downgrades": {"gpt-5*": ["gpt-4o-mini", "o3"]},
    "plans": {
        "team": {
            "price_per_month": "49.5",
            "allowance": {"core": 2000},
            "units": ["core"],
            "models": ["o3-*"],
            "features": ["sso"],
            "agent_slots": 3,
            "requests_per_day": 5000,
            "caps": {"core": {"week": 700}},
            "spend_caps": {"month": 90},
            "shares": {"advanced": {"hard": "12.5%"}},
            "alerts": ["80%", "90%", "100%"],
            "burn": {"warn": "30%", "steps": [{"share": "40%", "wait": "2 h"}]},
            "roll_over": {"shares": {"core": "50%"}},
            "trial": {"days": 14, "allowance": {"core": 100}},
            "low_balance": {"core": "2.5"},
        }
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "plans.json"
    written.write_text(json.dumps(EVERYTHING), encoding="utf-8")
    return written


def test_the_bundled_plans_are_shown(run: Run) -> None:
    """Without a file the reference plans are shown, side by side, with their figures."""
    lines = run("plans", "show").out.splitlines()
    rows = {line[:17].rstrip(): line[17:].split() for line in lines}

    assert [*reference_plans().by_name] == lines[1].split()
    assert ["0", "19", "49", "79", "159", "299"] == rows["US$ a month"]
    assert ["100", "300", "1,000", "1,600", "3,500", "10,000"] == rows["core PT"]
    assert ["30", "60", "120", "180", "300", "600"] == rows["requests an hour"]
    assert "agent slots" not in rows


def test_all_that_a_plan_may_say_is_shown(run: Run, file: Path) -> None:
    """Each limit of a plan has its row."""
    rows = {
        line[:19].rstrip(): line[19:].strip() for line in run("plans", "show", str(file)).out.splitlines()
    }

    assert {
        "US$ a month": "49.50",
        "core PT": "2,000",
        "opens models in": "core",
        "opens besides": "o3-*",
        "features": "sso",
        "agent slots": "3",
        "requests a day": "5,000",
        "core PT a week": "700",
        "US$ spent a month": "90",
        "share of advanced": "– / 12.5 %",
        "waits from": "40 %",
        "rolls over": "50 % core",
        "waits for": "2 h",
        "warns from": "30 %",
        "again: up to ×": "4",
        "trial": "14 days",
        "low below, core PT": "2.5",
    }.items() <= rows.items()
    shown = run("plans", "show", str(file)).out
    assert all(f" {share} %" in shown for share in (80, 90, 100))
    assert re.search(r"^trial +14 days *\n +100 core PT *$", shown, re.MULTILINE)
    assert re.search(r"^sso +20 % +acme, zeta +beta *$", shown, re.MULTILINE)
    assert re.search(r"^gpt-5\* +gpt-4o-mini, o3 *$", shown, re.MULTILINE)


def test_plans_are_shown_to_scripts(run: Run, file: Path) -> None:
    """The document holds every field, amounts and shares as exact text."""
    document = run("plans", "show", str(file), "--json").json
    (plan,) = document["plans"]

    assert ("team", "49.5", None, {"core": "2000"}) == tuple(
        plan[name] for name in ("name", "price_per_month", "price_per_year", "allowance")
    )
    assert ({"86400": 5000}, None, 3) == (plan["requests"], plan["concurrent"], plan["agent_slots"])
    assert [{"unit": "core", "every": "week", "pt": "700"}] == plan["caps"]
    assert [{"every": "month", "usd": "90"}] == plan["spend_caps"]
    assert {"advanced": {"soft": None, "hard": "12.5%", "overflow": None}} == plan["shares"]
    assert {"warn": "30%", "steps": [{"share": "40%", "wait_seconds": 7200}], "repeats": 4} == plan["burn"]
    assert {"shares": {"core": "50%"}, "annual_only": False} == plan["roll_over"]
    assert {"days": 14, "allowance": {"core": "100"}} == plan["trial"]
    assert ["80%", "90%", "100%"] == plan["alerts"]
    assert {"core": "2.5"} == plan["low_balance"]
    assert {"gpt-5*": ["gpt-4o-mini", "o3"]} == document["downgrades"]
    assert [{"name": "sso", "share": "20%", "allow": ["acme", "zeta"], "deny": ["beta"]}] == document[
        "flags"
    ]


def test_a_sound_file_is_said_to_be(run: Run, file: Path) -> None:
    """A file that holds together is named with its plans, and the command succeeds."""
    result = run("plans", "check", str(file))

    assert (0, f"{file} holds together: team\n") == (result.code, result.out)
    document = run("plans", "check", str(file), "--json").json
    assert {"file": str(file), "plans": ["team"], "units": ["advanced", "core"]} == document


def test_an_unsound_file_is_refused_with_its_lines(run: Run, tmp_path: Path) -> None:
    """What is wrong is said with file and line, and the command fails."""
    file = tmp_path / "plans.json"
    file.write_text(
        '{"plans": {"team": {\n"price_per_month": 9,\n"units": [], "allowance": {},\n"seats": 5}}}'
    )

    result = run("plans", "check", str(file))

    assert result.code != 0
    assert f"{file}:4: plans.team.seats: expected no such field" in result.err


def test_a_unit_that_the_card_has_not_is_refused(run: Run, file: Path) -> None:
    """A file that speaks of a unit which no rate card charges in would fail when a meter is opened."""
    file.write_text(json.dumps(EVERYTHING).replace("advanced", "gold"), encoding="utf-8")

    result = run("plans", "check", str(file), "--json")

    assert "unknown_unit" == result.error["code"]
    assert "gold" in result.error["message"]


def test_the_example_is_the_bundled_file(run: Run, tmp_path: Path) -> None:
    """What is written to begin with reads as the reference plans."""
    file = tmp_path / "plans.json"
    file.write_text(run("plans", "example").out, encoding="utf-8")

    assert reference_plans() == read_plans(file)


# --- renewing -----------------------------------------------------------------------------------


def test_what_is_due_is_renewed(run: Run, db: str, file: Path) -> None:
    """Subscriptions that are due are renewed and named; run again, there is nothing to do."""
    clock = Clock(datetime.now(UTC) - timedelta(days=40))
    with Meter.open(db, plans=read_plans(file), clock=clock) as meter:
        for name in ("acme", "zeta"):
            meter.plans.subscribe(name, "team", key="s1")

    document = run("plans", "renew", "--plans", str(file), "--limit", "1", "--json").json
    assert {"renewed": ["acme", "zeta"], "failures": {}} == document
    again = run("plans", "renew", "--plans", str(file))
    assert (0, "0 renewed, 0 could not be\n") == (again.code, again.out)


def test_a_subscription_that_cannot_be_renewed_fails_the_command(run: Run, db: str, file: Path) -> None:
    """One to a plan that the file has no longer is named with the reason, and the command fails."""
    clock = Clock(datetime.now(UTC) - timedelta(days=40))
    with Meter.open(db, plans=read_plans(file), clock=clock) as meter:
        meter.plans.subscribe("acme", "team", key="s1")

    others = file.with_name("others.json")
    others.write_text(run("plans", "example").out)
    result = run("plans", "renew", "--plans", str(others))

    assert (1, "0 renewed, 1 could not be") == (result.code, result.out.splitlines()[0])
    assert "acme: there is no plan 'team'" in result.out


def test_nobody_is_renewed_by_plans_that_were_not_named(run: Run, db: str) -> None:
    """A plan of the same name in the bundled file is somebody else's."""
    assert run("plans", "renew").code == 2


def test_renewing_makes_no_database(run: Run, tmp_path: Path) -> None:
    """A file that is not there is an error, not an empty ledger in which all is well."""
    result = run(
        *("plans", "renew", "--db", f"sqlite:///{tmp_path / 'none.db'}", "--json"),
        *("--plans", str(tmp_path / "plans.json")),
    )

    assert "storage" == result.error["code"]
    assert not (tmp_path / "none.db").exists()
