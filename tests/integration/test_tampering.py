"""
Every column of every table is changed, and rows are taken out, put in and swapped: `verify` names where.

What to change is read from the tables themselves, so a column that is new is tried from its first day. What `verify`
does not notice is listed here with its reason, and the list is exact: what is on it and is noticed fails as well.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import LargeBinary, String
from tests.integration.tampering import TABLES, hands_on, populate
from tests.integration.wiring import servers

from ptmeter.domain.margins import day_name
from ptmeter.storage.columns import version_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column, Table
    from tests.backends import Backend
    from tests.integration.tampering import Hands

    from ptmeter import Report

SETTING = "a setting: no PT follow from it, and it may change at any time"
REFUSAL = "a refusal is remembered for a day, moved nothing, and is in no journal"
RECORD = "who and when is in no hash that is kept in the database; a signed checkpoint shows it"
STANDING = "a setting: it says what is granted next, and whatever is granted is on the journal"
ASKED = "it says what a request came to, so that it gets the same answer; what it gave is on the journal"
BROUGHT = "it says who brought whom; the PT that were given for it, and taken back, are on the journal"
LEARNT = "what calls taught decides about no money, and is read anew as it stands"

WANTED = "what is asked for and not paid moves no PT; what is paid must have its grant in the journal"

HINTED = "an event is a hint: what follows from it is looked up at Stripe, whatever it says and however often it came"
IN_LINE = "it says what is looked up next, and looking something up twice or late comes to the same"
KNOWN = "it says who is who at Stripe: no PT follow from it, and a payment says itself whose it is"
THEIRS = "Stripe alone says when money moved, and in which currency it was paid: reconciliation holds it against that"
TOLD = "what is to be told moves no PT, and what caused it is in the journal"
MITIGATED = "it moves no PT: how calls were routed by it is on their rows in the journal"
SENT = "what the provider sent moves nothing: a person decides by it, and that is on record"

PAID: Final = 1
"""The state of a top-up that brought something."""

UNNOTICED: Final[dict[str, tuple[frozenset[str], str]]] = {
    "ptm_account.plan": (frozenset({"present", "absent", "other"}), SETTING),
    "ptm_account.anchor": (frozenset({"present", "absent", "more", "less"}), SETTING),
    "ptm_account.placed_at": (frozenset({"present", "absent", "more", "less"}), SETTING),
    "ptm_account.former": (frozenset({"absent"}), SETTING),
    "ptm_account.pooled": (frozenset({"more", "less"}), SETTING),
    "ptm_account.overflow": (frozenset({"more", "less"}), SETTING),
    "ptm_account.zone": (frozenset({"present", "absent", "other"}), SETTING),
    "ptm_account.terms": (frozenset({"absent"}), SETTING),
    "ptm_account.top_ups": (frozenset({"absent"}), SETTING),
    **{
        f"ptm_top_up.{column}": (frozenset(changes), WANTED)
        for changes, columns in (
            (("more", "less"), "top_up_id price requested_at cool_down attempts state"),
            (("other",), "currency"),
            (("present",), "payment"),
            (("other", "present", "absent"), "open_unit problem"),
            (("more", "less", "present", "absent"), "done_at cools_until"),
        )
        for column in columns.split()
    },
    "ptm_outbox.account": (frozenset({"other"}), TOLD),
    "ptm_outbox.message_id": (frozenset({"more", "less"}), TOLD),
    "ptm_outbox.noted_at": (frozenset({"more", "less"}), TOLD),
    "ptm_outbox.due_at": (frozenset({"more", "less", "absent", "present"}), TOLD),
    "ptm_outbox.delivered_at": (frozenset({"more", "less", "absent", "present"}), TOLD),
    "ptm_outbox.attempts": (frozenset({"more", "less"}), TOLD),
    "ptm_outbox.topic": (frozenset({"other"}), TOLD),
    "ptm_outbox.body": (frozenset({"other"}), TOLD),
    "ptm_outbox.problem": (frozenset({"other", "absent", "present"}), TOLD),
    "ptm_account.opened_at": (frozenset({"more", "less"}), "it may be long before the first transfer"),
    "ptm_wallet.credit_limit": (frozenset({"more", "less"}), SETTING),
    "ptm_wallet.state": (frozenset({"more"}), f"{SETTING}; what is no state is noticed"),
    "ptm_rejection.transfer_id": (frozenset({"more", "less"}), REFUSAL),
    "ptm_rejection.fingerprint": (frozenset({"more", "less"}), REFUSAL),
    "ptm_rejection.available": (frozenset({"more", "less"}), REFUSAL),
    "ptm_rejection.required": (frozenset({"more", "less"}), REFUSAL),
    "ptm_rejection.refused_at": (frozenset({"more", "less"}), REFUSAL),
    "ptm_rejection.reason": (frozenset({"more", "less"}), REFUSAL),
    "ptm_period.noted_at": (frozenset({"more", "less"}), RECORD),
    "ptm_period.actor": (frozenset({"other"}), RECORD),
    "ptm_period.approver": (frozenset({"other"}), RECORD),
    "ptm_period.reason": (frozenset({"other"}), RECORD),
    "ptm_quarantine.received_at": (frozenset({"more", "less"}), RECORD),
    "ptm_quarantine.resolved_at": (frozenset({"more", "less"}), RECORD),
    "ptm_quarantine.resolver": (frozenset({"other"}), RECORD),
    "ptm_quarantine.reason": (frozenset({"other"}), RECORD),
    "ptm_quarantine.model": (frozenset({"other"}), SENT),
    "ptm_quarantine.route": (frozenset({"other"}), SENT),
    "ptm_quarantine.problem": (frozenset({"other"}), SENT),
    "ptm_quarantine.payload": (frozenset({"other"}), SENT),
    "ptm_quarantine.workload": (frozenset({"absent"}), SENT),
    "ptm_quarantine.more": (frozenset({"absent"}), "what was held besides expires by itself"),
    "ptm_calibration.model": (frozenset({"other"}), LEARNT),
    "ptm_calibration.route": (frozenset({"other"}), LEARNT),
    "ptm_calibration.changed_at": (frozenset({"more", "less"}), LEARNT),
    "ptm_calibration.body": (frozenset({"other"}), LEARNT),
    "ptm_mitigation.mitigation_id": (frozenset({"more", "less"}), MITIGATED),
    "ptm_mitigation.fingerprint": (frozenset({"more", "less"}), MITIGATED),
    "ptm_mitigation.starts_at": (frozenset({"more", "less"}), MITIGATED),
    "ptm_mitigation.ends_at": (frozenset({"more", "less"}), MITIGATED),
    "ptm_mitigation.undone_at": (frozenset({"more", "less", "absent", "present"}), MITIGATED),
    "ptm_mitigation.share": (frozenset({"more", "less"}), MITIGATED),
    "ptm_mitigation.scope": (frozenset({"other"}), MITIGATED),
    "ptm_mitigation.unit": (frozenset({"other"}), MITIGATED),
    "ptm_mitigation.author": (frozenset({"other"}), MITIGATED),
    "ptm_mitigation.undone_by": (frozenset({"other", "absent", "present"}), MITIGATED),
    "ptm_mitigation.request_key": (frozenset({"other"}), MITIGATED),
    "ptm_mitigation.reason": (frozenset({"other"}), MITIGATED),
    "ptm_mitigation.undone_because": (frozenset({"other", "absent", "present"}), MITIGATED),
    **{
        f"ptm_webhook.{column}": (frozenset(changes), HINTED)
        for changes, columns in (
            (("more", "less"), "received_at created_at digest deliveries altered state lined livemode"),
            (("more", "less", "present", "absent"), "done_at"),
            (("other",), "event_id type source body"),
            (("other", "present", "absent"), "subject problem resolver"),
            (("other", "absent"), "api_version account"),
        )
        for column in columns.split()
    },
    "ptm_task.task": (frozenset({"other"}), IN_LINE),
    "ptm_task.due_at": (frozenset({"more", "less", "present", "absent"}), IN_LINE),
    "ptm_task.attempts": (frozenset({"more", "less"}), IN_LINE),
    "ptm_task.lease": (frozenset({"more", "less"}), IN_LINE),
    "ptm_customer.account": (frozenset({"other"}), KNOWN),
    "ptm_customer.customer": (frozenset({"other"}), KNOWN),
    "ptm_payment.paid_at": (frozenset({"more", "less"}), THEIRS),
    "ptm_payment.currency": (frozenset({"other"}), THEIRS),
    "ptm_referral_code.account": (frozenset({"other"}), BROUGHT),
    "ptm_referral_code.noted_at": (frozenset({"more", "less"}), BROUGHT),
    "ptm_referral_code.code": (frozenset({"other"}), BROUGHT),
    "ptm_referral.account": (frozenset({"other"}), BROUGHT),
    "ptm_referral.referrer": (frozenset({"other"}), BROUGHT),
    "ptm_referral.code": (frozenset({"other"}), BROUGHT),
    "ptm_referral.request_id": (frozenset({"more", "less"}), BROUGHT),
    "ptm_referral.fingerprint": (frozenset({"more", "less"}), BROUGHT),
    "ptm_referral.used_at": (frozenset({"more", "less"}), BROUGHT),
    "ptm_referral.state": (frozenset({"more", "less"}), BROUGHT),
    "ptm_referral.paid_at": (frozenset({"more", "less", "absent", "present"}), BROUGHT),
    "ptm_referral.payment": (frozenset({"more", "less", "absent", "present"}), BROUGHT),
    "ptm_referral.refunded": (frozenset({"more", "less", "absent", "present"}), BROUGHT),
    "ptm_referral.currency": (frozenset({"other", "absent", "present"}), BROUGHT),
    "ptm_referral.payment_id": (frozenset({"other", "absent", "present"}), BROUGHT),
    "ptm_referral.refusal": (frozenset({"other", "absent", "present"}), BROUGHT),
    "ptm_referral.rewards": (frozenset({"other", "absent", "present"}), BROUGHT),
    "ptm_referral_trace.trace_id": (frozenset({"more", "less"}), BROUGHT),
    "ptm_referral_trace.account": (frozenset({"other"}), BROUGHT),
    "ptm_referral_trace.noted_at": (frozenset({"more", "less"}), BROUGHT),
    "ptm_subscription.account": (frozenset({"other"}), STANDING),
    "ptm_subscription.due_at": (frozenset({"more", "less", "absent"}), STANDING),
    "ptm_subscription.changed_at": (frozenset({"more", "less"}), STANDING),
    "ptm_subscription.body": (frozenset({"other", "absent"}), STANDING),
    "ptm_subscription_request.account": (frozenset({"other"}), ASKED),
    "ptm_subscription_request.request_id": (frozenset({"more", "less"}), ASKED),
    "ptm_subscription_request.fingerprint": (frozenset({"more", "less"}), ASKED),
    "ptm_subscription_request.noted_at": (frozenset({"more", "less"}), ASKED),
    "ptm_subscription_request.body": (frozenset({"other"}), ASKED),
}
"""By column, the changes that `verify` does not notice, and why."""

UNNOTICED_ROWS: Final = {
    "taken out": {
        "ptm_rejection": REFUSAL,
        "ptm_calibration": LEARNT,
        "ptm_quarantine": "nothing in the journal rests on it; what was charged for it stays charged",
        "ptm_outbox": TOLD,
        "ptm_top_up": WANTED,
        "ptm_mitigation": MITIGATED,
        "ptm_referral_code": BROUGHT,
        "ptm_referral": BROUGHT,
        "ptm_referral_trace": BROUGHT,
        "ptm_webhook": HINTED,
        "ptm_task": IN_LINE,
        "ptm_customer": KNOWN,
        "ptm_subscription": STANDING,
        "ptm_subscription_request": ASKED,
    },
    "put in": {
        "ptm_rejection": REFUSAL,
        "ptm_calibration": LEARNT,
        "ptm_outbox": TOLD,
        "ptm_top_up": WANTED,
        "ptm_mitigation": MITIGATED,
        "ptm_referral_code": BROUGHT,
        "ptm_referral": BROUGHT,
        "ptm_referral_trace": BROUGHT,
        "ptm_webhook": HINTED,
        "ptm_task": IN_LINE,
        "ptm_customer": KNOWN,
        "ptm_subscription": STANDING,
        "ptm_subscription_request": ASKED,
    },
}
"""Whole rows that `verify` does not miss, or take for its own."""


UNNOTICED_MONEY: Final = frozenset({"fee", "bank", "dispute_hold"})
"""
What a payment does not say of its money: what Stripe keeps, what went to the bank, and what a bank holds for now.

