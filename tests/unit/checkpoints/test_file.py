"""The file of signed checkpoints: what is in it, what is refused, and that it is only ever added to."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ptmeter import CheckpointInvalidError, InvalidArgumentError, Policy, SigningKey
from ptmeter.checkpoints.file import continued, prove, sheet
from ptmeter.domain.commands import Grant
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import WalletId
from ptmeter.operations import checkpointing
from ptmeter.operations.posting import post
from ptmeter.storage.memory import MemoryStore
from ptmeter.testing import Clock
from ptmeter.testing.period_contract import close

if TYPE_CHECKING:
    from pathlib import Path

    from ptmeter.domain.checkpoints import Checkpoint

KEY: Final = SigningKey.new()
OTHER: Final = SigningKey.new()


class Ledger:
    """A ledger in memory, in which January 2026 is closed."""

    def __init__(self) -> None:
        self.clock = Clock(datetime(2026, 1, 5, tzinfo=UTC))
        self.store = MemoryStore(Policy(), self.clock)
        self.granted = 0
        self.grant("acme", "zeta")
        self.clock.turn(datetime(2026, 2, 1, tzinfo=UTC) - self.clock())
        close(self.store, "2026-01")

    def grant(self, *accounts: str) -> None:
        for account in accounts:
            self.granted += 1
            name = {
                "id": transfer_id(account, "grant", str(self.granted)),
                "wallet": WalletId(account, "core"),
            }
            command = Grant(**name, fingerprint=digest((self.granted,)), amount=self.granted)
            self.store.run(partial(post, batch=[(command,)]))

    def take(self, file: Path, *, key: SigningKey = KEY, after: Path | None = None) -> Checkpoint:
        earlier = continued(file, after)
        before = prove(earlier, key.public) if earlier else None
        with sheet(file) as drawn:
            taken = self.store.survey(partial(checkpointing.take, before=before, write=drawn.write))
            drawn.seal(taken, key)
        return taken


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def file(tmp_path: Path, ledger: Ledger) -> Path:
    """Three checkpoints, with a grant between."""
    path = tmp_path / "checkpoints.jsonl"
    for account in ("acme", "zeta", "new"):
        ledger.take(path)
        ledger.grant(account)
    return path


def refused(file: Path, content: bytes) -> CheckpointInvalidError:
    file.write_bytes(content)
    with pytest.raises(CheckpointInvalidError) as caught:
        prove(file, KEY.public)
    return caught.value


# --- what is in it ----------------------------------------------------------------------------


def test_a_file_that_was_written_is_proved(file: Path, ledger: Ledger) -> None:
    """The last checkpoint, what it has of the months, and of each wallet what changed from one to the next."""
    proof = prove(file, KEY.public)

    assert (3, 2) == (proof.last.number, proof.last.wallets)
    assert [(n, "2026-01", event) for n in (1, 2, 3) for event in (1, 2)] == [
        (number, mark.period, mark.event) for number, mark in proof.periods
    ]
    seqs = {
        marks[0].mark.wallet.account: [(marked.checkpoint, marked.mark.seq) for marked in marks]
        for _, marks in proof.wallets()
    }
    assert {"acme": [(1, 1), (2, 2)], "zeta": [(1, 1), (3, 2)]} == seqs
    assert [1, 1] == [len(marks) for _, marks in proof.wallets(latest=True)]


def test_an_empty_ledger_has_a_checkpoint_too(tmp_path: Path) -> None:
    """Of a ledger in which nothing happened there is nothing to mark, and that is signed."""
    file = tmp_path / "file"
    ledger = Ledger.__new__(Ledger)
    ledger.store, ledger.granted = MemoryStore(Policy(), Clock()), 0

    assert 0 == ledger.take(file).wallets
    assert prove(file, KEY.public).opening.began is None


def test_anybody_can_check_it_by_what_the_documentation_says(file: Path) -> None:
    """Hash and signature by another hand: the bytes as domain.checkpoints describes them, and plain Ed25519."""

    def number(value: int) -> bytes:
        return value.to_bytes(8, "big", signed=True)

    def framed(part: bytes) -> bytes:
        return len(part).to_bytes(4, "big") + part

    def micros(text: str) -> int:
        since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    public: Any = load_pem_public_key(KEY.public.pem())
    body, counts = b"", [0, 0]
    for line in map(json.loads, file.read_text().splitlines()):
        match line:
            case {"checkpoint": n, "at": at, "ledger_began": began, "previous": previous}:
                body = b"\1" + number(n) + number(micros(at)) + number(micros(began))
                body, counts = body + framed(bytes.fromhex(previous)), [0, 0]
            case {"period": period, "event": event, "digest": found}:
                body += framed(
                    b"p" + framed(period.encode()) + number(event) + framed(bytes.fromhex(found))
                )
                counts[0] += 1
            case {"account": account, "unit": unit, "head": head}:
                names = framed(account.encode()) + framed(unit.encode()) + framed(bytes.fromhex(head))
                figures = [number(line[name]) for name in ("seq", "available", "held", "spent", "owed")]
                body += framed(b"w" + names + b"".join(figures))
                counts[1] += 1
            case {"hash": hash_, "signature": signature}:
                body += number(counts[0]) + number(counts[1])
                assert "01" + blake2b(body, digest_size=32).hexdigest() == hash_
                public.verify(bytes.fromhex(signature), b"ptmeter checkpoint\0" + bytes.fromhex(hash_))

    assert [2, 2] == counts


# --- what is refused --------------------------------------------------------------------------


def test_no_byte_of_it_can_be_changed(file: Path) -> None:
    """Each byte in turn, in its lowest bit: the file is refused, and the line it is in, or the seal's, is named."""
    lines = file.read_bytes().splitlines(keepends=True)
    each = len(lines) // 3
    whole = b"".join(lines[each : 2 * each])  # the second, which names the one before
    passed = [place for place in range(len(whole)) if not _is_refused(file, whole, place)]

    file.write_bytes(whole)
    assert [] == passed
    assert prove(file, KEY.public)


