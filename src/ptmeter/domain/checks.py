"""What a command must be before anybody looks at it: amounts, priorities, times and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import InvalidArgumentError
from .pt import LARGEST, MICRO, plain

if TYPE_CHECKING:
    from datetime import datetime

LOWEST_PRIORITY: Final = 999
"""The largest number a lot's priority can have: what burns last, but for credit."""


LONGEST_NAME: Final = 200
"""Characters of an account's name at most."""


def check_name(account: str) -> None:
    """
    Make sure that something can name an account.

    Raises:
        InvalidArgumentError: It is empty, over 200 characters, padded with white space (some databases
            would take it for the unpadded one) or has control characters.
    """
    if (
        not account
        or len(account) > LONGEST_NAME
        or account != account.strip()
        or not account.isprintable()
    ):
        msg = (
            f"{account!r} cannot name an account: use 1 to {LONGEST_NAME} printable characters "
            f"without white space around them"
        )
        raise InvalidArgumentError(msg)


def check_amount(amount: int, what: str, *, least: int, unit: str = "") -> None:
    """
    Make sure that the ledger can move *amount* micro-PT, of *unit* if that is known.

    Raises:
        InvalidArgumentError: It is no whole number, below *least*, or more than the ledger can count.
    """
    if type(amount) is not int:
        msg = f"{what} is counted in whole micro-PT, not as {amount!r}"
        raise InvalidArgumentError(msg)
    if not least <= amount < LARGEST:
        few = "more than 0 PT" if least else "0 PT or more"
        most = f"less than {plain(LARGEST, MICRO)} PT{' either way' if least < 0 else ''}"
        takes = few if amount <= 0 <= least else most
        msg = f"{what} takes {takes}, not {f'{unit}=' if unit else ''}{plain(amount, MICRO)}"
        raise InvalidArgumentError(msg)


def check_adjustment(amount: int, note: str, lot: int | None) -> None:
    """
    Make sure that a wallet can be corrected by *amount*, and a lot if one is named.

    Raises:
        InvalidArgumentError: It is nothing or too much, has no reason, or would add to a lot that is there.
    """
    check_amount(amount, "an adjustment", least=1 - LARGEST)
    if amount == 0:
        msg = "an adjustment of nothing changes nothing"
        raise InvalidArgumentError(msg)
    if not note:
        msg = "an adjustment needs a reason"
        raise InvalidArgumentError(msg)
    if lot is not None and amount > 0:
        msg = "PT that come in are a lot of their own: only what is taken is taken from a lot that is there"
        raise InvalidArgumentError(msg)


def check_taking(amount: int, note: str, what: str) -> None:
    """
    Make sure that *amount* of a lot can be set aside, given back or taken back, for the reason in *note*.

    Raises:
        InvalidArgumentError: See `check_amount` and `check_note`; or it has no reason.
    """
    check_amount(amount, what, least=1)
    check_note(note)
    if not note:
        msg = f"{what} needs a reason"
        raise InvalidArgumentError(msg)


def check_lot(priority: int, expires_at: datetime | None, note: str) -> None:
    """
    Make sure that PT can come in as such a lot.

    Raises:
        InvalidArgumentError: The priority is out of range, the time has no zone, or see `check_note`.
    """
    if type(priority) is not int or not 0 <= priority <= LOWEST_PRIORITY:
        msg = f"a priority is a whole number from 0 (burns first) to {LOWEST_PRIORITY}, not {priority!r}"
        raise InvalidArgumentError(msg)
    check_moments(expires_at)
    check_note(note)


def check_moments(*moments: datetime | None) -> None:
    """
    Make sure that moments, as far as they are said, are the same everywhere.

    Raises:
        InvalidArgumentError: One has no time zone.
    """
    for moment in moments:
        if moment is not None and moment.tzinfo is None:
            msg = f"{moment} has no time zone: use datetime.now(UTC) and the like"
            raise InvalidArgumentError(msg)


def check_span(since: datetime, until: datetime) -> None:
    """
    Make sure that [since, until) is a span of time.

    Raises:
        InvalidArgumentError: A time has no zone, or *until* is not after *since*.
    """
    check_moments(since, until)
    if until <= since:
        msg = f"a span of time ends after it begins, not at {until} when it begins at {since}"
        raise InvalidArgumentError(msg)


def check_note(note: str) -> None:
    """
    Make sure that a note can be written down.

    Raises:
        InvalidArgumentError: It has a character that some database does not take.
    """
    if "\0" in note or (
        not note.isascii() and note.encode(errors="replace") != note.encode(errors="ignore")
    ):
        msg = f"{note!r} cannot be written down: it has characters that no database takes"
        raise InvalidArgumentError(msg)


def check_zone(zone: str | None) -> None:
    """
    Make sure that there is a clock of that name, if one is named.

    Raises:
        InvalidArgumentError: The time zone database has no such zone.
    """
    if zone is None:
        return
    try:
        ZoneInfo(zone)
    except (ValueError, ZoneInfoNotFoundError):
        msg = f"{zone!r} is no time zone: use a name such as Europe/Berlin"
        raise InvalidArgumentError(msg) from None
