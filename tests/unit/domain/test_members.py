"""What the journal says of who asked for a call and the plan it was on, and what is counted for nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.limits import HOUR, SELLS_AT, START
from tests.unit.domain.shelf import Shelf
from tests.unit.domain.strategies import CHAIN_KEY, USAGE

from ptmeter.domain.accounts import Account
from ptmeter.domain.admission import Admission, Rules
from ptmeter.domain.alerts import Alert
from ptmeter.domain.commands import Adjust, Debit, Expire, Grant, Hold, Settle, Void
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import Kind, Posted, Transfer, WalletId
from ptmeter.domain.planner import plan
from ptmeter.domain.plans import Plan, Plans
from ptmeter.domain.pt import Money
from ptmeter.domain.tallies import NOTHING

if TYPE_CHECKING:
    from ptmeter.domain.ledger import UsageEvent

WALLET = WalletId("team", "core")
PRO = Plan(
    name="pro", price_per_month=Money(0), price_per_year=None, allowance={}, units=frozenset({"core"})
)
RULES = Rules(plans=Plans({"pro": PRO}), sells_at=SELLS_AT)
ASKED = Admission(account="ann", rules=RULES)
HELD, AFTER = digest(("hold",)), digest(("after",))
LATE = START + 2 * HOUR


def shelf() -> Shelf:
    """A team on a plan, with a member that uses its PT."""
    made = Shelf(
        accounts={
            "team": Account(name="team", plan="pro"),
            "ann": Account(name="ann", parent="team", pooled=True),
        }
    )
    made.open(WALLET, START)
    done(made, Grant(wallet=WALLET, id=digest(("grant",)), fingerprint=b"", amount=100))
    return made


def done(on: Shelf, command: Any, after: timedelta = timedelta()) -> Transfer:
    """What a command that is carried out has written."""
    ((outcome,),) = on.post([(command,)], START + after)
    assert isinstance(outcome, Posted)
    return outcome.transfer


def held(on: Shelf, admission: Admission | None = ASKED) -> Transfer:
    """A hold of 10 for an hour."""
    facts = {"wallet": WALLET, "id": HELD, "fingerprint": b"", "amount": 10, "ttl": HOUR}
    return done(on, Hold(**facts, admission=admission))


def settle(amount: int, **more: Any) -> Settle:
    """A settle of the hold."""
    return Settle(
        wallet=WALLET, id=AFTER, fingerprint=b"", hold_id=HELD, amount=amount, rules=RULES, **more
    )


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (settle(4), (Kind.SETTLE, "ann", "pro")),
        (settle(4, usage=USAGE), (Kind.SETTLE, "ann", "pro")),
        (settle(0, usage=USAGE), (Kind.VOID, "", "pro")),
        (settle(0), (Kind.VOID, "", "")),
        (Void(wallet=WALLET, id=AFTER, fingerprint=b"", hold_id=HELD), (Kind.VOID, "", "")),
    ],
)
def test_a_charge_says_who_asked_and_on_which_plan(command: Any, says: tuple[object, ...]) -> None:
    """The plan at the time, of who has one above; what charges nothing and used nothing has none."""
    on = shelf()
    placed = held(on)
    assert ("ann", "") == (placed.member, placed.plan)

    row = done(on, command)

    assert says == (row.kind, row.member, row.plan)
    assert 0 == on.accounts["ann"].tally.calls(START) == on.accounts["team"].tally.calls(START)


def test_a_debit_says_it_too() -> None:
    """Without a hold as with one."""
    row = done(shelf(), Debit(wallet=WALLET, id=AFTER, fingerprint=b"", amount=4, admission=ASKED))

    assert ("ann", "pro") == (row.member, row.plan)


def test_a_call_that_was_charged_late_counts_for_who_asked() -> None:
    """Its hold was given back an instant before, in the same batch or in one before."""
    for batches in (1, 2):
        on = shelf()
        held(on)
        expire = Expire(wallet=WALLET, id=digest(("expire",)), fingerprint=b"", hold_id=HELD)
        groups = [(expire,), (settle(4),)]
        for batch in [groups] if batches == 1 else [[each] for each in groups]:
            on.post(batch, LATE)

        row = on.journal[WALLET][-1]
        assert (Kind.DEBIT, "ann", "pro") == (row.kind, row.member, row.plan)


def test_a_call_that_was_charged_late_is_charged_as_agreed_and_told_of() -> None:
    """At the multiple that it began at, and by the rules that say of what its account is to be told."""
    on = shelf()
    held(on)
    told = replace(RULES, plans=Plans({"pro": replace(PRO, low_balance={"core": 99})}))
    done(on, Expire(wallet=WALLET, id=digest(("expire",)), fingerprint=b"", hold_id=HELD), after=2 * HOUR)

    row = done(on, replace(settle(4, multiple=2), rules=told), after=2 * HOUR)

    assert (Kind.DEBIT, 2) == (row.kind, row.multiple)
    assert [Alert.LOW_BALANCE] == [notice.alert for notice in on.notices]


def test_what_nobody_is_named_for_counts_nowhere() -> None:
    """A hold without an admission and its settle, with accounts there and without."""
    on = shelf()
    before = dict(on.accounts)
    held(on, admission=None)
    row = done(on, settle(4))

    assert ("", "") == (row.member, row.plan)
    assert before == on.accounts
    assert all(account.tally == NOTHING for account in on.accounts.values())


def test_what_is_given_has_no_plan() -> None:
    """A grant is nobody's call."""
    row = done(shelf(), Grant(wallet=WALLET, id=AFTER, fingerprint=b"", amount=1))

    assert ("", "") == (row.member, row.plan)


@pytest.mark.parametrize(
    ("amount", "usage", "paid"), [(5, USAGE, None), (-5, USAGE, None), (5, None, 0), (-5, None, None)]
)
def test_a_correction_says_what_it_corrects(
    amount: int, usage: UsageEvent | None, paid: int | None
) -> None:
    """The usage and plan of a call that was rated again, which sells what it gives back once more; goodwill is not paid for."""
    of = "pro" if usage else ""
    asked = {"wallet": WALLET, "id": AFTER, "fingerprint": b"", "note": "mended"}

    row = done(shelf(), Adjust(**asked, amount=amount, usage=usage, plan=of))

    assert (usage, of, paid) == (row.usage, row.plan, row.paid)


def test_what_extends_a_hold_is_charged_as_often_as_that() -> None:
    """Also where nobody asks who is a member: at how many times the rate the call began is its own fact."""
    row = done(shelf(), Hold(wallet=WALLET, id=HELD, fingerprint=b"", amount=10, ttl=HOUR, extends=2))

    assert (Kind.EXTEND, 20, 2) == (row.kind, row.amount, row.multiple)


def test_accounts_in_which_nothing_was_counted_are_not_written() -> None:
    """They were locked to be looked at: a hold that is refused leaves their rows alone."""
    on = shelf()
    batch = [(Hold(wallet=WALLET, id=HELD, fingerprint=b"", amount=1_000, ttl=HOUR, admission=ASKED),)]

    planned = plan(on.lock(batch, START), batch, chain_key=CHAIN_KEY)

    assert [] == planned.accounts
