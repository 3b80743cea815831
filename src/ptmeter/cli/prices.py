"""Commands for price lists: show and export them, tell two apart, and check the ledger's against one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..domain.prices import Processing
from ..errors import UnknownModelError
from . import options
from .failures import ExitCode
from .price_files import INSTALLED, export, read_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.table import Table

    from ..domain.price_changes import ModelPrices, PriceChange, PriceCheck
    from ..domain.prices import Price
    from ..domain.unpriced import UnpricedModel
    from ..pricing import Catalogue

At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="The prices in force at that time; now if left out."),
]
List = Annotated[
    str,
    typer.Argument(
        metavar="LIST",
        help=f"An export, a price file, or `{INSTALLED}` for the catalogue that is installed.",
    ),
]


def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name, as one writes it in a call.")],
    *,
    processing: Annotated[
        Processing,
        typer.Option("--processing", help="How calls are processed."),
    ] = Processing.STANDARD,
    prices: options.PricesFile = None,
    at: At = None,
    as_json: options.AsJson = False,
) -> int:
    """
    Show what a model costs: the price that a call would be rated by.

    A batch, or a call that is processed flexibly, with priority or fast, has a
    price of its own or none. Which of them have one is said below the price.
    """
    from ..pricing import price_for

    listed, moment = options.catalogue(prices), _moment(at)
    found = price_for(listed, model, moment, processing)
    others = [each for each in _priced(listed, model, moment) if each is not processing]
    from .writing import screen, write_json

    if as_json:
        write_json(_price_document(found, others))
    else:
        screen().print(_price_table(found, others))
    return ExitCode.OK


def export_(*, prices: options.PricesFile = None) -> int:
    """
    Write all prices with their history, as JSON on stdout: to keep, and to tell apart from later ones.

    Models whose listed price is finer than a whole number of pico-dollars
    per token are named under `refused`, with the reason.
    """
    from ..configuration import read_prices
    from ..providers.listed_prices import source
    from ..providers.prices import GenaiPrices
    from .writing import write_json

    write_json(export(GenaiPrices(read_prices(prices) if prices else None).everything(), source()))
    return ExitCode.OK


def diff(
    old: List,
    new: List = INSTALLED,
    *,
    at: At = None,
    as_json: options.AsJson = False,
) -> int:
    """
    Tell two price lists apart: models added, removed and changed, class by class.

    Compares the prices in force at one time. Exits like diff: 0 if nothing
    differs, 1 if something does, 2 if a list could not be read.
    """
    from ..domain.price_changes import differences

    moment = _moment(at)
    found = differences(read_list(old, moment), read_list(new, moment))
    from .writing import screen, write_json

    if as_json:
        write_json({"at": moment.isoformat(), "models": [_difference_document(each) for each in found]})
    else:
        screen().print(*_differences_shown(found), sep="\n")
    return ExitCode.FAILED if found else ExitCode.OK


def check(
    *,
    db: options.Database,
    prices: options.PricesFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Check the models in the ledger against the prices there are now.

    Names those without a price, those whose price is not that of their last
    call, and calls that were charged at a ceiling for want of a price. Exits
    with 1 if there are any.
    """
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(card), options.policy(durability), prices) as meter:
        found = meter.prices.check()
    from .writing import screen, write_json

    if as_json:
        write_json(_check_document(found))
    else:
        screen().print(*_check_shown(found), sep="\n")
    return ExitCode.OK if found.clean else ExitCode.FAILED


