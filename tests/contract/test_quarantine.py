"""Calls in quarantine, on every database: kept once, listed in order, and decided about once and for all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.rerating import card, price

from ptmeter import (
    PT,
    Ceiling,
    ConflictError,
    HoldNotPendingError,
    InsufficientFundsError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    Overage,
    Quarantined,
    QuarantineResolvedError,
    QuarantineState,
    Receipt,
    Usage,
    Workload,
    read_plans,
)
from ptmeter.domain.admission import Rules
from ptmeter.domain.ledger import UsageEvent
from ptmeter.domain.limits import Cap, Limits
from ptmeter.domain.pt import MICRO
from ptmeter.domain.quarantine import Decision
from ptmeter.domain.receipts import Hold
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.domain.windows import Every
from ptmeter.operations import holding, metering, placing, quarantining, sweeping
from ptmeter.testing.steps import assert_clean, balance, figures, give, held, settle, void, wallet

if TYPE_CHECKING:
    from ptmeter import Charge
    from ptmeter.ports import Books, Store
    from ptmeter.testing import Clock

CARD = card()
USAGE = Usage(input_uncached=9_000)


class CrashError(Exception):
    """A process that ends here."""


def keep(
    store: Store,
    key: str = "h",
    *,
    placed: Hold | None = None,
    account: str = "acme",
    more: tuple[str, ...] = (),
) -> Quarantined:
    return store.run(
        partial(
            quarantining.keep,
            account=account,
            key=key,
            unit="core",
            model="small",
            route="eu",
            held=placed and placed.amounts["core"],
            payer=placed and placed.payer,
            workload=Workload(retry_rate=700),
            problem="it does not add up",
            payload={"total_tokens": 26},
            more=more,
        )
    )


def rate(call: Quarantined, usage: Usage, workload: Workload) -> Charge:
    return CARD.rate(call.model, usage, price(call.model, 100_000), workload)


def decide(books: Any, key: str = "h", usage: Usage | None = USAGE, **named: Any) -> Receipt | Quarantined:
    decision = Decision(usage=usage, by="ann", reason="so it is")
    if usage is None:
        return quarantining.dismiss(books, "acme", key=key, decision=decision)
    how: dict[str, Any] = {"rate": rate, "card_at": lambda _: CARD, "overage": Overage.ALLOW, "rules": None}
    return quarantining.settle(books, "acme", key=key, decision=decision, **(how | named))


def state_of(store: Store, key: str = "h") -> QuarantineState:
    return store.read(partial(quarantining.find, account="acme", key=key)).state


# --- keeping and listing ---


@pytest.mark.parametrize("key", ["r1", "a\0b", "\ud800", "🙂" * 500, "'; --"], ids=ascii)
def test_what_is_kept_is_found_again(store: Store, clock: Clock, key: str) -> None:
    """Word for word, under any key a request may have."""
    kept = keep(store, key)

    expected = Quarantined(
        account="acme",
        key=key,
        unit="core",
        model="small",
        route="eu",
        held=None,
        workload=Workload(retry_rate=700),
        problem="it does not add up",
        payload='{"total_tokens":26}',
        received_at=clock(),
    )
    assert expected == kept == store.read(partial(quarantining.find, account="acme", key=key))


def test_a_call_is_in_quarantine_once(store: Store, clock: Clock) -> None:
    """Put there again it stays as it was, decided or not; another account's call of that key is another."""
    give(store, 10)
    first = keep(store)
    clock.turn(timedelta(hours=1))

    assert first == keep(store)
    dismissed = store.run(partial(decide, usage=None))
    assert dismissed == keep(store)
    assert "zeta" == keep(store, account="zeta").account
    page = store.read(partial(quarantining.page, state=None, after=None, limit=9))
    assert ["acme", "zeta"] == [call.account for call in page.calls]


def test_what_no_name_can_be_is_refused(store: Store) -> None:
    """An account of none of our names, a key that is empty, a model that no column holds."""
    with pytest.raises(InvalidArgumentError):
        keep(store, account=" acme")
    with pytest.raises(InvalidArgumentError):
        keep(store, "")
    with pytest.raises(InvalidArgumentError, match="cannot name a model"):
        store.run(
            partial(
                quarantining.keep,
                account="acme",
                key="h",
                unit="core",
                model="m" * 201,
                route="",
                held=None,
                payer=None,
                workload=Workload(),
                problem="",
                payload={},
            )
        )


