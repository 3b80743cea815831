"""Roll-ups: after any history they are what the journal adds up to, and every grouping sums to the platform."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from tests.unit.domain import strategies
from tests.unit.domain.strategies import START, Director, scripts

from ptmeter import PT, Grouping, Money, Policy, Usage, read_rate_card
from ptmeter.domain.commands import Adjust, Debit, Grant
from ptmeter.domain.ledger import WalletId
from ptmeter.domain.margins import PLATFORM
from ptmeter.domain.rollups import Bucket, Figures, day_of, sells_at, share_of
from ptmeter.operations import earning, verifying
from ptmeter.operations.posting import post_batch
from ptmeter.storage.memory import MemoryStore
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.unit.domain.strategies import Script

    from ptmeter import MarginReport
    from ptmeter.domain.commands import Command
    from ptmeter.ports import Books

UNIT: dict[str, Any] = {"pays_for": "0.001", "method": "banded", "bands": [{"tokens": 1_000, "pt": 1}]}
CARD = read_rate_card(
    {
        "name": "house",
        "effective_from": "2020-01-01",
        "units": {"pt": {**UNIT, "sells_at": "0.0000013"}, "gpu": {**UNIT, "sells_at": "0.035"}},
        "models": [{"patterns": ["*"], "unit": "pt"}],
    }
)
USAGE = replace(strategies.USAGE, card_version=CARD.version)
CORRECTING = replace(USAGE, usage=Usage(requests=0), cost=Money(0))
WALLET = WalletId("acme", "pt")
GOALS = Policy().margins


def sold(command: Command) -> Command:
    """The command of a script, with what a script does not say: what was paid, and what is corrected."""
    chance = command.id[0]
    if isinstance(command, Grant):
        return replace(command, paid=(None, 0, 7, command.amount * 3 // 4)[chance % 4])
    if isinstance(command, Adjust) and chance % 2:
        return replace(command, usage=CORRECTING, plan="pro")
    usage = getattr(command, "usage", None)
    return replace(command, usage=USAGE) if usage else command


def played(script: Script) -> MemoryStore:
    """A ledger to which a script was played, days apart."""
    clock = Clock(START)
    store = MemoryStore(Policy(), clock)
    director = Director()
    for step in script:
        director.begin(step.moment, step.groups)
        clock.turn(director.at - clock())
        batch = [tuple(map(sold, director.post(drafted)[0])) for drafted in step.groups]
        store.post("", partial(post_batch, batch=batch, card=CARD))
    return store


def margins(books: Books, by: Grouping) -> MarginReport:
    return earning.report(books, by=by, since=None, until=None, goals=GOALS)


@settings(deadline=None, max_examples=30)
@given(scripts(longest=12))
def test_roll_ups_are_what_the_journal_adds_up_to(script: Script) -> None:
    """After any history, `verify` derives the same from the journal alone."""
    assert () == played(script).read(verifying.verify).findings


@settings(deadline=None, max_examples=30)
@given(scripts(longest=12))
def test_every_grouping_sums_to_the_platform(script: Script) -> None:
    """To the last nano-dollar and micro-PT, whatever margins are told apart by."""
    store = played(script)
    platform = store.read(partial(margins, by=Grouping.PLATFORM))
    for by in Grouping:
        found = store.read(partial(margins, by=by))
        assert platform.totals == found.totals
        for total in found.totals:
            lines = [line for line in found.lines if line.revenue.currency == total.revenue.currency]
            assert total.revenue.nano == sum(line.revenue.nano for line in lines)
            assert total.cost.nano == sum(line.cost.nano for line in lines)
            assert total.calls == sum(line.calls for line in lines)
            for unit, amount in total.charged.items():
                assert amount.micro == sum(line.charged.get(unit, PT(0)).micro for line in lines)


# --- examples, with their figures ---------------------------------------------------------------


def named(name: str) -> dict[str, Any]:
    return {"wallet": WALLET, "id": name.encode().ljust(8), "fingerprint": bytes(8)}


def after(*commands: Command) -> dict[Bucket, Figures]:
    """The roll-ups of a ledger to which these commands were given, one by one."""
    store = MemoryStore(Policy(), Clock(START))
    for command in commands:
        store.post("", partial(post_batch, batch=[(command,)], card=CARD))
    assert store.read(verifying.verify).clean
    return dict(store._tables.rollups)


def bucket(model: str = "m", plan: str = "", day: int = 0) -> Bucket:
    return Bucket(WALLET, day_of(START) + day, model, plan, "USD")


DEBITED = Debit(**named("d"), amount=3_000_000, usage=USAGE)


@pytest.mark.parametrize(
    ("paid", "revenue"), [(None, 3_900), (0, 0), (10, 3), (15, 5), (100_000_000, 30_000_000)]
)
def test_what_is_used_earns_what_was_paid_for_it(paid: int | None, revenue: int) -> None:
    """In proportion, rounded half up once; if nobody said, the card's price; nothing if it was given away."""
    found = after(Grant(**named("g"), amount=10_000_000, paid=paid), DEBITED)

    assert {bucket(): Figures(1, 3_000_000, 0, 150_000, revenue)} == found


