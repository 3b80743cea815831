"""
What somebody should be told, found where it happens: in the transaction of the debit that crossed a line.

A line is crossed by going from below it to it or beyond, so one debit crosses it and the next does not; and
every notice has a name made of what it is about, so that it is written once whatever is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from .accounts import calendar
from .instants import microseconds
from .keys import digest
from .pt import PT, plain
from .rates import WHOLE
from .windows import Every, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from .accounts import Account, Path
    from .admission import Rules
    from .ledger import Wallet
    from .limits import Burn
    from .plans import Plan


class Alert(StrEnum):
    """What a notice is about."""

    ALLOWANCE = "allowance"
    """So much of what the plan gives of a unit in a cycle is used."""
    BURN_WARNING = "burn_warning"
    """PT are being used fast: so much of a cycle's PT within 72 hours."""
    BURN_WAIT = "burn_wait"
    """PT were used too fast: nobody is let in until the wait is over."""
    SOFT_CAP = "soft_cap"
    """So much of a cycle's PT was of this unit that a hard cap is near."""
    LOW_BALANCE = "low_balance"
    """A wallet has little left."""
    EXPIRING = "expiring"
    """What is left of a lot lapses soon."""
    EXHAUSTION = "exhaustion"
    """A wallet will soon be empty, if PT are used on as in the last 72 hours."""
    TOP_UP_CAPPED = "top_up_capped"
    """A wallet would have been topped up, and the month's cap on that is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """
    Something to tell: about whom, what line was crossed and how far.

    ``line`` and ``reached`` are micro-PT; ``share`` is the line as configured, in ten-thousandths, if it was
    a share. ``window`` is when the cycle began that it is about, in microseconds since 1970, and makes the notice
    one of its own in each; for a balance it is the number of the transfer, for a lot that of the lot. What is
    told ahead of time has no line: it says how many ``days`` ahead, and ``until`` when there is something.
    """

    alert: Alert
    account: str
    unit: str = ""
    share: int = 0
    line: int = 0
    reached: int
    window: int
    at: datetime
    days: int = 0
    until: datetime | None = None

    @property
    def id(self) -> bytes:
        """The name it is written under."""
        line = (self.share, self.line, self.days)
        return digest(("notice", self.alert, self.account, self.unit, *line, self.window))

    def __str__(self) -> str:
        share = plain(self.share, WHOLE // 100)
        facts = {"unit": self.unit, "line": PT(self.line), "reached": PT(self.reached), "share": share}
        until = f"{self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{self.account}: {_SENTENCES[self.alert].format(**facts, until=until)}"


_SENTENCES: Final[Mapping[Alert, str]] = {
    Alert.ALLOWANCE: "{share} % of the {unit} allowance is used, {reached}",
    Alert.BURN_WARNING: "{reached} were used within 72 hours, which is fast",
    Alert.BURN_WAIT: "{reached} were used within 72 hours, which is too fast: no calls for a while",
    Alert.SOFT_CAP: "{reached} of {unit} are used, the cap on its share of all is near",
    Alert.LOW_BALANCE: "{reached} of {unit} are left, less than {line}",
    Alert.EXPIRING: "{reached} of {unit} lapse on {until}",
    Alert.EXHAUSTION: "{reached} of {unit} are left, used on as fast until {until}",
    Alert.TOP_UP_CAPPED: "{reached} of {unit} are left, and no more is bought this month",
}


def low_balance(before: Wallet, after: Wallet, plan: Plan | None, at: datetime) -> Iterator[Notice]:
    """What to say of a wallet of which PT were used: what is held is not used yet."""
    line = plan.low_balance.get(before.id.unit) if plan else None
    had, has = before.available + before.held, after.available + after.held
    if line is not None and has < line <= had:
        account, unit = before.id
        yield Notice(
            alert=Alert.LOW_BALANCE,
            account=account,
            unit=unit,
            line=line,
            reached=has,
            window=after.seq,
            at=at,
        )


class _Use(NamedTuple):
    """An account before and after it used something, and the cycle that is in: its beginning, what it gives."""

    before: Account
    after: Account
    plan: Plan
    given: int
    cycle: int
    at: datetime


def used(
    path: Path, unit: str, amount: int, rules: Rules | None, at: datetime
) -> tuple[Account, list[Notice]]:
    """
    The first account on *path* after it used so much, with the wait that begins, and what there is to say.

    Without *rules* only the tally is kept.
    """
    account = path[0]
    when = calendar(path)
    after = replace(account, tally=account.tally.with_use(unit, amount, when, at))
    plan = rules.plans.find(account.plan) if rules and account.plan else None
    if plan is None or rules is None:
        return after, []
    cycle = window(at, every=Every.MONTH, anchor=when.anchor, zone=when.zone).start
    use = _Use(account, after, plan, rules.allowance(account), microseconds(cycle), at)
    return _burnt(use, plan.limits.burn, [*_of_unit(use, unit)])


def _of_unit(use: _Use, unit: str) -> Iterator[Notice]:
    """The lines of one unit: shares of its allowance, and the soft cap on its share of all."""
    allowance = use.plan.allowance.get(unit)
    share = use.plan.limits.shares.get(unit)
    lines = [(Alert.ALLOWANCE, each, allowance.micro) for each in use.plan.alerts if allowance]
    lines += [(Alert.SOFT_CAP, share.soft, use.given)] if share and share.soft else []
    had = use.before.tally.amount_used(unit, Every.MONTH, use.at)
    has = use.after.tally.amount_used(unit, Every.MONTH, use.at)
    for alert, part, whole in lines:
        if had * WHOLE < whole * part <= has * WHOLE:
            yield _notice(use, alert, part, whole, has, unit=unit)


def _burnt(use: _Use, burn: Burn | None, notices: list[Notice]) -> tuple[Account, list[Notice]]:
    """The lines of the burn rate, and the wait of the highest step that was gone over."""
    if burn is None or not use.given:
        return use.after, notices
    had, has = (each.tally.amount_burnt(use.at) * WHOLE for each in (use.before, use.after))
    if burn.warn and had < use.given * burn.warn <= has:
        notices.append(_notice(use, Alert.BURN_WARNING, burn.warn, use.given, has // WHOLE))
    over = [step for step in burn.steps if had <= use.given * step.share < has]
    if not over:
        return use.after, notices
    tally = use.after.tally.with_waits(burn, over[-1], use.cycle, use.at)
    again = use._replace(cycle=tally.waits.until)
    notices.append(_notice(again, Alert.BURN_WAIT, over[-1].share, use.given, has // WHOLE))
    return replace(use.after, tally=tally), notices


def _notice(use: _Use, alert: Alert, share: int, whole: int, reached: int, *, unit: str = "") -> Notice:
    return Notice(
        alert=alert,
        account=use.after.name,
        unit=unit,
        share=share,
        line=whole * share // WHOLE,
        reached=reached,
        window=use.cycle,
        at=use.at,
    )
