"""Commands for calls whose usage contradicts itself, and for what waits."""

from __future__ import annotations

import io
import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.test_leaving import CONTRADICTION, MESSAGES, MINI

from ptmeter import Ceiling, Meter, Policy, Usage, UsageInconsistentError
from ptmeter.cli.failures import ExitCode
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.telemetry.prometheus import GAUGES

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

WHO = ("--by", "ann", "--reason", "the total is right")


@pytest.fixture
def queue(meter: Meter) -> Meter:
    """The ledger behind ``db``, in which three calls wait: two with holds, one that was recorded."""
    for key in ("r1", "r2"):
        with (
            pytest.raises(UsageInconsistentError),
            meter.call("acme", model=MINI, messages=MESSAGES, key=key) as call,
        ):
            call.record(CONTRADICTION)
    with pytest.raises(UsageInconsistentError):
        meter.record("acme", model=MINI, response=CONTRADICTION, key="r3")
    return meter


def keys(document: Any) -> list[str]:
    return [call["key"] for call in document["calls"]]


def test_calls_are_listed_page_by_page(run: Run, queue: Meter) -> None:
    """The oldest first, with what is wrong; for scripts with the place where the next page begins."""
    first = run("quarantine", "list", "--limit", "2", "--json").json
    rest = run("quarantine", "list", "--limit", "2", "--after", first["after"], "--json").json
    shown = run("quarantine", "list", "--limit", "2").out

    assert (["r1", "r2"], ["r3"], None) == (keys(first), keys(rest), rest["after"])
    assert ("3", None) == (first["calls"][0]["held"], rest["calls"][0]["held"])
    assert "total_tokens is 26" in shown
    assert f"more: --after {first['after']}" in shown
    assert keys(first) + keys(rest) == keys(run("quarantine", "list", "--state", "all", "--json").json)
    assert [] == keys(run("quarantine", "list", "--state", "settled", "--json").json)
    assert "no call is settled\n" == run("quarantine", "list", "--state", "settled").out


def test_a_call_is_shown(run: Run, queue: Meter) -> None:
    """With what the provider sent; one that is not there is wrong usage."""
    shown = run("quarantine", "show", "acme", "--key", "r1").out
    document = run("quarantine", "show", "acme", "--key", "r1", "--json").json

    assert '{"completion_tokens":5,"prompt_tokens":20,"total_tokens":26}' in shown
    assert "3 PT core" in shown
    assert (CONTRADICTION["usage"], "open", None) == (
        document["payload"],
        document["state"],
        document["resolved_at"],
    )
    assert "without a hold" in run("quarantine", "show", "acme", "--key", "r3").out
    missing = run("quarantine", "show", "acme", "--key", "r9", "--json")
    assert (ExitCode.USAGE, "not_found") == (missing.code, missing.error["code"])


