"""The repository of referrals: codes, who used them, and where they were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from ..domain.referrals import Referral


class Referrals(Protocol):
    """
    Codes, who used them, and where they were seen.

    Whatever happens to the referrals of an account happens under the lock of its code.
    """

    def code_of(self, account: str) -> str | None:
        """The account's code, if it has one."""
        ...

    def owner_of(self, code: str) -> str | None:
        """Whose code it is, if it is anybody's."""
        ...

    def add_code(self, account: str, code: str) -> None:
        """Keep a code for the account, unless that has one already or it is another's."""
        ...

    def lock_codes(self, accounts: Iterable[str]) -> None:
        """Lock the codes of these accounts, as far as they have any, in one order for everybody."""
        ...

    def find(self, account: str) -> Referral | None:
        """How the account was referred, if it was."""
        ...

    def asked(self, account: str) -> tuple[bytes, bytes] | None:
        """Under which id it was, and the fingerprint of what was asked."""
        ...

    def find_payment(self, payment_id: str) -> Referral | None:
        """The referral whose first payment it was."""
        ...

    def add(self, new: Referral, request: bytes, fingerprint: bytes) -> bool:
        """Write a referral down, unless the account was referred before; returns whether it was written."""
        ...

    def save(self, changed: Referral) -> None:
        """Write what has become of a referral."""
        ...

    def uses(self, referrer: str, since: datetime | None = None) -> int:
        """How often the referrer's code was used, in all or after a moment."""
        ...

    def count(self, referrer: str) -> int:
        """How many of the referrer's referrals are rewarded."""
        ...

    def listed(
        self, referrer: str, *, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Referral]:
        """The referrals of an account, the latest first, beginning behind the time and account *before*."""
        ...

    def lock_traces(self, traces: Sequence[bytes]) -> None:
        """Lock what else these are seen with, in one order for everybody, be they known or new."""
        ...

    def seen(self, trace: bytes, *, beside: str, since: datetime | None) -> int:
        """With how many accounts *beside* one a trace was seen, in all or after a moment."""
        ...

    def note_traces(self, account: str, traces: Sequence[bytes]) -> None:
        """Note that these were seen with the account just now."""
        ...
