"""The shape of a whole plan file, and of its part that is about referrals: its fields, and what they come to."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from ..domain.pt import Money
from ..domain.referral_terms import Bound, Bounds, ReferralTerms, RewardKind, RewardTerms, RewardTier
from .documents import Problem
from .forms import Form, Model, Name, Pattern, SomeDollars, SomePt, Unit
from .plan_forms import Feature, FlagForm, Number, Part, PlanForm, Span
from .top_up_forms import TopUpsForm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .documents import Place

CENT: Final = Money(10_000_000)


class RewardTierForm(Form):
    """What each referral earns from so many on."""

    at_least: Number = 0
    share: Part = 0
    bonus: dict[Unit, SomePt] = {}


class RewardForm(Form):
    """What one side of a referral earns."""

    kind: Literal["pt", "discount", "cash"]
    unit: Unit | None = None
    tiers: Annotated[list[RewardTierForm], Field(min_length=1)]
    expires_after: Span | None = None


class BoundForm(Form):
    """No more than so many within a stretch of time, or ever."""

    most: Number
    within: Span | None = None


class BoundsForm(Form):
    """From how many on referrals are refused."""

    card: BoundForm | None = None
    ip: BoundForm | None = None
    code: BoundForm | None = None


class ReferralsForm(Form):
    """Who is rewarded for a referral, with what, and within which bounds."""

    referrer: RewardForm | None = None
    referred: RewardForm | None = None
    new_within: Span | None = None
    step: SomeDollars = CENT
    bounds: BoundsForm = BoundsForm()
    notes: list[str] = []


class PlansForm(Form):
    """All plans of a platform, what its users earn for bringing others, and what top-ups it sells."""

    notes: list[str] = []
    flags: dict[Feature, FlagForm] = {}
    referrals: ReferralsForm | None = None
    top_ups: TopUpsForm | None = None
    downgrades: dict[Pattern, Annotated[list[Model], Field(min_length=1)]] = {}
    plans: Annotated[dict[Name, PlanForm], Field(min_length=1)]


def referral_terms(form: ReferralsForm) -> ReferralTerms:
    """The terms that a form which holds together describes."""
    return ReferralTerms(
        referrer=form.referrer and _reward(form.referrer),
        referred=form.referred and _reward(form.referred),
        new_within=form.new_within,
        step=form.step,
        bounds=Bounds(
            card=form.bounds.card and Bound(form.bounds.card.most, form.bounds.card.within),
            ip=form.bounds.ip and Bound(form.bounds.ip.most, form.bounds.ip.within),
            code=form.bounds.code and Bound(form.bounds.code.most, form.bounds.code.within),
        ),
    )


def _reward(form: RewardForm) -> RewardTerms:
    return RewardTerms(
        kind=RewardKind(form.kind),
        unit=form.unit,
        expires_after=form.expires_after,
        tiers=tuple(RewardTier(tier.at_least, tier.share, tier.bonus) for tier in form.tiers),
    )


def referral_problems(form: ReferralsForm) -> Iterator[Problem]:
    """What does not hold together between fields."""
    sides = {"referrer": form.referrer, "referred": form.referred}
    if not any(sides.values()):
        yield Problem(("referrals",), "expected a referrer, a referred or both, to be rewarded")
    for name, side in sides.items():
        if side:
            yield from _reward_problems(side, ("referrals", name))


def _reward_problems(form: RewardForm, place: Place) -> Iterator[Problem]:
    if form.kind == RewardKind.PT and form.unit is None:
        yield Problem((*place, "unit"), "expected a unit, for the reward is given in PT of it")
    if form.kind != RewardKind.PT and form.unit is not None:
        yield Problem((*place, "unit"), f"expected no unit, for a {form.kind} is money")
    if form.tiers[0].at_least:
        yield Problem((*place, "tiers", 0, "at_least"), "expected 0: whoever begins is on the first tier")
    for index, (low, high) in enumerate(pairwise(form.tiers), 1):
        if high.at_least <= low.at_least:
            yield Problem((*place, "tiers", index, "at_least"), "expected more than in the tier before")
