"""
Count again, from the journal, what accounts have in their tallies, and name those that say otherwise.

This is written apart from `tallies`, on purpose: it knows what a tally *means*, not how one is kept. What was
counted before an account was put elsewhere in the tree counts where the account was then, which the journal
does not know: of such windows nothing is said. Whether a wait had to begin, and for how long, plans decide that
are not in the ledger and may have been changed since: of waits it is said only that there were charges enough.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .accounts import Account, path
from .audit import Finding
from .instants import microseconds
from .ledger import Kind
from .tallies import BURN_HOURS
from .windows import Every

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .ledger import OpenHold, Transfer

_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE


@dataclass(slots=True)
class _Derived:
    """What the journal gives for one account: amounts by unit and window, hour or minute, requests by step."""

    account: Account
    used: Counter[tuple[str, int, int]] = field(default_factory=Counter[tuple[str, int, int]])
    burnt: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    asked: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    held: defaultdict[tuple[str, int], list[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict[tuple[str, int], list[tuple[int, int]]](list)
    )
    last: dict[str, int] = field(default_factory=dict[str, int])
    charges: int = 0
    """How many there were since the cycle began in which its waits were counted last."""


class TallyAudit:
    """The fold of all journals for all tallies: `read` rows and open holds, then ask for `findings`."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        """*accounts* are those that have a tally, or are above somebody who was put there with one."""
        self._accounts = accounts
        self._derived = {name: _Derived(account) for name, account in accounts.items()}
        self._above: dict[str, Sequence[_Derived]] = {}

    def read(self, rows: Iterable[Transfer]) -> None:
        """Count what a wallet booked."""
        for row in rows:
            if row.member and row.kind in (Kind.SETTLE, Kind.DEBIT):
                self._use(row)
            elif row.member and row.kind is Kind.HOLD:
                self._ask(row)

    def read_open(self, holds: Iterable[OpenHold]) -> None:
        """Count what a wallet holds."""
        for hold in holds:
            minute = microseconds(hold.expires_at) // _MINUTE + 1
            for each in self._counting(hold.member) if hold.member else ():
                each.held[hold.wallet.unit, minute].append((int(not hold.extends), hold.amount))

    def findings(self, at: datetime) -> list[Finding]:
        """The accounts whose tallies say otherwise at that time, with the first difference of each."""
        found = (
            (each, next(_differences(each, microseconds(at)), None)) for each in self._derived.values()
        )
        return [
            Finding("ptm_account", each.account.name, "row", problem) for each, problem in found if problem
        ]

    def _use(self, row: Transfer) -> None:
        at, unit = microseconds(row.booked_at), row.wallet.unit
        for each in self._counting(row.member):
            each.burnt[unit, at // _HOUR] += row.amount
            each.last[unit] = max(at, each.last.get(unit, 0))
            each.charges += at >= each.account.tally.waits.since
            for used in each.account.tally.used:
                if used.unit == unit and used.start <= at < used.end:
                    each.used[unit, used.start, used.end] += row.amount

    def _ask(self, row: Transfer) -> None:
        at = microseconds(row.booked_at)
        for each in self._counting(row.member):
            for per in {asked.per for asked in each.account.tally.asked}:
                each.asked[per, at // (per * _SECOND // 60)] += 1

    def _counting(self, member: str) -> Sequence[_Derived]:
        """Whose tallies a member counts in; of one that has none it is known only that it should have."""
        if member not in self._above:
            above = path(member, self._accounts)
            for account in above:
                self._derived.setdefault(account.name, _Derived(account))
            self._above[member] = [self._derived[account.name] for account in above]
        return self._above[member]


def _differences(derived: _Derived, at: int) -> Iterator[str]:
    account = derived.account
    since = microseconds(account.placed_at) if account.placed_at else 0
    yield from _of_windows(derived, since)
    yield from _of_hours(derived, since)
    yield from _of_requests(derived, since)
    yield from _of_holds(derived, at)
    yield from _of_waits(derived, since)


def _of_windows(derived: _Derived, since: int) -> Iterator[str]:
    """Each unit that was used has all its windows, those that hold its last use, and the right amounts."""
    kept = derived.account.tally.used
    for unit, last in sorted(derived.last.items()):
        held = [used for used in kept if used.unit == unit and used.start <= last < used.end]
        if last >= since and len(held) < len(Every):
            yield f"its tally lacks a window of {unit}, which was used last at {last} by the journal"
    for used in kept:
        amount = derived.used[used.unit, used.start, used.end]
        if used.start >= since and used.amount != amount:
            yield _differs(f"micro-PT of {used.unit} used in a {used.every}", used.amount, amount)


def _of_hours(derived: _Derived, since: int) -> Iterator[str]:
    last = max(derived.last.values(), default=0) // _HOUR
    first = max(last - BURN_HOURS, since // _HOUR)
    kept = {(burnt.unit, burnt.hour): burnt.amount for burnt in derived.account.tally.burnt}
    for unit, hour in sorted(kept.keys() | derived.burnt.keys()):
        amounts = kept.get((unit, hour), 0), derived.burnt[unit, hour]
        if hour > first and amounts[0] != amounts[1]:
            yield _differs(f"micro-PT of {unit} used in an hour", *amounts)


def _of_requests(derived: _Derived, since: int) -> Iterator[str]:
    """A pace that a plan was given later counts from then on, so fewer than the journal has are no difference."""
    for asked in derived.account.tally.asked:
        requests = derived.asked[asked.per, asked.step]
        if asked.step * asked.per * _SECOND // 60 >= since and asked.requests > requests:
            yield _differs(f"requests in a step of {asked.per} s", asked.requests, requests)


def _of_holds(derived: _Derived, at: int) -> Iterator[str]:
    """What is held, as far as it still counts."""
    kept = {(held.unit, held.minute): (held.calls, held.amount) for held in derived.account.tally.held}
    open_now = {place: tuple(map(sum, zip(*each, strict=True))) for place, each in derived.held.items()}
    for unit, minute in sorted(kept.keys() | open_now.keys()):
        both = kept.get((unit, minute), (0, 0)), open_now.get((unit, minute), (0, 0))
        if minute * _MINUTE > at and both[0] != both[1]:
            yield _differs(f"calls and micro-PT of {unit} held", *both)


def _of_waits(derived: _Derived, since: int) -> Iterator[str]:
    """A wait begins with a charge that goes over a step, so there are no more of them than charges, and none without."""
    waits = derived.account.tally.waits
    if waits.until and not waits.crossings:
        yield f"its tally has it wait until {waits.until}, and nothing that was gone over"
    if waits.since >= since and waits.crossings > derived.charges:
        yield _differs("steps of a burn rate that were gone over", waits.crossings, derived.charges)


def _differs(what: str, kept: object, derived: object) -> str:
    return f"its tally has {kept} {what}, and the journal {derived}"
