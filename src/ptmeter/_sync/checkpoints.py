# Generated from src/ptmeter/_async/checkpoints.py by scripts/unasync.py: edit that file, then run `make format`.
"""Signed checkpoints: take one, and hold the ledger against those that were taken."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..asking import typed
from ..checkpoints.file import continued, prove, sheet
from ..operations import checkpointing, verifying

if TYPE_CHECKING:
    from ..checkpoints.keys import PublicKey, SigningKey
    from ..domain.audit import Report
    from ..domain.checkpoints import Checkpoint
    from .platform import Platform


@typed
class Checkpoints:
    """
    Signed checkpoints in a file outside the database: ``meter.checkpoints``.

    With one, `verify` notices what no look at the database alone can show: that the newest rows were cut off,
    or that all of them were written anew by somebody who has the key of the hash chain. Needs
    ``pip install 'ptmeter[signing]'``. Meant for jobs: the file is read and written without giving way to others.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def take(self, to: Path | str, *, key: SigningKey, after: Path | str | None = None) -> Checkpoint:
        """
        Append a checkpoint of the whole ledger to a file, which is made if it is not there.

        Nobody waits for it: it reads one unchanging view, page by page. The file is proved first, and the ledger
        must still be as its last checkpoint has it. Run it again as often as you like, one at a time; it needs
        no key of a request, because it moves no PT.

        Args:
            to: The file, which is only ever added to.
            key: The key to sign with, the same for all checkpoints of a file.
            after: The file before, to begin *to* as a new one that goes on where that one ends.

        Raises:
            CheckpointInvalidError: A file cannot be relied on, was signed with another key, or not be written.
            CheckpointMismatchError: The ledger is not the one that was signed, or was changed since.
            InvalidArgumentError: *after* is given, and there is something in *to* already.
        """
        file = Path(to)
        earlier = continued(file, None if after is None else Path(after))
        before = None if earlier is None else prove(earlier, key.public)
        with sheet(file) as drawn:
            take = partial(checkpointing.take, before=before, write=drawn.write)
            taken = self._platform.survey(take)
            drawn.seal(taken, key)
        return taken

    def verify(self, file: Path | str, *, key: PublicKey) -> Report:
        """
        What `Meter.verify` does, and hold every wallet against every checkpoint in *file*.

        Raises:
            CheckpointInvalidError: The file cannot be relied on, or was signed with another key.
            CheckpointMismatchError: It is of another ledger.
        """
        proof = prove(Path(file), key)
        return self._platform.survey(partial(verifying.verify, checkpoints=proof))
