"""Commands for price lists."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.rerating import card

from ptmeter import Ceiling, GenaiPrices, Meter, Policy, Usage, read_prices
from ptmeter.cli import options
from ptmeter.configuration import bundled_text, reference_card
from ptmeter.domain.usage import TOKEN_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

USED = Usage(input_uncached=1_000, output_text=100)


def price_file(folder: Path, **models: str) -> str:
    """A price file: US dollars per million input tokens, by model of the provider house."""
    document = {
        "prices": {
            f"house/{model}": [{"usd_per_million_tokens": {"input_uncached": dollars, "output_text": "4"}}]
            for model, dollars in models.items()
        }
    }
    file = folder / f"{'-'.join(models)}{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


@pytest.fixture
def exported(run: Run, tmp_path: Path) -> tuple[Path, Any]:
    """What is installed, exported to a file."""
    file = tmp_path / "export.json"
    text = run("prices", "export").out
    file.write_text(text, encoding="utf-8")
    return file, json.loads(text)


def test_what_is_exported_is_what_is_installed(run: Run, exported: tuple[Path, Any]) -> None:
    """Compared with itself nothing differs, at any time; and models that are no exact integers are named."""
    file, document = exported

    same = run("prices", "diff", str(file), "--json")
    assert (0, []) == (same.code, same.json["models"])
    assert 0 == run("prices", "diff", str(file), "--at", "2024-01-01").code
    assert len(document["prices"]) > 2_000
    assert all("finer than" in reason or "depends on" in reason for reason in document["refused"].values())
    kept = document["prices"]["openai/gpt-4o-mini"][-1]
    listed = GenaiPrices().price("gpt-4o-mini", datetime.now(UTC))
    assert dict(listed.rates) == kept["rates"]


def test_a_changed_export_differs(run: Run, exported: tuple[Path, Any], tmp_path: Path) -> None:
    """A model dearer by a quarter, one gone and one new are told, class by class; the exit code is 1."""
    file, document = exported
    prices = document["prices"]
    prices["openai/gpt-4o-mini"][-1]["rates"]["input_uncached"] = 120_000
    del prices["openai/gpt-4o"]
    prices["house/new"] = prices["openai/gpt-4.1"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(document), encoding="utf-8")

    ended = run("prices", "diff", str(old), str(file), "--json")

    assert 1 == ended.code
    assert {"house/new": "removed", "openai/gpt-4o": "added", "openai/gpt-4o-mini": "changed"} == {
        each["model"]: each["kind"] for each in ended.json["models"]
    }
    [change] = ended.json["models"][-1]["changes"]
    assert ("input_uncached", "0.12", "0.15", "25.0") == tuple(
        change[name] for name in ("what", "old", "new", "percent")
    )
    people = run("prices", "diff", str(old), str(file))
    assert (1, True) == (people.code, "1 model added, 1 removed, 1 changed" in people.out)


def test_two_price_files_are_compared(run: Run, tmp_path: Path) -> None:
    """Price files are lists too."""
    old, new = price_file(tmp_path, a="1", b="1"), price_file(tmp_path, a="1", b="1.5")

    assert 0 == run("prices", "diff", old, old).code
    [found] = run("prices", "diff", old, new, "--json").json["models"]
    assert ("house/b", "50.0") == (found["model"], found["changes"][0]["percent"])


@pytest.mark.parametrize("text", [None, "nonsense", '{"format": "ptmeter-prices-1"}', "[]"])
def test_what_is_no_list_is_refused(run: Run, tmp_path: Path, text: str | None) -> None:
    """A file that is not there, is neither, or is damaged ends with 2, as with diff, and says which."""
    file = tmp_path / "list.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    ended = run("prices", "diff", str(file), str(file), "--json")

    assert 2 == ended.code
    assert "list.json" in ended.error["message"]


def test_a_price_is_shown(run: Run, tmp_path: Path) -> None:
    """As a call would be rated: from the catalogue, or from one's own file; a model without one is refused."""
    own = price_file(tmp_path, large="2.5")

    shown = run("prices", "show", "house/large", "--prices", own, "--json").json
    assert ("house", "large", "USD") == tuple(shown[name] for name in ("provider", "model", "currency"))
    amounts = {(line["what"], line["above"]): line["amount"] for line in shown["rates"]}
    assert ("2.5", "4") == (amounts["input_uncached", 0], amounts["output_text", 0])
    assert "200,000" in run("prices", "show", "gemini-2.5-pro").out
    assert 2 == run("prices", "show", "house/large").code


