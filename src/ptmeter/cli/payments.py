"""Commands for payments: what was paid, what was claimed back of it, and giving money back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..stripe.refunds import RefundReason
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from ..domain.payment_reports import PaymentReport
    from ..domain.pt import PT

Payment = Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment, as Stripe names it: pi_….")]
OfAccount = Annotated[str | None, typer.Option("--account", help="Of this account only.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="So many at most.")]
Fresh = Annotated[bool, typer.Option("--refresh", help="Look it up at Stripe first; takes the Stripe key.")]
Key = Annotated[str, typer.Option("--key", help="Your own name for this refund; the same gives back once.")]
Amount = Annotated[
    str | None, typer.Option("--amount", metavar="MONEY", help='How much money, such as "2.50".')
]
OfPt = Annotated[
    str | None, typer.Option("--pt", metavar="UNIT=PT", help="What so many PT of it cost, such as core=50.")
]
Reason = Annotated[RefundReason, typer.Option("--reason", help="Why, as Stripe wants to know.")]


def list_(
    *,
    db: options.Database,
    account: OfAccount = None,
    limit: Limit = 100,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List payments, the latest first: what each brought, and what was claimed back of it."""
    from .writing import money, safe, screen, table, time_text, write_json

    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        found = meter.payments.list(account=account, limit=limit)
    if as_json:
        write_json({"payments": [_document(each) for each in found]})
        return ExitCode.OK
    made = table(
        "payments",
        "id",
        "~account",
        "~paid (UTC)",
        ">money",
        "~PT",
        ">refunded",
        ">disputed",
        "~taken back",
    )
    for each in found:
        made.add_row(
            safe(each.id),
            safe(each.account),
            time_text(each.at),
            money(each.amount, 2),
            _pt(each.granted),
            money(each.refunded, 2),
            money(each.disputed, 2),
            _pt(each.taken),
        )
    screen().print(made)
    return ExitCode.OK


def show(
    payment: Payment,
    *,
    db: options.Database,
    key: options.StripeKey = "",
    refresh: Fresh = False,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show a payment: its refunds and disputes, and what they have done to its PT."""
    from .writing import screen, write_json

    options.must_exist(db)
    with options.open_stripe(db, options.policy(durability), key) as meter:
        found = meter.payments.refresh(payment) if refresh else meter.payments.find(payment)
    if as_json:
        write_json(_document(found))
    else:
        screen().print(_facts(found), "", _claims(found), sep="\n")
    return ExitCode.OK


def refund(
    payment: Payment,
    *,
    db: options.Database,
    stripe_key: options.StripeKey,
    key: Key,
    amount: Amount = None,
    of: OfPt = None,
    reason: Reason = RefundReason.REQUESTED,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Give a payment's money back, all that is left of it or a part, and take its PT back.

    The same --key gives back once, however often it is run.
    """
    from .writing import money, money_text, pt_text, screen, write_json

    options.must_exist(db)
    unit, _, pt = (of or "").partition("=")
    amounts: dict[str, Any] = {unit: pt} if of else {}
    with options.open_stripe(db, options.policy(durability), stripe_key) as meter:
        made = meter.payments.refund(payment, key=key, amount=amount, reason=reason, **amounts)
        found = meter.payments.refresh(payment)
    if as_json:
        gone = {"id": made.id, "amount": money_text(made.amount), "stage": made.stage.name.lower()}
        write_json({"refund": gone, "payment": _document(found)})
        return ExitCode.OK
    owed = f"; {pt_text(found.owed)} PT of it had been used and are owed" if found.owed else ""
    told = (
        f"{money(made.amount, 2)} given back ({made.id}), {_pt(found.taken)} taken back of it by now{owed}"
    )
    screen().print(told, highlight=False)
    return ExitCode.OK


COMMANDS = (
    (list_, ("ptmeter payments list", "ptmeter payments list --account acme --json")),
    (show, ("ptmeter payments show pi_3MtwBw", "ptmeter payments show pi_3MtwBw --refresh")),
    (
        refund,
        (
            "ptmeter payments refund pi_3MtwBw --key ticket-812",
            "ptmeter payments refund pi_3MtwBw --key ticket-813 --amount 2.50 --reason duplicate",
            "ptmeter payments refund pi_3MtwBw --key ticket-814 --pt core=250",
        ),
    ),
)
"""Every command, with examples of it."""


# --- for people ---


def _pt(amounts: Mapping[str, PT]) -> str:
    from .writing import safe

    return safe(", ".join(f"{amount} {unit}" for unit, amount in sorted(amounts.items())))


def _facts(found: PaymentReport) -> Table:
    from .writing import facts, money, pt, safe, time_text

    return facts(
        {
            "account": safe(found.account),
            "paid (UTC)": time_text(found.at),
            "money": money(found.amount, 2),
            "of it tax": money(found.tax, 2),
            "brought": _pt(found.granted),
            "refunded": money(found.refunded, 2),
            "disputed": money(found.disputed, 2),
            "taken back": _pt(found.taken),
            "frozen": _pt(found.frozen),
            "owed": pt(found.owed),
        },
        safe(found.id),
    )


def _claims(found: PaymentReport) -> Table:
    from .writing import money, pt, safe, table

    made = table("claimed back", "id", "kind", "stage", ">money", "~taken back", "~frozen", ">owed")
    for each in found.claims:
        amount = money(each.amount, 2)
        made.add_row(
            safe(each.id), each.kind, each.stage, amount, _pt(each.taken), _pt(each.frozen), pt(each.owed)
        )
    return made


# --- for scripts ---


def _document(found: PaymentReport) -> dict[str, Any]:
    from .writing import amounts, money_text, pt_text

    return {
        "id": found.id,
        "account": found.account,
        "paid_at": found.at.isoformat(),
        "currency": found.amount.currency,
        "amount": money_text(found.amount),
        "tax": money_text(found.tax),
        "granted": amounts(found.granted),
        "refunded": money_text(found.refunded),
        "disputed": money_text(found.disputed),
        "taken": amounts(found.taken),
        "frozen": amounts(found.frozen),
        "owed": pt_text(found.owed),
        "claims": [
            {
                "id": each.id,
                "kind": each.kind,
                "stage": each.stage,
                "amount": money_text(each.amount),
                "taken": amounts(each.taken),
                "frozen": amounts(each.frozen),
                "lapsed": amounts(each.lapsed),
                "owed": pt_text(each.owed),
            }
            for each in found.claims
        ],
    }
