"""
The file that signed checkpoints are appended to: reading it is proving it, and it is only ever added to.

A checkpoint is drawn up in a temporary file and appended when it is signed. If that fails, what was appended is
cut off again; after a crash in the midst of it the file breaks off, which reading says.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from ..domain.checkpoints import Marked, Opening, PeriodMark, Tally, WalletMark, message
from ..domain.keys import wallet_number
from ..errors import CheckpointInvalidError, InvalidArgumentError
from . import lines

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path
    from typing import IO

    from ..domain.checkpoints import Checkpoint, Mark
    from .keys import PublicKey, SigningKey

_BLOCK: Final = 1 << 16
"""Bytes read at a time of each checkpoint, so that a year of them can be read side by side."""


class Signed(NamedTuple):
    """A checkpoint that was proved, with what its wallets are compared with beside, and where they begin."""

    checkpoint: Checkpoint
    opening: Opening
    periods: tuple[PeriodMark, ...]
    begins: int


class Proof:
    """A file of signed checkpoints that was proved whole. Its marks are read from it when they are wanted."""

    def __init__(self, file: Path, signed: Sequence[Signed]) -> None:
        """Most callers want `prove`."""
        self._file = file
        self._signed = signed

    @property
    def last(self) -> Checkpoint:
        """The latest checkpoint."""
        return self._signed[-1].checkpoint

    @property
    def opening(self) -> Opening:
        """How the latest checkpoint begins."""
        return self._signed[-1].opening

    @property
    def periods(self) -> Iterator[tuple[int, PeriodMark]]:
        """What the checkpoints have of the accounting periods, with their numbers, the earliest first."""
        for signed in self._signed:
            yield from ((signed.checkpoint.number, mark) for mark in signed.periods)

    def wallets(self, *, latest: bool = False) -> Iterator[tuple[int, list[Marked]]]:
        """
        The marks of each wallet behind its number, in the order of the numbers.

        *latest*: only those of the last checkpoint. A mark that says what the one before said is left out.
        """
        chosen = self._signed[-1:] if latest else self._signed
        with self._file.open("rb") as opened:
            together = merge(*(self._marks(opened, signed) for signed in chosen), key=lambda each: each[0])
            for number, group in groupby(together, key=lambda each: each[0]):
                marks: list[Marked] = []
                for _, marked in group:
                    if not marks or marks[-1].mark != marked.mark:
                        marks.append(marked)
                yield number, marks

    def _marks(self, opened: IO[bytes], signed: Signed) -> Iterator[tuple[int, Marked]]:
        place, left = signed.begins, signed.checkpoint.wallets
        while left:
            opened.seek(place)
            block = opened.readlines(_BLOCK)[:left]
            place += sum(map(len, block))
            left -= len(block)
            for line in block:
                mark = lines.read(line)
                if not isinstance(mark, WalletMark):
                    raise CheckpointInvalidError(str(self._file), 0, "it was changed while it was read")
                yield wallet_number(*mark.wallet), Marked(signed.checkpoint.number, mark)


# --- reading ----------------------------------------------------------------------------------


def prove(file: Path, key: PublicKey) -> Proof:
    """
    Read the whole file and prove that *key* signed it, line by line, so that it needs little memory.

    Raises:
        CheckpointInvalidError: It cannot be read, is damaged or cut short, lacks a checkpoint in between, or was
            signed with another key.
    """
    reading = _Reading(str(file), key)
    try:
        with file.open("rb") as opened:
            for line in opened:
                reading.take(line)
    except OSError as error:
        raise CheckpointInvalidError(str(file), 0, f"it cannot be read: {error.strerror}") from error
    return Proof(file, reading.finish())


class _Reading:
    """A file while it is read: what is expected next depends on the line before."""

    def __init__(self, name: str, key: PublicKey) -> None:
        self._name = name
        self._key = key
        self._line = 0
        self._place = 0
        self._signed: list[Signed] = []
        self._opening: Opening | None = None
        self._tally: Tally | None = None
        self._periods: list[PeriodMark] = []
        self._number: int | None = None
        self._begins = 0

    def take(self, line: bytes) -> None:
        """Take the next line in."""
        self._line += 1
        self._place += len(line)
        try:
            found = lines.read(line)
        except lines.LineError as problem:
            self._refuse(str(problem))
        match found:
            case Opening():
                self._open(found)
            case lines.Seal():
                self._seal(found)
            case _:
                self._add(found)

    def finish(self) -> Sequence[Signed]:
        """All checkpoints, once all lines are read."""
        if self._opening is not None:
            self._refuse(
                f"checkpoint {self._opening.number} breaks off: if whoever took it was interrupted, remove its lines"
            )
        if not self._signed:
            self._refuse("there is no checkpoint in it")
        return self._signed

    def _open(self, opening: Opening) -> None:
        if self._opening is not None:
            self._refuse(f"checkpoint {self._opening.number} is not finished before it")
        before = self._signed[-1].checkpoint if self._signed else None
        if before and (opening.number, opening.previous.hex()) != (before.number + 1, before.hash):
            self._refuse(f"it does not follow checkpoint {before.number}: one was taken out, or put in")
        if opening.number < 1 or (opening.number > 1) != bool(opening.previous):
            self._refuse(f"checkpoint {opening.number} does not name the one before")
        self._opening, self._tally, self._periods = opening, Tally(opening), []
        self._number, self._begins = None, self._place

    def _add(self, mark: Mark) -> None:
        if self._tally is None:
            self._refuse("it belongs to no checkpoint")
        if isinstance(mark, PeriodMark):
            if self._number is not None:
                self._refuse("it is out of order")
            self._periods.append(mark)
            self._begins = self._place
        else:
            number = wallet_number(*mark.wallet)
            if self._number is not None and number <= self._number:
                self._refuse("it is out of order")
            self._number = number
        self._tally.add(mark)

    def _seal(self, seal: lines.Seal) -> None:
        if self._tally is None or self._opening is None:
            self._refuse("it belongs to no checkpoint")
        checkpoint = self._tally.finish()
        if (seal.number, seal.wallets, seal.hash) != (
            checkpoint.number,
            checkpoint.wallets,
            checkpoint.hash,
        ):
            self._refuse(
                f"the lines of checkpoint {checkpoint.number} do not come to its hash: one was changed"
            )
        if seal.key != self._key.fingerprint:
            self._refuse(f"it was signed with key {seal.key}, and the one given is {self._key.fingerprint}")
        if not self._key.proves(seal.signature, message(checkpoint)):
            self._refuse(f"the signature of checkpoint {checkpoint.number} is wrong")
        self._signed.append(Signed(checkpoint, self._opening, tuple(self._periods), self._begins))
        self._opening = self._tally = None

    def _refuse(self, problem: str) -> NoReturn:
        raise CheckpointInvalidError(self._name, self._line, problem)


def continued(file: Path, after: Path | None) -> Path | None:
    """
    Which file has the checkpoint that comes before the next one in *file*; ``None`` if that is the first of all.

    Raises:
        InvalidArgumentError: *file* is to begin *after* another, and has begun already.
    """
    begun = _size(file) > 0
    if after is not None and begun:
        msg = f"{file} has begun already, so it cannot begin after {after}: leave that out, or name a new file"
        raise InvalidArgumentError(msg)
    return file if begun else after


# --- writing ----------------------------------------------------------------------------------


class Sheet:
    """A checkpoint that is being drawn up, beside the file that it will be appended to."""

    def __init__(self, file: Path, drawn: IO[bytes], size: int) -> None:
        """Most callers want `sheet`."""
        self._file = file
        self._drawn = drawn
        self._size = size

    def write(self, line: Opening | Mark) -> None:
        """Write the next line."""
        self._drawn.write(lines.written(line))

    def seal(self, checkpoint: Checkpoint, key: SigningKey) -> None:
        """
        Sign the checkpoint and append it to the file, whole or not at all.

        Raises:
            CheckpointInvalidError: Something else was appended meanwhile, or there is no room.
        """
        signature = key.sign(message(checkpoint))
        self._drawn.write(lines.written(lines.sealed(checkpoint, key.public.fingerprint, signature)))
        self._drawn.seek(0)
        if _size(self._file) != self._size:
            problem = "something else was appended meanwhile: take one checkpoint at a time"
            raise CheckpointInvalidError(str(self._file), 0, problem)
        try:
            self._append()
        except OSError as error:
            problem = f"it cannot be written: {error.strerror}"
            raise CheckpointInvalidError(str(self._file), 0, problem) from error

    def _append(self) -> None:
        try:
            with self._file.open("ab") as opened:
                shutil.copyfileobj(self._drawn, opened)
                opened.flush()
                os.fsync(opened.fileno())
        except BaseException:
            if self._file.exists():
                os.truncate(self._file, self._size)
            raise


@contextmanager
def sheet(file: Path) -> Generator[Sheet]:
    """
    A sheet to draw a checkpoint up on, which is thrown away if it is not sealed.

    Raises:
        CheckpointInvalidError: There is no such folder, or it cannot be written to.
    """
    try:
        drawn: Any = TemporaryFile(dir=file.parent)  # noqa: SIM115 - closed below
        size = _size(file)
    except OSError as error:
        raise CheckpointInvalidError(str(file), 0, f"it cannot be written: {error.strerror}") from error
    with drawn:
        yield Sheet(file, drawn, size)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
