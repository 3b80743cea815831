"""
What only a signed checkpoint shows: a tail that was cut off, a chain that was written anew, a wallet that is gone.

Each attack is carried through to the end, so that `verify` without the checkpoint finds the ledger clean; whoever makes
it may do anything in the database and has the key of the hash chain, but not the key that signs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.integration.tampering import CORE, POLICY, TABLES, hands_on, populate
from tests.integration.wiring import meter_on, query, servers

from ptmeter import CheckpointMismatchError, SigningKey
from ptmeter.checkpoints.file import prove
from ptmeter.domain import chain
from ptmeter.operations import verifying
from ptmeter.storage.rows import id_row
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends import Backend
    from tests.integration.tampering import Hands

    from ptmeter import Finding, Report

KEY: Final = SigningKey.new()
DAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
OF_WALLETS: Final = [TABLES[f"ptm_{name}"] for name in ("wallet", "lot", "open_hold", "transfer", "rollup")]


class Scene:
    """A ledger and the file of its checkpoints."""

    def __init__(self, url: str, file: Path) -> None:
        self.url = url
        self.file = file
        self.clock = Clock(DAY)

    def spend(self, *keys: str, account: str = "acme") -> None:
        """Grant PT once, then hold, settle and leave a hold open for each key."""
        with meter_on(self.url, clock=self.clock, policy=POLICY) as meter:
            for key in keys:
                self.clock.turn(timedelta(minutes=1))
                meter.funds.grant(account, core=100, source="top-up", key=key)
                meter.settle(meter.hold(account, core=5, key=key), core=3, key=f"{key}:s")
                meter.hold(account, core=2, key=f"{key}:open", ttl=timedelta(days=1))

    def take(self) -> None:
        """Append a checkpoint."""
        with meter_on(self.url, clock=self.clock, policy=POLICY) as meter:
            meter.checkpoints.take(self.file, key=KEY)

    def verify(self) -> Report:
        """Hold the ledger against the checkpoints."""
        with meter_on(self.url, clock=self.clock, policy=POLICY) as meter:
            return meter.checkpoints.verify(self.file, key=KEY.public)


def signed(hands: Hands, file: Path) -> Report:
    """What a verification with the checkpoints finds inside the attacker's transaction."""
    return verifying.verify(hands.books, prove(file, KEY.public))


@pytest.fixture(params=servers("sqlite", "postgres", "mysql"))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    backend: Backend = request.getfixturevalue(f"{request.param}_backend")
    return Scene(backend.empty(), tmp_path / "checkpoints.jsonl")


@pytest.fixture
def scene_in_a_file(sqlite_url: str, tmp_path: Path) -> Scene:
    """A ledger of its own that may be left without its guards."""
    return Scene(sqlite_url, tmp_path / "checkpoints.jsonl")


def of_wallet(hands: Hands, account: str) -> dict[Any, list[dict[str, Any]]]:
    """All rows of an account's core wallet, by table."""
    [wallet] = [row for row in hands.rows(TABLES["ptm_wallet"]) if row["account"] == account]
    return {
        table: [row for row in hands.rows(table) if row["wallet_id"] == wallet["wallet_id"]]
        for table in OF_WALLETS
    }


def put_back(hands: Hands, rows: dict[Any, list[dict[str, Any]]], account: str) -> None:
    """Make an account's wallet what *rows* say, which may be nothing."""
    for table, there in of_wallet(hands, account).items():
        for row in there:
            hands.delete(table, row)
        for row in rows.get(table, ()):
            hands.insert(table, row)


def rewrite(hands: Hands, seq: int, **changes: Any) -> None:
    """Change a transfer and compute the chain anew from it to the end, with the chain's key."""
    [wallet] = [wallet for wallet in hands.books.ledger.wallets() if wallet.id == CORE]
    head = chain.genesis(CORE, POLICY.chain_key)
    rows = hands.rows(TABLES["ptm_transfer"])
    for row in hands.books.ledger.journal(wallet):
        changed = replace(row, **changes) if row.seq == seq else row
        head = chain.successor(changed, head, POLICY.chain_key)
        [stored] = [r for r in rows if (r["wallet_id"], r["seq"]) == (wallet.number, row.seq)]
        facts = {"note": changed.note} if row.seq == seq else {}
        hands.update(TABLES["ptm_transfer"], stored, link=id_row(chain.link(head)), **facts)
    [stored] = of_wallet(hands, "acme")[TABLES["ptm_wallet"]]
    hands.update(TABLES["ptm_wallet"], stored, head=head)


