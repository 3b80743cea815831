"""Limits against an oracle that counts everything anew (see `tests.limits`), and tallies against their journal."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.limits import EPOCH, HOUR, MINUTE, SELLS_AT, START, Game
from tests.unit.domain.shelf import Shelf

from ptmeter.domain.accounts import Account
from ptmeter.domain.admission import Admission, Limit, Rules
from ptmeter.domain.commands import Debit, Grant, Hold
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import Posted, Refusal, Refused, WalletId
from ptmeter.domain.limits import Limits, Pace
from ptmeter.domain.plans import Plans
from ptmeter.domain.tallies import NOTHING, Tally, Waits
from ptmeter.domain.tally_audit import TallyAudit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


def played(seed: int, requests: int) -> tuple[Game, Shelf]:
    """A history, and the shelf it was played with."""
    shelf = Shelf()
    game = Game(seed, shelf)
    game.play(requests)
    return game, shelf


def audited(shelf: Shelf, at: datetime, accounts: dict[str, Account] | None = None) -> list[str]:
    """What a count from the journal finds different in the tallies."""
    there = shelf.accounts if accounts is None else accounts
    audit = TallyAudit({name: a for name, a in there.items() if a.tally != NOTHING})
    for name in shelf.journal:
        audit.read(shelf.journal[name])
        audit.read_open(shelf.open_holds(name))
    return [str(finding) for finding in audit.findings(at)]


@pytest.mark.parametrize("seed", range(40))
def test_limits_decide_as_the_oracle_does(seed: int) -> None:
    """
    In 40 random histories of 400 steps, every request is admitted or refused as by counting all anew.

    In the end the tallies are what the journal gives.
    """
    game, shelf = played(seed, 400)

    assert [] == audited(shelf, game.at)


def tampered(tally: Tally, at: datetime) -> Iterator[tuple[str, Tally]]:
    """Every part of a tally that still counts taken out, and every amount in it changed."""
    last = max((burnt.hour for burnt in tally.burnt), default=0)
    counting = {
        "asked": tally.asked,
        "held": [held for held in tally.held if held.minute > (at - EPOCH) // MINUTE],
        "used": tally.used,
        "burnt": [burnt for burnt in tally.burnt if burnt.hour > last - 72],
    }
    for name, parts in counting.items():
        kept = getattr(tally, name)
        for part in parts:
            place = kept.index(part)
            more = type(part)(*part[:-1], part[-1] + 1)
            yield name, replace(tally, **{name: (*kept[:place], more, *kept[place + 1 :])})
            if name != "asked":  # fewer requests than the journal has: a pace may have come later
                yield name, replace(tally, **{name: (*kept[:place], *kept[place + 1 :])})
    yield "waits", replace(tally, waits=tally.waits._replace(crossings=10_000))
    yield "waits", replace(tally, waits=Waits(until=1))
    if tally.used:
        yield "all", NOTHING


def test_a_tally_that_was_changed_is_found() -> None:
    """Whichever count is raised or taken out, of whichever account: a count from the journal names the account."""
    changed: Counter[str] = Counter()
    for seed in range(8):
        game, shelf = played(seed, 150)
        for name, account in shelf.accounts.items():
            for part, tally in tampered(account.tally, game.at):
                found = audited(shelf, game.at, shelf.accounts | {name: replace(account, tally=tally)})
                assert any(f.startswith(f"ptm_account/{name} row") for f in found), (part, tally)
                changed[part] += 1

    assert {"asked", "held", "used", "burnt", "waits", "all"} == changed.keys()


def test_a_wait_that_could_have_been_is_not_told_from_one_that_was() -> None:
    """One that is shorter, longer or taken out is not found: which steps there were, the journal does not say."""
    shortened = 0
    for seed in range(8):
        game, shelf = played(seed, 400)
        for name, account in shelf.accounts.items():
            waits = account.tally.waits
            shortened += waits.until > 0
            for other in (waits._replace(until=waits.until + 1), Waits()) if waits.until else ():
                changed = replace(account, tally=replace(account.tally, waits=other))

                assert [] == audited(shelf, game.at, shelf.accounts | {name: changed})
    assert shortened


def test_every_limit_refuses_somebody() -> None:
    """The histories above reach every limit there is: a limit that never refuses is not tested by them."""
    reached: set[Limit] = set()
    extending: set[Limit] = set()
    for seed in range(40):
        game, _ = played(seed, 400)
        reached |= game.refused
        extending |= game.refused_more

    assert set(Limit) == reached
    assert {Limit.CAP, Limit.SPEND, Limit.SHARE} == extending


def test_who_does_not_pay_is_not_charged() -> None:
    """A hold from a wallet that is not the payer's is refused, and so is a debit; nothing is counted."""
    shelf = Shelf(
        accounts={
            "team": Account(name="team"),
            "ann": Account(name="ann", parent="team", pooled=True),
        }
    )
    rules = Rules(plans=Plans({}), sells_at=SELLS_AT)
    for account in shelf.accounts:
        name = WalletId(account, "core")
        shelf.open(name, START)
        shelf.post([(Grant(wallet=name, id=digest((account,)), fingerprint=b"", amount=100),)], START)
    asked = {"wallet": WalletId("ann", "core"), "fingerprint": b"", "amount": 5}
    admission = Admission(account="ann", rules=rules)

    outcomes = shelf.post(
        [
            (Hold(**asked, id=b"hold", ttl=HOUR, admission=admission),),
            (Debit(**asked, id=b"debit", admission=admission),),
        ],
        START,
    )

    assert [(Refused(reason=Refusal.NOT_PAYER),)] * 2 == outcomes
    assert shelf.accounts["ann"].tally == shelf.accounts["team"].tally == Account(name="x").tally


@pytest.mark.parametrize("border", [START + MINUTE, START + HOUR, START.replace(hour=0) + 24 * HOUR])
def test_who_waited_for_a_common_account_is_counted_after_those_who_went_first(border: datetime) -> None:
    """
    The clock is read before the accounts above are waited for, so the later of two may come with the earlier time.

    On the other side of a border it would be counted where the journal does not have it.
    """
    shelf = Shelf(accounts={"org": Account(name="org", terms=Limits(paces=(Pace(MINUTE, 1_000),)))})
    rules = Rules(plans=Plans({}), sells_at=SELLS_AT)
    for member in ("ann", "bob"):
        shelf.begin({member: Account(name=member, parent="org")})
        name = WalletId(member, "core")
        shelf.open(name, START)
        shelf.post([(Grant(wallet=name, id=digest((member,)), fingerprint=b"", amount=100),)], START)

    for number, (member, at) in enumerate([("ann", border), ("bob", border - timedelta(microseconds=1))]):
        asked = {"wallet": WalletId(member, "core"), "fingerprint": b"", "amount": 5}
        admission = Admission(account=member, rules=rules)
        hold = Hold(**asked, id=digest((member, "hold")), ttl=HOUR, admission=admission)
        debit = Debit(**asked, id=digest((member, "debit")), admission=admission)
        assert all(isinstance(each, Posted) for (each,) in shelf.post([(hold,), (debit,)], at)), number

    assert [] == audited(shelf, border)
    assert 2 == shelf.accounts["org"].tally.requests(MINUTE, border)
    assert {border} == {rows[-1].booked_at.replace(microsecond=0) for rows in shelf.journal.values()}
