"""
What each table refuses by itself, whoever writes to it and however: one row at the edge goes in, the next does not.

Every CHECK, every unique key and every NOT NULL is tried alone, past the code that would never write such a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from sqlalchemy import CheckConstraint, UniqueConstraint, insert
from sqlalchemy.exc import DBAPIError
from tests.integration.wiring import engine_on, servers

from ptmeter.storage import tables
from ptmeter.storage.payment_tables import customer, money
from ptmeter.storage.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Table
    from tests.backends import Backend

DATABASES: Final = servers("sqlite", "postgres", "mysql")

HEAD: Final = bytes(33)

ROWS: Final[dict[str, dict[str, Any]]] = {
    "ptm_account": {"account": "acme", "opened_at": 1, "pooled": 0, "overflow": 0},
    "ptm_wallet": {
        "wallet_id": 1,
        "available": 1,
        "held": 1,
        "spent": 1,
        "owed": 0,
        "credit_limit": 1,
        "seq": 1,
        "booked_at": 10,
        "closed_until": 0,
        "state": 0,
        "head": HEAD,
        "account": "acme",
        "unit": "core",
    },
    "ptm_transfer": {
        "wallet_id": 1,
        "seq": 1,
        "transfer_id": 1,
        "fingerprint": 1,
        "link": 1,
        "kind": 1,
        "amount": 5,
        "available_after": 5,
        "held_after": 5,
        "booked_at": 10,
    },
    "ptm_lot": {
        "wallet_id": 1,
        "number": 1,
        "granted": 12,
        "remaining": 3,
        "held": 4,
        "frozen": 2,
        "priority": 50,
    },
    "ptm_open_hold": {"wallet_id": 1, "hold_id": 1, "number": 1, "amount": 5, "expires_at": 10},
    "ptm_rejection": {
        "wallet_id": 1,
        "transfer_id": 1,
        "fingerprint": 1,
        "available": 0,
        "required": 1,
        "refused_at": 10,
        "reason": 1,
    },
    "ptm_price": {"version": 1, "provider": "p", "model": "m", "body": "{}"},
    "ptm_rate_card": {"version": 1, "body": "{}"},
    "ptm_period": {
        "period": "2026-01",
        "number": 1,
        "state": 1,
        "starts_at": 0,
        "ends_at": 10,
        "noted_at": 20,
        "actor": "ann",
    },
    "ptm_closing": {
        "wallet_id": 1,
        "revision": 1,
        "period": "2026-01",
        "seq": 9,
        "head": HEAD,
        "available": 1,
        "held": 2,
        "spent": 4,
        "lapsed": 8,
        "frozen": 16,
        "reversed": 32,
        "issued": 51,
        "owed": 5,
        "adjusted": 7,
    },
    "ptm_boundary": {"id": 1, "closed_until": 10},
    "ptm_calibration": {"model": "m", "route": "", "changed_at": 1, "body": "{}"},
    "ptm_rollup": {
        "wallet_id": 1,
        "day": 1,
        "model": "m",
        "plan": "pro",
        "currency": "USD",
        "calls": 1,
        "amount": 5,
        "unvalued": 0,
        "cost": 2,
        "revenue": 3,
    },
    "ptm_outbox": {
        "account": "acme",
        "message_id": 1,
        "noted_at": 1,
        "due_at": 1,
        "attempts": 0,
        "topic": "alert",
        "body": "{}",
    },
    "ptm_mitigation": {
        "mitigation_id": 1,
        "fingerprint": 1,
        "starts_at": 1,
        "ends_at": 2,
        "share": 0,
        "scope": "",
        "unit": "advanced",
        "author": "ann",
        "request_key": '"m1"',
        "reason": "thin",
    },
    "ptm_referral_code": {"account": "acme", "noted_at": 1, "code": "A"},
    "ptm_referral": {
        "account": "acme",
        "request_id": 1,
        "fingerprint": 1,
        "used_at": 1,
        "state": 0,
        "referrer": "bob",
        "code": "A",
    },
    "ptm_referral_trace": {"trace_id": 1, "account": "acme", "noted_at": 1},
    "ptm_top_up": {
        "top_up_id": 1,
        "amount": 1,
        "price": 1,
        "requested_at": 1,
        "cool_down": 1,
        "attempts": 1,
        "state": 0,
        "account": "acme",
        "unit": "core",
        "currency": "USD",
    },
    "ptm_subscription": {"account": "acme", "changed_at": 1},
    "ptm_subscription_request": {
        "account": "acme",
        "request_id": 1,
        "fingerprint": 1,
        "noted_at": 1,
        "body": "{}",
    },
    "ptm_unpriced": {"wallet_id": 1, "seq": 1},
    "ptm_quarantine": {
        "account": "acme",
        "call_id": 1,
        "received_at": 1,
        "state": 0,
        "call_key": '"r1"',
        "unit": "core",
        "model": "m",
        "route": "",
        "problem": "p",
        "payload": "{}",
    },
    "ptm_webhook": {
        "event_id": "evt_1",
        "received_at": 1,
        "created_at": 1,
        "digest": 1,
        "deliveries": 2,
        "altered": 1,
        "state": 0,
        "lined": 0,
        "livemode": 0,
        "type": "charge.succeeded",
        "source": "webhook",
        "body": "{}",
    },
    "ptm_task": {"task": "payment:pi_1", "attempts": 0, "lease": 0},
    "ptm_payment": {"payment": "pi_1"},
    "ptm_money": {
        "entry": "txn_1:credits",
        "happened_at": 1,
        "amount": 5,
        "debit": "stripe_clearing",
        "credit": "credits",
        "currency": "usd",
    },
    "ptm_customer": {"account": "acme", "customer": "cus_1"},
}
"""A row of each table with nothing in it that may be left out."""

OTHER_KEYS: Final = {
    "period": "2026-02",
    "account": "zeta",
    "model": "n",
    "route": "eu",
    "plan": "team",
    "currency": "EUR",
    "event_id": "evt_2",
    "task": "payment:pi_2",
    "payment": "pi_2",
    "entry": "txn_1:fee",
}
"""Other values of key columns that are no numbers."""


DECIDED: Final = {"state": 1, "resolved_at": 2, "resolver": "ann", "decision": 1}
"""What a call in quarantine has once somebody decided about it."""


UNDONE: Final = {"undone_at": 2, "undone_by": "bob", "undone_because": "enough"}
"""What a mitigation has once somebody undid it."""


class Check(NamedTuple):
    """A CHECK, a change of its table's row that it lets through, and one that it does not."""

    name: str
    allowed: dict[str, Any]
    refused: dict[str, Any]