def only(report: Report) -> Finding:
    [finding] = report.findings
    assert report.uncovered == ()
    return finding


# --- controls ---------------------------------------------------------------------------------


def test_a_ledger_that_goes_on_agrees_with_all_its_checkpoints(scene: Scene) -> None:
    """The control: three checkpoints with work and a closed month between, all of it in a ledger of every kind."""
    populate(scene.url)
    scene.clock.turn(timedelta(days=100))
    scene.take()
    scene.spend("k1", "k2")
    scene.take()
    scene.take()
    scene.spend("k3", account="new")

    report = scene.verify()

    assert report.clean, report
    assert report.checkpoint is not None
    assert (3, 3) == (report.checkpoint.number, report.checkpoint.wallets)


# --- attacks ----------------------------------------------------------------------------------


def test_a_tail_that_was_cut_off_is_caught_by_the_last_checkpoint(scene: Scene) -> None:
    """Put back to an earlier time, a wallet holds together and is clean; the checkpoint has its next transfer."""
    scene.spend("k1")
    with hands_on(scene.url) as hands:
        before = of_wallet(hands, "acme")
    scene.spend("k2")
    scene.take()
    with hands_on(scene.url) as hands:
        put_back(hands, before, "acme")
        plain, report = hands.verify(), signed(hands, scene.file)

    assert plain.clean
    assert ("acme", "core", "transfer 5") == only(report)[:3]
    assert "up to transfer 8, which checkpoint 1 has" in only(report).problem


def test_what_was_booked_after_the_last_checkpoint_is_not_covered(scene: Scene) -> None:
    """The limit: a tail newer than the last checkpoint can be cut off unseen, so they are to be taken often."""
    scene.spend("k1")
    scene.take()
    with hands_on(scene.url) as hands:
        before = of_wallet(hands, "acme")
    scene.spend("k2")
    with hands_on(scene.url) as hands:
        put_back(hands, before, "acme")
        assert signed(hands, scene.file).clean


def test_a_chain_that_was_written_anew_is_caught(scene: Scene) -> None:
    """With the chain's key a changed note leaves everything clean; the signed hash tells it, and since when."""
    scene.spend("k1")
    scene.take()
    scene.spend("k2")
    scene.take()
    with hands_on(scene.url) as hands:
        rewrite(hands, 6, note="forged")
        plain, report = hands.verify(), signed(hands, scene.file)

    assert plain.clean
    assert ("acme", "core", "transfer 8") == only(report)[:3]
    assert "it or an earlier one after transfer 4 was rewritten" in only(report).problem


def test_rewriting_the_chain_without_a_change_leaves_it_as_it_was(scene: Scene) -> None:
    """The control of the attack: what it computes is the chain itself, so nothing else of it is noticed."""
    scene.spend("k1", "k2")
    scene.take()
    with hands_on(scene.url) as hands:
        rewrite(hands, 6)
        assert signed(hands, scene.file).clean


def test_a_wallet_that_vanished_is_caught(scene: Scene) -> None:
    """With all its rows and its account taken out, nothing is left to disagree, but for the checkpoint."""
    scene.spend("k1")
    scene.spend("k1", account="zeta")
    scene.take()
    with hands_on(scene.url) as hands:
        put_back(hands, {}, "zeta")
        [account] = [row for row in hands.rows(TABLES["ptm_account"]) if row["account"] == "zeta"]
        hands.delete(TABLES["ptm_account"], account)
        plain, report = hands.verify(), signed(hands, scene.file)

    assert plain.clean
    assert ("zeta", "core", "wallet") == only(report)[:3]
    assert "checkpoint 1 has it up to transfer 4" in only(report).problem


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (1, {"actor": "mallory"}),
        (3, {"approver": "mallory"}),
        (3, {"reason": "none"}),
        (2, {"noted_at": 7}),
    ],
)
def test_who_closed_a_month_and_when_cannot_be_changed(
    scene: Scene, number: int, change: dict[str, Any]
) -> None:
    """What is on record of a month is in no hash that is kept in the database, and in every checkpoint."""
    populate(scene.url)
    scene.take()
    with hands_on(scene.url) as hands:
        event = hands.rows(TABLES["ptm_period"])[number - 1]
        hands.update(TABLES["ptm_period"], event, **change)
        plain, report = hands.verify(), signed(hands, scene.file)

    assert plain.clean
    assert ("ptm_period", "2026-01", f"event {number}") == only(report)[:3]


