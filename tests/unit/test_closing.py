"""Closing on a ledger in memory: random months against a fold that knows nothing of closings."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ptmeter.domain.commands import Adjust, Debit, Freeze, Grant, Hold, Reverse, Settle, Unfreeze, Void
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Kind, Overage, WalletId
from ptmeter.domain.periods import month, month_of
from ptmeter.domain.policy import Policy
from ptmeter.operations import closing, sweeping, verifying
from ptmeter.operations.posting import post
from ptmeter.storage.memory import MemoryStore
from ptmeter.testing import Clock
from ptmeter.testing.period_contract import close, reports

if TYPE_CHECKING:
    from ptmeter.domain.ledger import Transfer
    from ptmeter.ports import Store

WALLETS = [WalletId("acme", "core"), WalletId("acme", "gpu"), WalletId("zeta", "core")]
VERBS = (
    "grant",
    "grant",
    "hold",
    "hold",
    "settle",
    "settle",
    "settle",
    "void",
    "debit",
    "up",
    "down",
    "freeze",
    "unfreeze",
    "reverse",
    "lost",
    "sweep",
)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(VERBS),
        st.integers(0, 2),
        st.integers(1, 40),
        st.sampled_from([0, 0, 1, 600, 5 * 86_400, 11 * 86_400, 40 * 86_400]),
    ),
    max_size=40,
)
"""What is done, in which wallet, of how much, and how many seconds pass after it."""


def carry_out(store: Store, clock: Clock, steps: list[tuple[str, int, int, int]]) -> None:
    """Do all of it; what is refused is refused."""
    for number, (verb, which, amount, seconds) in enumerate(steps):
        if verb == "sweep":
            store.run(partial(sweeping.sweep, limit=100))
        else:
            store.run(partial(post, batch=[(command(verb, WALLETS[which], amount, number, clock),)]))
        clock.turn(timedelta(seconds=seconds))


def command(verb: str, wallet: WalletId, amount: int, number: int, clock: Clock) -> Any:
    name = {"id": transfer_id(*wallet, str(number)), "fingerprint": digest((number,)), "wallet": wallet}
    hold = transfer_id(*wallet, str(number - 1 - amount % 3))
    match verb:
        case "grant":
            expires_at = clock() + timedelta(days=amount) if amount % 3 == 0 else None
            earlier = clock() - timedelta(days=9 * amount) if amount % 2 else None
            return Grant(**name, amount=amount, expires_at=expires_at, effective_at=earlier)
        case "hold":
            return Hold(**name, amount=amount, ttl=timedelta(days=amount))
        case "settle":
            return Settle(**name, hold_id=hold, amount=amount)
        case "void":
            return Void(**name, hold_id=hold)
        case "debit":
            beyond = amount % 2 == 1  # what is lent for it, the next grant repays
            overage = Overage.ALLOW if beyond else Overage.REJECT
            return Debit(**name, amount=amount * (5 if beyond else 1), overage=overage)
        case "freeze":
            return Freeze(**name, lot=1 + amount % 4, amount=amount, note="a dispute")
        case "unfreeze":
            return Unfreeze(**name, lot=1 + amount % 4, amount=1 + amount // 3, note="won")
        case "reverse" | "lost":
            frozen = amount if verb == "lost" else 0
            return Reverse(**name, lot=1 + amount % 4, amount=amount, note="given back", frozen=frozen)
        case _:
            return Adjust(**name, amount=amount if verb == "up" else -amount, note="a reason")


def journal(store: Store) -> list[Transfer]:
    def read(books: Any) -> list[Transfer]:
        return [row for wallet in books.ledger.wallets() for row in books.ledger.journal(wallet)]

    return store.read(read)


IN = {Kind.GRANT, Kind.ADVANCE, Kind.ADJUST_UP}
OUT = {Kind.SETTLE, Kind.DEBIT, Kind.LAPSE, Kind.REPAY, Kind.ADJUST_DOWN, Kind.REVERSE}


def there(rows: list[Transfer], unit: str, until: datetime) -> int:
    """What all rows of a unit booked before *until* come to."""
    mine = [row for row in rows if row.wallet.unit == unit and row.booked_at < until]
    return sum(row.amount * ((row.kind in IN) - (row.kind in OUT)) for row in mine)


def frozen(rows: list[Transfer], unit: str, until: datetime) -> int:
    """What of a unit was frozen by rows booked before *until* and not given back."""
    mine = [row for row in rows if row.wallet.unit == unit and row.booked_at < until]
    return sum(row.amount * ((row.kind is Kind.FREEZE) - (row.kind is Kind.UNFREEZE)) for row in mine)


@settings(deadline=None, max_examples=60)
@given(STEPS, STEPS)
def test_random_months_add_up(steps: list[Any], more: list[Any]) -> None:
    """Whatever happened in a month, its reports tie to the rows booked in it, and later rows change nothing."""
    clock = Clock(datetime(2026, 1, 20, tzinfo=UTC))
    store = MemoryStore(Policy(chain_key=b"k"), clock)
    carry_out(store, clock, [("grant", 0, 40, 0), *steps])
    clock.turn(timedelta(days=31))
    last = month_of(clock() - timedelta(days=31))
    earlier: dict[str, str] = {}
    period = month("2026-01")
    while period.end <= last.end:
        close(store, period.name)
        earlier[period.name] = reports(store, period.name)
        period = month_of(period.end)
    carry_out(store, clock, more)

    rows = journal(store)
    for name, said in earlier.items():
        assert said == reports(store, name)
        moves = store.read(partial(closing.roll_forward, name=name))
        kinds = Counter[tuple[str, Kind]]()
        for row in rows:
            if month_of(row.booked_at).name == name:
                kinds[row.wallet.unit, row.kind] += row.amount
        for total in moves.totals:
            unit = total.unit
            assert there(rows, unit, month(name).start) == total.opening.micro
            assert there(rows, unit, month(name).end) == total.closing.micro
            assert kinds[unit, Kind.GRANT] == total.granted.micro
            assert kinds[unit, Kind.LAPSE] == total.lapsed.micro
            assert kinds[unit, Kind.REVERSE] == total.reversed.micro
            assert frozen(rows, unit, month(name).end) == total.frozen.micro
            assert kinds[unit, Kind.ADVANCE] - kinds[unit, Kind.REPAY] == total.lent.micro
            assert kinds[unit, Kind.ADJUST_UP] - kinds[unit, Kind.ADJUST_DOWN] == total.adjusted.micro
            assert kinds[unit, Kind.SETTLE] + kinds[unit, Kind.DEBIT] == total.charged.micro
    assert store.read(verifying.verify).clean
