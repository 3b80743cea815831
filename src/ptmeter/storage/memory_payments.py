"""Payments, money entries and customers, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..domain.money import MoneyEntry, check_same
from ..domain.payments import customer_of_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.payments import PaymentRecord


@dataclass(slots=True)
class PaymentTables:
    """What there is of payments. Values are immutable, so a shallow copy is a snapshot."""

    payments: dict[str, PaymentRecord | None] = field(default_factory=dict[str, "PaymentRecord | None"])
    money: dict[str, MoneyEntry] = field(default_factory=dict[str, MoneyEntry])
    customers: dict[str, str] = field(default_factory=dict[str, str])

    def __copy__(self) -> PaymentTables:
        return PaymentTables(dict(self.payments), dict(self.money), dict(self.customers))


class MemoryPayments:
    """Payments inside one transaction on memory, which holds the only lock there is."""

    def __init__(self, tables: PaymentTables) -> None:
        self._payments, self._money, self._customers = tables.payments, tables.money, tables.customers

    def open(self, payment: str) -> None:
        """See `ports.Payments.open`."""
        self._payments.setdefault(payment)

    def lock(self, payment: str) -> PaymentRecord | None:
        """See `ports.Payments.lock`."""
        return self.find(payment)

    def find(self, payment: str) -> PaymentRecord | None:
        """See `ports.Payments.find`."""
        return self._payments.get(payment)

    def save(self, record: PaymentRecord) -> None:
        """See `ports.Payments.save`."""
        self._payments[record.id] = record

    def listed(self, *, account: str | None = None, limit: int = 100) -> list[PaymentRecord]:
        """See `ports.Payments.listed`."""
        there = filter(None, self._payments.values())
        found = [each for each in there if account in (None, each.account)]
        found.sort(key=lambda each: each.id)
        found.sort(key=lambda each: each.at, reverse=True)
        return found[:limit]

    def enter(self, entries: Sequence[MoneyEntry]) -> None:
        """See `ports.Payments.enter`."""
        for entry in entries:
            check_same(self._money.setdefault(entry.key, entry), entry)

    def entries(self, *, reference: str | None = None) -> list[MoneyEntry]:
        """See `ports.Payments.entries`."""
        return [e for _, e in sorted(self._money.items()) if reference in (None, e.reference)]

    def page(self, *, after: str = "", limit: int = 1_000) -> list[tuple[str, PaymentRecord | None]]:
        """See `ports.Payments.page`."""
        return sorted((each for each in self._payments.items() if each[0] > after), key=_name)[:limit]

    def astray(self, limit: int = 100) -> list[MoneyEntry]:
        """See `ports.Payments.astray`."""
        return [e for _, e in sorted(self._money.items()) if e.reference not in self._payments][:limit]

    def customer(self, account: str) -> str | None:
        """See `ports.Payments.customer`."""
        return self._customers.get(account)

    def account_of(self, customer_id: str) -> str | None:
        """See `ports.Payments.account_of`."""
        return next((name for name, each in self._customers.items() if each == customer_id), None)

    def name_customer(self, account: str, customer_id: str) -> str:
        """See `ports.Payments.name_customer`."""
        if account in self._customers:
            return self._customers[account]
        if other := self.account_of(customer_id):
            raise customer_of_two(customer_id, account, other)
        self._customers[account] = customer_id
        return customer_id


def _name(payment: tuple[str, object]) -> str:
    return payment[0]
