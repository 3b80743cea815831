"""
How answers are written: one JSON document for scripts, or rich's tables for people.

In JSON, amounts are decimal strings that are exact, times are ISO 8601 in UTC, and keys do not change. For
people, text from the ledger is printed as text: nothing in it is taken for markup or a terminal's commands.
"""

from __future__ import annotations

import json
import os
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from ..domain.pt import MICRO, NANO, PT, plain
from .tables import Screen, facts, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..domain.pt import Money

__all__ = [
    "amounts",
    "counted",
    "facts",
    "margin_light",
    "money",
    "money_text",
    "money_words",
    "number",
    "pt",
    "pt_text",
    "remark",
    "safe",
    "screen",
    "share_text",
    "table",
    "time_text",
    "write_json",
]

UNWRAPPED: Final = 200
"""How wide a table may be where nobody's screen limits it, as in a pipe or a file."""

GREEN_MARGIN: Final = Decimal("0.65")
YELLOW_MARGIN: Final = Decimal("0.50")


def write_json(document: Mapping[str, Any]) -> None:
    """Write the one document of a command run with ``--json``."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def screen(*, errors: bool = False) -> Screen:
    """Where people read; plain if it is not a terminal or NO_COLOR is set."""
    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else UNWRAPPED
    return Screen(file=stream, width=width, markup=False, emoji=False, highlight=False)


# --- exact, for scripts ---


def pt_text(amount: PT) -> str:
    """An amount in whole PT as scripts read it: ``"7.25"``."""
    return plain(amount.micro, MICRO).replace(",", "")


def money_text(amount: Money) -> str:
    """An amount in whole units of its currency as scripts read it: ``"0.00105"``."""
    return plain(amount.nano, NANO).replace(",", "")


def amounts(by_unit: Mapping[str, PT]) -> dict[str, str]:
    """Amounts by unit as scripts read them."""
    return {unit: pt_text(amount) for unit, amount in sorted(by_unit.items())}


def share_text(share: Decimal | None) -> str | None:
    """A share as scripts read it: ``"0.8315"``."""
    return None if share is None else f"{share:f}"


# --- readable, for people ---


def number(value: int) -> Text:
    """A count with its thousands marked; zero steps back."""
    return Text(f"{value:,}", style="" if value else "dim")


def pt(amount: PT, style: str = "") -> Text:
    """An amount of PT; zero steps back."""
    return Text(plain(amount.micro, MICRO), style=style if amount else "dim")


def counted(count: int, thing: str) -> str:
    """So many of a thing: ``1 call``, ``1,200 calls``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def money(amount: Money, digits: int = 4) -> Text:
    """An amount of money, to so many decimals, in the form of `Money`; the exact one is in the JSON."""
    return Text(money_words(amount, digits), style="" if amount.nano else "dim")


def money_words(amount: Money, digits: int) -> str:
    """An amount of money to so many decimals: ``-US$0.31``."""
    symbol = "US$" if amount.currency == "USD" else f"{amount.currency} "
    rounded = round(Decimal(amount.nano).scaleb(-9), digits)
    return f"{'-' if rounded < 0 else ''}{symbol}{abs(rounded):,.{digits}f}"


def margin_light(share: Decimal | None) -> Text:
    """A margin, under its light."""
    if share is None:
        return Text("–", style="dim")
    style = "green" if share >= GREEN_MARGIN else "yellow" if share >= YELLOW_MARGIN else "red"
    return Text(f"{share:.1%}", style=style)


def time_text(at: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def safe(text: str) -> str:
    """*text* with whatever is not printable shown as a dot, escape sequences of terminals among it."""
    return "".join(each if each.isprintable() else "·" for each in text)


def remark(text: str) -> Text:
    """A line that explains, less prominent than what it explains."""
    return Text(text, style="dim")
