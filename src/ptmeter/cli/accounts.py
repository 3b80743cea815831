"""Commands for one account: give it PT, see what it has, read its statement, add it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..domain.prices import Processing
from ..domain.usage import Usage
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table
    from rich.text import Text

    from ..domain.rates import RateCard
    from ..domain.receipts import Balance, Entry, Granted, Page, UnitBalance
    from ..domain.summaries import Summary


Amounts = Annotated[
    list[str], typer.Argument(metavar="UNIT=PT", help="Whole PT by unit, as core=100 advanced=7.5.")
]
Origin = Annotated[
    str, typer.Option("--source", help="Where they come from: a plan, a top-up. It stays on the journal.")
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        help="The fact they are given for, such as a payment's id. Run again with the same key, nothing "
        "is given twice; that is why there is no default.",
    ),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="When what is left lapses; never, if left out."),
]
Paid = Annotated[
    str | None,
    typer.Option(
        "--paid",
        metavar="DOLLARS",
        help="What they sold for, before tax: earned as they are used. 0 for what is given away; left out, "
        "the rate card's selling price.",
    ),
]
Priority = Annotated[
    int,
    typer.Option("--priority", metavar="N", min=0, max=999, help="What is used first: lower numbers."),
]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Booked at this time or later.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Booked before it.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="Lines on a page.")]
After = Annotated[
    str | None, typer.Option("--after", metavar="PLACE", help="Go on where the page before ended.")
]


def grant(
    account: options.Account,
    *,
    amounts: Amounts,
    db: options.Database,
    source: Origin,
    key: Key,
    expires: Expires = None,
    priority: Priority = 50,
    paid: Paid = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Give PT to an account, which comes into being if it is new."""
    given = _amounts(amounts)
    until = options.moment(expires, "--expires") if expires else None
    rates = options.rate_card(card)
    for unit in given:
        rates.unit(unit)
    with options.open_meter(db, rates, options.policy(durability)) as meter:
        granted = meter.funds.grant(
            account, source=source, key=key, priority=priority, expires_at=until, paid=paid, **given
        )
    from .writing import screen, write_json

    if as_json:
        write_json(_granted_document(granted))
    else:
        screen().print(_granted_line(granted))
    return ExitCode.OK