def _is_refused(file: Path, whole: bytes, place: int) -> bool:
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        prove(file, KEY.public)
    except CheckpointInvalidError as error:
        return error.line > whole[:place].count(b"\n")
    return False


def test_no_line_can_be_taken_out_doubled_or_moved(file: Path) -> None:
    """What is left does not come to its hash, is out of order or belongs nowhere. A whole checkpoint is missed too."""
    lines = file.read_bytes().splitlines(keepends=True)
    each = len(lines) // 3
    for place in range(len(lines)):
        assert refused(file, b"".join(lines[:place] + lines[place + 1 :])).line > 0
        assert refused(file, b"".join([*lines[: place + 1], *lines[place:]])).line > 0
        if place:
            swapped = [*lines[: place - 1], lines[place], lines[place - 1], *lines[place + 1 :]]
            assert refused(file, b"".join(swapped)).line > 0

    assert "one was taken out" in refused(file, b"".join(lines[:each] + lines[2 * each :])).problem
    file.write_bytes(b"".join(lines[each:]))
    assert (
        3 == prove(file, KEY.public).last.number
    )  # a file may begin with any: those before are in another


def test_a_file_that_breaks_off_says_where(file: Path) -> None:
    """Cut short anywhere but behind a seal it is refused: in the midst of a line, or of a checkpoint."""
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    each = len(lines) // 3

    assert "it breaks off" in refused(file, whole[:-5]).problem
    assert "checkpoint 2 breaks off" in refused(file, b"".join(lines[: each + 2])).problem
    assert "there is no checkpoint in it" in refused(file, b"").problem


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b"\xff\n",
        b'{"seal": 1}\n',
        b'{"other": 1}\n',
        b'{"account": 1}\n',
    ],
)
def test_what_ptmeter_does_not_write_is_refused(file: Path, line: bytes) -> None:
    """Anything else in the place of a line is named by its number."""
    error = refused(file, line + file.read_bytes())

    assert (1, "it is not a line that ptmeter writes") == (error.line, error.problem)


def test_a_later_format_says_so(file: Path) -> None:
    """What a later ptmeter wrote is not called damaged."""
    assert "in format 2" in refused(file, file.read_bytes().replace(b'"format": 1', b'"format": 2')).problem


def test_another_key_is_told_by_its_name(file: Path, tmp_path: Path, ledger: Ledger) -> None:
    """The wrong public key names both; a signature under a name that is not the signer's is wrong."""
    with pytest.raises(CheckpointInvalidError, match=OTHER.public.fingerprint) as caught:
        prove(file, OTHER.public)
    forged = tmp_path / "forged"
    ledger.take(forged, key=OTHER)
    content = forged.read_bytes().replace(
        OTHER.public.fingerprint.encode(), KEY.public.fingerprint.encode()
    )

    assert KEY.public.fingerprint in caught.value.problem
    assert "the signature of checkpoint 1 is wrong" in refused(forged, content).problem


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    """Neither a missing file nor a folder is a traceback; nor is a folder that is missing when one is taken."""
    for place in (tmp_path / "nothing", tmp_path):
        with pytest.raises(CheckpointInvalidError, match="cannot be read"):
            prove(place, KEY.public)
    with pytest.raises(CheckpointInvalidError, match="cannot be written"), sheet(tmp_path / "no" / "file"):
        pass


# --- only ever added to -----------------------------------------------------------------------


def test_what_is_there_stays(file: Path, ledger: Ledger) -> None:
    """A checkpoint more leaves every byte before it as it was."""
    before = file.read_bytes()
    ledger.take(file)

    assert file.read_bytes().startswith(before)
    assert 4 == prove(file, KEY.public).last.number


def test_a_new_file_goes_on_where_the_old_one_ends(file: Path, tmp_path: Path, ledger: Ledger) -> None:
    """The chain of checkpoints runs through both; a file that has begun does not begin after another."""
    new = tmp_path / "new.jsonl"

    assert 4 == ledger.take(new, after=file).number
    assert prove(file, KEY.public).last.hash == prove(new, KEY.public).opening.previous.hex()
    assert 5 == ledger.take(new).number
    with pytest.raises(InvalidArgumentError, match="begun already"):
        ledger.take(new, after=file)


def test_two_at_a_time_are_one_too_many(file: Path, ledger: Ledger) -> None:
    """Who comes second finds the file changed, and appends nothing."""
    before = prove(file, KEY.public)
    with sheet(file) as slow:
        taken = ledger.store.survey(partial(checkpointing.take, before=before, write=slow.write))
        ledger.take(file)
        written = file.read_bytes()
        with pytest.raises(CheckpointInvalidError, match="one checkpoint at a time"):
            slow.seal(taken, KEY)

    assert written == file.read_bytes()


def test_a_full_disk_leaves_the_file_as_it_was(file: Path, ledger: Ledger) -> None:
    """What cannot be appended whole is not appended: the file ends where it did, and the next one is taken."""
    written = file.read_bytes()
    before = prove(file, KEY.public)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with sheet(file) as drawn:
        taken = ledger.store.survey(partial(checkpointing.take, before=before, write=drawn.write))
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(written) + 100, hard))
        try:
            with pytest.raises(CheckpointInvalidError, match="cannot be written"):
                drawn.seal(taken, KEY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert written == file.read_bytes()
    assert 4 == ledger.take(file).number
