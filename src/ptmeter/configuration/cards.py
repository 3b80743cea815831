"""Rate cards: a form that holds together becomes the domain's card."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING

from ..domain.rates import (
    Band,
    Banded,
    Buffer,
    Complexity,
    Content,
    CostPlus,
    ModelRule,
    RateCard,
    UnitRate,
)
from .documents import Problem, written
from .forms import CardForm, filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .documents import Document, Place
    from .forms import BandForm, BufferForm, Method, RangeForm, UnitForm


def card(document: Document) -> RateCard:
    """
    Build the card a document describes.

    Raises:
        ConfigurationError: It does not hold together.
    """
    form = filled(CardForm, document)
    if problems := [*_problems(form)]:
        raise document.refusal(problems)
    buffer = _buffer(form.buffer) if form.buffer else None
    return RateCard(
        name=form.name,
        effective_from=form.effective_from,
        units={
            name: UnitRate(
                pays_for=unit.pays_for, sells_at=unit.sells_at, method=_method(unit.method, unit, buffer)
            )
            for name, unit in form.units.items()
        },
        models=tuple(
            ModelRule(
                pattern,
                rule.unit,
                _method(rule.method, form.units[rule.unit], buffer) if rule.method else None,
            )
            for rule in form.models
            for pattern in rule.patterns
        ),
        source=document.value,
    )


def _method(name: Method, unit: UnitForm, buffer: Buffer | None) -> Banded | CostPlus:
    if name == "cost_plus" and buffer:
        return CostPlus(buffer, unit.step.micro)
    beside = CostPlus(buffer, unit.step.micro) if buffer and unit.beside_tokens == "cost_plus" else None
    bands = tuple(Band(band.tokens, band.pt.micro) for band in unit.bands or [])
    return Banded(bands, unit.step.micro, beside)


def _buffer(form: BufferForm) -> Buffer:
    return Buffer(
        bloat={
            Complexity.SIMPLE: form.bloat.simple,
            Complexity.MODERATE: form.bloat.moderate,
            Complexity.COMPLEX: form.bloat.complex,
        },
        retries=(form.retries.least, form.retries.most),
        moderation={
            Content.TEXT: form.moderation.text,
            Content.CODE: form.moderation.code,
            Content.MIXED: form.moderation.mixed,
        },
        tool_call=form.tool_calls.each,
        tool_calls_at_most=form.tool_calls.at_most,
        variance=form.variance,
        least=form.total.least,
        most=form.total.most,
    )


# --- what depends on several fields -----------------------------------------------------------


def _problems(form: CardForm) -> Iterator[Problem]:
    for name, unit in form.units.items():
        place = ("units", name)
        yield from _bands_out_of_order(unit.bands or [], (*place, "bands"))
        yield from _method_without_means(unit.method, form, name, (*place, "method"))
        yield from _beside_without_means(unit, form, name)
    if form.buffer:
        yield from _range_upside_down(form.buffer.retries, ("buffer", "retries"))
        yield from _range_upside_down(form.buffer.total, ("buffer", "total"))
    for index, rule in enumerate(form.models):
        place = ("models", index)
        if rule.unit not in form.units:
            units = ", ".join(sorted(form.units))
            yield Problem((*place, "unit"), f"expected a unit of this card ({units}), not {rule.unit!r}")
        elif rule.method:
            yield from _method_without_means(rule.method, form, rule.unit, (*place, "method"))
    yield from _patterns_never_reached(form)


def _bands_out_of_order(bands: list[BandForm], place: Place) -> Iterator[Problem]:
    for index, (low, high) in enumerate(pairwise(bands), 1):
        if high.tokens <= low.tokens:
            sentence = f"expected more than the {low.tokens} tokens of the band before, not {high.tokens}"
            yield Problem((*place, index, "tokens"), sentence)
        if high.pt < low.pt:
            sentence = f"expected at least the {low.pt} of the band before, not {high.pt}"
            yield Problem((*place, index, "pt"), sentence)


def _method_without_means(method: Method, form: CardForm, unit: str, place: Place) -> Iterator[Problem]:
    if method == "banded" and form.units[unit].bands is None:
        yield Problem(("units", unit, "bands"), f"expected bands, for {written(place)} is banded")
    if method == "cost_plus" and form.buffer is None:
        yield Problem(("buffer",), f"expected a buffer, for {written(place)} is cost_plus")


def _beside_without_means(unit: UnitForm, form: CardForm, name: str) -> Iterator[Problem]:
    if unit.beside_tokens == "cost_plus":
        place = ("units", name, "beside_tokens")
        yield from _method_without_means("cost_plus", form, name, place)
        if unit.bands is None:
            yield Problem(place, "expected this beside bands alone: cost_plus charges for all there is")


def _range_upside_down(form: RangeForm, place: Place) -> Iterator[Problem]:
    if form.most < form.least:
        yield Problem((*place, "most"), "expected a share that is not below the least")


def _patterns_never_reached(form: CardForm) -> Iterator[Problem]:
    """
    A pattern that an earlier one covers would be obeyed by nobody, and its models charged otherwise.

    As fnmatch sees it, what covers the pattern itself covers all it stands for, unless a ``?`` would have
    to cover its ``*``: such a pair is let pass.
    """
    earlier: list[tuple[str, Place]] = []
    for index, rule in enumerate(form.models):
        for at, pattern in enumerate(rule.patterns):
            place = ("models", index, "patterns", at)
            for covering, where in earlier:
                if ("?" not in covering or covering == pattern) and fnmatchcase(pattern, covering):
                    first = f"{covering!r} at {written(where)}"
                    yield Problem(
                        place, f"expected a pattern that is reached, and {first} covers {pattern!r}"
                    )
                    break
            earlier.append((pattern, place))
