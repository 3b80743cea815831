"""
Hold a wallet's closings and the seals against the journal: written apart from what records them, on purpose.

While a wallet's rows are derived anew, its closings are compared at the places where they were made; and all
closings of a sealed period must come to the hash that was published.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError
from .audit import Finding
from .ledger import Kind
from .periods import PeriodState, following, month, reports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .audit import WalletAudit
    from .closings import Closing, LotMoves
    from .ledger import Transfer, Wallet
    from .periods import PeriodEvent, PeriodReport

_NEXT: Final = {
    PeriodState.OPEN: PeriodState.CLOSING,
    PeriodState.CLOSING: PeriodState.SEALED,
    PeriodState.SEALED: PeriodState.REOPENED,
    PeriodState.REOPENED: PeriodState.CLOSING,
}


class ClosingAudit:
    """Compares the closings of one wallet with its journal as `WalletAudit` reads it."""

    def __init__(
        self, audit: WalletAudit, closings: Iterable[Closing], standings: Iterable[PeriodReport]
    ) -> None:
        """*standings*: every period; closings whose seal was withdrawn stand for nothing and are left out."""
        self._audit = audit
        self._standings = {each.name: each for each in standings}
        self._passed: list[Closing] = []
        self._sums: Counter[Kind] = Counter()
        self._first: datetime | None = None
        self.findings: list[Finding] = []
        self._closings = [closing for closing in closings if self._stands(closing)]
        self._compare()

    def rows_left(self, most: int) -> int:
        """How many rows may be read before there is a closing to compare with; *most* if that is far."""
        coming = self._closings[0].seq - self._audit.seq if self._closings else most
        return coming if 0 < coming < most else most

    def read(self, rows: Sequence[Transfer]) -> None:
        """Take note of rows that `WalletAudit` has read, and compare with the closings that lie there."""
        for row in rows:
            self._sums[row.kind] += row.amount
        self._first = self._first or rows[0].booked_at
        if self._passed and rows[0].seq == self._passed[-1].seq + 1:
            last = self._passed[-1]
            if rows[0].booked_at < self._standings[last.period].end:
                self._find(
                    f"transfer {rows[0].seq}", f"it is booked in {last.period} and not in its closing"
                )
        self._compare()

    def finish(self, wallet: Wallet) -> list[Finding]:
        """What is wrong, once all rows are read."""
        for closing in self._closings:
            self._find(f"closing {closing.period}", f"it is at transfer {closing.seq}, which is not there")
        ends = {standing.end for standing in self._standings.values()}
        if wallet.closed_until is not None and wallet.closed_until not in ends:
            self._find(
                "wallet", f"it is closed until {wallet.closed_until.isoformat()}, where no period ends"
            )
        there = {closing.period for closing in self._passed}
        after, self.findings = self.findings, []  # what is missing comes before what follows from that
        for name, standing in self._standings.items():
            sealed = standing.state is PeriodState.SEALED
            behind = wallet.closed_until is not None and wallet.closed_until >= standing.end
            # In the first close of a period a wallet is bound when it is recorded; in a later one it is already.
            recorded = sealed or (
                standing.state is PeriodState.CLOSING and standing.revision == 1 and behind
            )
            if recorded and name not in there and self._first is not None and self._first < standing.end:
                self._find(f"closing {name}", "it is missing")
            if sealed and not behind:
                self._find("wallet", f"it is not closed until the end of {name}, which is sealed")
        self.findings += after
        return self.findings

    def _stands(self, closing: Closing) -> bool:
        standing = self._standings.get(closing.period)
        if standing is None:
            return False
        if not 1 <= closing.revision <= standing.revision:
            problem = f"it is of close {closing.revision}, and {standing.revision} were begun"
            self._find(f"closing {closing.period}", problem)
        return (
            standing.state in {PeriodState.CLOSING, PeriodState.SEALED}
            and closing.revision == standing.revision
        )

    def _compare(self) -> None:
        while self._closings and self._closings[0].seq == self._audit.seq:
            closing = self._closings.pop(0)
            for problem in self._problems(closing):
                self._find(f"closing {closing.period}", problem)
            self._passed.append(closing)

    def _problems(self, closing: Closing) -> Iterable[str]:
        audit, sums = self._audit, self._sums
        derived: Mapping[str, object] = {
            "booked_at": audit.booked_at,
            "head": audit.head,
            "available": audit.available,
            "held": audit.held,
            "spent": audit.spent,
            "owed": audit.owed,
            "issued": sums[Kind.GRANT],
            "lapsed": sums[Kind.LAPSE],
            "adjusted": sums[Kind.ADJUST_UP] - sums[Kind.ADJUST_DOWN],
            "frozen": audit.frozen,
            "reversed": sums[Kind.REVERSE],
        }
        for name, value in derived.items():
            if getattr(closing, name) != value:
                yield f"its {name} is not what the journal gives"
        if audit.booked_at and audit.booked_at >= self._standings[closing.period].end:
            yield f"it has transfer {closing.seq}, which is booked later"
        before = self._passed[-1] if self._passed else None
        yield from self._lot_problems(closing, before)

    def _lot_problems(self, closing: Closing, before: Closing | None) -> Iterable[str]:
        stored = {lot.number: (lot.available, lot.held, lot.frozen) for lot in closing.lots}
        derived = {n: (lot.remaining, lot.held, lot.frozen) for n, lot in self._audit.lots.items()}
        if _live(stored) != _live(derived):
            yield "its lots are not what the journal gives"
        openings = {lot.number: lot.opening for lot in closing.lots if lot.opening}
        carried = {lot.number: lot.left for lot in before.lots} if before else {}
        if openings != {number: amount for number, amount in carried.items() if amount}:
            yield "its lots do not begin where the closing before left them"
        for name, expected in _moved(closing, before).items():
            if sum(_amount(lot, name) for lot in closing.lots) != expected:
                yield f"what its lots say was {name} is not the difference to the closing before"

    def _find(self, row: str, problem: str) -> None:
        self.findings.append(Finding(*self._audit.wallet, row, problem))


def _live(lots: Mapping[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    return {number: figures for number, figures in lots.items() if any(figures)}


def _moved(closing: Closing, before: Closing | None) -> dict[str, int]:
    """What happened in the period, by the figures at its ends."""
    return {
        "charged": closing.spent - (before.spent if before else 0),
        "lapsed": closing.lapsed - (before.lapsed if before else 0),
        "granted": closing.issued - (before.issued if before else 0),
        "adjusted": closing.adjusted - (before.adjusted if before else 0),
        "lent": closing.owed - (before.owed if before else 0),
        "reversed": closing.reversed - (before.reversed if before else 0),
    }


def _amount(lot: LotMoves, name: str) -> int:
    """What a lot says of it."""
    came_in = {lot.kind: lot.came_in}
    return {
        "charged": lot.charged,
        "lapsed": lot.lapsed,
        "granted": came_in.get(Kind.GRANT, 0),
        "adjusted": came_in.get(Kind.ADJUST_UP, 0) - lot.taken,
        "lent": came_in.get(Kind.ADVANCE, 0) - lot.repaid,
        "reversed": lot.reversed,
    }[name]


# --- what happened to the periods -------------------------------------------------------------


def history_problems(events: Sequence[PeriodEvent]) -> list[Finding]:
    """What cannot have happened to a period, or not in that order."""
    found: list[Finding] = []
    known = reports(events)
    for standing in known:
        state = PeriodState.OPEN
        for number, event in enumerate(standing.history, 1):
            problem = _event_problem(event)
            if event.number != number or event.state is not _NEXT[state]:
                problem = "it does not follow"
            if problem:
                found.append(finding(standing.name, f"event {event.number}", problem))
            state = event.state
    for earlier, later in pairwise(known):
        if earlier.state is not PeriodState.SEALED and later.state is not PeriodState.REOPENED:
            found.append(finding(later.name, "period", f"it was closed before {earlier.name} was sealed"))
        if following(earlier.history[0].period) != later.history[0].period:
            found.append(finding(later.name, "period", f"it does not follow {earlier.name}"))
    return found


def _event_problem(event: PeriodEvent) -> str | None:
    """What an event says that none of its kind does."""
    try:
        period = month(event.period.name)
    except InvalidArgumentError as problem:
        return str(problem)
    reopened, sealed = event.state is PeriodState.REOPENED, event.state is PeriodState.SEALED
    if event.period != period:
        return "it is of another time than its period"
    if reopened and event.approved_by in {"", event.by}:
        return "nobody else approved it"
    if reopened != bool(event.reason) or reopened != bool(event.approved_by):
        return "only what is reopened takes a reason and an approver"
    if sealed != bool(event.hash) or (event.wallets and not sealed):
        return "only a seal has a hash, and a count of wallets"
    return None


def boundary(events: Iterable[PeriodEvent]) -> datetime | None:
    """Behind which time new wallets are opened: the end of the last period whose close began."""
    return max((event.period.end for event in events), default=None)


def seals(
    standing: PeriodReport, standings: Sequence[PeriodReport]
) -> Iterator[tuple[int, PeriodEvent, list[bytes]]]:
    """
    The seals of a period, those that were withdrawn too: revision, event, and what may be the seal before.

    The seal before one that was withdrawn may have been withdrawn as well, so it is any of the period before.
    """
    before = [each for each in standings if each.end <= standing.start][-1:]
    previous = [
        event.hash for each in before for event in each.history if event.state is PeriodState.SEALED
    ]
    revision = 0
    for event in standing.history:
        revision += event.state is PeriodState.CLOSING
        if event.state is PeriodState.SEALED:
            in_force = standing.state is PeriodState.SEALED and event is standing.history[-1]
            yield revision, event, (previous[-1:] if in_force else previous) or [b""]


def seal_problem(event: PeriodEvent, came_to: Iterable[tuple[bytes, int]]) -> Finding | None:
    """Whether a sealed period's closings come to the hash that was noted."""
    hash_, wallets = b"", 0
    for hash_, wallets in came_to:
        if (hash_, wallets) == (event.hash, event.wallets):
            return None
    name, row = event.period.name, f"event {event.number}"
    return finding(name, row, f"its {wallets} closings come to {hash_.hex()}")


def finding(period: str, row: str, problem: str) -> Finding:
    """Something that does not hold of a period."""
    return Finding("ptm_period", period, row, problem)
