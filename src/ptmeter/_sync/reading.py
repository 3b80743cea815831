# Generated from src/ptmeter/_async/reading.py by scripts/unasync.py: edit that file, then run `make format`.
"""What a meter tells without changing anything: balances, statements, summaries, what a plan opens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.mitigations import Mitigation
from ..domain.routing import Candidate
from ..errors import InvalidArgumentError
from ..operations import entitling, reading, verifying

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.audit import Report
    from ..domain.entitlements import Entitlement
    from ..domain.receipts import Balance, OpenHolds, Page
    from ..domain.routing import Route
    from ..domain.summaries import Summary
    from .platform import Platform


@typed
class Reading:
    """The verbs of a `Meter` that only read."""

    _platform: Platform

    def may(self, account: str, *, model: str | None = None, feature: str | None = None) -> Entitlement:
        """
        Whether the account's plan opens a model or a feature; if not, why, and the cheapest plan that does.

        An account on no plan may use every model and no feature. Whether it has PT for it is another question.

        Raises:
            UnknownModelError: No rate is known for the model.
            ConfigurationError: The account is on a plan that the meter's plans do not have.
        """
        here = self._platform
        if (model is None) == (feature is None):
            msg = "ask for a model or a feature: meter.may(account, model=...) or meter.may(account, feature=...)"
            raise InvalidArgumentError(msg)
        plans = here.plans
        if model is not None:
            unit = here.pricing.unit_of(model)
            return here.read(
                partial(entitling.may_use_model, account=account, plans=plans, model=model, unit=unit)
            )
        ask = partial(entitling.may_use_feature, account=account, plans=plans, feature=feature or "")
        return here.read(ask)

    def route(self, account: str, *, model: str, mitigations: Sequence[Mitigation] = ()) -> Route:
        """
        The model to send the account's request to: *model*, one that the plans name in its place, or none.

        Hand ``route.workload()`` to the call, so that its row on the journal says how it was routed. It goes by the
        mitigations that are kept (``meter.mitigations``), read with the account's plan: one query more, by an index,
        however many there are. *mitigations* hold besides, such as one that is to be tried.

        Raises:
            UnknownModelError: No price or rate is known for the model, or for one in its place.
            ConfigurationError: The meter was opened without plans.
        """
        here = self._platform
        rules = here.need_plans()
        if not all(isinstance(each, Mitigation) for each in mitigations):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = "mitigations are a list of Mitigation, as meter.mitigations.list returns them"
            raise InvalidArgumentError(msg)
        models = (model, *rules.plans.instead_of(model))
        candidates = [Candidate(each, here.pricing.unit_of(each)) for each in models]
        ask = partial(
            entitling.route, account=account, candidates=candidates, mitigations=mitigations, rules=rules
        )
        return here.read(ask)

    def balance(self, account: str) -> Balance:
        """
        What the account has, holds and has spent, by unit.

        Raises:
            AccountNotFoundError: There is no such account.
        """
        return self._platform.read(partial(reading.balance, account=account))

    def statement(
        self,
        account: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """
        The account's transfers booked in [since, until), oldest first, a page at a time.

        Pass a page's ``after`` on to get the next one. What members used of a team's PT is in the team's.

        Raises:
            AccountNotFoundError: There is no such account.
            InvalidArgumentError: *after* is of no page of it, a time has no zone, *until* is not after *since*, or
                *limit* is not positive.
        """
        read = partial(
            reading.statement, account=account, since=since, until=until, after=after, limit=limit
        )
        return self._platform.read(read)

    def summary(self, account: str, *, since: datetime, until: datetime) -> Summary:
        """
        What the account was given and charged in [since, until): a month's figures without its rows.

        Raises:
            AccountNotFoundError: There is no such account.
        """
        read = partial(reading.summary, account=account, since=since, until=until)
        return self._platform.read(read)

    def open_holds(self) -> OpenHolds:
        """How many holds are open, of all accounts, and when the first is due; long overdue, nobody sweeps."""
        return self._platform.read(reading.open_holds)

    def verify(self) -> Report:
        """Re-derive every balance from the journal and check the hash chain; see `Report`."""
        return self._platform.survey(verifying.verify)
