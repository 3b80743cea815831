"""A ledger with a row of every kind, and the hands of somebody who may do anything in its database."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import CheckConstraint, select, update
from tests.integration.wiring import engine_on, meter_on

from ptmeter import (
    PT,
    Backoff,
    Calibration,
    Ceiling,
    InsufficientFundsError,
    Money,
    Plan,
    Plans,
    Policy,
    Price,
    Quality,
    Usage,
    UsageInconsistentError,
    Workload,
    reference_plans,
)
from ptmeter.domain.accounts import Account
from ptmeter.domain.admission import Admission, Rules
from ptmeter.domain.commands import Debit, Freeze, Grant, Hold, Reverse, Settle, Unfreeze
from ptmeter.domain.inbox import Event, Subject, SubjectKind
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import UsageEvent, WalletId
from ptmeter.domain.limits import Burn, BurnStep, Limits, Pace, Share
from ptmeter.domain.money import Movement
from ptmeter.domain.payments import Dispute, DisputeStage, Payment, Refund, RefundStage
from ptmeter.domain.top_up_terms import TopUpTerms
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.operations import closing, paying, quarantining, receiving, topping_up, verifying
from ptmeter.operations.posting import alone
from ptmeter.storage.books import Binder
from ptmeter.storage.tables import metadata
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Table

    from ptmeter import Meter, RateCard, Report
    from ptmeter.ports import Books
    from ptmeter.storage.books import SqlBooks

POLICY: Final = Policy(chain_key=b"a key that the database does not have", referral_key=b"nor this one")
TABLES: Final = {table.name: table for table in metadata.sorted_tables}
CORE: Final = WalletId("acme", "core")

_PRICE: Final = Price(
    provider="openai",
    model="everything",
    source="test",
    rates=dict.fromkeys(TOKEN_CLASSES, 1_000_000),
    tools={"web_search": 10_000_000},
    effective_from=datetime(2026, 1, 1, tzinfo=UTC),
)
_USAGE: Final = Usage(
    **{name: 100 + place for place, name in enumerate(TOKEN_CLASSES)},
    requests=2,
    tool_calls={"web_search": 1},
    quality=Quality.PARTIAL_ESTIMATED,
)


CONTRADICTION: Final = {
    "object": "chat.completion",
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 26},
}

_LIMITS: Final = Limits(
    paces=(Pace(timedelta(minutes=1), 9),),
    shares={"core": Share(unit="core", hard=0, overflow=2)},
    burn=Burn(warn=100, steps=(BurnStep(200, timedelta(days=99)),)),
)
_TOP_UPS: Final = TopUpTerms(
    below=PT.of(500), amount=PT.of(1), per_month=Money(10**9), cool_down=timedelta(0)
)
_RULES: Final = Rules(
    plans=Plans(
        {
            name: Plan(
                name=name,
                price_per_month=Money(0),
                price_per_year=None,
                allowance={"core": PT(10_000_000)},
                units=frozenset({"core"}),
                limits=limits,
            )
            for name, limits in (("pro", Limits()), ("team", _LIMITS))
        }
    ),
    sells_at={"core": 1},
)


# --- a ledger to tamper with ------------------------------------------------------------------


def populate(url: str) -> None:
    """Fill every column of every table: two accounts, three units' worth of trouble, two months closed."""
    clock = Clock(datetime(2026, 1, 5, tzinfo=UTC))
    with meter_on(url, clock=clock, policy=POLICY, plans=reference_plans()) as meter:
        _in_january(meter, clock)
        clock.turn(datetime(2026, 2, 1, tzinfo=UTC) - clock())
        meter.periods.close("2026-01", by="ann")
        meter.periods.reopen("2026-01", reason="a fault", by="ann", approved_by="bob")
        meter.periods.close("2026-01", by="ann")
        meter.hold("acme", core=3, key="of february")
        clock.turn(datetime(2026, 3, 1, tzinfo=UTC) - clock())
        meter.periods.close("2026-02", by="ann")
        meter.sweep()
        _in_march(meter, clock)
        clock.turn(datetime(2026, 4, 1, tzinfo=UTC) - clock())
        _begin_to_close(meter, "2026-03")
    _deliver_one(url)


