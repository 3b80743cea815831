"""
Closing a period in two steps that stop nobody, reopening one, and what a closed one comes to.

First its close begins: from then on new wallets are opened behind the boundary. Wallet after wallet is recorded
then, page by page: what takes time, reading its rows, needs no lock, and under the lock only what was booked
meanwhile is read. When none is left the period is sealed. After a crash the next close goes on where that one
ended, for what is recorded stays recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ..domain import accounting, periods
from ..domain.closings import fold, opened, unknown_holds
from ..domain.periods import PeriodEvent, PeriodState, month, require_sealed
from ..errors import InvariantError, PeriodNotSealedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..domain.accounting import RollForward, TrialBalance
    from ..domain.closings import Closing
    from ..domain.ledger import Wallet
    from ..domain.periods import Period, PeriodReport
    from ..ports import Books

WALLETS: Final = 100
"""Wallets recorded in one transaction."""

ROWS: Final = 2_000
"""Rows of the journal in memory at a time."""


class Draft(NamedTuple):
    """A wallet's closing, as far as its rows were read before it was locked."""

    wallet: Wallet
    closing: Closing


class Measured(NamedTuple):
    """The hash over what was recorded, and of how many wallets."""

    hash: bytes
    wallets: int


# --- closing ----------------------------------------------------------------------------------


def begin(books: Books, name: str, *, by: str) -> PeriodReport:
    """
    Begin to close the month *name*, or go on where a close of it stopped; sealed, it stays as it is.

    Raises:
        PeriodNotOverError: It has not ended by the database's clock.
        PeriodOrderError: Another month is to be closed first.
    """
    period = month(name)
    periods.check_person(by)
    books.periods.lock()
    events = books.periods.events()
    standing = periods.report(period, events)
    if standing.state in {PeriodState.CLOSING, PeriodState.SEALED}:
        return standing

    now = books.ledger.now()
    periods.check_close(period, events, begun=books.periods.begun(), now=now)

    return _note(books, period, standing, PeriodState.CLOSING, by=by)


def draft(
    books: Books, standing: PeriodReport, *, after: int | None = None, limit: int = WALLETS
) -> list[Draft]:
    """
    Read the rows of the next wallets that are not recorded, beginning after number *after*.

    Raises:
        InvariantError: The rows of a wallet do not follow from those before.
    """
    wallets = books.periods.unclosed(standing, after=after, limit=limit)
    if not wallets:
        return []
    before = periods.sealed_before(month(standing.name), books.periods.events())
    numbers = [wallet.number for wallet in wallets]
    last = dict(books.periods.closings(before, numbers=numbers, limit=limit)) if before else {}
    return [
        Draft(
            wallet,
            _read_on(
                books,
                wallet,
                opened(
                    wallet.id,
                    standing.name,
                    standing.revision,
                    last.get(wallet.number),
                    books.chain_key,
                ),
            ),
        )
        for wallet in wallets
    ]


def record(books: Books, standing: PeriodReport, *, drafts: Sequence[Draft]) -> None:
    """Lock the wallets, read what they booked since the drafts were made, and record them."""
    drafted = {each.wallet.number: each.closing for each in drafts}
    wallets = books.periods.lock_wallets(list(drafted))
    done = dict(books.periods.closings(standing, numbers=list(drafted), limit=len(drafted)))

    closings = [
        (wallet.number, _read_on(books, wallet, drafted[wallet.number]))
        for wallet in wallets
        if wallet.number not in done
    ]

    books.periods.close(month(standing.name), closings)


def measure(books: Books, standing: PeriodReport) -> Measured:
    """Hash what was recorded; it takes time and no lock, for what is recorded stays as it is."""
    period = month(standing.name)
    before = periods.sealed_before(period, books.periods.events())
    previous = bytes.fromhex(before.hash) if before else b""
    return Measured(*periods.seal(period, previous, recorded(books, standing)))


def seal(books: Books, standing: PeriodReport, *, measured: Measured, by: str) -> PeriodReport:
    """
    Seal the period if every wallet is recorded and was measured; if not, it goes on being closed.

    Raises:
        PeriodNotSealedError: It was reopened meanwhile.
    """
    books.periods.lock()
    period = month(standing.name)
    now = periods.report(period, books.periods.events())
    if now.state is PeriodState.SEALED:
        return now
    if now.revision != standing.revision or now.state is not PeriodState.CLOSING:
        raise PeriodNotSealedError(now.name, now.state.name.lower())
    if books.periods.unclosed(now, limit=1) or books.periods.count(now) != measured.wallets:
        return now
    return _note(
        books, period, now, PeriodState.SEALED, by=by, wallets=measured.wallets, hash=measured.hash
    )


