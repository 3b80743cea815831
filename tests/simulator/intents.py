"""What callers want, how they ask for it, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ptmeter.domain.commands import Adjust, Debit, Freeze, Grant, Hold, Reverse, Settle, Unfreeze, Void
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Overage, wallet_id
from ptmeter.domain.pt import PT
from ptmeter.domain.receipts import Granted, Receipt
from ptmeter.domain.receipts import Hold as Held
from ptmeter.errors import (
    ConflictError,
    ContentionError,
    IndeterminateError,
    LedgerBusyError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from ptmeter import AsyncMeter
    from ptmeter.domain.commands import Linked

Amounts: TypeAlias = "Mapping[str, int]"

DEFINITE: Final = (RefusedError, ConflictError, NotFoundError)
"""It was decided, and this is the decision."""
UNDONE: Final = (LedgerBusyError, ContentionError, UnavailableError)
"""It was not done, and will not be unless asked for again."""

COMMANDS: Final[Mapping[str, Any]] = {
    "grant": Grant,
    "adjust": Adjust,
    "hold": Hold,
    "settle": Settle,
    "void": Void,
    "debit": Debit,
    "freeze": Freeze,
    "unfreeze": Unfreeze,
    "reverse": Reverse,
}

AT_THE_DOOR: Final = ("debit", "freeze", "unfreeze", "reverse")
"""What is asked of the door itself, and answered by its outcomes."""


class Left(Exception):
    """The caller did not wait for the answer."""


@dataclass(eq=False, slots=True, kw_only=True)
class Intent:
    """Something that is to happen once, under one key. Amounts are whole PT."""

    number: int
    verb: str
    account: str
    key: str
    amounts: Amounts = field(default_factory=dict[str, int])
    hold: Held | None = None
    ttl: timedelta | None = None
    expires_at: datetime | None = None
    priority: int = 50
    overage: Overage = Overage.ALLOW
    lot: int = 0
    answer: Any = None
    """What it came to, once that is certain."""

    def __str__(self) -> str:
        amounts = " ".join(f"{amount} {unit}" for unit, amount in self.amounts.items())
        return f"{self.verb} {self.account} {amounts} [{self.key}]"

    async def ask(self, meter: AsyncMeter, key: str) -> Any:
        """Ask *meter* for it."""
        amounts: dict[str, Any] = dict(self.amounts)
        if self.verb == "grant":
            more: dict[str, Any] = {"priority": self.priority, "expires_at": self.expires_at}
            return await meter.funds.grant(self.account, source="simulated", key=key, **more, **amounts)
        if self.verb == "adjust":
            return await meter.funds.adjust(self.account, reason="simulated", key=key, **amounts)
        if self.verb == "hold":
            return await meter.hold(self.account, key=key, ttl=self.ttl, **amounts)
        if self.verb in AT_THE_DOOR:
            return (await meter.post([self._commands(key)]))[0]
        assert self.hold is not None
        if self.verb == "settle":
            return await meter.settle(self.hold, key=key, overage=self.overage, **amounts)
        return await meter.void(self.hold, key=key)

    def _commands(self, key: str) -> Linked:
        """Debits go through the door itself, and so does what is done to a lot: all or none."""
        if self.verb == "debit":
            more: dict[str, Any] = {"overage": self.overage}
        else:
            more = {"lot": self.lot, "note": "simulated"}
        return tuple(
            COMMANDS[self.verb](
                wallet=wallet_id(self.account, unit),
                id=transfer_id(self.account, self.verb, key, unit),
                fingerprint=digest((self.lot, *sorted(self.amounts.items()))),
                amount=PT.of(amount).micro,
                **more,
            )
            for unit, amount in self.amounts.items()
        )

    def allows(self, group: Linked) -> bool:
        """Whether it is this that *group* asks for."""
        theirs = {unit: PT.of(amount).micro for unit, amount in self.amounts.items()}
        return all(
            type(command) is COMMANDS[self.verb]
            and command.wallet.account == self.account
            and getattr(command, "amount", 0) == theirs.get(command.wallet.unit, 0)
            for command in group
        )


@dataclass(eq=False, slots=True)
class Attempt:
    """Asking once for an intent."""

    intent: Intent
    number: int
    key: str
    posts: Callable[[Attempt, Sequence[Linked]], None]
    """Told of every group that is posted for it, whether that is committed or not."""
    answer: Any = None

    def __str__(self) -> str:
        return f"#{self.number} {self.intent}"


def is_definite(answer: object) -> bool:
    """Whether the caller knows by this what became of it."""
    return not isinstance(answer, Exception) or isinstance(answer, DEFINITE)


def is_foreseen(answer: object) -> bool:
    """Whether a caller has been told what this means."""
    return (
        is_definite(answer) or isinstance(answer, (*UNDONE, IndeterminateError, Left)) or is_death(answer)
    )


def is_death(answer: object) -> bool:
    """Whether the process died over it."""
    return type(answer).__name__ == "Killed"


def said(answer: object) -> str:
    """An answer in a few words."""
    match answer:
        case Held():
            return f"held {_listed(answer.amounts)}, {_listed(answer.available)} left{_again(answer)}"
        case Receipt():
            return f"charged {_listed(answer.charged)}, {_listed(answer.available)} left{_again(answer)}"
        case Granted():
            return f"given {_listed(answer.amounts)}, {_listed(answer.available)} now{_again(answer)}"
        case tuple():
            return " and ".join(f"{type(o).__name__.lower()}{_again(o)}" for o in answer)
        case _:
            return type(answer).__name__


def _listed(amounts: Mapping[str, PT]) -> str:
    return " ".join(f"{amounts[unit].whole:f} {unit}" for unit in sorted(amounts))


def _again(answer: Any) -> str:
    return ", again" if answer.replayed else ""