CHECKS: Final = (
    Check("ptm_wallet_available", {"available": 0}, {"available": -1}),
    Check("ptm_wallet_held", {"held": 0}, {"held": -1}),
    Check("ptm_wallet_spent", {"spent": 0}, {"spent": -1}),
    Check("ptm_wallet_owed", {"owed": 0, "available": 0}, {"owed": -1, "available": 0}),
    Check("ptm_wallet_owed", {"owed": 1, "available": 0}, {"owed": 1, "available": 1}),
    Check("ptm_wallet_owed", {"owed": 0, "available": 1}, {"owed": 2, "available": 1}),
    Check("ptm_wallet_credit_limit", {"credit_limit": 0}, {"credit_limit": -1}),
    Check("ptm_wallet_closed", {"closed_until": 11}, {"closed_until": 12}),
    Check("ptm_transfer_amount", {"amount": 1}, {"amount": 0}),
    Check("ptm_transfer_after", {"available_after": 0}, {"available_after": -1}),
    Check("ptm_transfer_after", {"held_after": 0}, {"held_after": -1}),
    Check("ptm_transfer_after", {"frozen_after": 0}, {"frozen_after": -1}),
    Check("ptm_transfer_after", {"frozen_after": None}, {"frozen_after": None, "held_after": -1}),
    Check("ptm_lot_not_negative", {"remaining": 0}, {"remaining": -1}),
    Check("ptm_lot_not_negative", {"held": 0}, {"held": -1}),
    Check("ptm_lot_not_negative", {"frozen": 0}, {"frozen": -1}),
    Check("ptm_lot_granted", {"remaining": 6}, {"remaining": 7}),
    Check("ptm_lot_granted", {"frozen": 5}, {"frozen": 6}),
    Check("ptm_lot_granted", {"held": 7}, {"held": 8}),
    Check("ptm_rollup_calls", {"calls": 0}, {"calls": -1}),
    Check("ptm_open_hold_amount", {"amount": 1}, {"amount": 0}),
    *(
        Check("ptm_quarantine_resolved", allowed, refused)
        for allowed, refused in (
            (DECIDED, {"state": 1}),
            (DECIDED, {"resolved_at": 2}),
            *((DECIDED, {**DECIDED, name: None}) for name in ("resolved_at", "resolver", "decision")),
        )
    ),
    Check("ptm_mitigation_share", {"share": 10_000}, {"share": 10_001}),
    Check("ptm_mitigation_share", {"share": 0}, {"share": -1}),
    Check("ptm_mitigation_ends", {"ends_at": 2}, {"ends_at": 1}),
    *(Check("ptm_mitigation_undone", UNDONE, {**UNDONE, name: None}) for name in UNDONE),
    Check("ptm_account_not_its_own_parent", {"parent": "zeta"}, {"parent": "acme"}),
    Check("ptm_referral_not_its_own", {"referrer": "zeta"}, {"referrer": "acme"}),
    Check("ptm_referral_refunded", {"payment": 5, "refunded": 5}, {"payment": 5, "refunded": 6}),
    Check("ptm_referral_refunded", {"payment": 5, "refunded": 0}, {"payment": 5, "refunded": -1}),
    Check("ptm_outbox_delivered", {"delivered_at": 1, "due_at": None}, {"delivered_at": 1}),
    Check("ptm_top_up_amount", {"amount": 1}, {"amount": 0}),
    Check("ptm_top_up_amount", {"price": 0}, {"price": -1}),
    Check("ptm_webhook_deliveries", {"altered": 0}, {"altered": -1}),
    Check("ptm_webhook_deliveries", {"deliveries": 2}, {"deliveries": 1}),
    Check("ptm_money_amount", {"amount": 1}, {"amount": 0}),
    Check("ptm_money_amount", {"debit": "bank"}, {"debit": "credits"}),
    Check("ptm_period_two_persons", {"approver": "bob"}, {"approver": "ann"}),
    *(
        Check("ptm_closing_ties", {name: sign * 100, "issued": 51 + sign * other}, {name: sign * 100})
        for name, sign, other in (
            ("available", 1, 99),
            ("held", 1, 98),
            ("spent", 1, 96),
            ("lapsed", 1, 92),
            ("frozen", 1, 84),
            ("reversed", 1, 68),
            ("owed", 1, -95),
            ("adjusted", -1, -107),
        )
    ),
)

