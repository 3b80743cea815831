"""Plans: a form that holds together becomes the domain's plans."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from ..domain.flags import Flag
from ..domain.limits import HOUR, MINUTE, Burn, BurnStep, Cap, Limits, Pace, Share, SpendCap
from ..domain.plans import Plan, Plans, RollOver, Trial
from ..domain.top_up_sales import ANY
from ..domain.windows import Every
from .documents import Problem
from .forms import filled
from .referral_forms import PlansForm, referral_problems, referral_terms
from .top_up_forms import sale_problems, sales

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .documents import Document, Place
    from .plan_forms import BurnForm, PlanForm
    from .referral_forms import RewardForm

DAY = timedelta(days=1)


def plans(document: Document) -> Plans:
    """
    Build the plans a document describes.

    Raises:
        ConfigurationError: It does not hold together.
    """
    form = filled(PlansForm, document)
    if problems := [*_problems(form), *(referral_problems(form.referrals) if form.referrals else ())]:
        raise document.refusal(problems)
    return Plans(
        {name: _plan(name, plan) for name, plan in form.plans.items()},
        {
            name: Flag(name=name, share=flag.share, allow=frozenset(flag.allow), deny=frozenset(flag.deny))
            for name, flag in form.flags.items()
        },
        {pattern: tuple(models) for pattern, models in form.downgrades.items()},
        form.referrals and referral_terms(form.referrals),
        sales(form.top_ups) if form.top_ups else ANY,
        {named: document.at(place) for named, place in reversed([*_named(form)])},
    )


def _named(form: PlansForm) -> Iterator[tuple[tuple[str, str], Place]]:
    """Where units, and models to send to instead, are named; nothing else can say whether they are there."""
    for pattern, models in form.downgrades.items():
        for index, model in enumerate(models):
            yield ("model", model), ("downgrades", pattern, index)
    for name, plan in form.plans.items():
        yield from ((("unit", unit), ("plans", name, "units", i)) for i, unit in enumerate(plan.units))
        by_unit: dict[Place, Mapping[str, object]] = {
            ("allowance",): plan.allowance,
            ("caps",): plan.caps,
            ("shares",): plan.shares,
            ("roll_over", "shares"): plan.roll_over.shares if plan.roll_over else {},
            ("trial", "allowance"): plan.trial.allowance if plan.trial else {},
            ("low_balance",): plan.low_balance,
        }
        for field, units in by_unit.items():
            yield from ((("unit", unit), ("plans", name, *field, unit)) for unit in units)
    for side in ("referrer", "referred"):
        reward: RewardForm | None = getattr(form.referrals, side, None)
        if reward and reward.unit:
            yield ("unit", reward.unit), ("referrals", side, "unit")
        for index, tier in enumerate(reward.tiers if reward else ()):
            place = ("referrals", side, "tiers", index, "bonus")
            yield from ((("unit", unit), (*place, unit)) for unit in tier.bonus)


def _plan(name: str, form: PlanForm) -> Plan:
    roll_over, trial = form.roll_over, form.trial
    return Plan(
        name=name,
        price_per_month=form.price_per_month,
        price_per_year=form.price_per_year,
        allowance=form.allowance,
        units=frozenset(form.units),
        models=tuple(form.models),
        features=frozenset(form.features),
        agent_slots=form.agent_slots,
        limits=_limits(form),
        roll_over=RollOver(roll_over.shares, annual_only=roll_over.annual_only) if roll_over else None,
        trial=Trial(trial.days, trial.allowance) if trial else None,
        alerts=tuple(form.alerts),
        low_balance={unit: amount.micro for unit, amount in form.low_balance.items()},
    )


def _limits(form: PlanForm) -> Limits:
    asked = {MINUTE: form.requests_per_minute, HOUR: form.requests_per_hour, DAY: form.requests_per_day}
    return Limits(
        paces=tuple(Pace(per, requests) for per, requests in asked.items() if requests is not None),
        concurrent=form.concurrent,
        caps=tuple(
            Cap(unit, Every(every), amount.micro)
            for unit, windows in form.caps.items()
            for every, amount in windows.items()
        ),
        spend=tuple(SpendCap(Every(every), amount) for every, amount in form.spend_caps.items()),
        shares={
            unit: Share(unit=unit, soft=share.soft, hard=share.hard, overflow=share.overflow)
            for unit, share in form.shares.items()
        },
        burn=_burn(form.burn) if form.burn else None,
    )


def _burn(form: BurnForm) -> Burn:
    steps = tuple(BurnStep(step.share, step.wait) for step in form.steps)
    return Burn(warn=form.warn, steps=steps, repeats=form.repeats)


# --- what depends on several fields -----------------------------------------------------------


def _problems(form: PlansForm) -> Iterator[Problem]:
    yield from _flags_astray(form)
    if form.top_ups:
        yield from sale_problems(form.top_ups)
    for name, plan in form.plans.items():
        place = ("plans", name)
        yield from _shares_upside_down(plan, (*place, "shares"))
        if plan.burn:
            yield from _steps_out_of_order(plan.burn, (*place, "burn"))
        yield from _alerts_out_of_order(plan.alerts, (*place, "alerts"))
        if plan.roll_over and plan.roll_over.annual_only and plan.price_per_year is None:
            sentence = "expected price_per_year, for nobody can be on this plan by the year"
            yield Problem((*place, "roll_over", "annual_only"), sentence)


def _flags_astray(form: PlansForm) -> Iterator[Problem]:
    features = sorted({feature for plan in form.plans.values() for feature in plan.features})
    for name, flag in form.flags.items():
        if name not in features:
            known = ", ".join(features) or "there are none"
            yield Problem(("flags", name), f"expected a feature of some plan ({known})")
        for index, account in enumerate(flag.deny):
            if account in flag.allow:
                yield Problem(
                    ("flags", name, "deny", index), "expected an account that is not allowed as well"
                )


def _shares_upside_down(form: PlanForm, place: Place) -> Iterator[Problem]:
    for unit, share in form.shares.items():
        if share.soft is None and share.hard is None:
            yield Problem((*place, unit), "expected a soft share, a hard one or both")
        if share.soft is not None and share.hard is not None and share.soft > share.hard:
            yield Problem((*place, unit, "soft"), "expected a share that is not above the hard one")
        if share.overflow is not None and share.hard is None:
            yield Problem(
                (*place, unit, "overflow"), "expected a hard share, for overflow is what exceeds it"
            )


def _steps_out_of_order(form: BurnForm, place: Place) -> Iterator[Problem]:
    for index, (low, high) in enumerate(pairwise(form.steps), 1):
        step = (*place, "steps", index)
        if high.share <= low.share:
            yield Problem((*step, "share"), "expected a share above that of the step before")
        if high.wait < low.wait:
            yield Problem((*step, "wait"), "expected a time that is not shorter than in the step before")


def _alerts_out_of_order(alerts: list[int], place: Place) -> Iterator[Problem]:
    for index, (low, high) in enumerate(pairwise(alerts), 1):
        if high <= low:
            yield Problem((*place, index), "expected a share above the one before")
