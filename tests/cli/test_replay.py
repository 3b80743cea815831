"""Metering a trace: what it comes to, and that no way of stopping it charges a call twice."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

HEADER = "timestamp,input_tokens,output_tokens"
LONG = 900  # calls, so that a process that is to be stopped midway is
SAME = (
    "calls",
    "malformed",
    "refused",
    "over_hold",
    "tokens",
    "units",
    "cost",
    "sales",
    "margin",
    "verify",
)


def trace_of(path: Path, rows: int, *, seed: int = 7) -> Path:
    """A trace with so many rows, some of them beyond what is held for them."""
    chance = random.Random(seed)
    lines = [f"{60 * n},{chance.randint(1, 5_000)},{chance.choice((10, 300, 2_000))}" for n in range(rows)]
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return trace_of(tmp_path / "trace.csv", 120)


def figures(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in SAME}


# --- what it comes to ---


def test_a_trace_is_metered_and_verified(run: Run, db: str, tmp_path: Path) -> None:
    """Calls are held and settled, those beyond their hold too; all that is said adds up with the ledger."""
    path = tmp_path / "trace.csv"
    path.write_text(f"{HEADER}\n2023-11-16 18:15:46,1000,100\n2023-11-16 18:15:47,1200,400\n0,1000,2000\n")
    ended = run("replay", str(path), "--model", "gpt-4o-mini", "--accounts", "2", "--json")
    found = ended.json

    assert 0 == ended.code
    assert (3, 0, 0, 0, 1) == tuple(
        found[name] for name in ("calls", "already_metered", "malformed", "refused", "over_hold")
    )
    assert {"input_uncached": 3_200, "output_text": 2_500} == found["tokens"]
    assert {"core": {"held": "5", "charged": "7"}} == found["units"]
    assert ({"USD": "0.00198"}, {"USD": "0.07"}, "0.9717") == (
        found["cost"],
        found["sales"],
        found["margin"],
    )
    assert found["verify"]["clean"]
    with Meter.open(db) as meter:
        spent = sum(meter.balance(f"replay-{number}").core.spent.whole for number in (1, 2))
        settles = [e for e in meter.statement("replay-2").entries if e.kind == "settle"]
    assert 7 == spent
    assert "2023-11-16T18:15:46+00:00" == settles[0].effective_at.isoformat()
    assert settles[1].effective_at == settles[1].booked_at


def test_people_see_a_table(run: Run, db: str, trace: Path) -> None:
    """For people: calls, speed, tokens by class, PT held and charged, cost, sales value, margin, verdict."""
    shown = run("replay", str(trace), "--model", "gpt-4o-mini")

    assert 0 == shown.code
    wanted = (
        "calls/s",
        "input_uncached",
        "held",
        "charged",
        "provider cost",
        "sales value",
        "margin",
        "clean",
    )
    assert [] == [word for word in wanted if word not in shown.out]
    assert "" == shown.err


def test_holding_the_most_leaves_nothing_over(run: Run, db: str, trace: Path) -> None:
    """``--hold at_most`` holds for the longest answer: no call costs more than was held."""
    most = run("replay", str(trace), "--model", "gpt-4o-mini", "--hold", "at_most", "--json").json
    expected = run("replay", str(trace), "--model", "gpt-4o-mini", "--key", "again", "--json").json

    assert (0, True) == (most["over_hold"], expected["over_hold"] > 0)
    assert most["units"]["core"]["charged"] == expected["units"]["core"]["charged"]


def test_accounts_and_models_of_the_trace(run: Run, db: str, tmp_path: Path) -> None:
    """Rows that name their account and model keep them; ``--model`` overrides the model of all."""
    path = tmp_path / "trace.csv"
    path.write_text(
        f"{HEADER},account,model\n1,10,1,acme,gpt-4o-mini\n2,10,1,acme,gpt-4.1\n3,10,1,b,gpt-4.1\n"
    )
    own = run("replay", str(path), "--json").json
    core = run("replay", str(path), "--model", "gpt-4o-mini", "--json").json

    assert {"advanced": "6", "core": "1"} == {unit: each["charged"] for unit, each in own["units"].items()}
    assert {"core": "3"} == {unit: each["charged"] for unit, each in core["units"].items()}
    with Meter.open(db) as meter:
        assert (3, 3) == (
            meter.balance("acme").advanced.spent.whole,
            meter.balance("acme").core.spent.whole,
        )


def test_every_database_comes_to_the_same(run: Run, database: str, trace: Path) -> None:
    """On every database a trace comes to what it does in memory, and again charges nothing."""
    arguments = ("replay", str(trace), "--model", "gpt-4o-mini", "--json", "--db")
    memory, first, again = (run(*arguments, url).json for url in ("memory://", database, database))

    assert figures(memory) == figures(first) == figures(again)
    assert (0, 120) == (first["already_metered"], again["already_metered"])


# --- what is none ---


def test_malformed_lines_are_told_and_counted(run: Run, db: str, tmp_path: Path) -> None:
    """Each malformed line is on stderr with its number, once; a model nobody knows is one too."""
    path = tmp_path / "trace.csv"
    path.write_text(f"{HEADER},model\n1,ten,1,gpt-4o-mini\n2,10,1,gpt-4o-mini\n3,10,1,gpt-99\n4\n")
    ended = run("replay", str(path), "--json")

    assert (0, 1, 3) == (ended.code, ended.json["calls"], ended.json["malformed"])
    assert ["line 2", "line 4", "line 5"] == [
        line.split(":")[1].split(", ")[1] for line in ended.err.splitlines()
    ]
    assert "no price is known for model 'gpt-99'" in ended.err


def test_strict_stops_before_anything_is_metered(run: Run, db: str, tmp_path: Path) -> None:
    """``--strict`` stops at the first malformed line; nothing was charged and no database made."""
    path = tmp_path / "trace.csv"
    path.write_text(f"{HEADER}\n1,10,1\n2,ten,1\n")
    ended = run("replay", str(path), "--model", "gpt-4o-mini", "--strict")

    assert (2, "") == (ended.code, ended.out)
    assert "line 3" in ended.err
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (f"{HEADER}\n1,ten,1\n", ("--model", "gpt-4o-mini"), "no call that can be metered"),
        (f"{HEADER}\n1,10,1\n", (), "choose one with --model"),
        (f"{HEADER}\n1,10,1\n", ("--model", "gpt-99"), "no price is known"),
        ("a,b\n", ("--model", "gpt-4o-mini"), "what can be read is"),
        (f"{HEADER}\n1,10,1\n", ("--model", "gpt-4o-mini", "--batch", "0"), "--batch"),
    ],
)
def test_what_cannot_be_replayed_is_wrong_usage(
    text: str, arguments: tuple[str, ...], sentence: str, run: Run, db: str, tmp_path: Path
) -> None:
    """Nothing to meter, no model, one nobody knows, no trace: each is said in a sentence."""
    (tmp_path / "trace.csv").write_text(text)
    ended = run("replay", str(tmp_path / "trace.csv"), *arguments)

    assert (2, True) == (ended.code, sentence in ended.err)


def test_refused_calls_are_counted_and_told_by_the_exit_code(
    run: Run, db: str, trace: Path, tmp_path: Path
) -> None:
    """Calls of an account that is not open are refused, counted by reason, and the exit code is 3."""
    arguments = ("replay", str(trace), "--model", "gpt-4o-mini", "--accounts", "2", "--json")
    run(*arguments)
    with closing(sqlite3.connect(tmp_path / "pt.db")) as connection, connection:
        connection.execute("UPDATE ptm_wallet SET state = 1 WHERE account = 'replay-1'")
    ended = run(*arguments, "--key", "another")

    assert (3, 60, {"not_open": 60}) == (ended.code, ended.json["calls"], ended.json["refusals"])
    assert "60 not_open" in run(*arguments[:-1], "--key", "another").out


# --- stopping and going on ---


def test_a_run_again_charges_nothing(run: Run, db: str, trace: Path) -> None:
    """The same command again recognises every call, with batches of another size too."""
    arguments = ("replay", str(trace), "--model", "gpt-4o-mini", "--json")
    first, again = run(*arguments, "--batch", "50").json, run(*arguments, "--batch", "7").json

    assert (0, 120) == (first["already_metered"], again["already_metered"])
    assert figures(first) == figures(again)


def test_a_limit_is_a_beginning(run: Run, db: str, trace: Path) -> None:
    """``--limit`` meters the first calls; without it the run goes on with the others."""
    arguments = ("replay", str(trace), "--model", "gpt-4o-mini", "--json")
    part, whole = run(*arguments, "--limit", "50").json, run(*arguments).json

    assert (50, 0) == (part["calls"], part["already_metered"])
    assert (120, 50) == (whole["calls"], whole["already_metered"])


def test_another_key_meters_once_more(run: Run, db: str, trace: Path) -> None:
    """``--key`` names a run of its own; so does another model or another number of accounts."""
    base = ("replay", str(trace), "--json")
    runs = [
        run(*base, "--model", "gpt-4o-mini", *more).json
        for more in ((), ("--key", "b"), ("--accounts", "3"), ("--key", "b"))
    ]

    assert [0, 0, 0, 120] == [each["already_metered"] for each in runs]


def replay(db: str, trace: Path, *more: str) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "ptmeter.cli",
        "replay",
        str(trace),
        "--db",
        db,
        "--model",
        "gpt-4o-mini",
    ]
    return [*command, "--batch", "20", "--json", *more]


def settled(path: Path) -> int:
    """How many calls are settled, as somebody else sees it."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as connection:
            return connection.execute("SELECT count(*) FROM ptm_transfer WHERE kind = 3").fetchone()[0]
    except sqlite3.OperationalError:  # no tables yet
        return 0