def unpriced(
    *,
    db: options.Database,
    prices: options.PricesFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    List the models whose calls were charged at a ceiling for want of a price.

    Says by model how many there are, what was charged for them, how many have
    no price yet, and how many ptmeter rerate --unpriced would mend.
    """
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(card), options.policy(durability), prices) as meter:
        found = meter.prices.unpriced()
    from .writing import screen, write_json

    if as_json:
        write_json({"models": [_unpriced_document(each) for each in found]})
    else:
        screen().print(*_unpriced_shown(found), sep="\n")
    return ExitCode.OK


COMMANDS = (
    (
        show,
        (
            "ptmeter prices show gpt-4o-mini --processing batch",
            "ptmeter prices show claude-opus-4-5 --at 2026-01-01 --json",
        ),
    ),
    (export_, ("ptmeter prices export > prices-2026-11.json",)),
    (
        diff,
        (
            "ptmeter prices diff prices-2026-11.json",
            "ptmeter prices diff prices-2026-11.json prices-2026-12.json --at 2026-12-01 --json",
        ),
    ),
    (check, ("ptmeter prices check --prices prices.yaml || page-somebody",)),
    (unpriced, ("ptmeter prices unpriced", "ptmeter prices unpriced --prices prices.yaml --json")),
)
"""Every command, with examples of it."""


def _moment(at: str | None) -> datetime:
    return options.moment(at, "--at") if at else datetime.now(UTC)


def _priced(listed: Catalogue, model: str, at: datetime) -> Iterator[Processing]:
    """Every way of processing for which there is a price."""
    from ..pricing import price_for

    for processing in Processing:
        with suppress(UnknownModelError):
            price_for(listed, model, at, processing)
            yield processing


# --- for scripts ---


def _price_document(price: Price, others: Iterable[Processing]) -> dict[str, Any]:
    return {
        "provider": price.provider,
        "model": price.model,
        "processing": str(price.processing),
        "also": [str(each) for each in others],
        "source": price.source,
        "version": price.version,
        "currency": price.currency,
        "effective_from": price.effective_from.isoformat(),
        "rates": [
            {"what": line.what, "above": line.above, "amount": _amount(line, line.new)}
            for line in _lines(price)
        ],
    }


def _difference_document(found: ModelPrices) -> dict[str, Any]:
    kind = "added" if found.old is None else "removed" if found.new is None else "changed"
    return {
        "model": found.model,
        "kind": kind,
        "changes": [
            {
                "what": change.what,
                "above": change.above,
                "old": _amount(change, change.old),
                "new": _amount(change, change.new),
                "percent": None if change.percent is None else f"{change.percent:f}",
            }
            for change in found.changes
        ],
    }


def _check_document(found: PriceCheck) -> dict[str, Any]:
    return {
        "at": found.at.isoformat(),
        "clean": found.clean,
        "models": found.models,
        "missing": [
            {
                "model": use.price.full_name,
                "calls": use.calls,
                "last_at": use.last_at.isoformat(),
            }
            for use in found.missing
        ],
        "changed": [_difference_document(each) for each in found.changed],
        "unpriced": dict(found.unpriced),
        "ready": found.ready,
    }


def _unpriced_document(found: UnpricedModel) -> dict[str, Any]:
    from .writing import amounts, money_text

    return {
        "model": found.model,
        "calls": found.calls,
        "unrated": found.unrated,
        "ready": found.ready,
        "priced": found.priced,
        "charged": amounts(found.charged),
        "parked": amounts(found.parked),
        "cost": money_text(found.cost),
        "currency": found.cost.currency,
        "first_at": found.first_at.isoformat(),
        "last_at": found.last_at.isoformat(),
    }


def _amount(change: PriceChange, figure: int | None) -> str | None:
    """A figure in whole units of the currency: for a million tokens, or for one call."""
    from ..domain.pt import MICRO, NANO, plain

    return None if figure is None else plain(figure, MICRO if change.per_token else NANO).replace(",", "")


def _lines(price: Price) -> Iterable[PriceChange]:
    """Every figure of a price, as if there had been nothing before."""
    from dataclasses import replace

    from ..domain.price_changes import changes

    return changes(replace(price, rates={}, tiers=(), tools={}, request=0), price)


# --- for people ---


def _price_table(price: Price, others: Iterable[Processing]) -> Table:
    from .writing import remark, safe, table

    made = table(safe(price.full_name), "~what", ">above tokens", f">{price.currency}", "for")
    for line in _lines(price):
        made.add_row(
            safe(line.what), f"{line.above:,}" if line.above else "", _amount(line, line.new), _per(line)
        )
    also = ", ".join(others)
    made.caption = remark(
        f"{safe(price.source)}, version {price.version}" + (f"; also listed: {also}" if also else "")
    )
    return made


def _differences_shown(found: Iterable[ModelPrices]) -> Iterator[Any]:
    from .writing import counted, remark, safe, table

    made = table("prices", "~model", "~what", ">above tokens", ">old", ">new", ">%", "for")
    added = removed = changed = 0
    for each in found:
        if each.old is None:
            added += 1
            made.add_row(safe(each.model), "added")
        elif each.new is None:
            removed += 1
            made.add_row(safe(each.model), "removed")
        else:
            changed += 1
            for change in each.changes:
                made.add_row(safe(each.model), *_change_row(change))
    if made.row_count:
        yield made
    yield remark(f"{counted(added, 'model')} added, {removed:,} removed, {changed:,} changed")


def _change_row(change: PriceChange) -> tuple[str, ...]:
    from .writing import safe

    return (
        safe(change.what),
        f"{change.above:,}" if change.above else "",
        _amount(change, change.old) or "–",
        _amount(change, change.new) or "–",
        "" if change.percent is None else f"{change.percent:+}",
        _per(change),
    )


def _per(change: PriceChange) -> str:
    return "1M tokens" if change.per_token else "one call"


def _check_shown(found: PriceCheck) -> Iterator[Any]:
    from .writing import counted, number, remark, safe, table, time_text

    if found.missing:
        made = table("without a price now", "~model", ">calls", "~last (UTC)")
        for use in found.missing:
            name = safe(use.price.full_name)
            made.add_row(name, number(use.calls), time_text(use.last_at))
        yield made
    if found.changed:
        yield from _differences_shown(found.changed)
    if found.unpriced:
        made = table("charged at a ceiling, and still without a price", "~model", ">calls")
        for model, calls in found.unpriced.items():
            made.add_row(safe(model), number(calls))
        yield made
    if found.ready:
        calls = (
            f"{counted(found.ready, 'call')} {'was' if found.ready == 1 else 'were'} charged at a ceiling"
        )
        yield f"{calls}, with a price now: ptmeter rerate --unpriced"
    yield remark(
        f"models charged by a price: {found.models:,}" + (", all as it is now" if found.clean else "")
    )


def _unpriced_shown(found: Sequence[UnpricedModel]) -> Iterator[Any]:
    from .writing import counted, money, number, remark, safe, table, time_text

    if not found:
        yield remark("no call was charged at a ceiling")
        return
    made = table(
        "charged at a ceiling",
        *("~model", ">calls", ">no price", ">to mend", "~charged", ">cost"),
        *("~first (UTC)", "~last (UTC)"),
    )
    for each in found:
        charged = ", ".join(f"{amount} {safe(unit)}" for unit, amount in each.charged.items())
        times = time_text(each.first_at), time_text(each.last_at)
        counts = (number(each.calls), number(each.unrated), number(each.ready))
        made.add_row(safe(each.model), *counts, charged, money(each.cost), *times)
    yield made
    if ready := sum(each.ready for each in found):
        yield f"{counted(ready, 'call')} would come to something else now: ptmeter rerate --unpriced"
