"""The repository of payments, of the money in the books, and of who is who at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.money import MoneyEntry
    from ..domain.payments import PaymentRecord


class Payments(Protocol):
    """Payments as the books have them, money entries, and customers."""

    def open(self, payment: str) -> None:
        """Make sure that there is something to lock for the payment."""
        ...

    def lock(self, payment: str) -> PaymentRecord | None:
        """Lock a payment and read it, if the books have it."""
        ...

    def find(self, payment: str) -> PaymentRecord | None:
        """A payment, if the books have it."""
        ...

    def save(self, record: PaymentRecord) -> None:
        """Write a payment just locked."""
        ...

    def listed(self, *, account: str | None = None, limit: int = 100) -> list[PaymentRecord]:
        """Payments, the latest first."""
        ...

    def enter(self, entries: Sequence[MoneyEntry]) -> None:
        """
        Write entries, but for those whose key is there.

        Raises:
            InvariantError: An entry of that key is there and says something else.
        """
        ...

    def entries(self, *, reference: str | None = None) -> list[MoneyEntry]:
        """The entries in the order of their keys, all or those that belong to something at Stripe."""
        ...

    def page(self, *, after: str = "", limit: int = 1_000) -> list[tuple[str, PaymentRecord | None]]:
        """All that was ever opened, by name, beginning after *after*; ``None`` for what is no payment."""
        ...

    def astray(self, limit: int = 100) -> list[MoneyEntry]:
        """Entries that belong to nothing that was ever opened."""
        ...

    def customer(self, account: str) -> str | None:
        """What the account is at Stripe."""
        ...

    def account_of(self, customer_id: str) -> str | None:
        """Whose customer that is."""
        ...

    def name_customer(self, account: str, customer_id: str) -> str:
        """
        Say what an account is at Stripe, unless that is known; returns what it is.

        Raises:
            InvariantError: That customer is another account already.
        """
        ...