That is `THEIRS` too. What a dispute that is lost has withdrawn is noticed: nothing is held for it any more.
"""

UNNOTICED_FACTS: Final = {
    ("re_1", "turns", 1): "a turn may come to nothing",
    ("dp_2", "turns", 1): "a turn may come to nothing",
    ("dp_3", "turns", 1): "a turn may come to nothing",
    (
        "re_1",
        "parts",
        2,
        1,
    ): "what had lapsed when its money was booked is on no journal, for more may have since",
    (
        "dp_2",
        "amount",
        1,
    ): "what is used already cannot be frozen, so it may be less than what is contested",
}
"""Of what a payment has on record of a claim, by how much more or less is not noticed, and why."""


@pytest.fixture(scope="module", params=servers("sqlite", "postgres", "mysql"))
def hands(request: pytest.FixtureRequest) -> Iterator[Hands]:
    """A ledger with a row of every kind, in the hands of somebody who may do anything."""
    backend: Backend = request.getfixturevalue(f"{request.param}_backend")
    url = backend.empty()
    populate(url)
    with hands_on(url) as found:
        yield found


# --- what is changed, and what must be named --------------------------------------------------


def changes(column: Column[Any], row: dict[str, Any]) -> dict[str, Any]:
    """What *column* of *row* is changed to, by the name of the change."""
    value = row[column.name]
    if value is None:
        text = isinstance(column.type, String)
        return {"present": "x" if text else b"x" * 33 if isinstance(column.type, LargeBinary) else 29_000}
    found: dict[str, Any] = {"absent": None} if column.nullable else {}
    if isinstance(column.type, LargeBinary):
        return found | {"other": value[:-1] + bytes([value[-1] ^ 1])}
    if isinstance(column.type, String):
        return found | {"other": f"{value[:-1]}{'y' if value.endswith('x') else 'x'}"}
    far = 1_000 if column.primary_key or column.name in {"completes", "transfer_id"} else 1
    return found | {"more": value + far, "less": value - far}


def attempts(
    table: Table, rows: list[dict[str, Any]]
) -> Iterator[tuple[Column[Any], str, Any, dict[str, Any]]]:
    """Every change of every column, each to the first of *rows* where it can be made; of top-ups to one that is paid."""
    rows = sorted(rows, key=lambda row: "top_up_id" in row and row["state"] != PAID)
    for column in table.columns:
        tried: set[str] = set()
        for row in rows:
            for name, value in changes(column, row).items():
                if name not in tried:
                    tried.add(name)
                    yield column, name, value, row


def withdrawn(row: dict[str, Any]) -> bool:
    """Whether it is a closing of January's first close, which was reopened."""
    return "revision" in row and (row["period"], row["revision"]) == ("2026-01", 1)


