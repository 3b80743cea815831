"""Commands for referrals: an account's code, who used it, and what that came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..domain.pt import PT, Money
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ..domain.referrals import Referral, ReferralStats, Reward

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="Lines on a page.")]
Before = Annotated[
    str | None, typer.Option("--before", metavar="ACCOUNT", help="Go on where the page before ended.")
]


def code(
    account: options.Account,
    *,
    db: options.Database,
    plans: options.PlansFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show an account's referral code; drawn when it is first asked for, and the same ever after."""
    options.must_exist(db)
    chosen, rates = options.plan_file(plans), options.rate_card(card)
    with options.open_meter(db, rates, options.policy(durability), plans=chosen) as meter:
        found = meter.referrals.code(account)
    from .writing import screen, write_json

    if as_json:
        write_json({"account": account, "code": found})
    else:
        screen().print(found)
    return ExitCode.OK


def list_(
    account: options.Account,
    *,
    db: options.Database,
    before: Before = None,
    limit: Limit = 100,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List who used an account's code, the latest first, and what that earned on both sides."""
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        found = meter.referrals.list(account, before=before, limit=limit)
    from .writing import remark, safe, screen, write_json

    if as_json:
        write_json({"account": account, "referrals": [_document(each) for each in found]})
        return ExitCode.OK
    out = screen()
    out.print(_table(account, found))
    if len(found) == limit:
        out.print(remark(f"there may be more: add --before {safe(found[-1].account)}"))
    return ExitCode.OK


def stats(
    account: options.Account,
    *,
    db: options.Database,
    plans: options.PlansFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show how far an account has come: its referrals, its tier, what it earned and had to give back."""
    options.must_exist(db)
    chosen, rates = options.plan_file(plans), options.rate_card(card)
    with options.open_meter(db, rates, options.policy(durability), plans=chosen) as meter:
        found = meter.referrals.stats(account)
    from .writing import screen, write_json

    if as_json:
        write_json(_stats_document(found))
    else:
        screen().print(_lead(found), _stats_table(found), sep="\n")
    return ExitCode.OK


COMMANDS = (
    (code, ("ptmeter referrals code acme", "ptmeter referrals code acme --plans plans.yaml")),
    (list_, ("ptmeter referrals list acme --limit 20",)),
    (stats, ("ptmeter referrals stats acme --json",)),
)
"""Every command, with examples of it."""


# --- for people ---


def _table(account: str, found: Sequence[Referral]) -> Table:
    from .writing import safe, table, time_text

    made = table(
        account, "~used (UTC)", "~account", "~state", ">paid", ">refunded", "~earned", "~taken back"
    )
    for each in found:
        earned = [f"{_what(r)} to {r.account}" for r in each.rewards]
        back = [f"{_shown(r, r.reversed)}{_short(r)}" for r in each.rewards if r.taken_back or r.short]
        state = f"{each.state}: {each.refusal.replace('_', ' ')}" if each.refusal else str(each.state)
        made.add_row(
            time_text(each.used_at),
            safe(each.account),
            state,
            str(each.payment or ""),
            str(each.refunded or ""),
            safe("\n".join(earned)),
            "\n".join(back),
        )
    return made


def _what(reward: Reward) -> str:
    return (
        f"{_shown(reward, reward.given)} {reward.kind if isinstance(reward.given, Money) else ''}".strip()
    )


def _shown(reward: Reward, amount: PT | Money) -> str:
    return f"{amount} {reward.what}" if isinstance(amount, PT) else str(amount)


def _short(reward: Reward) -> str:
    return f", {_shown(reward, reward.shortfall)} short" if reward.short else ""


def _lead(found: ReferralStats) -> str:
    from .writing import counted, safe

    code_ = f"code {found.code}, used {counted(found.uses, 'time')}" if found.code else "no code yet"
    after = f", the next from {found.next_at:,} on" if found.next_at is not None else ""
    return safe(f"{found.account}: {code_}; {found.count:,} rewarded: tier {found.tier + 1}{after}")


def _stats_table(found: ReferralStats) -> Table:
    from .writing import table

    made = table("earned", "kind", "in", ">given", ">taken back", ">short")
    for place, given in found.given.items():
        kind, what = place
        made.add_row(kind, what, str(given), str(found.reversed[place]), str(found.shortfall[place]))
    return made


# --- for scripts ---


def _amount(amount: PT | Money | None) -> str | None:
    from .writing import money_text, pt_text

    if amount is None:
        return None
    return pt_text(amount) if isinstance(amount, PT) else money_text(amount)


def _document(found: Referral) -> dict[str, Any]:
    return {
        "account": found.account,
        "code": found.code,
        "used_at": found.used_at.isoformat(),
        "state": found.state,
        "refusal": found.refusal,
        "payment_id": found.payment_id or None,
        "payment": _amount(found.payment),
        "currency": found.payment.currency if found.payment else None,
        "refunded": _amount(found.refunded),
        "paid_at": found.paid_at.isoformat() if found.paid_at else None,
        "rewards": [
            {
                "account": reward.account,
                "kind": reward.kind,
                "in": reward.what,
                "given": _amount(reward.given),
                "reversed": _amount(reward.reversed),
                "shortfall": _amount(reward.shortfall),
                "expires_at": reward.expires_at.isoformat() if reward.expires_at else None,
            }
            for reward in found.rewards
        ],
    }


def _stats_document(found: ReferralStats) -> dict[str, Any]:
    return {
        "account": found.account,
        "code": found.code or None,
        "uses": found.uses,
        "count": found.count,
        "tier": found.tier,
        "next_at": found.next_at,
        "rewards": [
            {
                "kind": place[0],
                "in": place[1],
                "given": _amount(given),
                "reversed": _amount(found.reversed[place]),
                "shortfall": _amount(found.shortfall[place]),
            }
            for place, given in found.given.items()
        ],
    }
