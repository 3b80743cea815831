"""Referrals, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..domain.referrals import ReferralState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from ..domain.referrals import Referral


@dataclass(slots=True)
class ReferralTables:
    """What there is of referrals. Values are immutable, so a shallow copy is a snapshot."""

    codes: dict[str, str] = field(default_factory=dict[str, str])
    referrals: dict[str, Referral] = field(default_factory=dict[str, "Referral"])
    asked: dict[str, tuple[bytes, bytes]] = field(default_factory=dict[str, tuple[bytes, bytes]])
    traces: dict[tuple[bytes, str], datetime] = field(default_factory=dict[tuple[bytes, str], "datetime"])

    def __copy__(self) -> ReferralTables:
        return ReferralTables(*(dict(getattr(self, name)) for name in self.__slots__))


class MemoryReferrals:
    """Referrals inside one transaction on memory, which holds the only lock there is."""

    def __init__(self, tables: ReferralTables, now: Callable[[], datetime]) -> None:
        self._tables = tables
        self._now = now

    def code_of(self, account: str) -> str | None:
        """See `ports.Referrals.code_of`."""
        return self._tables.codes.get(account)

    def owner_of(self, code: str) -> str | None:
        """See `ports.Referrals.owner_of`."""
        return next((name for name, kept in self._tables.codes.items() if kept == code), None)

    def add_code(self, account: str, code: str) -> None:
        """See `ports.Referrals.add_code`."""
        if code not in self._tables.codes.values():
            self._tables.codes.setdefault(account, code)

    def lock_codes(self, accounts: Iterable[str]) -> None:
        """See `ports.Referrals.lock_codes`."""

    def find(self, account: str) -> Referral | None:
        """See `ports.Referrals.find`."""
        return self._tables.referrals.get(account)

    def asked(self, account: str) -> tuple[bytes, bytes] | None:
        """See `ports.Referrals.asked`."""
        return self._tables.asked.get(account)

    def find_payment(self, payment_id: str) -> Referral | None:
        """See `ports.Referrals.find_payment`."""
        every = self._tables.referrals.values()
        return next((each for each in every if each.payment_id == payment_id), None)

    def add(self, new: Referral, request: bytes, fingerprint: bytes) -> bool:
        """See `ports.Referrals.add`."""
        if new.account in self._tables.referrals:
            return False
        self._tables.referrals[new.account] = new
        self._tables.asked[new.account] = request, fingerprint
        return True

    def save(self, changed: Referral) -> None:
        """See `ports.Referrals.save`."""
        self._tables.referrals[changed.account] = changed

    def uses(self, referrer: str, since: datetime | None = None) -> int:
        """See `ports.Referrals.uses`."""
        used = [each.used_at for each in self._of(referrer)]
        return sum(since is None or at > since for at in used)

    def count(self, referrer: str) -> int:
        """See `ports.Referrals.count`."""
        return sum(each.state is ReferralState.REWARDED for each in self._of(referrer))

    def listed(
        self, referrer: str, *, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Referral]:
        """See `ports.Referrals.listed`."""
        found = sorted(self._of(referrer), key=lambda each: each.account)
        found.sort(key=lambda each: each.used_at, reverse=True)
        if before is not None:
            at, name = before
            found = [
                each for each in found if each.used_at < at or (each.used_at == at and each.account > name)
            ]
        return found[:limit]

    def lock_traces(self, traces: Sequence[bytes]) -> None:
        """See `ports.Referrals.lock_traces`."""

    def seen(self, trace: bytes, *, beside: str, since: datetime | None) -> int:
        """See `ports.Referrals.seen`."""
        return sum(
            found == trace and account != beside and (since is None or at > since)
            for (found, account), at in self._tables.traces.items()
        )

    def note_traces(self, account: str, traces: Sequence[bytes]) -> None:
        """See `ports.Referrals.note_traces`."""
        self._tables.traces |= {(trace, account): self._now() for trace in traces}

    def _of(self, referrer: str) -> list[Referral]:
        return [each for each in self._tables.referrals.values() if each.referrer == referrer]
