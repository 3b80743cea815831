"""The shape of what a plan file says of top-ups: its fields, and what they come to."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ..domain.rates import WHOLE
from ..domain.top_up_sales import TopUpSales, VolumeDiscount
from .documents import Problem
from .forms import Form, SomeDollars, SomePt
from .plan_forms import SomePart

if TYPE_CHECKING:
    from collections.abc import Iterator


class VolumeDiscountForm(Form):
    """What is off a top-up that lists at so much or more."""

    at_least: SomeDollars
    share: SomePart


class TopUpsForm(Form):
    """How many PT are sold at once, and what is off."""

    minimum: SomePt | None = None
    maximum: SomePt | None = None
    least: SomeDollars | None = None
    most: SomeDollars | None = None
    discounts: list[VolumeDiscountForm] = []
    notes: list[str] = []


def sales(form: TopUpsForm) -> TopUpSales:
    """What a form which holds together describes."""
    return TopUpSales(
        minimum=form.minimum,
        maximum=form.maximum,
        least=form.least,
        most=form.most,
        discounts=tuple(VolumeDiscount(each.at_least, each.share) for each in form.discounts),
    )


def sale_problems(form: TopUpsForm) -> Iterator[Problem]:
    """What does not hold together between fields."""
    if form.minimum and form.maximum and form.minimum > form.maximum:
        yield Problem(("top_ups", "maximum"), "expected PT that are not fewer than the minimum")
    if form.least and form.most and form.least > form.most:
        yield Problem(("top_ups", "most"), "expected money that is not less than the least")
    for index, each in enumerate(form.discounts):
        if each.share == WHOLE:
            yield Problem(("top_ups", "discounts", index, "share"), 'expected a share below "100%"')
    for index, (low, high) in enumerate(pairwise(form.discounts), 1):
        place = ("top_ups", "discounts", index)
        if high.at_least <= low.at_least:
            yield Problem((*place, "at_least"), "expected more than in the discount before")
        if high.share <= low.share:
            yield Problem((*place, "share"), "expected a share above that of the discount before")
