"""The command as a whole: what it is like to start, to be helped, and to be told what went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ptmeter
from ptmeter import errors
from ptmeter.cli import failures
from ptmeter.cli.app import COMMANDS
from ptmeter.cli.failures import MEANINGS, ExitCode, exit_code
from ptmeter.cli.writing import counted

if TYPE_CHECKING:
    from ptmeter import Meter

    from .conftest import Run

NAMES = [command.__name__ for command, _ in COMMANDS]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


# --- starting ---


def test_importing_the_command_loads_nothing() -> None:
    """Importing ``ptmeter.cli`` loads neither typer nor rich, no database and no configuration."""
    loaded = python("import sys, ptmeter.cli; print(*sys.modules)").stdout.split()

    assert "ptmeter.cli" in loaded
    assert set() == {"typer", "rich", "sqlalchemy", "pydantic", "tiktoken"} & set(loaded)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    """Where typer or rich is not installed the command says in one sentence what is, and exits with 2."""
    ended = python(
        f"import sys; sys.modules[{missing!r}] = None; from ptmeter.cli import main; sys.exit(main())"
    )

    assert 2 == ended.returncode
    assert "the ptmeter command needs typer and rich: pip install 'ptmeter[cli]'\n" == ended.stderr


def test_it_runs_as_a_module() -> None:
    """``python -m ptmeter.cli`` is the command too."""
    ended = subprocess.run(
        [sys.executable, "-m", "ptmeter.cli", "--version"], capture_output=True, text=True, check=False
    )

    assert (0, f"ptmeter {ptmeter.__version__}\n") == (ended.returncode, ended.stdout)


# --- help ---


def test_help_lists_every_command_and_exit_code(run: Run) -> None:
    """``--help`` names each command and says what each exit code means."""
    shown = run("--help")

    assert 0 == shown.code
    assert [] == [name for name in NAMES if name not in shown.out]
    assert [] == [meaning for meaning in MEANINGS.values() if meaning not in shown.out]


@pytest.mark.parametrize("name", NAMES)
def test_each_command_shows_an_example_of_itself(name: str, run: Run) -> None:
    """``--help`` of a command ends with an example that begins with it."""
    shown = run(name, "--help")

    assert 0 == shown.code
    assert f"ptmeter {name}" in shown.out.split("Examples")[1]
    assert "--json" in shown.out


def test_every_exit_code_is_documented() -> None:
    """No exit code is left out of the help."""
    assert set(ExitCode) == set(MEANINGS)


# --- what went wrong ---


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["balance"], "missing argument"),
        (["balance", "acme"], "missing option '--db'"),
        (["nonsense"], "no such command 'nonsense'"),
        (["verify", "--what"], "no such option: --what"),
        (["sweep", "--db", "sqlite:///pt.db", "--limit", "many"], "invalid value for '--limit'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: list[str], sentence: str, run: Run) -> None:
    """What is typed wrongly is said in one line on stderr, with the help that would say more."""
    ended = run(*arguments)

    assert (2, "") == (ended.code, ended.out)
    assert sentence in ended.err
    assert ended.err.endswith("--help\n")
    assert 1 == ended.err.count("\n")


def test_with_json_wrong_usage_is_an_object(run: Run) -> None:
    """With ``--json`` an error is an object with a code and a message, on stderr, and stdout stays empty."""
    ended = run("balance", "--json")

    assert (2, "", "usage") == (ended.code, ended.out, ended.error["code"])


def test_an_error_carries_its_facts(run: Run, meter: Meter) -> None:
    """With ``--json`` an error object holds the code, whether to retry, and the error's own facts."""
    ended = run("grant", "acme", "core=1", "--source", "other", "--key", "trial:acme", "--json")

    assert 3 == ended.code
    assert {"code": "idempotency_conflict", "retryable": False, "account": "acme", "key": "trial:acme"} == {
        name: value for name, value in ended.error.items() if name != "message"
    }