def test_what_is_missing_is_not_found(store: Store) -> None:
    """To find, settle or dismiss a call that is not there says whose and which."""
    for work in (partial(quarantining.find, account="acme", key="h"), decide, partial(decide, usage=None)):
        with pytest.raises(NotFoundError, match="'acme' is in quarantine under key 'h'"):
            store.run(work)


def test_pages_follow_one_another(store: Store, clock: Clock) -> None:
    """The oldest first, each once, several of one moment too, whatever the size of a page; by state or all."""
    give(store, 10)
    keys = [f"r{number}" for number in range(7)]
    for number, key in enumerate(keys):
        keep(store, key)
        if number % 3 == 2:
            clock.turn(timedelta(seconds=1))
    store.run(partial(decide, key="r1", usage=None))

    for state, wanted in ((None, set(keys)), (QuarantineState.OPEN, {*keys} - {"r1"})):
        for limit in (1, 2, 7):
            found: list[Quarantined] = []
            after: str | None = None
            while True:
                page = store.read(partial(quarantining.page, state=state, after=after, limit=limit))
                found += page.calls
                assert limit >= len(page.calls) > 0
                if (after := page.after) is None:
                    break
            assert wanted == {call.key for call in found}
            assert len(wanted) == len(found)
            assert sorted(call.received_at for call in found) == [call.received_at for call in found]


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"after": "there"}, {"after": "1:zz"}, {"after": "1:00:2"}]
)
def test_a_page_begins_where_one_ended(store: Store, wrong: dict[str, Any]) -> None:
    """What is no place of a page, or no size of one, is refused."""
    with pytest.raises(InvalidArgumentError):
        store.read(partial(quarantining.page, state=None, **({"after": None, "limit": 1} | wrong)))


def test_the_backlog_is_what_is_open(store: Store, clock: Clock) -> None:
    """How many, and since when the oldest of them; what is decided does not count."""
    began = clock()
    assert (0, None, began) == store.read(quarantining.backlog)
    keep(store, "r1")
    clock.turn(timedelta(hours=1))
    keep(store, "r2")

    assert (2, began) == store.read(quarantining.backlog)[:2]
    store.run(partial(decide, key="r1", usage=None))
    assert (1, clock()) == store.read(quarantining.backlog)[:2]


# --- deciding ---


def test_a_call_is_settled_once(store: Store, clock: Clock) -> None:
    """Its hold pays for it, under the date of the call; decided alike again, it is the same receipt."""
    give(store, 100)
    keep(store, placed=held(store, 3))
    received = clock()
    clock.turn(timedelta(seconds=9))

    first = store.run(decide)
    clock.turn(timedelta(hours=9))
    again = store.run(partial(decide, rate=lambda *_: pytest.fail("it was rated before")))

    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert ({"core": PT.of("1.2")}, "h") == (first.charged, first.key)
    assert [
        first.charged,
        first.charge,
        first.usage,
        first.booked_at,
        first.held,
        first.available,
        True,
    ] == [
        again.charged,
        again.charge,
        again.usage,
        again.booked_at,
        again.held,
        again.available,
        again.replayed,
    ]
    assert (PT.of("98.8"), PT(0), PT.of("1.2")) == figures(store)
    there = wallet(store)
    row = store.read(lambda books: books.ledger.journal(there))[-1]
    assert (received, received + timedelta(seconds=9)) == (row.effective_at, row.booked_at)
    assert row.usage is not None
    assert (USAGE, Workload(retry_rate=700), CARD.version) == (
        row.usage.usage,
        row.usage.workload,
        row.usage.card_version,
    )
    assert_clean(store)


def test_a_call_is_settled_late(store: Store, clock: Clock) -> None:
    """After its hold expired it is charged from what is available, and the receipt says so, then and again."""
    give(store, 100)
    keep(store, placed=held(store, 3))
    clock.turn(timedelta(days=1))
    store.run(partial(sweeping.sweep, limit=9))

    receipts = [store.run(decide), store.run(decide)]

    for receipt in receipts:
        assert isinstance(receipt, Receipt)
        assert ["the hold had expired" in warning for warning in receipt.warnings] == [True]
    assert (PT.of("98.8"), PT(0), PT.of("1.2")) == figures(store)
    assert_clean(store)


def test_a_call_that_cost_more_than_was_held_is_charged_whole(store: Store) -> None:
    """As an overage, like any other call; the receipt is the same when asked for again."""
    give(store, 100)
    keep(store, placed=held(store, 1))

    first, again = store.run(decide), store.run(decide)

    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert {"core": PT.of("1.2")} == first.charged == again.charged
    assert first.available == again.available
    assert_clean(store)


MORE = ("h#more1:3", "h#more2:4")


