"""Signed checkpoints from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cli.test_database import tamper
from tests.integration.wiring import query

if TYPE_CHECKING:
    from pathlib import Path

    from ptmeter import Meter

    from .conftest import Run

pytestmark = pytest.mark.sqlite


@pytest.fixture
def folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the commands are typed in, with a key in it."""
    monkeypatch.chdir(tmp_path)
    assert 0 == run("checkpoint", "--new-key", "key").code
    return tmp_path


TAKE = ("checkpoint", "--key", "key", "--to", "file")
PROVE = ("verify", "--checkpoints", "file", "--public-key", "key.pub")


def test_a_checkpoint_is_taken_and_verified(run: Run, folder: Path, meter: Meter) -> None:
    """It prints its hash; verify says up to which checkpoint the ledger agrees, in a document too."""
    taken = run(*TAKE, "--json").json
    shown = run(*TAKE).out
    found = run(*PROVE, "--json")

    assert (1, 2) == (taken["number"], taken["wallets"])
    assert shown.startswith("checkpoint 2 of ")
    assert (0, True, 2) == (found.code, found.json["clean"], found.json["checkpoint"]["number"])
    assert "held against signed checkpoints up to checkpoint 2" in run(*PROVE).out


def test_a_tail_that_was_cut_off_is_named(run: Run, folder: Path, meter: Meter) -> None:
    """The wallet is put back to what it was: verify alone is clean, and with the checkpoints it exits with 1."""
    where = "WHERE account = 'acme' AND unit = 'core'"
    [(head, booked_at)] = query(
        f"sqlite:///{folder}/pt.db", f"SELECT head, booked_at FROM ptm_wallet {where}"
    )
    meter.funds.grant("acme", core=7, source="top-up", key="t")
    run(*TAKE)
    tamper(
        folder,
        "DELETE FROM ptm_transfer WHERE seq = 2",
        "DELETE FROM ptm_lot WHERE number = 2",
        f"UPDATE ptm_wallet SET seq = 1, available = 100000000, head = x'{head.hex()}', "
        f"booked_at = {booked_at} {where}",
    )
    alone, ended = run("verify"), run(*PROVE)

    assert (0, 1) == (alone.code, ended.code)
    assert "acme/core transfer 2: it is missing" in ended.out


def test_a_key_is_made_once(run: Run, folder: Path) -> None:
    """Made again it is refused with exit code 2, and the key stays; a document names both files."""
    before = (folder / "key").read_bytes()

    assert 2 == run("checkpoint", "--new-key", "key").code
    assert before == (folder / "key").read_bytes()
    made = run("checkpoint", "--new-key", "other", "--json").json
    assert ("other", "other.pub", 32) == (made["key"], made["public_key"], len(made["fingerprint"]))
    assert 0o600 == (folder / "key").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("checkpoint --to file", "--key FILE"),
        ("checkpoint --key key", "--to FILE"),
        ("checkpoint --new-key new --key key", "leave --key"),
        ("checkpoint --key nothing --to file", "the key nothing cannot be read"),
        ("checkpoint --key key.pub --to file", "no private Ed25519 key"),
        ("checkpoint --key key --to no/file", "cannot be written"),
        ("checkpoint --key key --to file --after nothing", "cannot be read"),
        ("verify --checkpoints file", "--public-key FILE"),
        ("verify --public-key key.pub", "--checkpoints FILE"),
        ("verify --checkpoints nothing --public-key key.pub", "in nothing cannot be relied on"),
        ("verify --checkpoints key --public-key key.pub", "key, line 1"),
        ("verify --checkpoints file --public-key key", "no public Ed25519 key"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    typed: str, said: str, run: Run, folder: Path, meter: Meter
) -> None:
    """A file or an option that is wrong is named in a sentence, with exit code 2."""
    ended = run(*typed.split())

    assert 2 == ended.code
    assert said in ended.err


def test_taking_one_makes_no_database(run: Run, folder: Path, db: str) -> None:
    """A mistyped file is no empty ledger to sign."""
    assert 4 == run(*TAKE).code
    assert not (folder / "file").exists()


def test_a_checkpoint_of_another_ledger_is_a_refusal(
    run: Run, folder: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another database under the same file of checkpoints: exit code 3, and the file stays as it is."""
    run(*TAKE)
    monkeypatch.setenv("PTMETER_DB", f"sqlite:///{folder / 'other.db'}")
    run("grant", "zeta", "core=1", "--source", "trial", "--key", "t")

    assert (3, 3) == (run(*TAKE).code, run(*PROVE).code)
    assert 1 == (folder / "file").read_text().count('"seal"')
