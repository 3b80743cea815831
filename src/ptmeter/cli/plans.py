"""Commands for plans: show a plan file, check one, begin with one, and renew the subscriptions to them."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..domain.limits import HOUR, MINUTE
from ..domain.policy import Durability
from ..domain.pt import MICRO, PT, plain
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.table import Table

    from ..domain.flags import Flag
    from ..domain.limits import Burn, BurnStep, Share
    from ..domain.plans import Plan, Plans, Trial
    from ..domain.pt import Money

File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The plan file; the bundled reference plans if left out."),
]
ThatFile = Annotated[Path, typer.Argument(metavar="FILE", help="The plan file.")]

DAY: Final = timedelta(days=1)


def show(file: File = None, *, as_json: options.AsJson = False) -> int:
    """
    Show plans side by side: what they cost, give, open and limit.

    Below them are flags, and what a model may be replaced by.
    """
    plans = options.plan_file(file)
    from .writing import screen, write_json

    if as_json:
        write_json(
            {
                "plans": [_document(plan) for plan in plans.by_name.values()],
                "flags": [_flag_document(flag) for flag in plans.flags.values()],
                "downgrades": {pattern: list(models) for pattern, models in plans.downgrades.items()},
            }
        )
    else:
        screen().print(_table(plans), *_besides(plans), sep="\n")
    return ExitCode.OK


def check(file: ThatFile, *, card: options.CardFile = None, as_json: options.AsJson = False) -> int:
    """
    Say whether a plan file holds together, and whether the rate card has the units it speaks of.

    What is wrong is said with its line; the exit code is then not 0.
    """
    plans, rates = options.plan_file(file), options.rate_card(card)
    plans.check(rates)
    from .writing import screen, write_json

    if as_json:
        write_json({"file": str(file), "plans": list(plans.by_name), "units": sorted(plans.units)})
    else:
        screen().print(f"{file} holds together: {', '.join(plans.by_name)}")
    return ExitCode.OK


def example() -> int:
    """Write the bundled plan file on stdout, to begin with."""
    from ..configuration import bundled_text

    sys.stdout.write(bundled_text("plans.json"))
    return ExitCode.OK


def renew(
    *,
    db: options.Database,
    plans: Annotated[
        Path, typer.Option("--plans", metavar="FILE", help="The plans that are subscribed to.")
    ],
    card: options.CardFile = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=5_000, help="Subscriptions read at a time.")
    ] = 500,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Grant every cycle of every subscription that has begun and was not granted yet.

    Run it every hour or so. How late it runs, how often, and at how many
    places at once changes nothing of what is granted. A subscription that
    cannot be renewed is named and left for the next run; the exit code is
    then not 0.
    """
    options.must_exist(db)
    chosen, rates = options.plan_file(plans), options.rate_card(card)
    with options.open_meter(db, rates, options.policy(durability), plans=chosen) as meter:
        done = meter.plans.renew_due(limit=limit)
    from .writing import safe, screen, write_json

    failures = {name: str(failure) for name, failure in done.failures.items()}
    if as_json:
        write_json({"renewed": list(done.accounts), "failures": failures})
    else:
        out = screen()
        out.print(f"{len(done.accounts):,} renewed, {len(failures):,} could not be")
        for name, problem in failures.items():
            out.print(f"{safe(name)}: {safe(problem)}")
    return ExitCode.FAILED if failures else ExitCode.OK


COMMANDS = (
    (show, ("ptmeter plans show", "ptmeter plans show plans.yaml --json")),
    (check, ("ptmeter plans check plans.yaml --card card.yaml",)),
    (renew, ("ptmeter plans renew --db postgresql://app@db.internal/app --plans plans.yaml",)),
    (example, ("ptmeter plans example > plans.json",)),
)
"""Every command, with examples of it."""


# --- for people -------------------------------------------------------------------------------


def _table(plans: Plans) -> Table:
    """A column for each plan, a row for whatever at least one of them says something of."""
    from .writing import safe, table

    every = list(plans.by_name.values())
    made = table("plans", "", *(f">{safe(plan.name)}" for plan in every))
    for name, say in _rows(plans):
        cells = [say(plan) for plan in every]
        if any(cells):
            made.add_row(name, *("\n".join(map(safe, cell.splitlines())) for cell in cells))
    return made