def test_what_was_held_besides_is_charged_with_the_call(store: Store) -> None:
    """It is given back and charged in one piece, though nothing may go beyond what was held."""
    give(store, 10)
    placed = held(store, 1)
    for key, amount in zip(MORE, (3, 6), strict=True):
        held(store, amount, key=key)

    kept = keep(store, placed=placed, more=MORE)
    receipt = store.run(partial(decide, overage=Overage.REJECT, usage=Usage(input_uncached=70_000)))

    assert MORE == kept.more
    assert isinstance(receipt, Receipt)
    assert (PT.of("9.31"), PT.of("0.69")) == (receipt.charged["core"], receipt.available["core"])
    assert (PT.of("0.69"), PT.of(0), PT.of("9.31")) == figures(store)
    assert_clean(store)


def test_what_was_held_besides_is_given_back_when_the_call_is_dismissed(store: Store, clock: Clock) -> None:
    """At once, as far as it has not expired, and whether or not the first hold has."""
    give(store, 10)
    placed = held(store, 1)
    clock.turn(timedelta(seconds=30))
    for key in MORE:
        held(store, 4, key=key)
    keep(store, placed=placed, more=MORE)
    clock.turn(timedelta(seconds=31))
    store.run(partial(sweeping.sweep, limit=9))
    assert (PT.of(2), PT.of(8), PT.of(0)) == figures(store)

    store.run(partial(decide, usage=None))

    assert (PT.of(10), PT.of(0), PT.of(0)) == figures(store)
    assert_clean(store)


def test_what_expired_meanwhile_is_no_longer_held_for_the_call(store: Store, clock: Clock) -> None:
    """Beyond what is held still, the policy decides."""
    give(store, 10)
    for key in MORE:
        held(store, 4, key=key)
    clock.turn(timedelta(minutes=2))
    store.run(partial(sweeping.sweep, limit=9))
    keep(store, placed=held(store, 1), more=MORE)

    with pytest.raises(InsufficientFundsError):
        store.run(partial(decide, overage=Overage.REJECT, usage=Usage(input_uncached=70_000)))
    receipt = store.run(partial(decide, usage=Usage(input_uncached=70_000)))

    assert isinstance(receipt, Receipt)
    assert PT.of("9.31") == receipt.charged["core"]
    assert_clean(store)


# --- what extends a call that is under way, by limits ---

CAPPED = read_plans(
    {
        "plans": {
            "team": {
                "price_per_month": 1,
                "allowance": {"core": 100},
                "units": ["core"],
                "caps": {"core": {"day": 10}},
                "requests_per_minute": 1,
                "concurrent": 1,
            }
        }
    }
)


def extend(store: Store, amount: int, *, key: str = "h#more1") -> Hold | Exception:
    """Hold more for a call that is under way, of the PT of a team that has a plan."""
    return store.post(
        "acme",
        partial(
            holding.hold,
            account="ann",
            amounts={"core": amount * MICRO},
            key=key,
            ttl=timedelta(minutes=1),
            rules=Rules(plans=CAPPED, sells_at={"core": 10_000_000}),
            extends=1,
        ),
    )


def test_what_extends_a_call_asks_the_caps_and_counts_as_no_call(store: Store) -> None:
    """The member's own cap and the team's bound it, with all that was held before; a pace and calls at once do not."""
    give(store, 100)
    rules = Rules(plans=CAPPED, sells_at={"core": 10_000_000})
    store.run(partial(placing.change, name="acme", edit=partial(replace, plan="team")))
    store.run(partial(placing.place, name="ann", under="acme", pooled=True))
    store.run(partial(placing.limit, name="ann", terms=Limits(caps=(Cap("core", Every.DAY, 8 * MICRO),))))
    begun = partial(
        holding.hold, account="ann", amounts={"core": 2 * MICRO}, key="h", ttl=timedelta(minutes=1)
    )
    first = store.post("acme", partial(begun, rules=rules))
    assert isinstance(first, Hold)

    more = extend(store, 4)
    own = extend(store, 3, key="h#more2")
    store.run(partial(placing.limit, name="ann", terms=Limits()))
    teams = extend(store, 5, key="h#more3")

    assert isinstance(more, Hold)
    assert ("acme", PT.of(4)) == (more.payer, more.amounts["core"])
    assert isinstance(own, LimitError)
    assert ("cap", "ann") == (own.limit, own.scope)
    assert isinstance(teams, LimitError)
    assert ("cap", "acme") == (teams.limit, teams.scope)
    assert isinstance(extend(store, 4, key="h#more4"), Hold)
    assert_clean(store)