def test_amounts_in_errors_are_decimal_strings(capsys: pytest.CaptureFixture[str]) -> None:
    """An amount among an error's facts is an exact decimal string."""
    from decimal import Decimal

    refused = errors.InsufficientFundsError("acme", "core", available=Decimal("0.5"), required=Decimal(10))

    assert ExitCode.REFUSED == failures.report(refused, as_json=True)
    found = json.loads(capsys.readouterr().err)["error"]
    assert ("0.5", "10") == (found["available"], found["required"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgumentError("x"), 2),
        (errors.UnknownModelError("gpt-99", "price"), 2),
        (errors.ConfigurationError("x"), 2),
        (errors.AccountNotFoundError("acme"), 2),
        (errors.UsageMissingError("x"), 2),
        (errors.ModelLockedError("gpt-4.1", "freemium", "pro"), 3),
        (errors.AccountFrozenError("acme", "core"), 3),
        (errors.IdempotencyConflictError("acme", "k"), 3),
        (errors.SchemaOutdatedError(None, "0001"), 4),
        (errors.UnsafeDurabilityError("synchronous_commit", "off", "on"), 4),
        (errors.StorageError("x"), 4),
        (errors.ContentionError("x"), 5),
        (errors.IndeterminateError(), 5),
        (errors.InvariantError("x"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_kind_of_error_has_its_exit_code(error: ptmeter.PtmeterError, code: int) -> None:
    """A script can tell by the exit code whether to correct, to wait, to top up or to call somebody."""
    assert code == exit_code(error)


def test_a_server_that_is_not_there_is_exit_code_4(run: Run) -> None:
    """A database that cannot be reached is said in one sentence, without SQLAlchemy's traceback."""
    pytest.importorskip("psycopg")
    ended = run("verify", "--db", "postgresql://nobody:secret@127.0.0.1:1/none")

    assert 4 == ended.code
    assert 1 == ended.err.count("\n")
    assert "check the URL" in ended.err
    assert "secret" not in ended.err


def test_a_url_that_is_none_is_exit_code_2(run: Run) -> None:
    """What is not the URL of a known database is wrong usage."""
    assert [2, 2] == [run("verify", "--db", url).code for url in ("pt.db", "oracle://x/y")]


def test_a_fault_of_our_own_leaves_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no error stands for is a fault in ptmeter: shown whole, exit code 70, never taken for a finding."""
    monkeypatch.setattr("ptmeter.cli.options.must_exist", lambda db: 1 / 0)
    ended = run("verify", "--db", "sqlite:///pt.db")

    assert 70 == ended.code
    assert "ZeroDivisionError" in ended.err


def test_an_interrupt_is_exit_code_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with 130 and no traceback."""

    def interrupt(db: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ptmeter.cli.options.must_exist", interrupt)

    assert (130, "") == (run("verify", "--db", "sqlite:///pt.db").code, run("verify", "--db", "x").err)


def test_a_closed_pipe_is_no_error(db: str, meter: Meter, tmp_path: Path) -> None:
    """Where nobody reads on, as in ``| head``, the command ends quietly."""
    for number in range(40):
        meter.funds.grant("acme", core=1, source="x" * 4_000, key=f"{number}")
    listing = [sys.executable, "-m", "ptmeter.cli", "statement", "acme", "--limit", "1000", "--json"]
    with subprocess.Popen(
        listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PTMETER_DB": db}
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        complaint = process.stderr.read()

    assert (141, b"") == (process.returncode, complaint)


# --- the environment ---


def test_a_chain_key_comes_from_the_environment(run: Run, db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger with a keyed chain verifies with the key in PTMETER_CHAIN_KEY, and not without it."""
    monkeypatch.setenv("PTMETER_CHAIN_KEY", "c0ffee" * 8)
    run("grant", "acme", "core=1", "--source", "trial", "--key", "k")
    with_key = run("verify").code
    monkeypatch.delenv("PTMETER_CHAIN_KEY")

    assert (0, 1) == (with_key, run("verify").code)


def test_a_chain_key_must_be_hexadecimal(run: Run, db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain key that is not hexadecimal is refused rather than taken for none, and is not repeated."""
    monkeypatch.setenv("PTMETER_CHAIN_KEY", "correct horse")
    ended = run("grant", "acme", "core=1", "--source", "trial", "--key", "k")

    assert 2 == ended.code
    assert "horse" not in ended.err


def test_colours_are_for_terminals_that_want_them(
    run: Run, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not a terminal gets plain text, and NO_COLOR is respected on one."""
    plain = run("verify").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = run("verify").out
    monkeypatch.setenv("NO_COLOR", "1")
    uncoloured = run("verify").out

    assert "\x1b" not in plain
    assert "\x1b[1;32mclean" in coloured
    assert "32m" not in uncoloured


def test_a_progress_bar_is_for_those_who_look(
    run: Run, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal is shown how far a replay has got, on stderr; the document on stdout stays alone."""
    (tmp_path / "trace.csv").write_text("timestamp,input_tokens,output_tokens\n" + "0,10,1\n" * 30)
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = run("replay", str(tmp_path / "trace.csv"), "--model", "gpt-4o-mini", "--batch", "10", "--json")

    assert "metering" in ended.err
    assert "calls/s" in ended.err
    assert 30 == ended.json["calls"]


@pytest.mark.parametrize(("words", "where"), [((), "ptmeter"), (("plans",), "ptmeter plans")])
def test_without_a_command_the_help_is_shown(words: tuple[str, ...], where: str, run: Run) -> None:
    """And one line says what was lacking."""
    ended = run(*words)

    assert (2, f"ptmeter: say which command: see {where} --help\n") == (ended.code, ended.err)
    assert "Usage" in ended.out


@pytest.mark.parametrize(("python_", "command"), failures.IN_COMMANDS)
def test_what_errors_say_in_python_is_there_to_be_replaced(python_: str, command: str, run: Run) -> None:
    """The library says each of them somewhere, and a command that stands for one is there."""
    files = Path(ptmeter.__file__).parent.rglob("*.py")

    assert any(python_ in file.read_text(encoding="utf-8") for file in files if file.parent.name != "cli")
    if command.startswith("ptmeter "):
        words = command.split()[1:]
        shown = run(*(word for word in words if not word.startswith("-")), "--help")
        assert 0 == shown.code
        assert all(word in shown.out for word in words if word.startswith("-"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.SchemaOutdatedError(None, "1"), "not set up: run `ptmeter migrate --db URL`"),
        (errors.UnsafeDurabilityError("fsync", "off", "on"), "accept the loss with --durability relaxed"),
        (errors.PaymentNotFoundError("pi_1"), "ptmeter payments show --refresh looks it up"),
    ],
)
def test_errors_say_what_to_type(
    error: errors.PtmeterError, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options and commands, not arguments of Python."""
    failures.report(error, as_json=False)

    assert capsys.readouterr().err.endswith(f"{told}\n")


def test_one_of_a_thing_is_not_several() -> None:
    """What is counted has the form that goes with its number."""
    assert ["0 calls", "1 call", "1,200 calls"] == [counted(n, "call") for n in (0, 1, 1_200)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("margins", "--by", "accont"), "'accont' is not one of 'platform'"),
        (("grant", "acme", "1", "--source", "x", "--key", "k", "--priority", "1000"), "999"),
    ],
)
def test_a_wrong_option_is_told_in_plain_words(
    run: Run, db: str, arguments: tuple[str, ...], says: str
) -> None:
    """Not in those of the library that reads the options."""
    result = run(*arguments)

    assert 2 == result.code
    assert says in result.err
    assert "Value error" not in result.err
    assert "Input should" not in result.err
