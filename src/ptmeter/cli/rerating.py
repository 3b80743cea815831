"""The command that rates recorded calls again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..domain.rerating import Basis
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from ..domain.rerating import AccountChange, ModelChange, Rerating


Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Booked at this time or later.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Booked before it.")]
OnlyAccount = Annotated[
    str | None, typer.Option("--account", metavar="ACCOUNT", help="Only this account's calls.")
]
OnlyModel = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="Only this model's, as its price names it.")
]
OnlyUnpriced = Annotated[
    bool, typer.Option("--unpriced", help="Only calls that were charged at a ceiling for want of a price.")
]
By = Annotated[
    Basis,
    typer.Option("--basis", help="The prices there are now, or what was charged at first: takes it back."),
]
OtherCard = Annotated[
    Path | None,
    typer.Option(
        "--card", metavar="FILE", help="The rate card; the one each call was rated by if left out."
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Post the corrections; else they are only shown.")]
Who = Annotated[str, typer.Option("--by", metavar="NAME", help="Who has it done; needed by --apply.")]
Why = Annotated[str, typer.Option("--reason", help="Why; needed by --apply.")]


def rerate(
    *,
    since: Since,
    until: Until,
    db: options.Database,
    account: OnlyAccount = None,
    model: OnlyModel = None,
    unpriced: OnlyUnpriced = False,
    basis: By = Basis.CATALOGUE,
    prices: options.PricesFile = None,
    card: OtherCard = None,
    apply: Apply = False,
    by: Who = "",
    reason: Why = "",
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Rate recorded calls again, and correct what they were charged.

    Without --apply nothing is posted. With it every difference becomes a
    correction that is booked now and names its call; the calls' own rows, and
    months that are closed, stay as they are. Run again it finds nothing to do.

    Exits with 3 if corrections were refused, for want of PT.
    """
    options.must_exist(db)
    span: dict[str, Any] = {
        "since": options.moment(since, "--since"),
        "until": options.moment(until, "--until"),
        "account": account,
        "model": model,
        "unpriced": unpriced,
        "basis": basis,
        "card": options.rate_card(card) if card else None,
    }
    if not apply and (by or reason):
        msg = "--by and --reason are for what is posted: add --apply"
        raise InvalidArgumentError(msg)
    if apply and not (by.strip() and reason.strip()):
        msg = "--apply puts on record who and why: add --by NAME and --reason WHY"
        raise InvalidArgumentError(msg)
    with options.open_meter(db, options.rate_card(card), options.policy(durability), prices) as meter:
        if account:
            meter.balance(account)  # says that there is no such account
        found = meter.prices.rerate(**span, by=by, reason=reason) if apply else meter.prices.preview(**span)
    from .writing import screen, write_json

    if as_json:
        write_json(_document(found, posted=apply))
    else:
        screen().print(*_shown(found, posted=apply), sep="\n")
    return ExitCode.REFUSED if found.refused else ExitCode.OK


_NOVEMBER = "ptmeter rerate --since 2026-11-01 --until 2026-12-01"

EXAMPLES = (
    f"{_NOVEMBER} --prices prices.yaml --model gpt-4o-mini",
    f"{_NOVEMBER} --prices prices.yaml --apply --by ann --reason 'the list was wrong from the 3rd on'",
    f"{_NOVEMBER} --basis first --apply --by ann --reason 'it was right after all'",
)


# --- for scripts ---


def _document(found: Rerating, *, posted: bool) -> dict[str, Any]:
    return {
        "since": found.span.since.isoformat(),
        "until": found.span.until.isoformat(),
        "calls": found.calls,
        "applied": posted,
        "corrections": found.posted,
        "models": [_model_document(change) for change in found.models],
        "accounts": [_account_document(change) for change in found.accounts],
        "posted": [_account_document(change) for change in _posted(found)] if posted else [],
        "refused": [_account_document(change) for change in found.refused],
        "unrated": dict(found.unrated),
    }


def _model_document(change: ModelChange) -> dict[str, Any]:
    from .writing import money_text, pt_text

    return {
        "unit": change.unit,
        "model": change.model,
        "calls": change.calls,
        "charged": pt_text(change.charged),
        "charged_again": pt_text(change.charged_again),
        "currency": change.cost.currency,
        "cost": money_text(change.cost),
        "cost_again": money_text(change.cost_again),
    }


def _account_document(change: AccountChange) -> dict[str, Any]:
    from .writing import pt_text

    return {
        "account": change.account,
        "unit": change.unit,
        "calls": change.calls,
        "amount": pt_text(change.amount),
    }


# --- for people ---


def _shown(found: Rerating, *, posted: bool) -> Iterator[Any]:
    from .writing import counted, remark, safe

    yield _models_table(found)
    if not posted and found.accounts:
        yield _accounts_table("to be charged more, or less", found.accounts)
    if posted and (made := _posted(found)):
        yield _accounts_table("charged more, or less", made)
    if found.refused:
        yield _accounts_table(
            "REFUSED, NOT CHARGED: for want of PT, or corrected by somebody else meanwhile", found.refused
        )
    for model, calls in found.unrated.items():
        yield f"left alone: {counted(calls, 'call')} of {safe(model)}, which has no price or no rate"
    if found.span.model and not found.calls and not found.unrated:
        yield f"no such call of {safe(found.span.model)}: ptmeter margins --by model names the models"
    done = f"{counted(found.posted, 'correction')} posted" if posted else "nothing was posted: add --apply"
    yield remark(f"calls rated again: {found.calls:,}; {done}")


def _models_table(found: Rerating) -> Table:
    from .writing import money, number, pt, safe, table

    made = table(
        "calls rated again", "unit", "~model", ">calls", ">charged", ">again", ">cost", ">cost again"
    )
    for change in found.models:
        made.add_row(
            change.unit,
            safe(change.model),
            number(change.calls),
            pt(change.charged),
            pt(change.charged_again),
            money(change.cost, 6),
            money(change.cost_again, 6),
        )
    return made


def _posted(found: Rerating) -> list[AccountChange]:
    """What was charged more, or less: of all that calls come to now, what was not refused."""
    refused = {(change.account, change.unit): change for change in found.refused}
    made: list[AccountChange] = []
    for change in found.accounts:
        not_made = refused.get((change.account, change.unit))
        if not_made is None:
            made.append(change)
        elif calls := change.calls - not_made.calls:
            made.append(change._replace(calls=calls, amount=change.amount - not_made.amount))
    return made


def _accounts_table(title: str, changes: Sequence[AccountChange]) -> Table:
    from .writing import number, pt, safe, table

    made = table(title, "~account", "unit", ">calls", ">PT")
    for change in changes:
        made.add_row(safe(change.account), change.unit, number(change.calls), pt(change.amount))
    return made
