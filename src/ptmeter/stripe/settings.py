"""What a platform decides about what it asks of Stripe: tax, invoices, and usage that is billed afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from ..domain.arguments import check_fields
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_EVENT: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MOST_FIELDS: Final = 4
_LONGEST_NAME: Final = 40
_LONGEST_VALUE: Final = 140


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """
    How Stripe Tax computes tax; it has to be switched on at Stripe, with where you are registered.

    ``code`` is the tax code of what is sold, Stripe's preset if left out; ``behavior`` whether prices include tax.
    """

    code: str = ""
    behavior: Literal["exclusive", "inclusive"] = "exclusive"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.behavior not in ("exclusive", "inclusive"):
            msg = f"prices are exclusive or inclusive of tax, not {self.behavior!r}"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoices:
    """
    What stands on invoices besides the account's branding, which is set in Stripe's dashboard.

    Raises:
        ConfigurationError: There are more than four fields, or one is too long for Stripe.
    """

    footer: str = ""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Custom fields by name: up to four, names of up to 40 and values of up to 140 characters."""
    for_top_ups: bool = False
    """Whether a top-up by Checkout leads to an invoice too; subscriptions always do."""

    def __post_init__(self) -> None:
        check_fields(self)
        long = [
            name
            for name, value in self.fields.items()
            if not all(isinstance(each, str) for each in (name, value))  # pyright: ignore[reportUnnecessaryIsInstance]
            or not 0 < len(name) <= _LONGEST_NAME
            or not 0 < len(value) <= _LONGEST_VALUE
        ]
        if long or len(self.fields) > _MOST_FIELDS:
            msg = "an invoice takes up to 4 fields, with names of 1 to 40 and values of 1 to 140 characters"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """
    A unit of PT that is billed afterwards, through a billing meter at Stripe.

    ``event`` is the event name of the meter; what was charged before the day *since* (UTC) is not reported.

    Raises:
        ConfigurationError: No meter can have events of that name.
    """

    event: str
    since: date

    def __post_init__(self) -> None:
        check_fields(self)
        if not _EVENT.fullmatch(self.event):
            msg = (
                f"{self.event!r} cannot be the event name of a meter: up to 100 letters, digits, _, . and -"
            )
            raise ConfigurationError(msg)