def test_a_ledger_cannot_be_made_younger(scene: Scene) -> None:
    """That the first account was opened later than it was is noticed, though no PT follow from it."""
    scene.spend("k1")
    scene.take()
    with hands_on(scene.url) as hands:
        [account] = hands.rows(TABLES["ptm_account"])
        hands.update(TABLES["ptm_account"], account, opened_at=account["opened_at"] + 1)
        plain, report = hands.verify(), signed(hands, scene.file)

    assert plain.clean
    assert ("ptm_account", "ledger") == (only(report).account, only(report).row)


@pytest.mark.sqlite
def test_what_was_wrong_when_it_was_signed_is_named(scene_in_a_file: Scene) -> None:
    """A wallet's balance that was false at the time is in the checkpoint, and is not what the journal gives."""
    scene = scene_in_a_file
    scene.spend("k1")
    [(spent,)] = query(scene.url, "SELECT spent FROM ptm_wallet")
    with hands_on(scene.url) as hands:
        [wallet] = hands.rows(TABLES["ptm_wallet"])
        hands.update(TABLES["ptm_wallet"], wallet, spent=spent + 1)
        hands.connection.commit()
    scene.take()
    with hands_on(scene.url) as hands:
        [wallet] = hands.rows(TABLES["ptm_wallet"])
        hands.update(TABLES["ptm_wallet"], wallet, spent=spent)
        report = signed(hands, scene.file)

    assert f"spent is {spent + 1} in checkpoint 1" in only(report).problem


def test_a_chain_that_was_written_anew_is_named_before_what_is_wrong_behind_it(scene: Scene) -> None:
    """The first bad row is the one that the checkpoint tells, though a later one does not even follow."""
    scene.spend("k1")
    scene.take()
    scene.spend("k2")
    with hands_on(scene.url) as hands:
        rewrite(hands, 2, note="forged")
        sixth = hands.rows(TABLES["ptm_transfer"])[5]
        for kind in (sixth["kind"] + 1, 99):  # one that does not follow, one that cannot be read
            with hands.undone():
                hands.update(TABLES["ptm_transfer"], sixth, kind=kind)
                report = signed(hands, scene.file)
            assert ["transfer 4", "transfer 6"] == [
                finding.row.split(" (")[0] for finding in report.findings
            ]


def test_a_wallet_that_cannot_be_read_is_not_called_missing(scene: Scene) -> None:
    """It is there, and what is wrong with it is said once; the wallets beside it are verified all the same."""
    scene.spend("k1")
    scene.spend("k1", account="zeta")
    scene.take()
    with hands_on(scene.url) as hands:
        [wallet] = of_wallet(hands, "zeta")[TABLES["ptm_wallet"]]
        hands.update(TABLES["ptm_wallet"], wallet, state=7)
        report = signed(hands, scene.file)

    assert ("zeta", "core", "wallet") == only(report)[:3]
    assert (1, 4) == (report.wallets, report.transfers)


# --- what is not signed -----------------------------------------------------------------------


@pytest.mark.sqlite
def test_a_history_that_was_changed_is_not_signed(scene_in_a_file: Scene) -> None:
    """A checkpoint continues the last one or is refused, and the file stays what it was."""
    scene = scene_in_a_file
    scene.spend("k1")
    with hands_on(scene.url) as hands:
        before = of_wallet(hands, "acme")
    scene.spend("k2")
    scene.take()
    written = scene.file.read_bytes()
    with hands_on(scene.url) as hands:
        put_back(hands, before, "acme")
        hands.connection.commit()

    with pytest.raises(CheckpointMismatchError, match="acme/core transfer 8") as caught:
        scene.take()

    assert 1 == caught.value.number
    assert written == scene.file.read_bytes()


@pytest.mark.parametrize("shared", [False, True], ids=["other accounts", "the same accounts"])
@pytest.mark.parametrize("later", [1, -1], ids=["younger", "older"])
def test_the_file_of_another_ledger_is_told(
    scene: Scene, later: int, shared: bool, sqlite_url: str
) -> None:
    """Neither is a checkpoint added to it nor anything proved by it; that the accounts have the same names is no help."""
    scene.spend("k1")
    scene.take()
    other = Scene(sqlite_url, scene.file)
    other.clock.turn(timedelta(seconds=later))
    other.spend("k1", account="acme" if shared else "zeta")

    with pytest.raises(CheckpointMismatchError, match="another ledger"):
        other.take()
    with pytest.raises(CheckpointMismatchError, match="another ledger"):
        other.verify()