def _rows(plans: Plans) -> Iterator[tuple[str, Callable[[Plan], str]]]:
    yield "US$ a month", lambda plan: _dollars(plan.price_per_month)
    yield "US$ a year", lambda plan: _dollars(plan.price_per_year)
    for unit in sorted(plans.units, reverse=True):
        yield f"{unit} PT", lambda plan, unit=unit: _pt(plan.allowance.get(unit))
    yield "opens models in", lambda plan: "\n".join(sorted(plan.units, reverse=True))
    yield "opens besides", lambda plan: "\n".join(plan.models)
    yield "features", lambda plan: "\n".join(sorted(plan.features))
    yield "agent slots", lambda plan: _count(plan.agent_slots)
    for name, per in (("a minute", MINUTE), ("an hour", HOUR), ("a day", DAY)):
        yield f"requests {name}", lambda plan, per=per: _count(_pace(plan, per))
    yield "at once", lambda plan: _count(plan.limits.concurrent)
    yield from _capped(plans)
    yield "warns from", lambda plan: _warned(plan.limits.burn)
    yield "waits from", lambda plan: _steps(plan.limits.burn, lambda step: _percent(step.share))
    yield "waits for", lambda plan: _steps(plan.limits.burn, lambda step: _lasting(step.wait))
    yield "again: up to ×", lambda plan: _repeated(plan.limits.burn)
    yield "rolls over", _roll_over
    yield "trial", lambda plan: _trial(plan.trial)
    yield "alerts at", lambda plan: "\n".join(map(_percent, plan.alerts))
    for unit in sorted({unit for plan in plans.by_name.values() for unit in plan.low_balance}):
        yield f"low below, {unit} PT", lambda plan, unit=unit: _micro(plan.low_balance.get(unit))


def _capped(plans: Plans) -> Iterator[tuple[str, Callable[[Plan], str]]]:
    limits = [plan.limits for plan in plans.by_name.values()]
    for unit, every in sorted({(cap.unit, cap.every) for each in limits for cap in each.caps}):
        yield (
            f"{unit} PT a {every}",
            lambda plan, of=(unit, every): "".join(
                _pt(PT(cap.amount)) for cap in plan.limits.caps if (cap.unit, cap.every) == of
            ),
        )
    for every in sorted({cap.every for each in limits for cap in each.spend}):
        yield (
            f"US$ spent a {every}",
            lambda plan, of=every: "".join(
                _dollars(cap.amount) for cap in plan.limits.spend if cap.every == of
            ),
        )
    for unit in sorted({unit for each in limits for unit in each.shares}):
        yield f"share of {unit}", lambda plan, unit=unit: _share(plan.limits.shares.get(unit))


def _share(share: Share | None) -> str:
    if share is None:
        return ""
    bounds = " / ".join("–" if bound is None else _percent(bound) for bound in (share.soft, share.hard))
    return f"{bounds}\n× {share.overflow}" if share.overflow else bounds


def _warned(burn: Burn | None) -> str:
    return "" if burn is None or burn.warn is None else _percent(burn.warn)


def _steps(burn: Burn | None, say: Callable[[BurnStep], str]) -> str:
    return "\n".join(map(say, burn.steps)) if burn else ""


def _repeated(burn: Burn | None) -> str:
    return f"{burn.repeats:,}" if burn and burn.steps and burn.repeats > 1 else ""


