"""
Topping an account up by itself: when, by how much, and how often at most.

It is decided in the transaction of the debit after which there is too little, on rows that are locked: so there is
one open top-up for an account and unit however many debits come at once. It is asked for whenever there
is too little, not only at the moment when the line is crossed: what failed once is tried again after a pause,
by the next debit. How much is asked for closes the whole gap, so paying it never leaves a reason to pay again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from .alerts import Alert, Notice
from .instants import microseconds
from .keys import digest
from .ledger import Kind
from .pt import MICRO, PT, Money, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .ledger import Transfer, Wallet
    from .top_up_terms import TopUpTerms
    from .windows import Window

REPEATS: Final = 4
"""Each further failure in a row cools down as many times as long as there were, up to so many times."""

RECENT: Final = timedelta(days=32)
"""How far back top-ups are looked at: a month's, whenever it begins."""


class TopUpState(StrEnum):
    """What has become of a top-up."""

    OPEN = "open"
    """It was asked for, and nobody has said yet how it ended."""
    PAID = "paid"
    """The money came in, and the PT were given."""
    FAILED = "failed"
    """The money did not come in; nothing was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """
    PT that were asked for because there were too few, and what has become of it.

    ``price`` is what they sell at by the rate card. ``attempts`` counts the failures in a row before it, and
    itself; ``cools_until`` is when the next may be asked for, if this one failed. ``key`` names the payment.
    """

    id: str
    account: str
    unit: str
    amount: PT
    price: Money
    requested_at: datetime
    cool_down: timedelta
    state: TopUpState = TopUpState.OPEN
    attempts: int = 1
    done_at: datetime | None = None
    cools_until: datetime | None = None
    key: str = ""
    problem: str = ""

    def paid(self, key: str, at: datetime) -> TopUp:
        """The top-up once its money has come in by the payment of that key."""
        return replace(self, state=TopUpState.PAID, key=key, done_at=at, cools_until=None, problem="")

    def failed(self, reason: str, at: datetime) -> TopUp:
        """The top-up once its money has not come in."""
        until = at + self.cool_down
        return replace(self, state=TopUpState.FAILED, problem=reason, done_at=at, cools_until=until)


def due(
    wallet: Wallet, terms: TopUpTerms, earlier: Iterable[TopUp], sells_at: int, cycle: Window, at: datetime
) -> TopUp | Notice | None:
    """
    What to ask for, or to tell if the month's cap leaves no room; nothing if there is enough or one is open.

    *earlier* are the account's top-ups of the last `RECENT`; *sells_at* is what one PT sells at, in nano-units.
    """
    gap = terms.below.micro - balance(wallet)
    if gap <= 0:
        return None
    mine = sorted((t for t in earlier if t.unit == wallet.id.unit), key=lambda t: t.requested_at)
    if any(t.state is TopUpState.OPEN or (t.cools_until and at < t.cools_until) for t in mine):
        return None
    times = ceil_div(gap, terms.amount.micro)
    one = ceil_div(terms.amount.micro * sells_at, MICRO)
    if one:
        times = min(times, (terms.per_month.nano - _asked_in(cycle, mine)) // one)
    if times < 1:
        return _capped(wallet, terms, cycle, at)
    failures = len(list(takewhile(lambda t: t.state is TopUpState.FAILED, reversed(mine))))
    amount = terms.amount.micro * times
    account, unit = wallet.id
    return TopUp(
        id=digest(("top_up", account, unit, wallet.seq, microseconds(at), failures)).hex(),
        account=account,
        unit=unit,
        amount=PT(amount),
        price=Money(ceil_div(amount * sells_at, MICRO), terms.per_month.currency),
        requested_at=at,
        cool_down=terms.cool_down * min(failures + 1, REPEATS),
        attempts=failures + 1,
    )


def balance(wallet: Wallet) -> int:
    """What a wallet has: what is held is not used yet, and what is owed is to be paid first."""
    return wallet.available + wallet.held - wallet.owed


def _asked_in(cycle: Window, mine: Iterable[TopUp]) -> int:
    """The money that was asked for in a month and came in, or may yet."""
    asked = (t for t in mine if t.state is not TopUpState.FAILED)
    return sum(t.price.nano for t in asked if cycle.start <= t.requested_at < cycle.end)


def _capped(wallet: Wallet, terms: TopUpTerms, cycle: Window, at: datetime) -> Notice:
    """Told once a month, however often there is too little."""
    return Notice(
        alert=Alert.TOP_UP_CAPPED,
        account=wallet.id.account,
        unit=wallet.id.unit,
        line=terms.below.micro,
        reached=balance(wallet),
        window=microseconds(cycle.start),
        at=at,
    )


def ungranted(top_up: TopUp, granted: Transfer | None) -> str | None:
    """What of a paid top-up does not go with the journal: with what was *granted* under its payment's key."""
    if not top_up.key:
        return "it is paid, and by no payment"
    if granted is None or granted.kind is not Kind.GRANT:
        return f"it is paid by {top_up.key!r}, and nothing was granted for that"
    if (granted.wallet.unit, granted.amount) != (top_up.unit, top_up.amount.micro):
        given = f"{PT(granted.amount)} {granted.wallet.unit}"
        return f"it is paid by {top_up.key!r}, and {given} were granted for that, not {top_up.amount} {top_up.unit}"
    return None
