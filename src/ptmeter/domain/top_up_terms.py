"""On what terms an account tops itself up: what it has agreed to, apart from when that comes to pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..errors import ConfigurationError
from .arguments import check_fields
from .pt import PT, Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpTerms:
    """
    How an account tops a unit up: *amount* whenever less than *below* is left, as often as that takes at once.

    Raises:
        ConfigurationError: An amount is not positive, or the pause after a failure negative.
    """

    below: PT
    amount: PT
    per_month: Money
    """What may be asked for in a calendar month of the account's, in money."""
    cool_down: timedelta = timedelta(hours=24)
    """How long nothing is asked for after a failure; twice as long after two in a row, up to four times."""

    def __post_init__(self) -> None:
        check_fields(self, PT, Money)
        amounts = (
            ("below", self.below.micro),
            ("amount", self.amount.micro),
            ("per_month", self.per_month.nano),
        )
        for name, amount in amounts:
            if amount <= 0:
                msg = f"a top-up takes more than 0 as {name}, not {getattr(self, name)}"
                raise ConfigurationError(msg)
        if self.cool_down < timedelta(0):
            msg = f"cool_down, the pause after a failure, is not negative: {self.cool_down}"
            raise ConfigurationError(msg)
