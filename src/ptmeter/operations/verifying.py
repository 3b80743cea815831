"""Re-derive everything from the journal, and say where it disagrees, with signed checkpoints too if there are any."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..domain.audit import Finding, Report, WalletAudit, misnamed, unreadable
from ..domain.checkpoint_audit import CheckpointAudit, beside, events_changed, vanished
from ..domain.closing_audit import ClosingAudit, boundary, finding, history_problems, seal_problem, seals
from ..domain.keys import transfer_id, wallet_number
from ..domain.money_audit import astray, of_no_payment
from ..domain.payment_audit import PaymentAudit, asked
from ..domain.periods import month, reports, seal
from ..domain.quarantine import QuarantineState, call_id, disagreement
from ..domain.rollup_audit import RollupAudit
from ..domain.tally_audit import TallyAudit
from ..domain.top_ups import ungranted
from ..errors import CheckpointMismatchError, UnreadableRowError
from .closing import recorded
from .quarantining import settlement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ..domain.accounts import Account
    from ..domain.checkpoints import Marked
    from ..domain.ledger import Wallet
    from ..domain.money import MoneyEntry
    from ..domain.payments import PaymentRecord
    from ..domain.periods import PeriodEvent, PeriodReport
    from ..domain.quarantine import Quarantined
    from ..ports import Books, Checkpoints

PAGE: Final = 2_000
WALLETS: Final = 100


def verify(books: Books, checkpoints: Checkpoints | None = None) -> Report:
    """
    Check every wallet's chain, sequence and arithmetic, and every projection against its journal.

    So are what closing a period recorded of each wallet, and the hash that seals it; and, if *checkpoints* are
    given, every place at which one was signed. Reads the journal in pages, so it needs little memory, on one
    unchanging view of the database. What could not be read is reported as uncovered: a report with gaps is not
    clean.

    Raises:
        CheckpointMismatchError: The checkpoints are of another ledger: not one transfer is as they have it.
    """
    return _Verification(books, checkpoints).report()


@dataclass(slots=True)
class _Verification:
    """A verification under way."""

    books: Books
    checkpoints: Checkpoints | None
    findings: list[Finding] = field(default_factory=list[Finding])
    uncovered: list[str] = field(default_factory=list[str])
    wallets: int = 0
    transfers: int = 0
    agreed: bool = False
    unsound: set[str] = field(default_factory=set[str])
    unread: set[int] = field(default_factory=set[int])
    tallies: TallyAudit = field(default_factory=lambda: TallyAudit({}))
    payments: PaymentAudit = field(default_factory=PaymentAudit)

    def report(self) -> Report:
        self.findings += self.books.cards.altered()
        self.tallies = TallyAudit({account.name: account for account in self._tallied()})
        standings = self._read_periods()
        signed = self.checkpoints.wallets() if self.checkpoints else iter(())
        for wallet, marks in beside(self._wallets(), signed):
            if wallet:
                self._read_wallet(wallet, marks, standings)
            elif wallet_number(*marks[0].mark.wallet) not in self.unread:
                self.findings.append(vanished(marks))
        self._check_seals(standings)
        self._check_ledger()
        self._check_accounts()
        self._check_quarantine()
        self._check_top_ups()
        self._check_payments()
        self.findings += self.books.cards.missing()
        self.uncovered += (*self.books.ledger.strays(), *self.books.periods.strays())
        self._check_tallies()
        return Report(
            wallets=self.wallets,
            transfers=self.transfers,
            findings=tuple(self.findings),
            uncovered=tuple(self.uncovered),
            checkpoint=self.checkpoints.last if self.checkpoints else None,
        )

    # --- accounting periods ---

    def _read_periods(self) -> Sequence[PeriodReport]:
        """How the periods stand, as far as what is on record of them holds together."""
        try:
            events = self.books.periods.events()
        except UnreadableRowError as problem:
            self.findings.append(unreadable(problem))
            self.uncovered.append("what is on record of the accounting periods cannot be read")
            return ()
        found = history_problems(events)
        self.findings += found
        if self.checkpoints:
            self.findings += events_changed(self.checkpoints.periods, events)
        self.unsound = {each.unit for each in found}
        standings = reports(events)
        self._check_boundary(events)
        return standings

    def _check_boundary(self, events: Sequence[PeriodEvent]) -> None:
        if not self.books.periods.bounds(boundary(events)):
            problem = "it is not the end of the last period whose close began"
            self.findings.append(Finding("ptm_boundary", "1", "row", problem))

    def _check_seals(self, standings: Sequence[PeriodReport]) -> None:
        """
        Whether the closings come to the hashes that sealed them, those of seals that were withdrawn too.

        A period whose record does not hold together was named for that already.
        """
        for standing in standings:
            if standing.name in self.unsound:
                continue
            for revision, event, previous in seals(standing, standings):
                there = replace(standing, revision=revision)
                period = month(standing.name)
                try:
                    came_to = [seal(period, each, recorded(self.books, there)) for each in previous]
                except UnreadableRowError as problem:
                    self.findings.append(finding(standing.name, "seal", str(problem)))
                    continue
                if problem := seal_problem(event, came_to):
                    self.findings.append(problem)

    # --- accounts ---

    def _tallied(self) -> Iterator[Account]:
        """All accounts with a tally; of those that cannot be read only that they cannot."""
        last, limit = "", PAGE
        while True:
            try:
                page = self.books.accounts.tallied(after=last, limit=limit)
            except UnreadableRowError as problem:
                if limit > 1:
                    limit = 1  # one at a time, until it is known which
                    continue
                self.findings.append(unreadable(problem))
                last = str(problem.row["account"])
                continue
            if not page:
                return
            yield from page
            last, limit = page[-1].name, PAGE

    def _check_tallies(self) -> None:
        """Whether they are what the journal gives, if that holds itself."""
        found = self.tallies.findings(self.books.ledger.now())
        if found and (self.findings or self.uncovered):
            self.uncovered.append("tallies of accounts: what they follow from does not hold itself")
        else:
            self.findings += found

    # --- wallets ---

    def _wallets(self) -> Iterator[Wallet]:
        """All wallets; of those that cannot be read only that they cannot."""
        last: int | None = None
        limit = WALLETS
        while True:
            try:
                page = self.books.ledger.wallets(after=last, limit=limit)
            except UnreadableRowError as problem:
                if limit > 1:
                    limit = 1  # one at a time, until it is known which
                    continue
                self.findings.append(unreadable(problem))
                last = int(str(problem.row["wallet_id"]))
                self.unread.add(last)
                continue
            if not page:
                return
            yield from page
            last, limit = page[-1].number, WALLETS

    def _read_wallet(
        self, wallet: Wallet, marks: Sequence[Marked], standings: Sequence[PeriodReport]
    ) -> None:
        audit = WalletAudit(wallet.id, self.books.chain_key)
        signed = CheckpointAudit(audit, marks)
        self.wallets += 1
        if wrong := misnamed(wallet):
            self.findings.append(wrong)
            return
        try:
            self.findings += self._derive(wallet, audit, signed, standings)
        except UnreadableRowError as problem:
            self.findings += (*signed.findings, self._first_bad(wallet, audit, problem))
        self.transfers += audit.seq
        self.agreed = self.agreed or signed.agreed

    def _derive(
        self,
        wallet: Wallet,
        audit: WalletAudit,
        signed: CheckpointAudit,
        standings: Sequence[PeriodReport],
    ) -> list[Finding]:
        ledger, periods = self.books.ledger, self.books.periods
        closings = ClosingAudit(audit, periods.closings_of(wallet) if standings else (), standings)
        rollups = RollupAudit(wallet.id, self.books.cards.selling)
        while rows := ledger.journal(
            wallet, after=audit.seq, limit=signed.rows_left(closings.rows_left(PAGE))
        ):
            if bad := audit.read(rows):
                return [*signed.findings, *closings.findings, bad]
            closings.read(rows)
            signed.read()
            self.tallies.read(rows)
            rollups.read(rows)
        holds = ledger.open_holds(wallet)
        self.tallies.read_open(holds)
        self.payments.read_lots(wallet)
        found = audit.compare(wallet, holds)
        found += closings.finish(wallet) + rollups.findings(self.books.rollups.of(wallet))
        return signed.finish() + found

    def _first_bad(self, wallet: Wallet, audit: WalletAudit, problem: UnreadableRowError) -> Finding:
        """The row that cannot be read, unless one before it, of the same page, does not follow."""
        if problem.table != "ptm_transfer":
            return unreadable(problem, wallet.id)
        while True:
            try:
                rows = self.books.ledger.journal(wallet, after=audit.seq, limit=1)
            except UnreadableRowError as this:
                return unreadable(this, wallet.id)
            if bad := audit.read(rows):
                return bad

    # --- the ledger as a whole ---

    def _check_ledger(self) -> None:
        """Whether it is the one that was signed, and is as old as it was then."""
        if self.checkpoints is None:
            return
        signed, began = self.checkpoints.opening, self.books.periods.begun()
        if signed.began is None or began == signed.began:
            return
        since = "has no account" if began is None else f"began at {began.isoformat()}"
        problem = f"it {since}, and at {signed.began.isoformat()} in the checkpoint"
        if not self.agreed and self.checkpoints.last.wallets:
            raise CheckpointMismatchError(signed.number, problem)
        if (
            began is None or began > signed.began
        ):  # a clock that steps back makes it older, and nothing younger
            self.findings.append(Finding("ptm_account", "", "ledger", problem))

    def _check_accounts(self) -> None:
        self.findings += [
            Finding("ptm_account", name, "row", "it is missing, and has wallets")
            for name in self.books.accounts.missing(WALLETS)
        ]

    def _check_quarantine(self) -> None:
        """Whether the calls in quarantine have their holds, and those that were settled what charged them."""
        after: tuple[datetime, bytes] | None = None
        try:
            while page := self.books.quarantine.page(None, after=after, limit=PAGE):
                self._check_calls(page)
                after = page[-1].received_at, call_id(page[-1].account, page[-1].key)
        except UnreadableRowError as problem:
            self.findings.append(unreadable(problem))
            self.uncovered.append("not all calls in quarantine could be checked")

    def _check_calls(self, calls: Sequence[Quarantined]) -> None:
        for call in calls:
            place = transfer_id(call.account, "hold", call.key)
            holds = (
                [] if call.held is None else self.books.ledger.posted(call.payer or call.account, [place])
            )
            settled = settlement(self.books, call) if call.state is QuarantineState.SETTLED else None
            hold, charged = holds[0].transfer if holds else None, settled.transfer if settled else None
            if problem := disagreement(call, hold, charged):
                number = int.from_bytes(call_id(call.account, call.key), "big", signed=True)
                where = f"account={call.account}, call_id={number}"
                self.findings.append(
                    Finding("ptm_quarantine", where, "row", f"{problem} (key {call.key!r})")
                )

    def _check_top_ups(self) -> None:
        """Whether what is paid was granted, by the key of its payment."""
        after: str | None = None
        try:
            while page := self.books.top_ups.paid(after=after, limit=PAGE):
                for top_up in page:
                    place = transfer_id(top_up.account, "grant", top_up.key) if top_up.key else b""
                    found = self.books.ledger.posted(top_up.account, [place]) if place else []
                    if problem := ungranted(top_up, found[0].transfer if found else None):
                        where = f"{top_up.account} {top_up.id}"
                        self.findings.append(Finding("ptm_top_up", where, "row", problem))
                after = page[-1].id
        except UnreadableRowError as problem:
            self.findings.append(unreadable(problem))
            self.uncovered.append("not all top-ups could be checked")

    # --- payments ---

    def _check_payments(self) -> None:
        """Whether what is on record of payments is what was posted for them, and their money goes with that."""
        try:
            self.findings += map(astray, self.books.payments.astray())
        except UnreadableRowError as problem:
            self.findings.append(unreadable(problem))
        for name, record in self._payments():
            try:
                money = self.books.payments.entries(reference=name)
                self.findings += self._read_payment(record, money) if record else of_no_payment(name, money)
            except UnreadableRowError as problem:
                self.findings.append(unreadable(problem))
        self.findings += self.payments.finish()

    def _payments(self) -> Iterator[tuple[str, PaymentRecord | None]]:
        """All that has a place among the payments; of those that cannot be read only that they cannot."""
        last, limit = "", PAGE
        while True:
            try:
                page = self.books.payments.page(after=last, limit=limit)
            except UnreadableRowError as problem:
                if limit > 1:
                    limit = 1  # one at a time, until it is known which
                    continue
                self.findings.append(unreadable(problem))
                last = str(problem.row["payment"])
                continue
            if not page:
                return
            yield from page
            last, limit = page[-1][0], PAGE

    def _read_payment(self, record: PaymentRecord, money: Sequence[MoneyEntry]) -> list[Finding]:
        posted = self.books.ledger.posted(record.account, [*asked(record)])
        there = {each.transfer.id: each.transfer for each in posted}
        wallets = {
            wallet.id.unit: wallet for wallet in self.books.ledger.wallets(record.account, live=True)
        }
        lots = {
            unit: rows[0]
            for unit, lot in record.lots.items()
            if unit in wallets
            and (rows := self.books.ledger.journal(wallets[unit], after=lot - 1, limit=1))
            and rows[0].seq == lot
        }
        return self.payments.read(record, there, lots, money)