def _in_january(meter: Meter, clock: Clock) -> None:
    soon = clock() + timedelta(days=10)
    meter.funds.grant("acme", core=40, source="trial", key="g1", priority=10, expires_at=soon)
    meter.funds.grant("acme", core=60, advanced=20, source="top-up", key="g2", paid="0.90")
    meter.funds.grant("zeta", core=5, source="top-up", key="g3")
    _post(
        meter, Grant(**_name("late"), amount=7, note="late fact", effective_at=clock() - timedelta(days=1))
    )
    _post(meter, Hold(**_name("rated"), amount=9_000_000, ttl=timedelta(hours=1)))
    usage = UsageEvent(
        usage=_USAGE,
        price=_PRICE,
        card_version=_card(meter).version,
        cost=Money(12_345_678, "USD"),
        workload=Workload(retry_rate=700),
    )
    _post(
        meter,
        Settle(**_name("rated:s"), hold_id=transfer_id(*CORE, "rated"), amount=4_000_000, usage=usage),
    )
    meter.void(meter.hold("acme", core=2, key="h1"), key="v1")
    forgotten = meter.hold("acme", core=3, key="h2", ttl=timedelta(minutes=1))
    clock.turn(timedelta(minutes=2))
    meter.sweep()
    meter.settle(forgotten, core=2, key="s2")  # too late, and charged all the same
    meter.settle(meter.hold("zeta", core=4, key="h3"), core=9, key="s3")  # more than there is: lent
    meter.funds.grant("zeta", core=50, source="top-up", key="g4")  # repays it
    meter.funds.adjust("acme", reason="goodwill", key="a1", core=1)
    meter.funds.adjust("acme", reason="a mistake", key="a2", core=-2)
    disputed: dict[str, Any] = {"lot": 2, "note": "case 7"}
    _post(meter, Freeze(**_name("disputed"), **disputed, amount=9_000_000))
    _post(meter, Unfreeze(**_name("won in part"), **disputed, amount=2_000_000))
    _post(meter, Reverse(**_name("lost in part"), **disputed, amount=4_000_000, frozen=3_000_000))
    clock.turn(timedelta(days=11))
    meter.sweep()  # what is left of the trial lapses


def _in_march(meter: Meter, clock: Clock) -> None:
    meter.record("acme", model="gpt-4o-mini", response=Usage(input_uncached=10, output_text=5), key="r1")
    for name in ("o1", "o2"):
        ends = clock() + timedelta(days=300)
        meter.funds.grant("acme", core=5, source=name, key=name, priority=1, expires_at=ends)
    meter.hold("acme", core=8, key="open", ttl=timedelta(days=200))  # of two lots
    with pytest.raises(InsufficientFundsError):
        meter.hold("acme", core=900, key="refused")
    unpriced = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000)).price("unheard-of")
    rated = UsageEvent(
        usage=Usage(output_text=3),
        price=unpriced,
        card_version=_card(meter).version,
        cost=Money(3_000, "USD"),
    )
    _post(meter, Debit(**_name("unpriced"), amount=1_000_000, usage=rated))
    _set_aside(meter)
    _in_a_team(meter, clock)
    meter.plans.subscribe("acme", "freemium", key="s1")
    _by_referral(meter)
    _mitigate(meter)
    _by_webhook(meter)
    _paid_at_stripe(meter, clock)
    learnt = Calibration()
    learnt.learn("gpt-4o-mini", "eu", counted=10, used=12, answered=5)
    meter.calibration.add(learnt)


def _set_aside(meter: Meter) -> None:
    """A call in each state that one in quarantine can be in, with all that is kept of one."""
    for key in ("settled", "dismissed", "waiting"):
        with (
            pytest.raises(UsageInconsistentError),
            meter.call(
                "acme",
                model="gpt-4o-mini",
                messages="hello",
                key=key,
                route="eu",
                workload=Workload(retry_rate=700),
            ) as call,
        ):
            call.record(CONTRADICTION)
    who: dict[str, Any] = {"actor": "ann", "reason": "the total is right"}
    meter.quarantine.settle("acme", key="settled", usage=Usage(output_text=6), **who)
    meter.quarantine.dismiss("acme", key="dismissed", **who)
    placed, more = (meter.hold("acme", core=1, key=f"long{end}") for end in ("", "#more1:1000000"))
    _store(meter).run(
        partial(
            quarantining.keep,
            account="acme",
            key="long",
            unit="core",
            model="gpt-4o-mini",
            route="eu",
            held=placed.amounts["core"],
            payer="acme",
            workload=Workload(retry_rate=700),
            problem="it does not add up",
            payload={},
            more=(more.key,),
        )
    )


def _by_referral(meter: Meter) -> None:
    """Have accounts come by a code: one pays and gets some of it back, one has a card that is known, one only came."""
    code = meter.referrals.code("zeta")
    for name in ("first", "second"):
        meter.referrals.use(code, account=name, key="sign-up", ip="192.0.2.1")
        meter.referrals.paid(name, payment=Money.usd(10), payment_id=f"pi:{name}", card="a card")
    meter.referrals.use(code, account="third", key="sign-up")
    meter.referrals.refunded("pi:first", amount=Money.usd(4))


def _mitigate(meter: Meter) -> None:
    """Two mitigations, of which somebody undid one."""
    what: dict[str, Any] = {"unit": "core", "share": 900, "lasts": timedelta(days=400), "reason": "thin"}
    applied, _ = (meter.mitigations.apply(**what, by="ann", key=key) for key in ("m1", "m2"))
    meter.mitigations.undo(applied.id, by="bob", reason="enough")