OF_NO_WALLET: Final = {
    "ptm_account": "ptm_account/{account} row:",
    "ptm_boundary": "ptm_boundary/1 row:",
    "ptm_calibration": "ptm_calibration/{model} {route}:",
    "ptm_mitigation": "ptm_mitigation/{mitigation_id}:",
    "ptm_outbox": "ptm_outbox/{account} {message_id}:",
    "ptm_customer": "ptm_customer/{account}:",
    "ptm_money": "ptm_money/{entry} row:",
    "ptm_payment": "ptm_payment/{payment} row:",
    "ptm_period": "ptm_period/{period} event {number}:",
    "ptm_task": "ptm_task/{task}:",
    "ptm_webhook": "ptm_webhook/{event_id}:",
    "ptm_quarantine": "ptm_quarantine/account={account}, call_id={call_id} row:",
    **{f"ptm_referral{part}": f"ptm_referral{part}/{{account}}:" for part in ("", "_code", "_trace")},
    "ptm_subscription": "ptm_subscription/{account}:",
    "ptm_subscription_request": "ptm_subscription_request/{account}:",
    "ptm_top_up": "ptm_top_up/{account}:",
    "ptm_wallet": "{account}/{unit} wallet:",
}
"""How findings name a row of a table that is not found by its wallet."""