# --- without a hold ---


def test_a_call_without_a_hold_is_charged_under_its_own_key(store: Store) -> None:
    """So whoever records it again afterwards, with whatever usage, does not charge it twice."""
    give(store, 100)
    keep(store, "r")

    receipt = store.run(partial(decide, key="r"))

    assert isinstance(receipt, Receipt)
    assert ({}, {"core": PT.of("1.2")}) == (receipt.held, receipt.charged)
    twice = store.post(
        "acme",
        partial(metering.debit, account="acme", amounts={"core": 1_000_000}, key="r", usage=Usage()),
    )
    assert isinstance(twice, ConflictError)
    assert receipt.charged == store.run(partial(decide, key="r")).charged  # type: ignore[union-attr]
    assert_clean(store)


def test_a_dismissed_call_is_charged_to_nobody(store: Store, clock: Clock) -> None:
    """Its hold is back at once, and who said so is on record; again, it is the same."""
    give(store, 100)
    keep(store, placed=held(store, 3))

    first, again = store.run(partial(decide, usage=None)), store.run(partial(decide, usage=None))

    assert first == again == store.read(partial(quarantining.find, account="acme", key="h"))
    assert isinstance(first, Quarantined)
    assert (QuarantineState.DISMISSED, "ann", "so it is", clock()) == (
        first.state,
        first.resolver,
        first.reason,
        first.resolved_at,
    )
    assert (PT.of(100), PT(0), PT(0)) == figures(store)
    assert_clean(store)


@pytest.mark.parametrize("resolved", ["settled", "voided", "expired"])
def test_a_call_whose_hold_is_gone_can_be_dismissed(store: Store, clock: Clock, resolved: str) -> None:
    """There is nothing to give back then; what somebody charged by hand stays charged."""
    give(store, 100)
    placed = held(store, 3)
    keep(store, placed=placed)
    if resolved == "settled":
        settle(store, placed, 2)
    elif resolved == "voided":
        void(store, placed)
    else:
        clock.turn(timedelta(days=1))
        store.run(partial(sweeping.sweep, limit=9))
    before = figures(store)

    store.run(partial(decide, usage=None))

    assert before == figures(store)
    assert QuarantineState.DISMISSED is state_of(store)
    assert_clean(store)


def test_a_call_that_was_settled_by_hand_is_not_charged_again(store: Store) -> None:
    """It is refused, and still open: somebody dismisses it."""
    give(store, 100)
    placed = held(store, 3)
    keep(store, placed=placed)
    settle(store, placed, 2)

    with pytest.raises(HoldNotPendingError):
        store.run(decide)

    assert QuarantineState.OPEN is state_of(store)
    assert PT.of(2) == balance(store).spent


@pytest.mark.parametrize(("first", "other"), [(USAGE, None), (None, USAGE), (USAGE, Usage(output_text=7))])
def test_another_decision_is_refused(store: Store, first: Usage | None, other: Usage | None) -> None:
    """The first one stands, and nothing more is moved."""
    give(store, 100)
    keep(store, placed=held(store, 3))
    store.run(partial(decide, usage=first))
    before = figures(store)

    with pytest.raises(QuarantineResolvedError):
        store.run(partial(decide, usage=other))

    assert before == figures(store)
    assert_clean(store)


def test_what_is_refused_can_be_decided_again(store: Store) -> None:
    """A refusal leaves the call open and is not remembered: with PT there, the same decision is carried out."""
    give(store, 1)
    keep(store, "r")
    frugal = partial(decide, key="r", overage=Overage.REJECT)
    with pytest.raises(InsufficientFundsError):
        store.run(frugal)
    assert QuarantineState.OPEN is state_of(store, "r")
    give(store, 9, key="more")

    assert isinstance(store.run(frugal), Receipt)
    assert_clean(store)


def test_a_call_that_would_cost_nothing_is_not_settled(store: Store) -> None:
    """To charge nothing is to dismiss it, and is to be said so."""
    give(store, 100)
    keep(store, placed=held(store, 3))

    with pytest.raises(InvalidArgumentError, match="dismiss it instead"):
        store.run(partial(decide, usage=Usage()))

    assert QuarantineState.OPEN is state_of(store)


# --- all or nothing, and once ---