def _by_webhook(meter: Meter) -> None:
    """Events: one that waits, one whose subject was looked up in vain before, one that somebody has dealt with."""

    def event(name: str, subject: Subject | None) -> Event:
        facts: dict[str, Any] = {"api_version": "2026-01-28.clover", "livemode": False, "account": "acct_1"}
        kind, at = "charge.succeeded", datetime(2026, 3, 1, tzinfo=UTC)
        return Event(
            id=name, type=kind, created=at, subject=subject, body=b"{}", digest=digest((name,)), **facts
        )

    def receive(books: Books) -> None:
        for number in (1, 1, 2):
            known = event(f"evt_{number}", Subject(SubjectKind.PAYMENT, f"pi_{number}"))
            alone(
                books,
                partial(receiving.keep, event=known, parked="", source="webhook", at=books.ledger.now()),
            )
        alone(
            books,
            partial(
                receiving.keep,
                event=event("evt_3", None),
                parked="of no concern",
                source="sweep",
                at=books.ledger.now(),
            ),
        )
        receiving.resolve(books, "evt_3", actor="ann", reason="it is of no concern")

    def work(books: Books) -> None:
        (task,) = receiving.take(books, backoff=Backoff(attempts=1), limit=1)
        receiving.bury(books, task, problem="nobody knows it")

    _store(meter).run(receive)
    _store(meter).run(work)


def _paid_at_stripe(meter: Meter, clock: Clock) -> None:
    """Three payments with tax: one refunded in part, one that is disputed, one that is lost; and a payout."""
    numbers = count(1)

    def moved(source: str, category: str, amount: int, fee: int = 0) -> Movement:
        name, at = f"txn_{next(numbers):02}", clock()
        return Movement(
            id=name, category=category, amount=amount, fee=fee, currency="usd", source=source, at=at
        )

    def pay(number: int, *, refunds: Any = (), disputes: Any = (), movements: Any = ()) -> None:
        payment = Payment(
            id=f"pi_{number}",
            account="acme",
            offer={"core": 10_000_000, "advanced": 2_000_000},
            amount=1_080,
            tax=80,
            currency="usd",
            at=clock(),
            refunds=refunds,
            disputes=disputes,
            movements=(moved(f"ch_{number}", "charge", 1_080, fee=61), *movements),
        )
        paid = {"core": 6 * 10**9, "advanced": 4 * 10**9}
        _store(meter).run(partial(alone, work=partial(paying.settle, payment=payment, paid=paid)))

    def refund(amount: int) -> Refund:
        return Refund(id="re_1", amount=amount, stage=RefundStage.MADE, at=clock())

    def dispute(number: int, stage: DisputeStage) -> Dispute:
        return Dispute(id=f"dp_{number}", amount=540, stage=stage, at=clock())

    pay(1, refunds=(refund(270),), movements=(moved("re_1", "refund", -270),))
    withdrawn = [moved(f"dp_{number}", "dispute", -540, fee=1_500) for number in (2, 3)]
    pay(2, disputes=(dispute(2, DisputeStage.OPEN),), movements=withdrawn[:1])
    pay(3, disputes=(dispute(3, DisputeStage.LOST),), movements=withdrawn[1:])
    out = (moved("po_1", "payout", -500, fee=1),)
    _store(meter).run(partial(alone, work=partial(paying.paid_out, payout="po_1", movements=out)))
    _store(meter).run(lambda books: books.payments.name_customer("acme", "cus_1"))


def _in_a_team(meter: Meter, clock: Clock) -> None:
    """Have a member of a team use the team's PT, beyond a hard cap, and leave a call under way."""
    member = Account(
        name="ann",
        parent="acme",
        pooled=True,
        plan="team",
        anchor=clock() - timedelta(days=40),
        zone="Europe/Berlin",
        placed_at=clock() - timedelta(days=1),
        former=("zeta",),
        overflow=True,
        terms=Limits(concurrent=9),
        top_ups={"core": _TOP_UPS},
    )
    _store(meter).run(lambda books: books.accounts.save(member))
    _store(meter).run(lambda books: books.accounts.set_plan("acme", "pro"))
    _ask_for_more(meter)
    admission = Admission(account="ann", rules=_RULES, former=member.former)
    for name in ("ann:1", "ann:2"):
        held = {**_name(name), "amount": 1_000_000, "ttl": timedelta(days=90)}
        meter.post([(Hold(**held, admission=admission),)])
    used = {**_name("ann:s"), "hold_id": transfer_id(*CORE, "ann:1"), "amount": 2_000_000}
    meter.post([(Settle(**used, multiple=2, rules=_RULES),)])
    more = {**_name("ann:2#more1"), "amount": 500_000, "ttl": timedelta(days=91)}
    meter.post([(Hold(**more, admission=admission, extends=2),)])  # admitted at twice the rate