def stopped_midway(
    db: str, path: Path, trace: Path, number: int, after: int
) -> subprocess.CompletedProcess[str]:
    """Run a replay in a process of its own, and send it a signal once so many calls are settled."""
    with subprocess.Popen(
        replay(db, trace), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while settled(path) < after and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_killed_at_any_point_it_goes_on_and_charges_nothing_twice(
    run: Run, tmp_path: Path, db: str
) -> None:
    """Killed time and again at a random batch, the run ends with an uninterrupted one's figures."""
    chance = random.Random()
    trace = trace_of(tmp_path / "long.csv", LONG)
    whole = run(*replay("memory://", trace)[3:]).json
    path = tmp_path / "pt.db"
    killed = []
    for _ in range(2):
        after = settled(path) + chance.randint(1, 150)
        ended = stopped_midway(db, path, trace, signal.SIGKILL, after)
        killed.append((ended.returncode, after <= settled(path) < LONG))
    final = run(*replay(db, trace)[3:])

    assert [(-signal.SIGKILL, True)] * 2 == killed
    assert 0 == final.code
    assert 0 < final.json["already_metered"] < LONG
    assert figures(whole) == figures(final.json)
    assert LONG == settled(path)


def test_ctrl_c_finishes_the_batch_and_says_how_to_go_on(run: Run, tmp_path: Path, db: str) -> None:
    """Ctrl-C: the running batch is finished, what was done is told, exit code 130; then it goes on."""
    trace = trace_of(tmp_path / "long.csv", LONG)
    path = tmp_path / "pt.db"
    ended = stopped_midway(db, path, trace, signal.SIGINT, 100)
    done = settled(path)
    with closing(sqlite3.connect(path)) as connection:
        holds = connection.execute("SELECT count(*) FROM ptm_open_hold").fetchone()[0]
    final = run(*replay(db, trace)[3:]).json

    assert 130 == ended.returncode
    assert (0, 0, True) == (holds, done % 20, 100 <= done < LONG)
    assert f"stopped after {done:,} of {LONG} calls; run the same command again" in ended.stderr
    assert '"interrupted": true' in ended.stdout
    assert (done, LONG, False) == (final["already_metered"], final["calls"], final["interrupted"])


def test_ctrl_c_twice_stops_at_once(
    run: Run, db: str, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second Ctrl-C interrupts the batch, which leaves nothing; the run goes on later all the same."""
    post, posts = Meter.post, []

    def interrupted(self: Meter, batch: Any) -> Any:
        posts.append(len(batch))
        if len(posts) == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return post(self, batch)

    arguments = ("replay", str(trace), "--model", "gpt-4o-mini", "--batch", "20", "--json")
    with monkeypatch.context() as patched:
        patched.setattr(Meter, "post", interrupted)
        stopped = run(*arguments)

    assert (130, "") == (stopped.code, stopped.out)
    assert "stopped after 20 of 120 calls; run the same command again" in stopped.err
    assert 120 == run(*arguments).json["calls"]


def test_contention_says_how_to_go_on(
    run: Run, db: str, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that gives up midway ends the run with exit code 5, and says that it can go on."""
    from ptmeter import ContentionError

    post, posts = Meter.post, []

    def contended(self: Meter, batch: Any) -> Any:
        posts.append(len(batch))
        if len(posts) > 5:
            msg = "the database gave the transaction up"
            raise ContentionError(msg)
        return post(self, batch)

    monkeypatch.setattr(Meter, "post", contended)
    ended = run("replay", str(trace), "--model", "gpt-4o-mini", "--batch", "20", "--json")

    assert (5, "contention", True) == (ended.code, ended.error["code"], ended.error["retryable"])
    assert "stopped after 20 of 120 calls" in ended.err


# --- the real one ---


def test_the_azure_trace(run: Run, db: str, data: Path) -> None:
    """The first 500 calls of Azure's conversation trace come to what they came to before."""
    path = data / "traces" / "azure_llm_2023_conv.csv"
    ended = run("replay", str(path), "--model", "gpt-4o-mini", "--limit", "500", "--json")
    found = ended.json

    assert (0, 500, 0, 0) == (ended.code, found["calls"], found["malformed"], found["refused"])
    assert found["verify"]["clean"]
    assert {"core"} == set(found["units"])