UNIQUE: Final = {
    "ptm_transfer_id": ({}, {"seq": 2}, {"wallet_id": 2, "seq": 2}),
    "ptm_transfer_completes": (
        {"completes": 1},
        {"seq": 2, "transfer_id": 2},
        {"wallet_id": 2, "seq": 2, "transfer_id": 2},
    ),
    "ptm_top_up_open": (
        {"open_unit": "core"},
        {"top_up_id": 2},
        {"top_up_id": 2, "account": "zeta"},
    ),
    "ptm_referral_code_code": ({}, {"account": "ann"}, {"account": "ann", "code": "B"}),
    "ptm_referral_payment": (
        {"payment_id": "pi_1"},
        {"account": "ann"},
        {"account": "ann", "payment_id": "pi_2"},
    ),
    "ptm_customer_customer": ({}, {"account": "ann"}, {"account": "ann", "customer": "cus_2"}),
}
"""By unique key: a row, what to change to collide with it, and what to change to pass as another one."""

GUARDED: Final = (tables.transfer.name, tables.period.name, tables.closing.name, money.name)
"""The journal and the money, which SQLite and PostgreSQL keep insert-only."""


@pytest.fixture(params=DATABASES)
def connection(
    request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]
) -> Iterator[Connection]:
    """An empty ledger, to write anything to; on SQLite without the triggers that would refuse it before a key does."""
    with engine_on(backend_of(request.param).empty()) as engine, engine.connect() as opened:
        if request.param == "sqlite":
            for name in GUARDED:
                opened.exec_driver_sql(f"DROP TRIGGER {name}_no_replace")
        yield opened
        opened.rollback()