def balance(
    account: options.Account,
    *,
    db: options.Database,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show what an account has, holds, has spent and owes, and what expires."""
    options.must_exist(db)
    rates = options.rate_card(card)
    with options.open_meter(db, rates, options.policy(durability)) as meter:
        found = meter.balance(account)
    from .writing import screen, write_json

    if as_json:
        write_json(_balance_document(found))
    else:
        out = screen()
        out.print(_balance_table(found), *_definitions(rates, found.units), sep="\n")
    return ExitCode.OK


def statement(
    account: options.Account,
    *,
    db: options.Database,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
    after: After = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    List an account's transfers, oldest first, each with the balance after it.

    A time is a date, which begins at midnight UTC, or has its offset, as in
    2026-11-22T18:30+00:00.
    """
    options.must_exist(db)
    first = options.moment(since, "--since") if since else None
    end = options.moment(until, "--until") if until else None
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        page = meter.statement(account, since=first, until=end, after=after, limit=limit)
    from .writing import remark, screen, write_json

    if as_json:
        write_json(_page_document(account, page))
        return ExitCode.OK
    out = screen()
    out.print(_statement_table(account, page.entries))
    if page.after:
        out.print(remark(f"there is more: add --after {page.after}"))
    return ExitCode.OK


def summary(
    account: options.Account,
    *,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Booked at this time or later.")],
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Booked before it.")],
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Add up what an account was given and charged in a span of time, by unit and by model.

    It reads no row but those of the span, and only to add them up.
    """
    options.must_exist(db)
    span = {"since": options.moment(since, "--since"), "until": options.moment(until, "--until")}
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        found = meter.summary(account, **span)
    from .writing import screen, write_json

    if as_json:
        write_json(_summary_document(found))
    else:
        screen().print(_movements_table(found), _models_table(found), sep="\n")
    return ExitCode.OK


def _amounts(words: Sequence[str]) -> dict[str, str]:
    """Read ``core=100 advanced=7.5``."""
    given: dict[str, str] = {}
    for word in words:
        unit, equals, amount = word.partition("=")
        if not equals or not amount:
            msg = f"{word!r} is no amount: write UNIT=PT, as in core=100"
            raise InvalidArgumentError(msg)
        if unit in given:
            msg = f"{unit} is given twice: say it once, with the sum"
            raise InvalidArgumentError(msg)
        given[unit] = amount
    return given


# --- for scripts ---


def _granted_document(granted: Granted) -> dict[str, Any]:
    from .writing import amounts

    return {
        "account": granted.account,
        "key": granted.key,
        "granted": amounts(granted.amounts),
        "available": amounts(granted.available),
        "replayed": granted.replayed,
    }


def _balance_document(found: Balance) -> dict[str, Any]:
    from .writing import pt_text

    def unit(balance: UnitBalance) -> dict[str, Any]:
        return {
            "available": pt_text(balance.available),
            "held": pt_text(balance.held),
            "spent": pt_text(balance.spent),
            "owed": pt_text(balance.owed),
            "frozen": pt_text(balance.frozen),
            "expiring": [{"at": at.isoformat(), "amount": pt_text(part)} for at, part in balance.expiring],
        }

    return {"account": found.account, "units": {name: unit(b) for name, b in sorted(found.units.items())}}


def _page_document(account: str, page: Page) -> dict[str, Any]:
    return {
        "account": account,
        "entries": [_entry_document(entry) for entry in page.entries],
        "after": page.after,
    }


def _entry_document(entry: Entry) -> dict[str, Any]:
    from .writing import money_text, pt_text

    return {
        "id": entry.id,
        "unit": entry.unit,
        "number": entry.number,
        "kind": entry.kind,
        "amount": pt_text(entry.amount),
        "available_after": pt_text(entry.available_after),
        "held_after": pt_text(entry.held_after),
        "frozen_after": pt_text(entry.frozen_after),
        "booked_at": entry.booked_at.isoformat(),
        "effective_at": entry.effective_at.isoformat(),
        "completes": entry.completes,
        "lots": {str(lot): pt_text(amount) for lot, amount in entry.lots.items()},
        "note": entry.note,
        "model": entry.model,
        "tokens": entry.usage.tokens() if entry.usage else None,
        "cost": money_text(entry.cost) if entry.cost else None,
        "currency": entry.cost.currency if entry.cost else None,
        "processing": entry.processing and str(entry.processing),
        "member": entry.member,
    }


def _summary_document(found: Summary) -> dict[str, Any]:
    from .writing import money_text, pt_text

    return {
        "account": found.account,
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "units": {
            name: {
                "opening": pt_text(unit.opening),
                "granted": pt_text(unit.granted),
                "adjusted": pt_text(unit.adjusted),
                "lent": pt_text(unit.lent),
                "charged": pt_text(unit.charged),
                "lapsed": pt_text(unit.lapsed),
                "reversed": pt_text(unit.reversed),
                "closing": pt_text(unit.closing),
                "held": pt_text(unit.held),
                "frozen": pt_text(unit.frozen),
            }
            for name, unit in found.units.items()
        },
        "models": [
            {
                "unit": use.unit,
                "model": use.model,
                "calls": use.calls,
                "charged": pt_text(use.charged),
                "cost": money_text(use.cost),
                "currency": use.cost.currency,
            }
            for use in found.models
        ],
    }


# --- for people ---


def _granted_line(granted: Granted) -> str:
    given = ", ".join(f"{amount} ({unit})" for unit, amount in sorted(granted.amounts.items()))
    left = ", ".join(f"{amount} ({unit})" for unit, amount in sorted(granted.available.items()))
    if granted.replayed:
        return f"{granted.account} was given {given} under this key before; nothing was given again"
    return f"{granted.account} was given {given} and has {left} available"


def _balance_table(found: Balance) -> Table:
    from .writing import pt, table

    units = sorted(found.units.items())
    frozen = any(unit.frozen for _, unit in units)  # only where a payment is disputed
    set_aside = (">held", ">frozen") if frozen else (">held",)
    made = table(found.account, "unit", ">available", *set_aside, ">spent", ">owed", "~expires")
    for name, unit in units:
        made.add_row(
            name,
            pt(unit.available, "bold"),
            pt(unit.held),
            *([pt(unit.frozen)] if frozen else []),
            pt(unit.spent),
            pt(unit.owed, "red"),
            "\n".join(f"{part} on {at:%Y-%m-%d %H:%M}" for at, part in unit.expiring) or "never",
        )
    return made


def _movements_table(found: Summary) -> Table:
    from .periods import figures
    from .writing import table

    columns = figures([*found.units.values()], "bold")
    made = table(found.account, "unit", *(f">{column}" for column in columns))
    for place, name in enumerate(found.units):
        made.add_row(name, *(column[place] for column in columns.values()))
    return made


def _models_table(found: Summary) -> Table:
    from .writing import money, pt, safe, table

    made = table("calls by model", "~model", "unit", ">calls", ">PT charged", ">cost")
    for use in found.models:
        made.add_row(safe(use.model), use.unit, f"{use.calls:,}", pt(use.charged), money(use.cost, 6))
    return made


def _definitions(card: RateCard, units: Iterable[str]) -> list[Text]:
    from .writing import remark

    return [remark(card.definition(unit)) for unit in sorted(units) if unit in card.units]


def _statement_table(account: str, entries: Sequence[Entry]) -> Table:
    from .writing import pt, remark, table, time_text

    columns = ("~booked (UTC)", "unit", ">#", "what", ">of #", ">PT", ">available", ">held", "~")
    made = table(account, *columns)
    for entry in entries:
        made.add_row(
            time_text(entry.booked_at),
            entry.unit,
            remark(str(entry.number)),
            entry.kind,
            remark(str(entry.completes or "")),
            pt(entry.amount),
            pt(entry.available_after),
            pt(entry.held_after),
            remark(_about(entry)),
        )
    return made


def _about(entry: Entry) -> str:
    from .writing import safe

    about = entry.note
    if entry.model is not None and isinstance(entry.usage, Usage):
        how = f" ({entry.processing})" if entry.processing is not Processing.STANDARD else ""
        about = f"{entry.model}{how}, {entry.usage.total:,} tokens"
    return safe(": ".join(filter(None, (entry.member, about))))