class Names:
    """What a row is called in a report."""

    def __init__(self, hands: Hands) -> None:
        self._wallets = {row["wallet_id"]: row for row in hands.rows(TABLES["ptm_wallet"])}
        self._transfers = hands.rows(TABLES["ptm_transfer"])
        self._accounts = hands.rows(TABLES["ptm_account"])
        self._money = hands.rows(TABLES["ptm_money"])

    def length(self, row: dict[str, Any]) -> int:
        """How many transfers the row's wallet has."""
        return self._wallets[row["wallet_id"]]["seq"]

    @property
    def accounts(self) -> list[str]:
        """The rows of all accounts."""
        return [f"ptm_account/{row['account']} row:" for row in self._accounts]

    def money(self, payment: str) -> list[str]:
        """The rows of a payment's money."""
        return [f"ptm_money/{row['entry']} row:" for row in self._money if row["reference"] == payment]

    def rated(self, price: int) -> list[int]:
        """The transfers that were rated by that price."""
        return [row["seq"] for row in self._transfers if row["price_version"] == price]

    def wallet(self, row: dict[str, Any]) -> str:
        """The wallet that the row belongs to."""
        wallet = self._wallets[row["wallet_id"]]
        return f"{wallet['account']}/{wallet['unit']} wallet:"

    def of(self, table: Table, row: dict[str, Any]) -> str:
        """The row as findings name it."""
        if table.name in OF_NO_WALLET:
            return OF_NO_WALLET[table.name].format(**row)
        if table.name in ("ptm_price", "ptm_rate_card"):
            return f"{table.name}/{version_from(row['version'])} row:"
        wallet = self._wallets.get(row["wallet_id"])
        if wallet is None or table.name in ("ptm_rejection", "ptm_unpriced"):
            return f"{table.name} has rows of wallet {row['wallet_id']},"
        kind = {
            "ptm_transfer": "transfer {seq} ",
            "ptm_lot": "lot {number}:",
            "ptm_rollup": f"roll-up {_named(row)}:",
            "ptm_open_hold": "open hold {number}:",
            "ptm_closing": "closing {period}:",
        }[table.name]
        return f"{wallet['account']}/{wallet['unit']} {kind.format(**row)}"

    def after(self, table: Table, row: dict[str, Any]) -> str:
        """The next row: where one is missing, that is the first which does not follow."""
        number = {"ptm_transfer": "seq", "ptm_period": "number"}.get(table.name)
        return self.of(table, {**row, number: row[number] + 1} if number else row)