def test_a_charge_over_two_lots_earns_both_prices() -> None:
    """One of the three PT was given away, two sell at what the card says."""
    free = Grant(**named("a"), amount=1_000_000, paid=0, priority=1)

    assert (
        Figures(1, 3_000_000, 0, 150_000, 2_600)
        == after(free, Grant(**named("b"), amount=5_000_000), DEBITED)[bucket()]
    )


def test_what_no_card_rated_is_worth_what_was_paid_or_unvalued() -> None:
    """A bare charge is no call and costs nothing; out of a lot of which nothing is known it earns nothing."""
    bare = Debit(**named("d"), amount=3_000_000)

    assert {bucket(""): Figures(0, 3_000_000, 3_000_000, 0, 0)} == after(
        Grant(**named("g"), amount=9_000_000), bare
    )
    assert {bucket(""): Figures(0, 3_000_000, 0, 0, 30)} == after(
        Grant(**named("g"), amount=9_000_000, paid=90), bare
    )


def test_a_correction_takes_from_what_was_earned() -> None:
    """Given back at the card's price, under the call's model and plan; it is no call and costs nothing."""
    back = Adjust(**named("c"), amount=2_000_000, note="rated again", usage=CORRECTING, plan="pro")
    found = after(Grant(**named("g"), amount=9_000_000), DEBITED, back)

    assert Figures(0, -2_000_000, 0, 0, -2_600) == found[bucket(plan="pro")]
    assert Figures(1, 3_000_000, 0, 150_000, 3_900) == found[bucket()]


def test_what_was_given_back_sells_once_more_and_goodwill_does_not() -> None:
    """PT of a correction earn the card's price when they are used at last; goodwill earned before, or never."""
    correction = Adjust(**named("c"), amount=3_000_000, note="rated again", usage=CORRECTING)
    goodwill = Adjust(**named("c"), amount=3_000_000, note="sorry")

    assert 0 == after(correction, DEBITED)[bucket()].revenue  # -3,900 and 3,900
    assert 0 == after(goodwill, DEBITED)[bucket()].revenue
    assert 1 == len(after(goodwill, DEBITED))


def test_a_bad_roll_up_is_named() -> None:
    """The control: another figure, one too many and one that is missing are findings, the earliest first."""
    store = MemoryStore(Policy(), Clock(START))
    for command in (Grant(**named("g"), amount=9_000_000), DEBITED):
        store.post("", partial(post_batch, batch=[(command,)], card=CARD))
    kept = store._tables.rollups
    kept[bucket(day=1)] = kept.pop(bucket())

    assert [
        ("roll-up 2030-01-01 m USD", "it is missing, and the journal has it"),
        ("roll-up 2030-01-02 m USD", "it is there, and the journal has nothing of it"),
    ] == [(found.row, found.problem) for found in store.read(verifying.verify).findings]
    kept[bucket()] = kept.pop(bucket(day=1))._replace(revenue=5)
    assert ["its revenue is 5, and the journal gives 3900"] == [
        found.problem for found in store.read(verifying.verify).findings
    ]


def test_a_day_is_one_of_utc() -> None:
    """Days are counted from 1970, and begin at midnight in UTC, before 1970 too."""
    midnight = datetime(1970, 1, 2, tzinfo=UTC)

    assert [0, 1, -1] == [
        day_of(at) for at in (midnight - timedelta(microseconds=1), midnight, midnight - timedelta(days=2))
    ]


def test_shares_round_half_up() -> None:
    """Exactly, however large."""
    assert [1, 0, 2**61] == [share_of(1, 1, 2), share_of(1, 1, 3), share_of(2**62, 2**61, 2**62)]


def test_a_card_says_what_its_units_sell_at() -> None:
    """As written, to the nano-dollar; what is no card says nothing."""
    assert {"pt": Money(1_300), "gpu": Money(35_000_000)} == sells_at(CARD.as_json())
    assert [{}, {}, {}] == [sells_at(text) for text in ("", "[]", '{"units": {"pt": {}}}')]
    assert PLATFORM == "platform"
