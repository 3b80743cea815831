# Generated from src/ptmeter/_async/mitigations.py by scripts/unasync.py: edit that file, then run `make format`.
"""Mitigations: what is done for a while because margins are thin, by whom, why, and who undid it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..operations import mitigating, mitigating_margins

if TYPE_CHECKING:
    from datetime import date, datetime, timedelta

    from ..domain.margin_mitigations import Mitigated
    from ..domain.mitigations import Mitigation
    from .platform import Platform


@typed
class Mitigations:
    """
    Mitigations: ``meter.mitigations``.

    `Meter.route` goes by those that hold. They end by themselves, move nobody's PT, and are kept for ever.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def apply(
        self,
        *,
        unit: str,
        share: int,
        lasts: timedelta,
        by: str,
        reason: str,
        key: str,
        account: str | None = None,
        plan: str | None = None,
        starts_at: datetime | None = None,
    ) -> Mitigation:
        """
        Let at most a share of a cycle's PT be of *unit* for a while, for everybody unless it is said for whom.

        Args:
            unit: Whose models are used less, such as ``advanced``.
            share: In ten-thousandths of what the plan gives in a cycle; 0 closes the unit.
            lasts: For how long.
            by: Who applies it.
            reason: Why; it is on the row of every call that is sent elsewhere for it.
            key: Your own name for the request, among those for the same account, plan or everybody.
            account: For this account and all below it only.
            plan: For accounts on this plan only.
            starts_at: When it begins; now, if left out.

        Raises:
            InvalidArgumentError: It is not said who applies it or why, it has no end, or the share is none.
            UnknownUnitError: The platform has no such unit.
            AccountNotFoundError: There is no such account.
            ConfigurationError: There is no such plan, or the meter was opened without plans, so nobody would go by it.
            IdempotencyConflictError: The key was used with other arguments.
        """
        rules = self._platform.need_plans()
        self._platform.pricing.card.unit(unit)
        if plan is not None:
            rules.plans.find(plan)
        work = partial(
            mitigating.apply,
            unit=unit,
            share=share,
            account=account,
            plan=plan,
            starts_at=starts_at,
            lasts=lasts,
            by=by,
            reason=reason,
            key=key,
        )
        return self._platform.run(work)

    def from_margins(
        self, *, since: date | None = None, until: date | None = None, apply: bool = False
    ) -> Mitigated:
        """
        The mitigations that margins call for by `Policy.mitigations`, and have them hold if *apply* is true.

        Run it now and then, at several places at once if you like. For one window a scope has one mitigation, undone
        or not, and none is applied while another that ptmeter applied does as much. What it applies is by
        ``ptmeter``, with the figures in the reason. Where nothing was charged it does nothing, and says so.

        Args:
            since: The first day of the window, in UTC; so many days before *until* as the policy says, if left out.
            until: The day after the last; tomorrow, if left out, so that the present day counts as far as it goes.
            apply: Whether to have them hold, instead of only saying what would.

        Raises:
            InvalidArgumentError: A day is no date, or none is left between the two.
            UnknownUnitError: The platform has no such unit as the policy's margins watch.
            ConfigurationError: The meter was opened without plans, so nobody would go by it.
        """
        here = self._platform
        here.need_plans()
        here.pricing.card.unit(here.policy.margins.burn_unit)
        work = partial(
            mitigating_margins.from_margins,
            since=since,
            until=until,
            apply=apply,
            terms=here.policy.mitigations,
            goals=here.policy.margins,
        )
        return here.run(work) if apply else here.read(work)

    def undo(self, mitigation: str, *, by: str, reason: str) -> Mitigation:
        """
        Have a mitigation be over from now on; of one that has not begun, it never does.

        *mitigation* is its id. The same again changes nothing, so it needs no key.

        Raises:
            MitigationNotFoundError: There is none of that id.
            MitigationOverError: It was undone by somebody else or for another reason, or has ended.
            InvalidArgumentError: It is not said who undoes it, or why.
        """
        return self._platform.run(partial(mitigating.undo, name=mitigation, by=by, reason=reason))

    def list(
        self, *, active: bool = False, before: str | None = None, limit: int = 100
    ) -> tuple[Mitigation, ...]:
        """
        Mitigations, the last to begin first, a page at a time: pass the last one's id on as *before*.

        *active*: only those that hold now, instead of all there ever were.

        Raises:
            MitigationNotFoundError: There is none of the id *before*.
            InvalidArgumentError: *limit* is not positive.
        """
        return self._platform.read_or_raise(
            partial(mitigating.listed, active=active, before=before, limit=limit)
        )
