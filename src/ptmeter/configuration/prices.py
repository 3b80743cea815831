"""Price overrides: a form whose figures leave nothing open becomes the domain's dated prices."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from ..domain.prices import Price, Processing, Tier
from ..domain.rates import WHOLE
from ..domain.usage import TOKEN_CLASSES
from .documents import Problem
from .forms import PricesForm, filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .documents import Document, Place
    from .forms import PriceForm

FREE: Final[Mapping[str, int]] = dict.fromkeys(TOKEN_CLASSES, 0)
"""The rates of a price that says it is free."""

REQUIRED: Final = ("input_uncached", "output_text")
"""What every price that is not free must name."""

SAME_UNLESS_NAMED: Final[Mapping[str, str]] = {
    "input_cache_read": "input_uncached",
    "input_cache_read_audio": "input_audio",
    "input_cache_read_image": "input_image",
    "output_reasoning": "output_text",
}
"""Classes that cost no more than another one anywhere, so that taking its rate is never too little."""


def prices(document: Document) -> dict[str, tuple[Price, ...]]:
    """
    Build the prices a document describes, each model's oldest first.

    Raises:
        ConfigurationError: It does not hold together.
    """
    form = filled(PricesForm, document)
    if problems := [*_problems(form)]:
        raise document.refusal(problems)
    source = f"override {PurePath(document.name).name}"
    return {
        model: tuple(
            _price(model, dated, source)
            for dated in sorted(history, key=lambda dated: dated.effective_from)
        )
        for model, history in form.prices.items()
    }


def _price(name: str, form: PriceForm, source: str) -> Price:
    provider = _provider(name, form)
    rates, share = FREE if form.free else form.usd_per_million_tokens, form.surcharge
    return Price(
        provider=provider,
        model=name.removeprefix(f"{provider}/"),
        source=f"{source}, surcharge {share / 100:g} %" if share else source,
        rates=_completed(_surcharged(rates, share)),
        tiers=tuple(
            Tier(tier.above, _completed(_surcharged(tier.usd_per_million_tokens, share)))
            for tier in form.tiers
        ),
        tools={tool: amount.nano for tool, amount in form.usd_per_tool_call.items()},
        request=form.usd_per_request.nano,
        effective_from=form.effective_from,
        processing=Processing(form.processing),
    )


def _provider(name: str, form: PriceForm) -> str:
    return form.provider or name.partition("/")[0]


def _surcharged(rates: Mapping[str, int], share: int) -> dict[str, int]:
    """Rates and so many ten-thousandths of them on top."""
    return {name: rate * (WHOLE + share) // WHOLE for name, rate in rates.items()}


def _completed(rates: Mapping[str, int]) -> dict[str, int]:
    same = {name: rates[other] for name, other in SAME_UNLESS_NAMED.items() if other in rates}
    return same | dict(rates)


# --- what depends on several fields -----------------------------------------------------------


def _problems(form: PricesForm) -> Iterator[Problem]:
    for name, history in form.prices.items():
        dates: dict[tuple[object, str], int] = {}
        for index, dated in enumerate(history):
            place = ("prices", name, index)
            first = dates.setdefault((dated.effective_from, dated.processing), index)
            if first != index:
                sentence = f"expected another date than that of the price at [{first}]"
                yield Problem((*place, "effective_from"), sentence)
            if not dated.provider and "/" not in name:
                sentence = f"expected who charges it, for {name!r} does not say so as provider/model"
                yield Problem((*place, "provider"), sentence)
            if dated.free:
                yield from _free_for_money(dated, place)
            elif not dated.usd_per_million_tokens and dated.usd_per_tool_call:
                yield from _tokens_unpriced(dated, place)
            else:
                yield from _free_unsaid(dated, place)
            yield from _tiers_out_of_order(dated, place)
            yield from _too_fine(dated, place)


def _free_unsaid(form: PriceForm, place: Place) -> Iterator[Problem]:
    place = (*place, "usd_per_million_tokens")
    missing = [name for name in REQUIRED if name not in form.usd_per_million_tokens]
    for name in missing:
        yield Problem((*place, name), "expected this rate, or `free: true` in its place")
    if not missing and not any(form.usd_per_million_tokens.values()):
        yield Problem(place, "expected a rate above 0, or `free: true` in place of them all")


def _tokens_unpriced(form: PriceForm, place: Place) -> Iterator[Problem]:
    """A price of pieces alone leaves the tokens what they cost otherwise, and raises nothing."""
    if form.surcharge:
        yield Problem((*place, "surcharge"), "expected none, for it raises rates and this names none")
    if form.tiers:
        yield Problem((*place, "tiers"), "expected none, for there are no rates outside them")


def _free_for_money(form: PriceForm, place: Place) -> Iterator[Problem]:
    amounts = [*(amount.nano for amount in form.usd_per_tool_call.values()), form.usd_per_request.nano]
    amounts.append(form.surcharge)
    if form.usd_per_million_tokens or form.tiers or any(amounts):
        yield Problem((*place, "free"), "expected no other amounts in a price that is free")


def _too_fine(form: PriceForm, place: Place) -> Iterator[Problem]:
    """What a surcharge would have to be rounded for."""
    for where, rates in (
        ((), form.usd_per_million_tokens),
        *((("tiers", index), tier.usd_per_million_tokens) for index, tier in enumerate(form.tiers)),
    ):
        for name, rate in rates.items():
            if rate * form.surcharge % WHOLE:
                sentence = "expected a rate that is in steps of 1e-6 with the surcharge too"
                yield Problem((*place, *where, "usd_per_million_tokens", name), sentence)


def _tiers_out_of_order(form: PriceForm, place: Place) -> Iterator[Problem]:
    for index, tier in enumerate(form.tiers):
        named, expected = set(tier.usd_per_million_tokens), set(form.usd_per_million_tokens)
        if named != expected:
            where = (*place, "tiers", index, "usd_per_million_tokens")
            classes = ", ".join(sorted(expected)) or "none"
            yield Problem(where, f"expected the same token classes as outside the tier ({classes})")
    for index, (low, high) in enumerate(pairwise(form.tiers), 1):
        if high.above <= low.above:
            sentence = f"expected more than the {low.above} tokens of the tier before, not {high.above}"
            yield Problem((*place, "tiers", index, "above"), sentence)