def test_a_call_is_settled(run: Run, queue: Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By counts, by an answer in a file or on stdin; again it says what was charged the first time."""
    words = ("quarantine", "settle", "acme", "--key", "r1", *WHO, "--usage", "input_uncached=20")
    right = json.dumps({**CONTRADICTION, "usage": {**CONTRADICTION["usage"], "total_tokens": 25}})
    (tmp_path / "answer.json").write_text(right, encoding="utf-8")

    first = run(*words, "--usage", "output_text=6", "--json").json
    again = run(*words, "--usage", "output_text=6", "--json").json
    by_file = ("--response", str(tmp_path / "answer.json"), "--shape", "openai-chat")
    shown = run("quarantine", "settle", "acme", "--key", "r2", *WHO, *by_file)
    monkeypatch.setattr(sys, "stdin", io.StringIO(right))
    piped = run("quarantine", "settle", "acme", "--key", "r3", *WHO, "--response", "-", "--json").json

    assert ({"core": "1"}, {"core": "3"}, False) == (first["charged"], first["held"], first["replayed"])
    assert {**first, "replayed": True} == again
    assert (0, "charged 1 PT core; 98 PT core available\n") == (shown.code, shown.out)
    assert {"core": "1"} == piped["charged"]
    assert ["r1", "r2", "r3"] == keys(run("quarantine", "list", "--state", "settled", "--json").json)
    assert "ann" in run("quarantine", "show", "acme", "--key", "r1").out
    assert 0 == run("verify").code


def test_a_call_is_dismissed(run: Run, queue: Meter) -> None:
    """Its hold is back; to settle it afterwards is refused, and says who decided."""
    words = ("acme", "--key", "r1", *WHO)

    shown = run("quarantine", "dismiss", *words).out
    document = run("quarantine", "dismiss", *words, "--json").json
    refused = run("quarantine", "settle", *words, "--usage", "output_text=6", "--json")

    assert "acme r1 (gpt-4o-mini) is dismissed by ann: the total is right\n" == shown
    assert ("dismissed", "ann", "the total is right") == (
        document["state"],
        document["by"],
        document["reason"],
    )
    assert (ExitCode.REFUSED, "quarantine_resolved", "ann") == (
        refused.code,
        refused.error["code"],
        refused.error["resolver"],
    )
    assert 3 == int(run("balance", "acme", "--json").json["units"]["core"]["held"])


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("--usage", "output_text"),
        ("--usage", "output_text=-1"),
        ("--usage", "output_text=²"),
        ("--usage", "words=6"),
        ("--usage", "output_text=6", "--usage", "output_text=7"),
        ("--response", "there-is-no-such-file"),
    ],
    ids=" ".join,
)
def test_what_to_charge_is_said_so_that_it_can_be_read(
    run: Run, queue: Meter, wrong: tuple[str, ...]
) -> None:
    """A count of no class, twice one, or no count, a file that is not there, nothing: wrong usage, nothing done."""
    refused = run("quarantine", "settle", "acme", "--key", "r1", *WHO, *wrong, "--json")

    assert (ExitCode.USAGE, "invalid_argument") == (refused.code, refused.error["code"])
    assert 3 == queue.quarantine.backlog().open


# --- what waits ---


@pytest.fixture
def unpriced(db: str) -> str:
    """A ledger in which two calls were charged at a ceiling."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    with Meter.open(db, policy=Policy(unpriced=ceiling)) as meter:
        meter.funds.grant("acme", core=100, source="trial", key="t")
        for key in ("r1", "r2"):
            meter.record("acme", model="unheard-of", response=Usage(output_text=9), key=key)
        meter.hold("acme", core=1, key="h", ttl=timedelta(days=1))
    return db


def test_models_without_a_price_are_listed(run: Run, unpriced: str, tmp_path: Path) -> None:
    """With their calls and what was charged; once a price is known, with how to mend it."""
    document = run("prices", "unpriced", "--json").json
    shown = run("prices", "unpriced").out
    [model] = document["models"]
    assert ("unheard-of", 2, 2, 0, False, {"core": "2"}, "0.000018") == tuple(
        model[name] for name in ("model", "calls", "unrated", "ready", "priced", "charged", "cost")
    )
    assert "unheard-of" in shown
    assert "2 PT core" in shown

    file = tmp_path / "prices.json"
    rates = {"input_uncached": "2000", "output_text": "9000"}
    price = {"provider": "x", "effective_from": "2020-01-01", "usd_per_million_tokens": rates}
    file.write_text(json.dumps({"prices": {"unheard-of": [price]}}), encoding="utf-8")
    [model] = run("prices", "unpriced", "--prices", str(file), "--json").json["models"]
    assert (0, False) == (model["ready"], model["priced"])  # it has a price, and no rate in the card


def test_a_ledger_without_such_calls_says_so(run: Run, meter: Meter) -> None:
    """An empty list, and a line for people."""
    assert {"models": []} == run("prices", "unpriced", "--json").json
    assert "no call was charged at a ceiling\n" == run("prices", "unpriced").out


def test_what_waits_is_printed_for_prometheus(run: Run, unpriced: str) -> None:
    """In the exposition format: a help text, a type and the figures."""
    printed = run("metrics")

    assert 0 == printed.code
    lines = printed.out.splitlines()
    assert "# TYPE ptmeter_quarantine_open gauge" in lines
    assert "ptmeter_quarantine_open 0.0" in lines
    assert 'ptmeter_unpriced_calls{model="unheard-of"} 2.0' in lines
    assert 'ptmeter_unpriced_pt{model="unheard-of",unit="core"} 2.0' in lines
    assert "ptmeter_open_holds 1.0" in lines
    document = run("metrics", "--json").json["metrics"]
    assert {"name": "ptmeter_unpriced_calls", "labels": {"model": "unheard-of"}, "value": 2} in document
    assert list(GAUGES) == [each["name"] for each in document]


def test_without_the_extra_metrics_names_it(
    run: Run, unpriced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that says what to install, and the exit code of a wrong set-up."""
    monkeypatch.delitem(sys.modules, "ptmeter.telemetry.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    refused = run("metrics")

    assert ExitCode.USAGE == refused.code
    assert "pip install 'ptmeter[prometheus]'" in refused.err
