"""Payments, a row for each; money entries, which are only ever added; and customers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, not_, select, update

from ..domain.instants import microseconds, moment
from ..domain.money import MoneyEntry, Side, check_same
from ..domain.payments import (
    Claim,
    ClaimKind,
    DisputeStage,
    PaymentRecord,
    Portion,
    RefundStage,
    customer_of_two,
)
from .payment_tables import customer, money, payment
from .rows import names_its_row
from .statements import inserted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row, Select


class SqlPayments:
    """Payments inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, payment: str) -> None:
        """See `ports.Payments.open`; a row without a body is there to be locked."""
        inserted(self._connection, _PAYMENT, {"payment": payment})

    def lock(self, payment: str) -> PaymentRecord | None:
        """See `ports.Payments.lock`."""
        return self._read(_of(payment).with_for_update())

    def find(self, payment: str) -> PaymentRecord | None:
        """See `ports.Payments.find`."""
        return self._read(_of(payment))

    def save(self, record: PaymentRecord) -> None:
        """See `ports.Payments.save`."""
        this = update(_PAYMENT).where(_PAYMENT.c.payment == record.id)
        self._connection.execute(this.values(_row(record)))

    def listed(self, *, account: str | None = None, limit: int = 100) -> list[PaymentRecord]:
        """See `ports.Payments.listed`."""
        query = select(_PAYMENT).where(_PAYMENT.c.body.is_not(None))
        if account is not None:
            query = query.where(_PAYMENT.c.account == account)
        latest = query.order_by(_PAYMENT.c.paid_at.desc(), _PAYMENT.c.payment).limit(limit)
        return [_record_from(row) for row in self._connection.execute(latest)]

    def enter(self, entries: Sequence[MoneyEntry]) -> None:
        """See `ports.Payments.enter`; what they belong to is locked, so nobody else writes them."""
        query = select(money).where(money.c.entry.in_([each.key for each in entries]))
        kept = {row.entry: _entry_from(row) for row in self._connection.execute(query)} if entries else {}
        for entry in entries:
            check_same(kept.get(entry.key, entry), entry)
        if new := [_entry_row(each) for each in entries if each.key not in kept]:
            self._connection.execute(money.insert(), new)

    def entries(self, *, reference: str | None = None) -> list[MoneyEntry]:
        """See `ports.Payments.entries`."""
        query = select(money).order_by(money.c.entry)
        if reference is not None:
            query = query.where(money.c.reference == reference)
        return [_entry_from(row) for row in self._connection.execute(query)]

    def page(self, *, after: str = "", limit: int = 1_000) -> list[tuple[str, PaymentRecord | None]]:
        """See `ports.Payments.page`."""
        query = select(_PAYMENT).where(_PAYMENT.c.payment > after).order_by(_PAYMENT.c.payment).limit(limit)
        return [(row.payment, _opened_from(row)) for row in self._connection.execute(query)]

    def astray(self, limit: int = 100) -> list[MoneyEntry]:
        """See `ports.Payments.astray`."""
        known = exists().where(_PAYMENT.c.payment == money.c.reference)
        query = select(money).where(not_(known)).order_by(money.c.entry).limit(limit)
        return [_entry_from(row) for row in self._connection.execute(query)]

    def customer(self, account: str) -> str | None:
        """See `ports.Payments.customer`."""
        query = select(customer.c.customer).where(customer.c.account == account)
        return self._connection.execute(query).scalar_one_or_none()

    def account_of(self, customer_id: str) -> str | None:
        """See `ports.Payments.account_of`."""
        query = select(customer.c.account).where(customer.c.customer == customer_id)
        return self._connection.execute(query).scalar_one_or_none()

    def name_customer(self, account: str, customer_id: str) -> str:
        """See `ports.Payments.name_customer`."""
        inserted(self._connection, customer, {"account": account, "customer": customer_id})
        known = self.customer(account)
        if known is None:
            raise customer_of_two(customer_id, account, self.account_of(customer_id))
        return known

    def _read(self, query: Select[Any]) -> PaymentRecord | None:
        row = self._connection.execute(query).first()
        return None if row is None or row.body is None else _record_from(row)


