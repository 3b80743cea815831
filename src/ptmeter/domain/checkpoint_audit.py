"""
Hold a wallet's journal against what signed checkpoints say of it: a tail that was cut off, a chain that was rewritten.

While the wallet's rows are derived anew, its whole hash is compared at every place at which a checkpoint was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .audit import Finding
from .checkpoints import mark_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .audit import WalletAudit
    from .checkpoints import Marked, PeriodMark
    from .ledger import Wallet
    from .periods import PeriodEvent

_BALANCES: Final = ("available", "held", "spent", "owed")


class CheckpointAudit:
    """Compares the marks of one wallet with its journal as `WalletAudit` reads it."""

    def __init__(self, audit: WalletAudit, marks: Iterable[Marked]) -> None:
        self._audit = audit
        self._marks = sorted(marks, key=lambda marked: (marked.mark.seq, marked.checkpoint))
        self._agreed = 0
        self.findings: list[Finding] = []
        self.read()

    @property
    def agreed(self) -> bool:
        """The journal has at least one transfer as a checkpoint has it: it is the ledger that was signed."""
        return self._agreed > 0

    def rows_left(self, most: int) -> int:
        """How many rows may be read before there is a mark to compare with; *most* if that is far."""
        return min(most, self._marks[0].mark.seq - self._audit.seq) if self._marks else most

    def read(self) -> None:
        """Compare with the marks that lie where `WalletAudit` has come to. The first that differs is the last."""
        while self._marks and self._marks[0].mark.seq == self._audit.seq:
            if problem := self._problem(self._marks.pop(0)):
                self._find(f"transfer {self._audit.seq}", problem)
                self._marks.clear()
            else:
                self._agreed = self._audit.seq

    def finish(self) -> list[Finding]:
        """What is wrong, once all rows are read."""
        if self._marks:
            number, mark = self._marks[-1]
            rows = f"up to transfer {mark.seq}, which checkpoint {number} has"
            self._find(f"transfer {self._audit.seq + 1}", f"it is missing, and so are all {rows}")
        return self.findings

    def _problem(self, marked: Marked) -> str | None:
        number, mark = marked
        if mark.head != self._audit.head:
            since = f"after transfer {self._agreed}" if self._agreed else "of this wallet"
            return f"its hash is not the one in checkpoint {number}: it or an earlier one {since} was rewritten"
        for name in _BALANCES:
            signed, derived = getattr(mark, name), getattr(self._audit, name)
            if signed != derived:
                return f"{name} is {signed} in checkpoint {number}, the journal gives {derived}"
        return None

    def _find(self, row: str, problem: str) -> None:
        self.findings.append(Finding(*self._audit.wallet, row, problem))


def vanished(marks: Sequence[Marked]) -> Finding:
    """That the wallet of these marks is not there any more."""
    number, mark = max(marks, key=lambda marked: (marked.mark.seq, marked.checkpoint))
    return Finding(
        *mark.wallet, "wallet", f"it is missing, checkpoint {number} has it up to transfer {mark.seq}"
    )


def beside(
    wallets: Iterator[Wallet], marks: Iterator[tuple[int, list[Marked]]]
) -> Iterator[tuple[Wallet | None, list[Marked]]]:
    """
    Each wallet with its marks, and the marks of wallets that are not there with ``None``.

    Both come in the order of the wallets' numbers, so neither has to be kept.
    """
    coming = next(marks, None)
    for wallet in wallets:
        while coming and coming[0] < wallet.number:
            yield None, coming[1]
            coming = next(marks, None)
        if coming and coming[0] == wallet.number:
            yield wallet, coming[1]
            coming = next(marks, None)
        else:
            yield wallet, []
    while coming:
        yield None, coming[1]
        coming = next(marks, None)


def events_changed(marks: Iterable[tuple[int, PeriodMark]], events: Iterable[PeriodEvent]) -> list[Finding]:
    """What is on record of the accounting periods otherwise than in the checkpoints, each event once."""
    there = {(mark.period, mark.event): mark for mark in map(mark_event, events)}
    found: dict[tuple[str, int], Finding] = {}
    for number, mark in marks:
        name = mark.period, mark.event
        if there.get(name) == mark or name in found:
            continue
        problem = "is not as in" if name in there else "is missing, it is in"
        row = f"event {mark.event}"
        found[name] = Finding("ptm_period", mark.period, row, f"it {problem} checkpoint {number}")
    return list(found.values())
