"""The demonstration: that it runs, that its figures are the ledger's, and that its calls are as large as real ones."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import Meter
from ptmeter.cli.demo import workload
from ptmeter.cli.demo.playing import Application
from ptmeter.cli.demo.workload import CHAT, CODE, INPUT_LEVELS, OUTPUT_LEVELS, plan_calls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite


def test_it_runs_and_the_books_hold(run: Run, tmp_path: Path) -> None:
    """A small demonstration ends clean; every PT granted is spent, held or available; it can be looked into."""
    path = tmp_path / "demo.db"
    ended = run("demo", "--calls", "200", "--keep", str(path), "--json")
    found = ended.json

    assert 0 == ended.code
    assert found["verify"]["clean"]
    assert 200 == sum(found["calls"].values())
    assert {"ada", "brightside", "corvus"} == {each["account"] for each in found["accounts"]}
    for each in found["accounts"]:
        granted, *parts = (Decimal(each[name]) for name in ("granted", "spent", "held", "available"))
        assert granted == sum(parts)
        assert "0" == each["held"]
    assert sum(each["calls"] for each in found["models"]) == found["calls"]["answered"]
    assert sum(Decimal(each["charged"]) for each in found["models"]) == sum(
        Decimal(each["spent"]) for each in found["accounts"]
    )
    assert 0 == run("verify", "--db", f"sqlite:///{path}").code
    with Meter.open(f"sqlite:///{path}") as meter:
        assert found["accounts"][0]["available"] == str(meter.balance("ada").core.available.whole)


def test_people_see_the_whole_story(run: Run, tmp_path: Path) -> None:
    """For people: the definition of a PT, estimates, where the PT went, margins, the verdict, what is next."""
    shown = run("demo", "--calls", "60", "--keep", str(tmp_path / "kept.db"))
    commands = [
        line.split("ptmeter ")[1].split() for line in shown.out.splitlines() if "--db sqlite" in line
    ]

    wanted = (
        "1 core PT pays for",
        "before it is sent",
        "where the PT went",
        "margin",
        "clean",
        "next: ptmeter",
    )
    assert 0 == shown.code
    assert [] == [words for words in wanted if words not in shown.out]
    assert "Azure" in shown.out
    assert 80 >= max(len(line.rstrip()) for line in shown.out.splitlines() if "--db" not in line)
    assert [0, 0] == [run(*command).code for command in commands]


def test_a_dry_account_is_refused_and_a_paying_one_tops_up(run: Run) -> None:
    """With enough calls freemium runs out of PT, and those who pay buy more; no call of theirs is refused."""
    found = run("demo", "--calls", "700", "--json").json
    refused = {(each["account"], each["unit"]): each["refused_calls"] for each in found["accounts"]}

    assert found["verify"]["clean"]
    assert 0 < refused["ada", "core"] == found["calls"]["no_funds"]
    assert found["top_ups"]
    assert 0 == sum(count for (account, _), count in refused.items() if account != "ada")


def test_interrupted_it_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the demonstration with 130, and what it kept in a temporary folder is gone."""

    def interrupt(self: Application, call: workload.Planned) -> workload.Ending:
        raise KeyboardInterrupt

    monkeypatch.setattr(Application, "make", interrupt)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert 130 == run("demo", "--calls", "20").code
    assert [] == list(tmp_path.iterdir())


def test_a_ledger_that_is_there_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    """``--keep`` names a new file, or the demonstration does not begin."""
    (tmp_path / "precious.db").write_text("mine")
    ended = run("demo", "--keep", str(tmp_path / "precious.db"))

    assert (2, "mine") == (ended.code, (tmp_path / "precious.db").read_text())


def test_the_seed_fixes_the_calls() -> None:
    """The same seed plans the same calls, another seed others; each call's text too."""
    first, again, other = plan_calls(50, 1), plan_calls(50, 1), plan_calls(50, 2)

    assert first == again != other
    assert first[0].messages() == again[0].messages()


def test_calls_end_as_often_as_promised() -> None:
    """About three in a hundred calls fail, and one is abandoned."""
    calls = plan_calls(20_000, 3)
    share = {
        ending: sum(call.ending is ending for call in calls) / len(calls) for ending in workload.Ending
    }

    assert share[workload.Ending.FAILED] == pytest.approx(0.03, abs=0.005)
    assert share[workload.Ending.ABANDONED] == pytest.approx(0.01, abs=0.003)


# --- against the trace ---


def rows_of(data: Path, name: str) -> list[tuple[int, int]]:
    with (data / "traces" / f"azure_llm_2023_{name}.csv").open() as file:
        return sorted(
            (int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)
        )


def quantiles(values: list[int], levels: Sequence[float]) -> tuple[int, ...]:
    ordered = sorted(values)
    return tuple(ordered[round(level * (len(ordered) - 1))] for level in levels)


@pytest.mark.parametrize(("name", "shape"), [("conv", CHAT), ("code", CODE)])
def test_the_quantiles_are_those_of_the_trace(name: str, shape: workload.Shape, data: Path) -> None:
    """The table in the code is what the public trace gives, figure by figure."""
    rows = rows_of(data, name)
    fifths = [rows[n * len(rows) // 5 : (n + 1) * len(rows) // 5] for n in range(5)]

    assert shape.input == quantiles([entered for entered, _ in rows], INPUT_LEVELS)
    assert shape.output == tuple(quantiles([left for _, left in part], OUTPUT_LEVELS) for part in fifths)


def test_the_calls_are_as_large_as_the_trace(data: Path) -> None:
    """The planned calls' mean tokens are within five per cent of the traces', mixed as they are planned."""
    share = workload.CODE_SHARE
    traces = {name: rows_of(data, name) for name in ("conv", "code")}

    def mean(rows: Sequence[Any], place: int) -> float:
        return sum(row[place] for row in rows) / len(rows)

    calls = [(call.input, call.output) for call in plan_calls(40_000, 5)]
    for place in (0, 1):
        real = (1 - share) * mean(traces["conv"], place) + share * mean(traces["code"], place)
        assert mean(calls, place) == pytest.approx(real, rel=0.05)