def table_of(constraint: str) -> Table:
    named = [table for table in metadata.sorted_tables if constraint.startswith(f"{table.name}_")]
    return max(named, key=lambda table: len(table.name))


def put(connection: Connection, table: Table, **changes: Any) -> None:
    """Write the table's row, changed."""
    connection.execute(insert(table).values(ROWS[table.name] | changes))


def refusal(connection: Connection, table: Table, **changes: Any) -> str:
    """What the database says about such a row."""
    with pytest.raises(DBAPIError) as refused, connection.begin_nested():
        put(connection, table, **changes)
    return str(refused.value.orig)


def fresh_value(column: str) -> Any:
    return OTHER_KEYS.get(column, 2)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.name} {check.refused}")
def test_a_check_refuses_what_is_past_its_edge(connection: Connection, check: Check) -> None:
    """The row at the edge is written; the one past it is refused, by this CHECK and no other."""
    table = table_of(check.name)

    assert check.name in refusal(connection, table, **check.refused)
    put(connection, table, **check.allowed)


@pytest.mark.parametrize("name", UNIQUE)
def test_a_unique_key_holds(connection: Connection, name: str) -> None:
    """Two rows of a wallet cannot share it; two wallets can, each having its own. Nor can two accounts, of theirs."""
    table = table_of(name)
    row, collides, passes = UNIQUE[name]
    columns = next(key for key_name, key in unique_keys(table) if key_name == name)
    put(connection, table, **row)

    said = refusal(connection, table, **row | collides)
    put(connection, table, **row | passes)

    assert name in said or ", ".join(f"{table.name}.{column}" for column in columns) in said


def test_a_row_that_completes_nothing_is_no_second(connection: Connection) -> None:
    """Any number of a wallet's transfers may complete none."""
    put(connection, tables.transfer)
    put(connection, tables.transfer, seq=2, transfer_id=2)


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_a_primary_key_is_all_of_its_columns(connection: Connection, table: Table) -> None:
    """The same row twice is refused; with any column of the key changed it is another one."""
    put(connection, table)
    rest = {"transfer_id": 9} if table is tables.transfer else {}
    others = {tables.referral_code: "code", customer: "customer"}  # what is unique beside the key

    refusal(connection, table, **rest)
    for number, column in enumerate(table.primary_key.columns):
        more = {"transfer_id": 10 + number} if table is tables.transfer else {}
        more |= {others[table]: "B"} if table in others else {}
        put(connection, table, **more | {column.name: fresh_value(column.name)})


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, c.name) for table in metadata.sorted_tables for c in table.columns if not c.nullable],
    ids=str,
)
def test_what_must_be_said_cannot_be_left_out(connection: Connection, table: Table, column: str) -> None:
    """A column that every row has cannot be NULL, keys included; all others can."""
    if connection.dialect.name == "sqlite" and table is tables.wallet and column == "wallet_id":
        pytest.skip("SQLite takes NULL for the next number where the key is the row's own number")

    refusal(connection, table, **{column: None})
    put(connection, table)


