# Generated from src/ptmeter/_async/accounts.py by scripts/unasync.py: edit that file, then run `make format`.
"""Accounts: who belongs to whom, whose PT they use, and the limits that are their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.limits import ONE_QUESTION, own_limits
from ..domain.visitors import visitor_name
from ..operations import placing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from ..domain.accounts import Account
    from ..domain.headroom import Headroom
    from ..domain.pt import Whole
    from ..domain.windows import Every
    from .platform import Platform


@typed
class Accounts:
    """
    Accounts form a tree: ``meter.accounts``.

    An account comes into being with its first grant, or by being put under another. What a call uses counts
    for who asks and for all above, and a limit of any of them may refuse it. The tree and its limits hold on a
    meter that was opened with ``plans``, be there any plan in them or not.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def place(self, account: str, *, under: str | None, pooled: bool = True) -> Account:
        """
        Put an account under another one, such as a member under a team; ``None`` puts it on its own.

        A *pooled* account uses the PT of the one above it. What it used so far stays counted where it was. The
        same again changes nothing, so it needs no key.

        Raises:
            AccountNotFoundError: There is no account to put it under.
            ConflictError: It has calls under way.
            InvalidArgumentError: It would be above itself, or the tree deeper than 32.
            ConfigurationError: The meter was opened without plans, so nobody would go by it.
        """
        self._platform.need_plans()
        put = partial(placing.place, name=account, under=under, pooled=pooled)
        return self._platform.run(put)

    def limit(
        self,
        account: str,
        *,
        requests: Mapping[timedelta, int] | None = None,
        concurrent: int | None = None,
        caps: Mapping[str, Mapping[Every | str, Whole]] | None = None,
        spend: Mapping[Every | str, Whole] | None = None,
    ) -> Account:
        """
        Give an account limits of its own, beside those of its plan: all of them anew, or none if none is said.

        Args:
            account: A member of a team, a team, or whoever is to be limited.
            requests: So many within any such stretch of time.
            concurrent: So many calls at once.
            caps: So many whole PT, by unit and by ``day``, ``week``, ``month`` or ``year``.
            spend: So many US dollars, by what PT sell at, by ``day``, ``week``, ``month`` or ``year``.

        Raises:
            AccountNotFoundError: There is no such account.
            UnknownUnitError: The platform has no such unit.
            ConfigurationError: A limit is negative, or the meter was opened without plans.
        """
        self._platform.need_plans()
        for unit in caps or {}:
            self._platform.pricing.card.unit(unit)
        terms = own_limits(requests=requests, concurrent=concurrent, caps=caps, spend=spend)
        return self._platform.run(partial(placing.limit, name=account, terms=terms))

    def visitor(
        self, ip: str, *, under: str, secret: bytes, requests: Mapping[timedelta, int] | None = None
    ) -> Account:
        """
        The account of an anonymous visitor, by the address they come from; one question in 24 hours unless said.

        It uses the PT of *under* and falls under its plan, so all visitors together are bounded too. Of the
        address only a hash is kept, and of IPv6 only the network.

        Args:
            ip: The address of who asks; behind a proxy the one that the proxy tells.
            under: The account that pays for visitors.
            secret: What addresses are hashed with: 16 to 64 bytes that stay the same.
            requests: So many within any such stretch of time.

        Raises:
            AccountNotFoundError: There is no account that pays.
            InvalidArgumentError: It is no address, or the secret has another length.
            ConfigurationError: The meter was opened without plans.
        """
        self._platform.need_plans()
        name = visitor_name(ip, under=under, secret=secret)
        terms = own_limits(requests=requests or ONE_QUESTION)
        return self._platform.run(partial(placing.admit, name=name, under=under, terms=terms))

    def agree_to_overflow(self, account: str, *, agreed: bool = True) -> Account:
        """
        Note whether an account agreed to be charged a multiple beyond its plan's hard cap.

        Raises:
            AccountNotFoundError: There is no such account.
        """
        return self._platform.run(partial(placing.agree_to_overflow, name=account, agreed=agreed))

    def count_from(self, account: str, anchor: datetime | None, *, zone: str | None = None) -> Account:
        """
        Say when an account's days and months begin, and by whose clock, such as ``Europe/Berlin``.

        What was used is counted into the windows anew from then on, by the journal.

        Raises:
            AccountNotFoundError: There is no such account.
            InvalidArgumentError: There is no such zone, or the time has none.
        """
        return self._platform.run(partial(placing.count_from, name=account, anchor=anchor, zone=zone))

    def find(self, account: str) -> Account:
        """
        The account, with what it has under way and has used (``tally``).

        Raises:
            AccountNotFoundError: There is no such account.
        """
        return self._platform.read_or_raise(partial(placing.find, name=account))

    def below(self, account: str, *, after: str = "", limit: int = 100) -> list[Account]:
        """The accounts right below one, by name, a page at a time: pass the last name on as *after*."""
        return self._platform.read(lambda books: books.accounts.below(account, after=after, limit=limit))

    def headroom(self, account: str) -> list[Headroom]:
        """
        Every limit that calls of the account fall under, its own and those above, and how much of it is used.

        Raises:
            AccountNotFoundError: There is no such account.
            ConfigurationError: The meter was opened without plans.
        """
        rules = self._platform.need_plans()
        return self._platform.read_or_raise(partial(placing.headroom, name=account, rules=rules))