def _lasting(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for length, name in ((3_600, "h"), (60, "min")):
        if seconds % length == 0:
            return f"{seconds // length:,} {name}"
    return f"{seconds:,} s"


def _trial(trial: Trial | None) -> str:
    from .writing import counted

    if trial is None:
        return ""
    given = [f"{_pt(amount)} {unit} PT" for unit, amount in sorted(trial.allowance.items(), reverse=True)]
    return "\n".join([counted(trial.days, "day"), *given])


def _roll_over(plan: Plan) -> str:
    if plan.roll_over is None:
        return ""
    shares = [f"{_percent(share)} {unit}" for unit, share in plan.roll_over.shares.items()]
    return "\n".join([*shares, "if annual"] if plan.roll_over.annual_only else shares)


def _pace(plan: Plan, per: timedelta) -> int | None:
    return next((pace.requests for pace in plan.limits.paces if pace.per == per), None)


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _pt(amount: PT | None) -> str:
    return "" if amount is None else plain(amount.micro, MICRO)


def _micro(amount: int | None) -> str:
    return "" if amount is None else plain(amount, MICRO)


def _dollars(amount: Money | None) -> str:
    """An amount as a price is written: 29 or 29.90, and no cent is lost of a finer one."""
    if amount is None:
        return ""
    whole, point, cents = str(amount).removeprefix("US$").partition(".")
    return f"{whole}{point}{cents.ljust(2, '0') if point else ''}"


def _percent(share: int) -> str:
    return f"{plain(share, 100)} %"


def _besides(plans: Plans) -> Iterator[Table]:
    """What the file says beside plans: features let out little by little, and stand-ins for models."""
    from .writing import safe, table

    if plans.flags:
        made = table("flags", "~flag", ">on for", "~always for", "~never for")
        for flag in plans.flags.values():
            who = (safe(", ".join(sorted(names))) for names in (flag.allow, flag.deny))
            made.add_row(safe(flag.name), _percent(flag.share), *who)
        yield made
    if plans.downgrades:
        made = table("downgrades", "~model", "~may be replaced by")
        for pattern, models in plans.downgrades.items():
            made.add_row(safe(pattern), safe(", ".join(models)))
        yield made


# --- for scripts ------------------------------------------------------------------------------


def _document(plan: Plan) -> dict[str, Any]:
    from .writing import amounts, money_text, pt_text

    limits, trial, roll_over = plan.limits, plan.trial, plan.roll_over
    return {
        "name": plan.name,
        "price_per_month": money_text(plan.price_per_month),
        "price_per_year": money_text(plan.price_per_year) if plan.price_per_year else None,
        "allowance": amounts(plan.allowance),
        "units": sorted(plan.units),
        "models": list(plan.models),
        "features": sorted(plan.features),
        "agent_slots": plan.agent_slots,
        "requests": {str(int(pace.per.total_seconds())): pace.requests for pace in limits.paces},
        "concurrent": limits.concurrent,
        "caps": [
            {"unit": cap.unit, "every": cap.every, "pt": pt_text(PT(cap.amount))} for cap in limits.caps
        ],
        "spend_caps": [{"every": cap.every, "usd": money_text(cap.amount)} for cap in limits.spend],
        "shares": {unit: _share_document(share) for unit, share in sorted(limits.shares.items())},
        "burn": _burn_document(plan),
        "roll_over": {
            "shares": _shares(roll_over.shares),
            "annual_only": roll_over.annual_only,
        }
        if roll_over
        else None,
        "trial": {"days": trial.days, "allowance": amounts(trial.allowance)} if trial else None,
        "alerts": [_exact(share) for share in plan.alerts],
        "low_balance": {unit: pt_text(PT(amount)) for unit, amount in sorted(plan.low_balance.items())},
    }


def _flag_document(flag: Flag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "share": _exact(flag.share),
        "allow": sorted(flag.allow),
        "deny": sorted(flag.deny),
    }


def _share_document(share: Share) -> dict[str, Any]:
    return {
        "soft": None if share.soft is None else _exact(share.soft),
        "hard": None if share.hard is None else _exact(share.hard),
        "overflow": share.overflow,
    }


def _burn_document(plan: Plan) -> dict[str, Any] | None:
    burn = plan.limits.burn
    return burn and {
        "warn": None if burn.warn is None else _exact(burn.warn),
        "steps": [
            {"share": _exact(step.share), "wait_seconds": int(step.wait.total_seconds())}
            for step in burn.steps
        ],
        "repeats": burn.repeats,
    }


def _shares(shares: Mapping[str, int]) -> dict[str, str]:
    return {unit: _exact(share) for unit, share in sorted(shares.items())}


def _exact(share: int) -> str:
    """A share as a plan file has it: ``"20%"``."""
    return f"{plain(share, 100)}%"