_PAYMENT = payment


def _of(name: str) -> Select[Any]:
    return select(_PAYMENT).where(_PAYMENT.c.payment == name)


# --- between rows and values ------------------------------------------------------------------


def _row(record: PaymentRecord) -> dict[str, Any]:
    claims = {name: asdict(claim) for name, claim in record.claims.items()}
    body = {
        "granted": dict(record.granted),
        "lots": dict(record.lots),
        "portion": record.portion,
        "claims": claims,
    }
    return {
        "paid_at": microseconds(record.at),
        "amount": record.amount,
        "tax": record.tax,
        "account": record.account,
        "currency": record.currency,
        "body": json.dumps(body, separators=(",", ":")),
    }


@names_its_row("ptm_payment", "payment")
def _opened_from(row: Row[Any]) -> PaymentRecord | None:
    """A payment, or nothing of something that has only a name."""
    if row.body is None and any(each is not None for each in tuple(row)[1:]):
        msg = "it lacks what every payment has"
        raise ValueError(msg)
    return None if row.body is None else _record_from(row)


@names_its_row("ptm_payment", "payment")
def _record_from(row: Row[Any]) -> PaymentRecord:
    body = json.loads(row.body)
    if None in (row.account, row.amount, row.tax, row.currency):
        msg = "it lacks what every payment has"
        raise ValueError(msg)
    return PaymentRecord(
        id=row.payment,
        account=row.account,
        amount=row.amount,
        tax=row.tax,
        currency=row.currency,
        at=moment(row.paid_at),
        granted=_amounts(body["granted"]),
        lots=_amounts(body["lots"]),
        portion=_portion(*map(_whole, body["portion"])),
        claims={name: _claim(facts) for name, facts in body["claims"].items()},
    )


def _portion(before: int, after: int, whole: int) -> Portion:
    if not 0 <= before <= after <= whole or whole == 0:
        msg = f"there is no portion from {before} to {after} of {whole}"
        raise ValueError(msg)
    return Portion(before, after, whole)


def _claim(facts: dict[str, Any]) -> Claim:
    kind = ClaimKind(facts.pop("kind"))
    stages = RefundStage if kind is ClaimKind.REFUND else DisputeStage
    there, used, lapsed = map(_whole, facts.pop("parts"))
    return Claim(
        kind=kind,
        stage=stages(facts.pop("stage")),
        frozen=_amounts(facts.pop("frozen")),
        taken=_amounts(facts.pop("taken")),
        used=_amounts(facts.pop("used")),
        lapsed=_amounts(facts.pop("lapsed")),
        parts=(there, used, lapsed),
        **{name: _whole(number) for name, number in facts.items()},
    )


def _amounts(facts: dict[str, Any]) -> dict[str, int]:
    return {unit: _whole(amount) for unit, amount in facts.items()}


def _whole(number: Any) -> int:
    if type(number) is not int:
        msg = f"{number!r} is no whole number"
        raise ValueError(msg)
    return number


def _entry_row(entry: MoneyEntry) -> dict[str, Any]:
    return {
        "entry": entry.key,
        "happened_at": microseconds(entry.at),
        "amount": entry.amount,
        "debit": entry.debit.value,
        "credit": entry.credit.value,
        "currency": entry.currency,
        "account": entry.account or None,
        "reference": entry.reference or None,
    }


@names_its_row("ptm_money", "entry")
def _entry_from(row: Row[Any]) -> MoneyEntry:
    return MoneyEntry(
        key=row.entry,
        debit=Side(row.debit),
        credit=Side(row.credit),
        amount=row.amount,
        currency=row.currency,
        at=moment(row.happened_at),
        account=row.account or "",
        reference=row.reference or "",
    )
