"""`meter.checkpoints`, as people type it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ptmeter import CheckpointInvalidError, CheckpointMismatchError, SigningKey

if TYPE_CHECKING:
    from pathlib import Path

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter

pytestmark = pytest.mark.anyio

KEY = SigningKey.new()


async def test_a_checkpoint_is_taken_and_held_against(meter: AsyncMeter, tmp_path: Path) -> None:
    """Each is numbered and says what it covers; the report has the last one, and is clean."""
    file = tmp_path / "checkpoints.jsonl"
    first = await meter.checkpoints.take(file, key=KEY)
    await meter.hold("acme", core=1, key="h")
    second = await meter.checkpoints.take(str(file), key=KEY)

    report = await meter.checkpoints.verify(file, key=KEY.public)

    assert report.clean
    assert second == report.checkpoint
    assert [(1, 2), (2, 2)] == [(each.number, each.wallets) for each in (first, second)]
    assert str(second).startswith("checkpoint 2 of ")
    assert second.hash in str(second)
    assert (await meter.verify()).checkpoint is None


async def test_a_new_file_goes_on_after_the_old_one(meter: AsyncMeter, tmp_path: Path) -> None:
    """Files can be changed with the year: the numbers run on, and each file proves by itself."""
    old, new = tmp_path / "2026.jsonl", tmp_path / "2027.jsonl"
    await meter.checkpoints.take(old, key=KEY)

    assert 2 == (await meter.checkpoints.take(new, key=KEY, after=old)).number
    assert (await meter.checkpoints.verify(new, key=KEY.public)).clean


async def test_the_checkpoints_of_another_ledger_are_refused(in_memory: Opener, tmp_path: Path) -> None:
    """Nothing is proved by them and none is added to them."""
    file = tmp_path / "checkpoints.jsonl"
    async with in_memory() as meter, in_memory() as other:
        for each, account in ((meter, "acme"), (other, "zeta")):
            await each.funds.grant(account, core=1, source="trial", key="t")
        await meter.checkpoints.take(file, key=KEY)

        with pytest.raises(CheckpointMismatchError):
            await other.checkpoints.take(file, key=KEY)
        with pytest.raises(CheckpointMismatchError):
            await other.checkpoints.verify(file, key=KEY.public)


async def test_a_file_is_signed_with_one_key(meter: AsyncMeter, tmp_path: Path) -> None:
    """A checkpoint under another key is not added to it, and it is not proved by one; it stays as it was."""
    file, other = tmp_path / "checkpoints.jsonl", SigningKey.new()
    await meter.checkpoints.take(file, key=KEY)
    written = file.read_bytes()

    with pytest.raises(CheckpointInvalidError, match="signed with key"):
        await meter.checkpoints.take(file, key=other)
    with pytest.raises(CheckpointInvalidError, match="signed with key"):
        await meter.checkpoints.verify(file, key=other.public)

    assert written == file.read_bytes()
