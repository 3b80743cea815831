"""What the demonstration shows: before it begins and when it is over, for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from ...domain.pt import PT, Money
from ..database import report_document, report_lines
from ..earnings import margin, sales_value
from ..writing import (
    margin_light,
    money,
    money_text,
    number,
    pt,
    pt_text,
    remark,
    share_text,
    table,
)
from .playing import THREADS
from .workload import CUSTOMERS, Ending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType
    from rich.table import Table

    from ...domain.estimates import Estimate
    from ...domain.plans import Plans
    from ...domain.rates import RateCard
    from .figures import Figures, ModelFigures, WalletFigures
    from .workload import Planned

WORDS: Final = {
    Ending.ANSWERED: "charged",
    Ending.FAILED: "failed and given back",
    Ending.ABANDONED: "expired",
    Ending.NO_FUNDS: "out of PT",
    Ending.LOCKED: "locked by their plan",
}


def opening(
    card: RateCard, plans: Plans, estimates: Sequence[tuple[Planned, Estimate]], calls: int
) -> list[RenderableType]:
    """Who takes part, and what a few calls will cost before they are sent."""
    return [
        Text.assemble(
            ("ptmeter", "bold cyan"), f"  {len(CUSTOMERS)} accounts, {calls:,} calls, {THREADS} threads"
        ),
        remark("as large as those of the Azure LLM inference trace 2023, conversation and code"),
        remark("(Azure Public Dataset, CC-BY 4.0; Splitwise, ISCA 2024)"),
        *(remark(card.definition(unit)) for unit in card.units),
        "",
        _plans(plans),
        "",
        _estimates(estimates),
        "",
    ]


def closing(figures: Figures, card: RateCard, kept: Path | None) -> list[RenderableType]:
    """Where all PT went, what the models cost and brought in, and whether the books hold."""
    made = sum(figures.endings.values())
    speed = f"{made / figures.seconds:,.0f}" if figures.seconds else "–"
    return [
        _endings(figures),
        remark(f"in {figures.seconds:,.1f} s: {speed} a second, each in two commits that outlive a crash"),
        "",
        _wallets(figures),
        "",
        _models(figures.models, card),
        "",
        *report_lines(figures.report),
        "",
        remark("The seed fixes every call, but not which thread comes first: which call of a"),
        remark("dry account is refused, and how often PT are bought, may differ between runs."),
        "",
        *_next(kept),
    ]


def document(figures: Figures, card: RateCard, seed: int) -> dict[str, Any]:
    """The figures as scripts read them."""
    return {
        "seed": seed,
        "calls": {str(ending): figures.endings[ending] for ending in Ending},
        "accounts": [_wallet_document(wallet) for wallet in figures.wallets],
        "top_ups": dict(sorted(figures.top_ups.items())),
        "models": [_model_document(model, card) for model in figures.models],
        "seconds": round(figures.seconds, 3),
        "verify": report_document(figures.report),
    }


# --- for scripts ---


def _wallet_document(wallet: WalletFigures) -> dict[str, Any]:
    return {
        "account": wallet.customer.account,
        "plan": wallet.customer.plan,
        "unit": wallet.unit,
        "granted": pt_text(PT(wallet.granted)),
        "held": pt_text(PT(wallet.held)),
        "spent": pt_text(PT(wallet.spent)),
        "expired": pt_text(PT(wallet.expired)),
        "refused_calls": wallet.refused,
        "available": pt_text(PT(wallet.available)),
    }


def _model_document(model: ModelFigures, card: RateCard) -> dict[str, Any]:
    sales = sales_value({model.unit: model.charged}, card)
    return {
        "model": model.model,
        "unit": model.unit,
        "calls": model.calls,
        "tokens": model.tokens,
        "cost": money_text(Money(model.cost)),
        "charged": pt_text(PT(model.charged)),
        "sales": money_text(sales) if sales else None,
        "margin": share_text(margin(sales, {"USD": model.cost})),
    }


# --- for people ---


def _plans(plans: Plans) -> Table:
    made = table("who is billed", "~account", "~plan", ">a month", ">core PT", ">advanced PT")
    for customer in CUSTOMERS:
        plan = plans.find(customer.plan)
        made.add_row(
            customer.account,
            plan.name,
            money(plan.price_per_month, 0),
            pt(plan.allowance.get("core", PT(0))),
            pt(plan.allowance.get("advanced", PT(0)))
            if "advanced" in plan.units
            else Text("locked", "red"),
        )
    return made


def _estimates(estimates: Sequence[tuple[Planned, Estimate]]) -> Table:
    columns = ("~model", "~counted", ">tokens in", "unit", ">expected", ">at most", ">costs us")
    made = table("what a call will cost, before it is sent", *columns)
    for call, estimate in estimates:
        made.add_row(
            call.model,
            remark(str(estimate.input.method)),
            number(estimate.input.tokens),
            estimate.unit,
            pt(estimate.expected),
            pt(estimate.at_most, "bold"),
            money(estimate.cost_expected),
        )
    made.caption = "what it costs at most is held until the answer is there"
    return made


def _wallets(figures: Figures) -> Table:
    columns = ("~account", "~plan", "unit", ">granted", ">spent", ">held", ">expired", ">refused", ">left")
    made = table("where the PT went", *columns)
    shown = ""
    for wallet in figures.wallets:
        account, plan = wallet.customer.account, wallet.customer.plan
        made.add_row(
            account if account != shown else "",
            remark(plan if account != shown else ""),
            wallet.unit,
            pt(PT(wallet.granted)),
            pt(PT(wallet.spent), "bold"),
            pt(PT(wallet.held)),
            pt(PT(wallet.expired)),
            Text(f"{wallet.refused:,}", style="yellow") if wallet.refused else number(0),
            pt(PT(wallet.available), "green"),
        )
        shown = account
    bought = ", ".join(f"{account} × {count}" for account, count in sorted(figures.top_ups.items()))
    made.caption = "expired holds were given back" + (f"; topped up: {bought}" if bought else "")
    return made


def _models(models: Sequence[ModelFigures], card: RateCard) -> Table:
    columns = ("~model", "unit", ">calls", ">tokens", ">cost", ">PT", ">sales", ">margin")
    made = table("what the models cost and brought in", *columns)
    charged: dict[str, int] = {}
    for model in models:
        charged[model.unit] = charged.get(model.unit, 0) + model.charged
        made.add_row(*_model(model, {model.unit: model.charged}, card))
    made.add_section()
    whole = _sum(models)
    made.add_row(*_model(whole, charged, card), style="bold")
    return made


def _model(model: ModelFigures, charged: dict[str, int], card: RateCard) -> list[RenderableType]:
    sales = sales_value(charged, card)
    return [
        model.model,
        model.unit,
        number(model.calls),
        number(model.tokens),
        money(Money(model.cost)),
        pt(PT(model.charged)) if model.unit else "",
        money(sales, 2) if sales else "–",
        margin_light(margin(sales, {"USD": model.cost})),
    ]


def _sum(models: Sequence[ModelFigures]) -> ModelFigures:
    from .figures import ModelFigures

    return ModelFigures(
        "all",
        "",
        calls=sum(model.calls for model in models),
        tokens=sum(model.tokens for model in models),
        cost=sum(model.cost for model in models),
    )


def _endings(figures: Figures) -> Text:
    parts = [f"{count:,} {WORDS[ending]}" for ending in Ending if (count := figures.endings[ending])]
    return Text.assemble((f"{sum(figures.endings.values()):,} calls", "bold"), f": {', '.join(parts)}")


def _next(kept: Path | None) -> list[Text]:
    if kept is None:
        return [Text.assemble("next: ", ("ptmeter demo --keep demo.db", "cyan"), " and look around in it")]
    db = f"--db sqlite:///{kept}"
    return [
        Text.assemble("next: ", (f"ptmeter statement {CUSTOMERS[1].account} --limit 20 {db}", "cyan")),
        Text.assemble("      ", (f"ptmeter balance {CUSTOMERS[2].account} {db}", "cyan")),
    ]
