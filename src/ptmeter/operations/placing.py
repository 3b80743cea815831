"""Accounts and their tree: who belongs to whom, whose PT they use, and what limits are their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.accounts import DEEPEST, Account, former_payers, holds_calls, path, payer
from ..domain.checks import check_moments, check_name, check_zone
from ..domain.headroom import headroom as limits_left
from ..domain.tallies import NOTHING
from ..errors import AccountNotFoundError, ConflictError, InvalidArgumentError
from .recounting import lock_path, recount

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..domain.admission import Rules
    from ..domain.headroom import Headroom
    from ..domain.limits import Limits
    from ..errors import PtmeterError
    from ..ports import Books


def place(books: Books, name: str, *, under: str | None, pooled: bool) -> Account | PtmeterError:
    """
    Put an account under another, opening it if it is new; ``None`` puts it on its own.

    What it used so far stays counted where it was. It cannot move while calls of it or below it are under way,
    for they are to be counted off where they were counted. What was asked for before is found where it was booked.
    """
    check_name(name)
    if under is not None and not books.accounts.exists(under):
        return AccountNotFoundError(under)
    books.accounts.open(name)
    locked = lock_path(books, name, under)
    before = locked[name]
    after = replace(before, parent=under, pooled=pooled and under is not None)
    if after == before:
        return before
    _check_tree(after, locked, below=books.accounts.levels_below(name) if under else 0)
    if before.parent != under or before.pooled != after.pooled:
        if holds_calls(before, books.ledger.now()):
            return ConflictError(
                f"account {name!r} has calls under way: put it elsewhere when they have ended"
            )
        if before.tally != NOTHING:
            moved_at = max(books.ledger.now(), *(each.tally.latest for each in locked.values()))
            _mark_moved(books, before, locked, moved_at)
            theirs = path(name, locked)
            former = tuple(dict.fromkeys((payer(theirs), *former_payers(theirs))))
            after = replace(after, placed_at=moved_at, former=former)
    books.accounts.save(after)
    return after


def change(books: Books, name: str, edit: Callable[[Account], Account]) -> Account | PtmeterError:
    """Change what is said of an account that is there, such as its terms."""
    found = books.accounts.lock([name]).get(name)
    if found is None:
        return AccountNotFoundError(name)
    after = edit(found)
    if after != found:
        books.accounts.save(after)
    return after


def limit(books: Books, name: str, *, terms: Limits) -> Account | PtmeterError:
    """Give an account limits of its own, beside those of its plan."""
    if terms.shares or terms.burn:
        msg = "shares and burn rates are a plan's: an account of its own has paces, caps and calls at once"
        raise InvalidArgumentError(msg)
    return change(books, name, lambda found: replace(found, terms=terms))


def agree_to_overflow(books: Books, name: str, *, agreed: bool) -> Account | PtmeterError:
    """Note whether an account agreed to be charged a multiple beyond its plan's hard cap."""
    return change(books, name, lambda found: replace(found, overflow=agreed))


def admit(books: Books, name: str, *, under: str, terms: Limits) -> Account | PtmeterError:
    """The account of a visitor, opened at the first visit: below who pays, with limits of its own."""
    found = books.accounts.find([name]).get(name)
    if found is not None and (found.parent, found.terms) == (under, terms):
        return found
    placed = place(books, name, under=under, pooled=True)
    return limit(books, name, terms=terms) if isinstance(placed, Account) else placed


def count_from(
    books: Books, name: str, *, anchor: datetime | None, zone: str | None
) -> Account | PtmeterError:
    """Say when an account's windows begin, and count what was used into them."""
    check_moments(anchor)
    check_zone(zone)
    locked = lock_path(books, name)
    found = locked.get(name)
    if found is None:
        return AccountNotFoundError(name)
    after = replace(found, anchor=anchor, zone=zone)
    if after != found:
        books.accounts.save(after)
        recount(books, name, {**locked, name: after})
    return books.accounts.find([name])[name]


def headroom(books: Books, name: str, *, rules: Rules) -> list[Headroom] | PtmeterError:
    """Every limit that calls of an account fall under, and how much of it is used."""
    if name not in books.accounts.find([name]):
        return AccountNotFoundError(name)
    return limits_left(books.accounts.path(name), rules, books.ledger.now())


def find(books: Books, name: str) -> Account | PtmeterError:
    """The account of that name."""
    return books.accounts.find([name]).get(name) or AccountNotFoundError(name)


def _check_tree(after: Account, locked: dict[str, Account], *, below: int) -> None:
    """
    Make sure that it still is a tree, with *below* so many levels below the account.

    Raises:
        InvalidArgumentError: The account would be above itself, or the tree too deep.
    """
    above, depth = after.parent, 0
    while above is not None:
        depth += 1
        problem = ""
        if above == after.name:
            direct = above == after.parent
            problem = "an account is not above itself" if direct else f"it is above {after.parent!r}"
        elif depth > DEEPEST:
            problem = f"that has {DEEPEST} accounts above it already"
        elif depth + below > DEEPEST:
            problem = (
                f"with {below} levels below it, some would have more than {DEEPEST} accounts above them"
            )
        if problem:
            msg = f"{after.name!r} cannot be put under {after.parent!r}: {problem}"
            raise InvalidArgumentError(msg)
        found = locked.get(above)
        above = found.parent if found else None


def _mark_moved(books: Books, account: Account, locked: dict[str, Account], at: datetime) -> None:
    """Note on all above, old and new, that what was counted so far was counted where somebody was then."""
    above = {each.name for each in path(account.name, locked)} | set(locked)
    for name in sorted(above - {account.name}):
        books.accounts.save(replace(locked[name], placed_at=at))