@pytest.mark.parametrize("usage", [USAGE, None], ids=["settled", "dismissed"])
@pytest.mark.parametrize("where", ["before the decision is written", "after it"])
def test_a_crash_leaves_neither_the_charge_nor_the_decision(
    store: Store, where: str, usage: Usage | None
) -> None:
    """Whenever it ends, the call is open and its PT are held; decided again, it is charged once."""
    give(store, 100)
    keep(store, placed=held(store, 3))
    before = figures(store)

    def crash(books: Books) -> Any:
        done = (
            decide(_Crashing(books), usage=usage)
            if where.startswith("before")
            else decide(books, usage=usage)
        )
        raise CrashError(done)

    with pytest.raises(CrashError):
        store.run(crash)

    assert QuarantineState.OPEN is state_of(store)
    assert before == figures(store)
    store.run(partial(decide, usage=usage))
    assert PT.of("1.2" if usage else 0) == balance(store).spent
    assert_clean(store)


class _Crashing:
    """Books of a process that ends when it is about to write a decision: by then the PT are moved."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.quarantine: Any = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    def lock(self, account: str, key: str) -> Quarantined | None:
        return self._books.quarantine.lock(account, key)

    def resolve(self, call: Quarantined) -> None:
        raise CrashError(call)


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_who_decide_at_once_one_wins(store: Store, attempt: int) -> None:
    """One settles, one dismisses: exactly one of it happens, and the other is told; the PT agree with it."""
    give(store, 100)
    keep(store, placed=held(store, 3))
    keep(store, "r")

    def attempted(key: str, usage: Usage | None) -> bool:
        try:
            store.run(partial(decide, key=key, usage=usage))
        except QuarantineResolvedError:
            return False
        return True

    work = [(key, usage) for key in ("h", "r") for usage in (USAGE, None, USAGE, None)]
    if attempt % 2:
        work.reverse()
    with ThreadPoolExecutor(8) as pool:
        won = dict(zip(range(8), pool.map(lambda each: attempted(*each), work), strict=True))

    charged = 0
    for key in ("h", "r"):
        settled = {won[place] for place, each in enumerate(work) if each == (key, USAGE)}
        dismissed = {won[place] for place, each in enumerate(work) if each == (key, None)}
        assert ({True}, {False}) in ((settled, dismissed), (dismissed, settled))
        assert (QuarantineState.SETTLED if settled == {True} else QuarantineState.DISMISSED) is state_of(
            store, key
        )
        charged += settled == {True}
    assert (PT(0), PT(1_200_000 * charged)) == (balance(store).held, balance(store).spent)
    assert_clean(store)


def test_two_who_keep_a_call_at_once_keep_one(store: Store) -> None:
    """The same call ended twice, or a retry beside it: one row."""
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: keep(store), range(8)))

    assert 1 == len(set(kept))
    assert 1 == store.read(quarantining.backlog).open


# --- calls without a price, and holds ---


def test_calls_without_a_price_are_found_among_others(store: Store, clock: Clock) -> None:
    """By wallet and number, page by page, whole as the journal has them, and no others."""
    stand_in = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000)).price("new")
    for account in ("acme", "beta", "zeta"):
        give(store, 100, account=account)
    made: list[tuple[str, int]] = []
    for number in range(9):
        account = ("acme", "beta", "zeta")[number % 3]
        rated = stand_in if number % 2 else price("small", 100_000)
        charge = CARD.rate("small", USAGE, rated)
        store.run(lambda books: books.cards.keep(CARD))
        store.post(
            account,
            partial(
                metering.debit,
                account=account,
                amounts={"core": 1_000_000},
                key=f"r{number}",
                charge=charge,
                usage=USAGE,
            ),
        )
        made += [(account, number)] if number % 2 else []

    found: list[Any] = []
    after: tuple[int, int] | None = None
    numbers = {w.id: w.number for w in store.read(lambda books: books.ledger.wallets())}
    while page := store.read(lambda books, after=after: books.ledger.unpriced(after=after, limit=2)):
        found += page
        after = numbers[page[-1].wallet], page[-1].seq

    places = [(numbers[row.wallet], row.seq) for row in found]
    assert sorted(places) == places
    assert len(made) == len(found) == 4
    assert [UsageEvent] * 4 == [type(row.usage) for row in found]
    assert {stand_in} == {row.usage.price for row in found}
    assert_clean(store)


def test_open_holds_are_counted(store: Store, clock: Clock) -> None:
    """How many, and when the first is due; none when all are resolved."""
    give(store, 100)
    assert (0, None) == store.read(lambda books: books.ledger.hold_queue())
    first = held(store, 1, key="a")
    clock.turn(timedelta(seconds=9))
    second = held(store, 1, key="b")

    assert (2, first.expires_at) == store.read(lambda books: books.ledger.hold_queue())
    void(store, first, key="va")
    assert (1, second.expires_at) == store.read(lambda books: books.ledger.hold_queue())