def reopen(books: Books, name: str, *, reason: str, by: str, approved_by: str) -> PeriodReport:
    """
    Withdraw a period's seal, with a reason and a second person; closing it again records everything anew.

    Raises:
        ApprovalMissingError: Nobody else approved it.
        PeriodNotSealedError: There is no seal to withdraw.
        PeriodOrderError: A later period stands on this one.
    """
    period = month(name)
    books.periods.lock()
    events = books.periods.events()

    periods.check_reopen(period, events, reason=reason, by=by, approved_by=approved_by)

    standing = periods.report(period, events)
    return _note(
        books, period, standing, PeriodState.REOPENED, by=by, approved_by=approved_by, reason=reason
    )


# --- reading back -----------------------------------------------------------------------------


def show(books: Books, name: str) -> PeriodReport:
    """How the month *name* stands."""
    return periods.report(month(name), books.periods.events())


def every(books: Books) -> tuple[PeriodReport, ...]:
    """How all periods stand to which anything happened, in order."""
    return periods.reports(books.periods.events())


def trial_balance(books: Books, name: str) -> TrialBalance:
    """
    Every side of every unit at the end of a sealed month.

    Raises:
        PeriodNotSealedError: It is not sealed.
    """
    period, events = month(name), books.periods.events()
    standing = _sealed(books, period, events)
    before = periods.sealed_before(period, events)
    openings = recorded(books, before) if before else ()
    return accounting.trial_balance(period, openings, recorded(books, standing))


def roll_forward(books: Books, name: str) -> RollForward:
    """
    From what there was before a sealed month to what there is at its end, by unit and age of the lots.

    Raises:
        PeriodNotSealedError: It is not sealed.
    """
    period = month(name)
    standing = _sealed(books, period, books.periods.events())
    return accounting.roll_forward(period, recorded(books, standing))


def _sealed(books: Books, period: Period, events: Sequence[PeriodEvent]) -> PeriodReport:
    """How a sealed month stands; one that was over before the first account was opened is never closed."""
    begun = books.periods.begun()
    if begun is not None and period.end <= begun:
        raise PeriodNotSealedError(period.name, "open", begins=f"{begun:%Y-%m}")
    return require_sealed(period, events)


def recorded(books: Books, standing: PeriodReport) -> Iterator[Closing]:
    """All that was recorded of the wallets, in the order of their numbers, a page at a time."""
    after = None
    while page := books.periods.closings(standing, after=after):
        yield from (closing for _, closing in page)
        after = page[-1][0]


# --- the journal of one wallet ----------------------------------------------------------------


def _read_on(books: Books, wallet: Wallet, closing: Closing) -> Closing:
    """The closing with all rows that the wallet booked before the boundary."""
    end = month(closing.period).end
    while closing.seq < wallet.seq:
        rows = books.ledger.journal(wallet, after=closing.seq, limit=ROWS, until=end)
        holds = {
            number: hold.allocations
            for number in unknown_holds(rows)
            for hold in books.ledger.journal(wallet, after=number - 1, limit=1)
        }
        closing = fold(closing, rows, holds, books.chain_key)
        if len(rows) < ROWS:
            break
    if closing.seq == wallet.seq and closing.head != wallet.head:
        account, unit = wallet.id
        msg = f"the {unit} wallet of {account!r} has another head than its rows: run `ptmeter verify`"
        raise InvariantError(msg)
    return closing


def _note(
    books: Books,
    period: Period,
    standing: PeriodReport,
    state: PeriodState,
    *,
    by: str,
    approved_by: str = "",
    reason: str = "",
    wallets: int = 0,
    hash: bytes = b"",  # noqa: A002 - the event's own word
) -> PeriodReport:
    books.periods.add(
        PeriodEvent(
            period=period,
            number=len(standing.history) + 1,
            state=state,
            at=books.ledger.now(),
            by=by.strip(),
            approved_by=approved_by.strip(),
            reason=reason,
            wallets=wallets,
            hash=hash,
        )
    )
    return periods.report(period, books.periods.events())
