"""Commands for referrals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.referring import PLANS

from ptmeter import Meter, Money, Policy, read_plans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "plans.json"
    written.write_text(json.dumps(PLANS), encoding="utf-8")
    return written


@pytest.fixture
def referring(db: str) -> Iterator[Meter]:
    """Ann's code was used by three: one's payment was refunded in part, one's card was hers, one did not pay yet."""
    with Meter.open(db, plans=read_plans(PLANS), policy=Policy(referral_key=b"k")) as meter:
        code = meter.referrals.code("ann", card="hers")
        for name in ("bob", "cat", "dan"):
            meter.referrals.use(code, account=name, key="sign-up")
        meter.referrals.paid("bob", payment=Money.usd(10), payment_id="pi_1")
        meter.settle(meter.hold("ann", core=150, key="h"), core=150, key="s")
        meter.referrals.refunded("pi_1", amount=Money.usd("7.50"))
        meter.referrals.paid("cat", payment=Money.usd(10), payment_id="pi_2", card="hers")
        yield meter


def test_a_code_is_shown(run: Run, referring: Meter, file: Path) -> None:
    """The one the account has, or one that is drawn now and stays."""
    known = run("referrals", "code", "ann")
    drawn = run("referrals", "code", "zoe", "--plans", str(file), "--json").json

    assert f"{referring.referrals.code('ann')}\n" == known.out
    assert {"account": "zoe", "code": referring.referrals.code("zoe")} == drawn


def test_who_used_a_code_is_listed(run: Run, referring: Meter) -> None:
    """Each with its state, what was paid and refunded, and what that earned and took back."""
    out = run("referrals", "list", "ann").out

    for shown in ("used", "rewarded", "refused: same card", "US$10", "US$7.5", "200 PT core to ann"):
        assert shown in out
    assert "50 PT core, 100 PT core short" in out
    assert "US$1 discount to bob" in out


def test_a_page_says_that_there_may_be_more(run: Run, referring: Meter) -> None:
    """It names where the next one begins."""
    latest = referring.referrals.list("ann", limit=1)[0].account

    assert f"--before {latest}" in run("referrals", "list", "ann", "--limit", "1").out
    assert "--before" not in run("referrals", "list", "ann").out


def test_a_list_is_exact_for_scripts(run: Run, referring: Meter) -> None:
    """Amounts are text, with their units; what there is not is null."""
    found = {each["account"]: each for each in run("referrals", "list", "ann", "--json").json["referrals"]}

    assert ("same_card", []) == (found["cat"]["refusal"], found["cat"]["rewards"])
    assert (None, None, None) == (
        found["dan"]["payment"],
        found["dan"]["refunded"],
        found["dan"]["paid_at"],
    )
    assert {
        "account": "ann",
        "kind": "pt",
        "in": "core",
        "given": "200",
        "reversed": "50",
        "shortfall": "100",
        "expires_at": None,
    } == found["bob"]["rewards"][0]


def test_stats_say_how_far_an_account_has_come(run: Run, referring: Meter, file: Path) -> None:
    """For people a line and a table, for scripts a document."""
    shown = run("referrals", "stats", "ann", "--plans", str(file)).out
    found = run("referrals", "stats", "ann", "--plans", str(file), "--json").json
    nobody = run("referrals", "stats", "nobody", "--plans", str(file))

    assert "used 3 times; 1 rewarded: tier 1, the next from 2 on" in shown
    assert (3, 1, 0, 2) == (found["uses"], found["count"], found["tier"], found["next_at"])
    assert [{"kind": "pt", "in": "core", "given": "200", "reversed": "50", "shortfall": "100"}] == found[
        "rewards"
    ]
    assert nobody.out.startswith("nobody: no code yet; 0 rewarded")


def test_no_database_is_made(run: Run, tmp_path: Path) -> None:
    """A file that is not there is an error in each command."""
    url = f"sqlite:///{tmp_path / 'none.db'}"
    for command in ("code", "list", "stats"):
        assert "storage" == run("referrals", command, "ann", "--db", url, "--json").error["code"]
