"""Re-derive everything from the journal, and say where it disagrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..domain.audit import Finding, Report, WalletAudit
from ..errors import InvariantError

if TYPE_CHECKING:
    from ..domain.ledger import Wallet
    from ..ports import Books

PAGE: Final = 2_000


def verify(books: Books) -> Report:
    """
    Check every wallet's chain, sequence and arithmetic, and every projection against its journal.

    Reads the journal in pages, so it needs little memory, on one unchanging view of the database. What
    could not be read is reported as uncovered: a report with gaps is not clean.
    """
    findings: list[Finding] = []
    wallets = transfers = 0
    last: int | None = None
    while page := books.ledger.wallets(after=last, limit=100):
        for wallet in page:
            count, found = _verify_wallet(books, wallet)
            wallets, transfers, last = wallets + 1, transfers + count, wallet.number
            findings += found
    return Report(
        wallets=wallets,
        transfers=transfers,
        findings=tuple(findings),
        uncovered=tuple(books.ledger.strays()),
    )


def _verify_wallet(books: Books, wallet: Wallet) -> tuple[int, list[Finding]]:
    audit = WalletAudit(wallet.id, books.chain_key)
    try:
        while rows := books.ledger.journal(wallet, after=audit.seq, limit=PAGE):
            if finding := audit.read(rows):
                return audit.seq, [finding]
        return audit.seq, audit.compare(wallet, books.ledger.open_holds(wallet))
    except (InvariantError, ValueError) as problem:
        return audit.seq, [Finding(*wallet.id, f"after transfer {audit.seq}", str(problem))]
