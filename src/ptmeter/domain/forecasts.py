"""
What somebody should be told ahead of time: lots that lapse soon, and when a wallet will be empty.

Nothing crosses a line here but time, so a job looks at every wallet now and then. Of several lines that are
crossed already only the nearest is told of, and each notice has a name of its own: looking twice tells once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .alerts import Alert, Notice
from .arguments import check_fields
from .instants import microseconds
from .tallies import BURN_HOURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from .ledger import Wallet
    from .windows import Window

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """
    So many days before a lot lapses, and before a wallet is empty, its account is told.

    Raises:
        ConfigurationError: It is no whole number of days, at least one.
    """

    expiring: tuple[int, ...] = (7, 1)
    exhaustion: tuple[int, ...] = (3,)

    def __post_init__(self) -> None:
        check_fields(self)
        if any(type(days) is not int or days < 1 for days in (*self.expiring, *self.exhaustion)):
            msg = f"say at least one whole day ahead, not {self.expiring} and {self.exhaustion}"
            raise ConfigurationError(msg)


def expiring(wallet: Wallet, ahead: Ahead, at: datetime) -> Iterator[Notice]:
    """What to say of the lots of a wallet that lapse soon and have something left that is not held."""
    for lot in wallet.lots:
        days = _nearest(ahead.expiring, lot.expires_at, at)
        if lot.remaining and days:
            yield Notice(
                alert=Alert.EXPIRING,
                account=wallet.id.account,
                unit=wallet.id.unit,
                reached=lot.remaining,
                window=lot.number,
                at=at,
                days=days,
                until=lot.expires_at,
            )


def runs_out_at(wallet: Wallet, burnt: int, at: datetime) -> datetime | None:
    """When a wallet is empty if *burnt* are used in every 72 hours to come; ``None`` for no time soon."""
    left = wallet.available + wallet.held - wallet.owed
    if burnt <= 0 or left <= 0:
        return None
    hours = left * BURN_HOURS // burnt
    return at + timedelta(hours=hours) if hours < _FAR else None


_FAR = 24 * 365
"""Hours: nobody is told of what lies further ahead."""


def exhausted(
    wallet: Wallet, burnt: int, ahead: Ahead, cycle: Window, at: datetime, *, renewed: bool
) -> Notice | None:
    """
    What to say of a wallet that will be empty soon: once a cycle for each number of days.

    One that is *renewed* at the end of its cycle is not running out if it lasts until then.
    """
    until = runs_out_at(wallet, burnt, at)
    days = _nearest(ahead.exhaustion, until, at)
    if until is None or not days or (renewed and until >= cycle.end):
        return None
    return Notice(
        alert=Alert.EXHAUSTION,
        account=wallet.id.account,
        unit=wallet.id.unit,
        reached=wallet.available + wallet.held - wallet.owed,
        window=microseconds(cycle.start),
        at=at,
        days=days,
        until=until,
    )


def _nearest(days: Iterable[int], moment: datetime | None, at: datetime) -> int | None:
    """The smallest of those numbers of days within which *moment* lies ahead."""
    if moment is None or moment <= at:
        return None
    return min((each for each in days if moment <= at + each * _DAY), default=None)
