"""
Counting what a batch does in the tallies of who asked and of all above, and noting what is to be told of it.

A hold counts as a request and as a call under way, one that extends a call as held only, a settle or debit as use;
what becomes of the PT is not its business. What it changes is taken back with the group that did it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import alerts, top_ups
from .accounts import month, path, plan_of
from .alerts import Notice
from .ledger import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from .accounts import Account, Path
    from .admission import Admission, Rules
    from .ledger import OpenHold, Transfer, Wallet
    from .top_ups import TopUp


class Tallying:
    """The accounts that a batch counts in, as its commands leave them one after the other."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        recent: Mapping[str, Sequence[TopUp]],
        *,
        put: Callable[[dict[Any, Any], Any, Any], None],
    ) -> None:
        """*recent* are the accounts' top-ups; *put* changes a table so that it can be taken back."""
        self.accounts = dict(accounts)
        self.notices: dict[bytes, Notice] = {}
        self.top_ups: dict[str, TopUp] = {}
        self._recent = recent
        self._put = put

    def path(self, name: str) -> Path:
        """An account and all above it, as they are now."""
        return path(name, self.accounts)

    def plan(self, name: str) -> str:
        """The plan an account is on now, its own or that of the nearest above; empty for none."""
        return plan_of(self.path(name)) or ""

    def latest(self, name: str) -> datetime:
        """What is counted of an account is booked no earlier, for it was counted above by others meanwhile."""
        return max(account.tally.latest for account in self.path(name))

    def hold(self, placed: Transfer, admission: Admission) -> None:
        """Count a hold that was placed."""
        unit, at = placed.wallet.unit, placed.booked_at
        assert placed.expires_at is not None
        extends = placed.kind is Kind.EXTEND
        for account in self.path(admission.account):
            tally = account.tally
            if not extends:
                tally = tally.with_request(admission.rules.paces(account), at)
            held = tally.with_hold(unit, placed.amount, placed.expires_at, at, calls=int(not extends))
            self._keep(replace(account, tally=held))

    def release(self, hold: OpenHold, at: datetime) -> None:
        """Count a hold no more, however it was resolved."""
        for account in self.path(hold.member):
            left = account.tally.without_hold(
                hold.wallet.unit, hold.amount, hold.expires_at, at, calls=int(not hold.extends)
            )
            self._keep(replace(account, tally=left))

    def use(self, before: Wallet, after: Wallet, charged: Transfer, rules: Rules | None) -> None:
        """Count what was charged, which made the wallet *after* of that *before*."""
        at, unit = charged.booked_at, charged.wallet.unit
        whole = self.path(charged.member)
        for place in range(len(whole)):
            account, notices = alerts.used(whole[place:], unit, charged.amount, rules, at)
            self._keep(account)
            self._tell(notices)
        name = plan_of(self.path(after.id.account)) if rules else None
        plan = rules.plans.find(name) if rules and name else None
        self._tell([*alerts.low_balance(before, after, plan, at)])
        if rules:
            self._top_up(after, rules, at)

    def _top_up(self, wallet: Wallet, rules: Rules, at: datetime) -> None:
        """Ask for PT if the wallet's account tops itself up and has too few left."""
        account, unit = wallet.id
        terms = self.accounts[account].top_ups.get(unit) if account in self.accounts else None
        if terms is None or top_ups.balance(wallet) >= terms.below.micro:
            return
        asked = (top_up for top_up in self.top_ups.values() if top_up.account == account)
        earlier = (*self._recent.get(account, ()), *asked)
        cycle = month(self.path(account), at)
        found = top_ups.due(wallet, terms, earlier, rules.sells_at.get(unit, 0), cycle, at)
        if isinstance(found, Notice):
            self._tell([found])
        elif found:
            self._put(self.top_ups, found.id, found)

    def _keep(self, account: Account) -> None:
        self._put(self.accounts, account.name, account)

    def _tell(self, notices: list[Notice]) -> None:
        for notice in notices:
            self._put(self.notices, notice.id, notice)