def test_a_price_is_shown_for_how_calls_are_processed(run: Run) -> None:
    """The price asked for, and below it which others there are; one that is not listed is refused by name."""
    shown = run("prices", "show", "o3", "--processing", "flex", "--json").json
    people = run("prices", "show", "o3").out
    refused = run("prices", "show", "gpt-4o", "--processing", "flex", "--json")

    assert ("flex", ["standard", "batch", "priority", "fast"]) == (shown["processing"], shown["also"])
    assert "1" == shown["rates"][0]["amount"]
    assert "also listed: batch, flex, priority, fast" in " ".join(people.split())
    assert "(flex)" in run("prices", "show", "o3", "--processing", "flex").out
    assert (2, True) == (refused.code, "no flex price is known" in refused.error["message"])


def test_lists_are_compared_processing_by_processing(
    run: Run, exported: tuple[Path, Any], tmp_path: Path
) -> None:
    """A batch that became dearer is told as such, of an export and of a price file; the standard price is no part of it."""
    file, document = exported
    document["prices"]["openai/o3 (batch)"][-1]["rates"]["output_text"] = 3_000_000
    old = tmp_path / "old.json"
    old.write_text(json.dumps(document), encoding="utf-8")
    files = []
    for dollars in ("1", "2"):
        each = {"usd_per_million_tokens": {"input_uncached": "3", "output_text": "4"}}
        batch = {"usd_per_million_tokens": {"input_uncached": dollars, "output_text": "2"}}
        made = {"prices": {"house/a": [each, {**batch, "processing": "batch"}]}}
        files.append(tmp_path / f"own{dollars}.json")
        files[-1].write_text(json.dumps(made), encoding="utf-8")

    [found] = run("prices", "diff", str(old), str(file), "--json").json["models"]
    [own] = run("prices", "diff", *map(str, files), "--json").json["models"]

    [change] = found["changes"]
    assert ("openai/o3 (batch)", "output_text", "3", "4") == (
        found["model"],
        change["what"],
        change["old"],
        change["new"],
    )
    assert ("house/a (batch)", "100.0") == (own["model"], own["changes"][0]["percent"])


def test_the_ledger_is_checked(run: Run, db: str, tmp_path: Path) -> None:
    """Models that lost their price or changed it are named, and calls at a ceiling until they are put right."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 50_000_000))
    old = price_file(tmp_path, gone="1", dearer="1", same="1")
    catalogue = GenaiPrices(read_prices(old))
    with Meter.open(db, card=card(), catalogue=catalogue, policy=Policy(unpriced=ceiling)) as meter:
        meter.funds.grant("acme", core=1_000, source="test", key="g")
        for number, model in enumerate(("gone", "dearer", "dearer", "same", "new", "other")):
            meter.record("acme", model=f"house/{model}", response=USED, key=f"c{number}")
    new = price_file(tmp_path, dearer="2", same="1", new="1")

    ended = run("prices", "check", "--prices", new, "--json")

    found = ended.json
    assert (1, False, 3) == (ended.code, found["clean"], found["models"])
    assert [("house/gone", 1)] == [(each["model"], each["calls"]) for each in found["missing"]]
    assert ["house/dearer"] == [each["model"] for each in found["changed"]]
    assert ({"house/other": 1}, 1) == (found["unpriced"], found["ready"])
    people = run("prices", "check", "--prices", new).out
    assert "1 call was charged at a ceiling, with a price now: ptmeter rerate --unpriced" in people
    assert "models charged by a price: 3\n" in people

    span = ("--since", "2020-01-01", "--until", "2100-01-01")
    who = ("--apply", "--by", "ann", "--reason", "known now")
    assert 0 == run("rerate", *span, "--unpriced", "--prices", new, *who).code
    assert 0 == run("prices", "check", "--prices", new, "--json").json["ready"]
    good = price_file(tmp_path, gone="1", dearer="1", same="1", new="1", other="1")
    run("rerate", *span, "--unpriced", "--prices", good, *who)
    clean = run("prices", "check", "--prices", good, "--json")
    assert (0, True) == (clean.code, clean.json["clean"])


@pytest.mark.parametrize("command", [("prices", "check"), ("prices", "unpriced"), ("metrics",)])
@pytest.mark.usefixtures("meter")
def test_a_rate_card_is_passed_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """The meter works with the card of --card; one that is not there is wrong usage."""
    file = tmp_path / "card.json"
    file.write_text(bundled_text("rate_card.json"), encoding="utf-8")
    given: list[Path | None] = []
    monkeypatch.setattr(options, "rate_card", lambda card: given.append(card) or reference_card())

    assert 0 == run(*command, "--card", str(file)).code
    assert [file] == given
    monkeypatch.undo()
    assert 2 == run(*command, "--card", str(tmp_path / "nowhere.json")).code