def _named(row: dict[str, Any]) -> str:
    if "day" not in row:
        return ""
    told = (day_name(row["day"]), row["model"], row["plan"], row["currency"])
    return " ".join(part for part in told if part)


def first_of(report: Report) -> str:
    """The first thing that a report says is wrong."""
    return next(iter([*map(str, report.findings), *report.uncovered]), "nothing")


def named_first(report: Report, *names: str) -> bool:
    """Whether that is about one of these rows."""
    bare = [name.rstrip(": ") for name in names]
    return first_of(report).startswith(tuple(name + end for name in bare for end in (":", " ")))


# --- the battery ------------------------------------------------------------------------------


def test_the_ledger_that_is_tampered_with_is_clean_and_full(hands: Hands) -> None:
    """The control: untouched it is clean, and every column has something in it that can be changed."""
    empty = [
        f"{table.name}.{column.name}"
        for table in TABLES.values()
        for column in table.columns
        if all(row[column.name] is None for row in hands.rows(table))
    ]

    assert hands.verify().clean
    assert [] == empty


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_is_noticed_when_it_is_changed(hands: Hands, table: Table) -> None:
    """More, less, another, none where there was one, one where there was none: the first bad row is named."""
    names = Names(hands)
    wrong: list[str] = []
    for column, change, value, row in attempts(
        table, [row for row in hands.rows(table) if not withdrawn(row)]
    ):
        with hands.undone():
            hands.update(table, row, **{column.name: value})
            report = hands.verify()
        listed = change in UNNOTICED.get(f"{table.name}.{column.name}", (frozenset(), ""))[0]
        right = [names.of(table, row), names.of(table, {**row, column.name: value})]
        if table.name == "ptm_account":
            right += [*names.accounts, f"ptm_account/{value} row:"]  # it counts above it too
        if column.name == "payment" and table.name == "ptm_payment":
            right += names.money(row["payment"])
        if table.name == "ptm_money":
            right.append(f"ptm_payment/{row['reference']} row:")  # it has another amount then
        if column.primary_key or column.name in {"starts_at", "ends_at"}:
            right.append(names.after(table, row))  # it is gone from where it was
        if report.clean is not listed:
            wrong.append(f"{column.name} {change} is listed: {listed}, noticed: {not report.clean}")
        elif not listed and not named_first(report, *right):
            wrong.append(f"{column.name} {change}: {first_of(report)} is none of {right}")

    assert [] == wrong


