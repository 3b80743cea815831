"""How far each limit of an account is used, and when it has room again: for whoever shows it to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .admission import Limit, spoken, taken, window_end, worth
from .rates import WHOLE
from .windows import Every

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .accounts import Path
    from .admission import Rules
    from .limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """
    One limit that calls of an account fall under: whose it is, what it counts, and how much of that is used.

    ``allowed`` and ``used`` count requests, calls, micro-PT or nano-units of money, with what is held now;
    ``until`` is when the window is over that it counts in, if it has one.
    """

    limit: Limit
    account: str
    what: str
    allowed: int
    used: int
    until: datetime | None = None

    @property
    def left(self) -> int:
        """How much is left, or nothing."""
        return max(0, self.allowed - self.used)

    @property
    def share(self) -> float:
        """How much is used, from 0 to 1; for a progress bar, not for decisions."""
        return min(1.0, self.used / self.allowed) if self.allowed else 1.0


def headroom(path: Path, rules: Rules, at: datetime) -> list[Headroom]:
    """Every limit that calls of the first account on *path* fall under, from there up to the root."""
    return [
        each
        for place in range(len(path))
        for limits in rules.limits(path[place])
        for each in _of(path[place:], limits, rules, at)
    ]


def _of(path: Path, limits: Limits, rules: Rules, at: datetime) -> Iterator[Headroom]:
    account = path[0]
    name, tally = account.name, account.tally
    if limits.burn and at < tally.waits_until:
        yield Headroom(
            limit=Limit.WAIT, account=name, what="wait", allowed=0, used=0, until=tally.waits_until
        )
    for pace in limits.paces:
        yield Headroom(
            limit=Limit.PACE,
            account=name,
            what=f"requests per {spoken(pace.per)}",
            allowed=pace.requests,
            used=tally.requests(pace.per, at),
        )
    if limits.concurrent is not None:
        yield Headroom(
            limit=Limit.CONCURRENT,
            account=name,
            what="calls at once",
            allowed=limits.concurrent,
            used=tally.calls(at),
        )
    yield from _of_amounts(path, limits, rules, at)


def _of_amounts(path: Path, limits: Limits, rules: Rules, at: datetime) -> Iterator[Headroom]:
    account = path[0]
    for cap in limits.caps:
        yield Headroom(
            limit=Limit.CAP,
            account=account.name,
            what=f"{cap.unit} PT a {cap.every}",
            allowed=cap.amount,
            used=taken(account, cap.unit, cap.every, at),
            until=window_end(path, cap.every, at),
        )
    for cap in limits.spend:
        by_unit = {unit: taken(account, unit, cap.every, at) for unit in rules.sells_at}
        yield Headroom(
            limit=Limit.SPEND,
            account=account.name,
            what=f"{cap.amount.currency} a {cap.every}",
            allowed=cap.amount.nano,
            used=worth(by_unit, rules),
            until=window_end(path, cap.every, at),
        )
    for share in limits.shares.values():
        if share.hard is not None:
            yield Headroom(
                limit=Limit.SHARE,
                account=account.name,
                what=f"{share.unit} PT a cycle",
                allowed=rules.allowance(account) * share.hard // WHOLE,
                used=taken(account, share.unit, Every.MONTH, at),
                until=window_end(path, Every.MONTH, at),
            )