def test_every_guard_is_tried() -> None:
    """A CHECK or a unique key that is added to a table is added to the cases here."""
    checks = {
        str(c.name) for t in metadata.sorted_tables for c in t.constraints if isinstance(c, CheckConstraint)
    }
    keys = {name for table in metadata.sorted_tables for name, _ in unique_keys(table)}

    assert checks == {check.name for check in CHECKS}
    assert keys == UNIQUE.keys()


def unique_keys(table: Table) -> list[tuple[str, list[str]]]:
    """Names and columns of the table's unique keys, but for the primary one."""
    keys = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    keys += [index for index in table.indexes if index.unique]
    return [(str(key.name), [column.name for column in key.columns]) for key in keys]


# --- insert-only --------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", GUARDED)
@pytest.mark.parametrize("verb", ["update", "delete", "truncate"])
@pytest.mark.parametrize("name", servers("sqlite", "postgres"))
def test_no_row_of_the_journal_changes(
    name: str, verb: str, table: str, backend_of: Callable[[str], Backend]
) -> None:
    """Transfers, periods, closings and money are neither updated nor deleted nor emptied, by whoever is connected."""
    column = next(iter(metadata.tables[table].primary_key.columns)).name
    changes = {"update": f"UPDATE {table} SET {column} = {column}", "delete": f"DELETE FROM {table}"}
    if verb == "truncate" and name == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")
    with engine_on(backend_of(name).empty()) as engine, engine.connect() as opened:
        put(opened, metadata.tables[table])

        with pytest.raises(DBAPIError, match="insert-only"):
            opened.exec_driver_sql(changes.get(verb, f"TRUNCATE {table}"))


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("table", "changes"),
    [
        (tables.transfer, {"transfer_id": 2, "completes": 2}),
        (tables.transfer, {"seq": 2, "completes": 2}),
        (tables.transfer, {"seq": 2, "transfer_id": 2}),
        (tables.period, {"actor": "bob"}),
        (tables.closing, {"seq": 10}),
        (money, {"amount": 6}),
    ],
    ids=["transfer by seq", "transfer by id", "transfer by completes", "period", "closing", "money"],
)
def test_no_row_of_the_journal_is_replaced(
    table: Table, changes: dict[str, Any], backend_of: Callable[[str], Backend]
) -> None:
    """SQLite would delete the row in the way without asking its trigger; whichever key they share, it does not."""
    own = {"completes": 1} if table is tables.transfer else {}
    with engine_on(backend_of("sqlite").empty()) as engine, engine.connect() as opened:
        put(opened, table, **own)
        row = ROWS[table.name] | own | changes

        with pytest.raises(DBAPIError, match="insert-only"):
            opened.execute(insert(table).prefix_with("OR REPLACE").values(row))


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("table", "key"),
    [
        (tables.transfer, {"wallet_id": 2}),
        (tables.transfer, {"seq": 2, "transfer_id": 2, "completes": 2}),
        (tables.period, {"period": "2026-02"}),
        (tables.period, {"number": 2}),
        (tables.closing, {"wallet_id": 2}),
        (tables.closing, {"revision": 2}),
        (tables.closing, {"period": "2026-02"}),
        (money, {"entry": "txn_1:fee"}),
    ],
    ids=str,
)
def test_a_row_beside_another_is_written(
    table: Table, key: dict[str, Any], backend_of: Callable[[str], Backend]
) -> None:
    """The control: a row that shares no key with another is inserted."""
    own = {"completes": 1} if table is tables.transfer else {}
    with engine_on(backend_of("sqlite").empty()) as engine, engine.connect() as opened:
        put(opened, table, **own)

        put(opened, table, **own | key)