def _ask_for_more(meter: Meter) -> None:
    """Have acme ask for PT three times: once in vain, once paid, and once nobody has said yet."""
    store = _store(meter)

    def ask(terms: TopUpTerms | None) -> Any:
        work = partial(topping_up.set_terms, account="acme", unit="core", terms=terms, rules=_RULES)
        return store.run(work)

    store.run(partial(topping_up.failed, top_up=ask(_TOP_UPS).id, reason="card declined"))
    store.post("acme", partial(topping_up.paid, top_up=ask(_TOP_UPS), key="p1"))
    ask(replace(_TOP_UPS, below=PT.of(900)))
    ask(None)


def _deliver_one(url: str) -> None:
    """Have a message delivered, after a first attempt that failed."""
    outbox = TABLES["ptm_outbox"]
    with engine_on(url) as engine, engine.begin() as connection:
        first = connection.execute(select(outbox.c.message_id)).scalars().first()
        this = update(outbox).where(outbox.c.message_id == first)
        done = {"delivered_at": 1, "due_at": None, "attempts": 2, "problem": "no answer"}
        connection.execute(this.values(done))


def _begin_to_close(meter: Meter, name: str) -> None:
    """Record one wallet of the month, and leave the others for another time."""
    store = _store(meter)
    standing = store.run(partial(closing.begin, name=name, by="ann"))
    drafts = store.survey(partial(closing.draft, standing=standing, limit=1))
    store.run(partial(closing.record, standing=standing, drafts=drafts))


def _post(meter: Meter, command: Any) -> None:
    _store(meter).run(lambda books: books.cards.keep(_card(meter)))
    meter.post([(command,)])


def _name(name: str) -> dict[str, Any]:
    return {"wallet": CORE, "id": transfer_id(*CORE, name), "fingerprint": digest((name,))}


def _store(meter: Meter) -> Any:
    return meter._platform.store


def _card(meter: Meter) -> RateCard:
    return meter._platform.pricing.card


# --- an attacker's hands ----------------------------------------------------------------------


class Hands:
    """A transaction in which nothing guards the tables any more; all that is done in it is undone."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo what is done in the block."""
        self.connection.exec_driver_sql("SAVEPOINT attempt")
        yield
        self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT attempt")

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table, in the order of their keys."""
        query = select(table).order_by(*table.primary_key.columns)
        return [dict(row._mapping) for row in self.connection.execute(query)]

    def update(self, table: Table, row: dict[str, Any], **values: Any) -> None:
        """Change *row*."""
        changed = self.connection.execute(table.update().where(*_place(table, row)).values(**values))
        assert 1 == changed.rowcount

    def delete(self, table: Table, row: dict[str, Any]) -> None:
        """Take *row* out."""
        assert 1 == self.connection.execute(table.delete().where(*_place(table, row))).rowcount

    def insert(self, table: Table, row: dict[str, Any]) -> None:
        """Put *row* in."""
        self.connection.execute(table.insert().values(**row))

    @property
    def books(self) -> SqlBooks:
        """The ledger as a meter sees it that remembers nothing."""
        return Binder(self.connection.dialect.name, POLICY, None).books(self.connection)

    def verify(self) -> Report:
        """What `verify` makes of it."""
        return verifying.verify(self.books)


def _place(table: Table, row: dict[str, Any]) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key.columns]


@contextmanager
def hands_on(url: str) -> Iterator[Hands]:
    """
    The database without its guards: triggers and CHECK constraints are gone, as a superuser has them go.

    Keys that are unique and columns that are NOT NULL stay: what is tried here needs none of that.
    """
    with engine_on(url) as engine, engine.connect() as connection:
        _lift(connection)
        yield Hands(connection)
        connection.rollback()


def _lift(connection: Connection) -> None:
    match connection.dialect.name:
        case "sqlite":
            driven: Any = connection.connection.driver_connection
            driven.isolation_level = None  # or the driver would begin, and commit, when it likes
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            connection.exec_driver_sql("BEGIN")
            named = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for (trigger,) in connection.exec_driver_sql(named).all():
                connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        case "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for table in TABLES.values():
                for constraint in table.constraints:
                    if isinstance(constraint, CheckConstraint):
                        drop = f"ALTER TABLE {table.name} DROP CONSTRAINT {constraint.name}"
                        connection.exec_driver_sql(drop)
        case _:
            dialect: Any = connection.dialect
            if not dialect.is_mariadb:
                pytest.skip(
                    "MySQL lifts no CHECK within a transaction, so what is tried could not be undone"
                )
            connection.exec_driver_sql("SET SESSION check_constraint_checks = OFF")