def test_what_was_recorded_before_a_month_was_reopened_is_noticed_too(hands: Hands) -> None:
    """A closing whose seal was withdrawn stands for nothing, and must come to the old seal all the same."""
    closing = TABLES["ptm_closing"]
    wrong: list[str] = []
    for column, change, value, row in attempts(closing, [*filter(withdrawn, hands.rows(closing))]):
        with hands.undone():
            hands.update(closing, row, **{column.name: value})
            report = hands.verify()
        if not named_first(report, Names(hands).of(closing, row), *SEALS):
            wrong.append(f"{column.name} {change}: {first_of(report)}")

    assert [] == wrong


def test_the_list_of_what_is_unnoticed_names_what_there_is(hands: Hands) -> None:
    """Each entry is a change that the battery makes, so none can stand there unproved."""
    made = {
        (f"{table.name}.{column.name}", change)
        for table in TABLES.values()
        for column, change, _, _ in attempts(table, hands.rows(table))
    }

    assert {(name, change) for name, (listed, _) in UNNOTICED.items() for change in listed} <= made


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_row_that_is_taken_out_is_missed(hands: Hands, table: Table) -> None:
    """Any row of any table: the report names it, or the one that should follow it, or those that refer to it."""
    names = Names(hands)
    wrong: list[str] = []
    for row in hands.rows(table):
        with hands.undone():
            hands.delete(table, row)
            report = hands.verify()
        listed = table.name in UNNOTICED_ROWS["taken out"] or is_theirs(row)
        right = [names.of(table, row), names.after(table, row), *_those_that_refer_to(table, row, names)]
        if report.clean is not listed:
            wrong.append(f"{row} is listed: {listed}, noticed: {not report.clean}")
        elif not listed and not named_first(report, *right):
            wrong.append(f"{first_of(report)} is none of {right}")

    assert [] == wrong


def is_theirs(row: dict[str, Any]) -> bool:
    """Whether it is money of which no payment says how much it is."""
    if "entry" not in row or row["reference"] == "pi_3":
        return row.get("entry", "").endswith(":fee")
    return row["entry"].rpartition(":")[2] in UNNOTICED_MONEY


def test_every_amount_of_money_is_noticed_when_it_is_changed(hands: Hands) -> None:
    """One minor unit more or less in any row: it is named, or another of its payment, but for what is not ours to say."""
    money = TABLES["ptm_money"]
    wrong: list[str] = []
    for row in hands.rows(money):
        for amount in (row["amount"] + 1, row["amount"] - 1):
            with hands.undone():
                hands.update(money, row, amount=amount)
                report = hands.verify()
            if report.clean is not is_theirs(row) and (row["entry"], amount) != ("txn_07:fee", 0):
                wrong.append(f"{row['entry']}: {amount}, {first_of(report)}")

    assert [] == wrong


def test_every_fact_of_a_payment_is_noticed_when_it_is_changed(hands: Hands) -> None:
    """What is on record of the lots and claims of a payment, number by number, is held against the journal."""
    payment = TABLES["ptm_payment"]
    wrong: list[str] = []
    for row in [row for row in hands.rows(payment) if row["body"]]:
        for place, change, body in _changed(json.loads(row["body"])):
            with hands.undone():
                hands.update(payment, row, body=json.dumps(body))
                report = hands.verify()
            listed = (*place[1:], change) in UNNOTICED_FACTS
            if report.clean is not listed or not (
                listed or named_first(report, f"ptm_payment/{row['payment']} row:")
            ):
                wrong.append(f"{row['payment']} {place} {change}: {first_of(report)}")

    assert [] == wrong


def _changed(document: Any) -> Iterator[tuple[tuple[Any, ...], int, Any]]:
    """The document with one number one more or less, or one name another, by where that is."""
    for place, value in _leaves(document):
        for change in (1, -1) if isinstance(value, int) else (0,):
            changed = deepcopy(document)
            inner = changed
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = value + change if change else f"{value}x"
            yield place, change, changed


