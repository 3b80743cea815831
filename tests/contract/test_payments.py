"""Payments, money and customers, on every database: written once, found again as they were, and locked by one at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import PT, InvariantError, Money
from ptmeter.domain.ledger import Kind
from ptmeter.domain.money import MoneyEntry, Movement, Side, balances
from ptmeter.domain.payments import (
    Claim,
    ClaimKind,
    Dispute,
    DisputeStage,
    Payment,
    PaymentRecord,
    Refund,
    RefundStage,
)
from ptmeter.domain.top_ups import TopUp
from ptmeter.operations import paying
from ptmeter.operations.posting import alone
from ptmeter.operations.sweeping import sweep
from ptmeter.testing.steps import assert_clean, balance, give, held, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptmeter.ports import Books, Store
    from ptmeter.testing import Clock


def record(name: str, clock: Clock, **more: Any) -> PaymentRecord:
    facts: dict[str, Any] = {
        "account": "acme",
        "amount": 1_080,
        "tax": 80,
        "currency": "usd",
        "at": clock(),
        "granted": {"core": 10_000_000, "advanced": 2_000_000},
        "lots": {"core": 3, "advanced": 2**40},
    }
    return PaymentRecord(id=name, **(facts | more))


def write(store: Store, *records: PaymentRecord) -> None:
    def work(books: Books) -> None:
        for each in records:
            books.payments.open(each.id)
            books.payments.lock(each.id)
            books.payments.save(each)

    store.run(work)


def entry(key: str, clock: Clock, **more: Any) -> MoneyEntry:
    facts: dict[str, Any] = {
        "debit": Side.CLEARING,
        "credit": Side.CREDITS,
        "amount": 1_000,
        "currency": "usd",
        "at": clock(),
        "account": "acme",
        "reference": "pi_1",
    }
    return MoneyEntry(key=key, **(facts | more))


def enter(store: Store, *entries: MoneyEntry) -> None:
    store.run(lambda books: books.payments.enter(entries))


# --- payments -------------------------------------------------------------------------------------


def test_a_payment_is_found_again(store: Store, clock: Clock) -> None:
    """With all its claims; nothing of it is there before it is written, though its place may be."""
    claims = {
        "re_1": Claim(
            stage=RefundStage.MADE,
            amount=7,
            taken={"core": 2**50},
            used={"core": 2},
            lapsed={"core": 4},
            parts=(1, 2, 3),
            turns=3,
        ),
        "dp_1": Claim(
            stage=DisputeStage.LOST,
            kind=ClaimKind.DISPUTE,
            amount=8,
            frozen={"core": 1, "advanced": 2},
            closed=-9,
            turns=1,
        ),
    }
    full = record("pi_1", clock, account="Äcme 🙂", claims=claims)
    store.run(lambda books: books.payments.open("pi_1"))
    assert None is store.run(lambda books: books.payments.lock("pi_1"))
    assert None is store.read(lambda books: books.payments.find("pi_1"))

    write(store, full)
    store.run(lambda books: books.payments.open("pi_1"))

    assert full == store.read(lambda books: books.payments.find("pi_1"))
    assert full == store.run(lambda books: books.payments.lock("pi_1"))
    changed = replace(full, claims={})
    write(store, changed)
    assert changed == store.read(lambda books: books.payments.find("pi_1"))
    assert None is store.read(lambda books: books.payments.find("PI_1"))


def test_payments_are_listed_the_latest_first(store: Store, clock: Clock) -> None:
    """Of an account or of all; what has a place and is no payment is none."""
    for name, account in (("pi_b", "acme"), ("pi_a", "acme"), ("pi_c", "zeta")):
        write(store, record(name, clock, account=account))
        if name != "pi_b":
            clock.turn(timedelta(seconds=1))
    store.run(lambda books: books.payments.open("po_1"))

    def listed(**asked: Any) -> list[str]:
        return [each.id for each in store.read(lambda books: books.payments.listed(**asked))]

    assert ["pi_c", "pi_a", "pi_b"] == listed()
    assert ["pi_a", "pi_b"] == listed(account="acme")
    assert ["pi_c"] == listed(limit=1)


def test_pages_follow_one_another(store: Store, clock: Clock) -> None:
    """All that has a place, by name, each once, whatever the size of a page."""
    names = ["pi_0", "pi_A", "pi_a", "po_1"]
    write(store, *(record(name, clock) for name in names[:3]))
    store.run(lambda books: books.payments.open("po_1"))

    for limit in (1, 2, 9):
        found: list[tuple[str, PaymentRecord | None]] = []
        while page := store.read(
            lambda books, after=found[-1][0] if found else "", limit=limit: books.payments.page(
                after=after, limit=limit
            )
        ):
            assert len(page) <= limit
            found += page
        assert names == [name for name, _ in found]
        assert [name if name != "po_1" else None for name in names] == [
            each and each.id for _, each in found
        ]


# --- money ----------------------------------------------------------------------------------------


def test_a_fact_is_entered_once(store: Store, clock: Clock) -> None:
    """Said again it changes nothing, whenever; said otherwise it is refused, with all that was said with it."""
    first, other = entry("txn_1:credits", clock), entry("txn_1:fee", clock, account="", amount=2**50)
    enter(store, first)
    enter(store)

    enter(store, replace(first, at=clock() + timedelta(days=1)), other)

    assert [first, other] == store.read(lambda books: books.payments.entries())
    for change in (
        {"amount": 999},
        {"debit": Side.BANK},
        {"credit": Side.TAX},
        {"currency": "eur"},
        {"account": "zeta"},
    ):
        with pytest.raises(InvariantError, match="txn_1:credits"):
            enter(store, entry("txn_2:credits", clock), replace(first, **change))
    assert [first, other] == store.read(lambda books: books.payments.entries())


def test_entries_are_found_by_what_they_belong_to(store: Store, clock: Clock) -> None:
    """In the order of their keys; those that belong to nothing that is there are astray."""
    mine = [entry(f"txn_{number}:credits", clock) for number in (3, 1, 2)]
    theirs = [entry("txn_0:bank", clock, reference="po_1"), entry("txn_9:fee", clock, reference="")]
    enter(store, *mine, *theirs)

    def astray(limit: int = 9) -> list[str]:
        return [each.key for each in store.read(lambda books: books.payments.astray(limit))]

    assert sorted(each.key for each in mine) == [
        each.key for each in store.read(lambda books: books.payments.entries(reference="pi_1"))
    ]
    assert 5 == len(astray())
    assert 2 == len(astray(limit=2))
    for name in ("pi_1", "po_1"):
        store.run(lambda books, name=name: books.payments.open(name))
    assert ["txn_9:fee"] == astray()


# --- customers ------------------------------------------------------------------------------------


def test_an_account_is_one_customer_for_good(store: Store) -> None:
    """Whoever says it first; asked for either way."""
    assert None is store.read(lambda books: books.payments.customer("acme"))
    assert None is store.read(lambda books: books.payments.account_of("cus_1"))

    named = [
        store.run(lambda books, n=n: books.payments.name_customer("acme", f"cus_{n}")) for n in (1, 2, 1)
    ]

    assert ["cus_1"] * 3 == named
    assert "cus_1" == store.read(lambda books: books.payments.customer("acme"))
    assert "acme" == store.read(lambda books: books.payments.account_of("cus_1"))
    assert None is store.read(lambda books: books.payments.account_of("cus_2"))
    assert None is store.read(lambda books: books.payments.account_of("CUS_1"))


def test_a_customer_is_not_two_accounts(store: Store) -> None:
    """To say so is refused, and the first keeps its own."""
    store.run(lambda books: books.payments.name_customer("acme", "cus_1"))

    with pytest.raises(InvariantError, match="cus_1"):
        store.run(lambda books: books.payments.name_customer("zeta", "cus_1"))

    assert "acme" == store.read(lambda books: books.payments.account_of("cus_1"))
    assert None is store.read(lambda books: books.payments.customer("zeta"))


# --- bringing the books in line -------------------------------------------------------------------


def paid(clock: Clock, **more: Any) -> Payment:
    facts: dict[str, Any] = {
        "id": "pi_1",
        "account": "acme",
        "offer": {"core": 100_000_000},
        "amount": 5_000,
        "tax": 0,
        "currency": "usd",
        "at": clock(),
    }
    return Payment(**(facts | more))


def bring(store: Store, payment: Payment) -> PaymentRecord:
    return store.run(partial(alone, work=partial(paying.settle, payment=payment, paid={})))


def refund(clock: Clock, amount: int, stage: RefundStage = RefundStage.MADE, name: str = "re_1") -> Refund:
    return Refund(id=name, amount=amount, stage=stage, at=clock())


def dispute(clock: Clock, amount: int, stage: DisputeStage, name: str = "dp_1") -> Dispute:
    return Dispute(id=name, amount=amount, stage=stage, at=clock())


def core(store: Store) -> tuple[PT, PT, PT]:
    there = balance(store)
    return there.available, there.frozen, there.owed


def test_of_many_looks_at_once_each_changes_what_is_left_to_change(store: Store, clock: Clock) -> None:
    """Eight at once find it paid and refunded in part: it is granted once, and taken once."""
    gate = Barrier(8)
    seen = paid(
        clock,
        refunds=(refund(clock, 1_000),),
        movements=(
            _moved("txn_1", clock, "charge", 5_000),
            _moved("txn_2", clock, "refund", -1_000, "re_1"),
        ),
    )

    def look(_: int) -> PaymentRecord:
        gate.wait()
        return bring(store, seen)

    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(look, range(8)))

    assert [records[0]] * 8 == records
    assert (PT.of(80), PT(0), PT(0)) == core(store)
    assert_clean(store)


def _moved(name: str, clock: Clock, category: str, amount: int, source: str = "ch_1") -> Movement:
    return Movement(
        id=name, category=category, amount=amount, fee=0, currency="usd", source=source, at=clock()
    )


@pytest.mark.parametrize("units", [{"core": 7}, {"core": 10**9, "advanced": 3}], ids=str)
def test_all_refunds_together_take_all_of_every_unit(
    store: Store, clock: Clock, units: dict[str, int]
) -> None:
    """However they round: the last of them takes what is left, and the money of used PT is on its own side."""
    give(store, 5)
    refunds: Sequence[Refund] = ()
    movements: Sequence[Movement] = (_moved("txn_0", clock, "charge", 700),)
    for number, amount in enumerate((233, 233, 234)):
        name = f"re_{number}"
        refunds = (*refunds, refund(clock, amount, name=name))
        movements = (*movements, _moved(f"txn_{number + 1}", clock, "refund", -amount, name))
        after = bring(store, paid(clock, offer=units, amount=700, refunds=refunds, movements=movements))

    taken = {unit: sum(claim.taken.get(unit, 0) for claim in after.claims.values()) for unit in units}
    assert units == taken
    assert PT.of(5) == balance(store).available
    entries = store.read(lambda books: books.payments.entries())
    assert 0 == sum(each.net for (_, side), each in balances(entries).items() if side is Side.CLEARING)
    assert_clean(store)


def test_a_top_up_that_is_paid_twice_is_granted_twice(store: Store, clock: Clock) -> None:
    """The second payment names it alone and not what it is of: its money is there, so its PT are."""
    wanted = TopUp(
        id=f"{5:016x}",
        account="acme",
        unit="core",
        amount=PT.of(5),
        price=Money.usd("0.50"),
        requested_at=clock(),
        cool_down=timedelta(hours=1),
    )
    store.run(lambda books: books.top_ups.add(wanted))

    for name in ("pi_1", "pi_2", "pi_1"):
        brought = bring(store, paid(clock, id=name, offer={}, amount=50, top_up=wanted.id))
        assert {"core": 5_000_000} == brought.granted

    assert PT.of(10) == balance(store).available
    assert_clean(store)


# --- lots -----------------------------------------------------------------------------------------


def test_what_has_lapsed_of_a_lot_is_known(store: Store, clock: Clock) -> None:
    """Of that lot alone, and only what nobody had used; nothing of one that is there still."""
    until = clock() + timedelta(days=1)
    for key, amount, expires_at in (("a", 100, until), ("b", 50, until), ("c", 7, None)):
        give(store, amount, key=key, expires_at=expires_at)
    settle(store, held(store, 30), 30)
    clock.turn(timedelta(days=2))
    store.run(partial(sweep, limit=10))

    (wallet,) = store.read(lambda books: books.ledger.wallets("acme"))
    rows = store.read(lambda books: books.ledger.journal(wallet))
    lots = [row.seq for row in rows if row.kind is Kind.GRANT]
    found = store.read(lambda books: [books.ledger.lapsed(wallet, lot) for lot in (*lots, 99)])
    assert [PT.of(each).micro for each in (70, 50, 0, 0)] == found


def test_what_was_taken_back_of_a_lot_is_known(store: Store, clock: Clock) -> None:
    """Of that lot alone, whichever payment brought it: not what another had, or what was lent for it."""
    for name in ("pi_1", "pi_2"):
        bring(store, paid(clock, id=name))
    settle(store, held(store, 150), 150)
    for name in ("pi_1", "pi_2"):
        refund = Refund(id=f"re_{name}", amount=1_000, stage=RefundStage.MADE, at=clock())
        bring(store, paid(clock, id=name, refunds=(refund,)))

    (wallet,) = store.read(lambda books: books.ledger.wallets("acme"))
    lots = [lot.number for lot in wallet.lots[:2]]
    found = store.read(lambda books: [books.ledger.taken_back(wallet, lot) for lot in (*lots, 99)])
    assert [[], ["payment pi_2: re_pi_2:1"], []] == [[row.note for row in rows] for rows in found]
