"""Re-derive everything from the journal, and say where it disagrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..domain.audit import Finding, Report, WalletAudit
from ..domain.closing_audit import ClosingAudit, history_problems, seal_problem
from ..domain.periods import PeriodState, reports
from ..errors import InvariantError
from .closing import measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.ledger import Wallet
    from ..domain.periods import PeriodReport
    from ..ports import Books

PAGE: Final = 2_000


def verify(books: Books) -> Report:
    """
    Check every wallet's chain, sequence and arithmetic, and every projection against its journal.

    So are what closing a period recorded of each wallet, and the hash that seals it. Reads the journal in
    pages, so it needs little memory, on one unchanging view of the database. What could not be read is
    reported as uncovered: a report with gaps is not clean.
    """
    findings: list[Finding] = []
    events = books.periods.events()
    standings = reports(events)
    wallets = transfers = 0
    last: int | None = None
    while page := books.ledger.wallets(after=last, limit=100):
        for wallet in page:
            count, found = _verify_wallet(books, wallet, standings)
            wallets, transfers, last = wallets + 1, transfers + count, wallet.number
            findings += found
    return Report(
        wallets=wallets,
        transfers=transfers,
        findings=(*findings, *history_problems(events), *_verify_seals(books, standings)),
        uncovered=(*books.ledger.strays(), *books.periods.strays()),
    )


def _verify_wallet(
    books: Books, wallet: Wallet, standings: Sequence[PeriodReport]
) -> tuple[int, list[Finding]]:
    audit = WalletAudit(wallet.id, books.chain_key)
    try:
        closings = ClosingAudit(audit, books.periods.closings_of(wallet) if standings else (), standings)
        while rows := books.ledger.journal(wallet, after=audit.seq, limit=closings.rows_left(PAGE)):
            if finding := audit.read(rows):
                return audit.seq, [finding]
            closings.read(rows)
        found = audit.compare(wallet, books.ledger.open_holds(wallet))
        return audit.seq, found + closings.finish(wallet)
    except (InvariantError, ValueError) as problem:
        return audit.seq, [Finding(*wallet.id, f"after transfer {audit.seq}", str(problem))]


def _verify_seals(books: Books, standings: Sequence[PeriodReport]) -> list[Finding]:
    sealed = [standing for standing in standings if standing.state is PeriodState.SEALED]
    found = [seal_problem(standing, *measure(books, standing)) for standing in sealed]
    return [finding for finding in found if finding]