def _leaves(document: Any, *place: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not isinstance(document, dict | list):
        yield place, document
        return
    steps: Any = document.items() if isinstance(document, dict) else enumerate(document)
    for step, inner in steps:
        yield from _leaves(inner, *place, step)


def _those_that_refer_to(table: Table, row: dict[str, Any], names: Names) -> list[str]:
    """Where the lack of *row* shows, if it is neither in its own place nor in the next."""
    match table.name:
        case "ptm_account":
            return names.accounts
        case "ptm_wallet":
            return [f"ptm_transfer has rows of wallet {row['wallet_id']},", *SEALS]
        case "ptm_transfer":
            return [names.wallet(row)]  # it was the last
        case "ptm_payment":
            return names.money(row["payment"])
        case "ptm_money":
            return [*names.money(row["reference"]), f"ptm_payment/{row['reference']} row:"]
        case "ptm_price":
            return [f"acme/core transfer {seq}" for seq in names.rated(row["version"])]
        case "ptm_period":
            following = {"2026-01": "2026-02", "2026-02": "2026-03"}.get(row["period"])
            return [f"ptm_period/{following} period", "ptm_boundary/1 row"]
        case "ptm_closing" if withdrawn(row):
            return SEALS
        case "ptm_unpriced":
            return [f"ptm_unpriced lacks rows of wallet {row['wallet_id']}:"]
        case _:
            return []


SEALS: Final = ["ptm_period/2026-01 event 2"]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_row_that_is_put_in_is_noticed(hands: Hands, table: Table) -> None:
    """A copy of a row under another key is none of ours, and the report names it."""
    names = Names(hands)
    row = hands.rows(table)[0]
    key = [*table.primary_key.columns][-1]
    forged = {**row, key.name: f"{row[key.name]}x" if isinstance(key.type, String) else 29_000}
    if table.name == "ptm_top_up":
        forged |= {"open_unit": None}  # of those there is one
    if table.name == "ptm_transfer":
        forged |= {"transfer_id": 1, "completes": None, "seq": names.length(row) + 1}
    unique = {"ptm_referral": "payment_id", "ptm_referral_code": "code", "ptm_customer": "customer"}
    forged |= {unique[table.name]: "x"} if table.name in unique else {}
    with hands.undone():
        hands.insert(table, forged)
        report = hands.verify()

    listed = table.name in UNNOTICED_ROWS["put in"]
    stray = f"{table.name} has rows of {forged.get('period')},"
    assert report.clean is listed, report
    assert listed or named_first(report, names.of(table, forged), stray), report


def test_rows_that_are_swapped_are_noticed(hands: Hands) -> None:
    """Two transfers in each other's place: the earlier one does not follow."""
    transfer = TABLES["ptm_transfer"]
    first, second = hands.rows(transfer)[1:3]
    with hands.undone():
        hands.update(transfer, first, seq=30_000)
        hands.update(transfer, second, seq=first["seq"])
        hands.update(transfer, {**first, "seq": 30_000}, seq=second["seq"])
        report = hands.verify()

    assert named_first(report, Names(hands).of(transfer, first)), report


def test_of_several_bad_rows_the_first_is_named(hands: Hands) -> None:
    """One that cannot be read hides none before it: neither a gap nor one that was changed."""
    transfer = TABLES["ptm_transfer"]
    _, second, third, fourth, fifth = hands.rows(transfer)[:5]
    named: list[str] = []
    for spoil in (
        lambda: hands.update(transfer, second, note="forged"),
        lambda: hands.delete(transfer, third),
        lambda: None,
    ):
        with hands.undone():
            hands.update(transfer, fifth, kind=99)
            spoil()
            named.append(first_of(hands.verify()))
    names = Names(hands)

    for said, row in zip(named, (second, fourth, fifth), strict=True):
        assert said.replace(":", " :", 1).startswith(names.of(transfer, row)), said


def test_a_row_cannot_be_moved_to_another_wallet(hands: Hands) -> None:
    """The first transfer of one wallet in the place of another's does not fit, though it is a first one too."""
    transfer = TABLES["ptm_transfer"]
    firsts = [row for row in hands.rows(transfer) if row["seq"] == 1]
    mine, theirs = firsts[:2]
    with hands.undone():
        hands.delete(transfer, theirs)
        hands.update(transfer, mine, wallet_id=theirs["wallet_id"])
        report = hands.verify()

    assert {f"transfer {seq}" for seq in (1, 2)} & {
        finding.row.split(" (")[0] for finding in report.findings
    }
