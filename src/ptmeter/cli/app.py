"""The commands together, and how one is run: typer reads the arguments, errors become exit codes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.exceptions import TyperException

from ..errors import PtmeterError
from . import (
    accounts,
    calibration,
    checkpoints,
    database,
    demo,
    estimating,
    margins,
    metrics,
    mitigations,
    outbox,
    payments,
    periods,
    plans,
    prices,
    quarantine,
    referrals,
    replay,
    rerating,
    webhooks,
    worker,
)
from .failures import MEANINGS, ExitCode, from_database, report, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS: Final[tuple[tuple[Callable[..., int], tuple[str, ...]], ...]] = (
    (demo.demo, ("ptmeter demo", "ptmeter demo --calls 10000 --keep demo.db")),
    (
        database.migrate,
        (
            "ptmeter migrate --db postgresql://app@db.internal/app",
            "ptmeter migrate --sql postgresql > ptmeter.sql",
        ),
    ),
    (
        database.schema,
        (
            "ptmeter schema --distribute partitions --partitions 32 > ptmeter.sql",
            "ptmeter schema --distribute citus > ptmeter.sql",
        ),
    ),
    (
        accounts.grant,
        (
            "ptmeter grant acme core=100 advanced=5 --source trial --key trial:acme",
            "ptmeter grant acme core=1000 --source top-up --key pi_3MtwBw --expires 2027-01-01",
        ),
    ),
    (
        accounts.balance,
        ("ptmeter balance acme", "ptmeter balance acme --json | jq -r .units.core.available"),
    ),
    (
        accounts.statement,
        (
            "ptmeter statement acme --since 2026-11-01 --until 2026-12-01",
            "ptmeter statement acme --limit 20",
        ),
    ),
    (accounts.summary, ("ptmeter summary acme --since 2026-11-01 --until 2026-12-01",)),
    (
        estimating.estimate,
        (
            "ptmeter estimate --model gpt-4o-mini prompt.txt",
            "ptmeter estimate --json - < request.json",
        ),
    ),
    (
        database.verify,
        (
            "ptmeter verify --db postgresql://audit@db.internal/app || page-somebody",
            "ptmeter verify --checkpoints checkpoints.jsonl --public-key ptmeter.key.pub",
        ),
    ),
    (
        checkpoints.checkpoint,
        (
            "ptmeter checkpoint --new-key ptmeter.key",
            "ptmeter checkpoint --key ptmeter.key --to checkpoints.jsonl",
            "ptmeter checkpoint --key ptmeter.key --to 2027.jsonl --after 2026.jsonl",
        ),
    ),
    (database.sweep, ("ptmeter sweep",)),
    (worker.worker, worker.EXAMPLES),
    (margins.margins, margins.EXAMPLES),
    (rerating.rerate, rerating.EXAMPLES),
    (metrics.metrics, ("ptmeter metrics > /var/lib/node_exporter/ptmeter.prom",)),
    (
        replay.replay,
        (
            "ptmeter replay AzureLLMInferenceTrace_conv.csv --db sqlite:///replay.db --model gpt-4o-mini",
            "ptmeter replay servegen/deepseek-r1 --model deepseek-reasoner --limit 20000 --json",
        ),
    ),
)
"""Every command, with examples of it."""


def _epilog(title: str, lines: Sequence[str]) -> str:
    return "\n".join(("\b", f"[bold]{title}[/bold]", *(f"  {line}" for line in lines)))


app = typer.Typer(
    name="ptmeter",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=_epilog("Exit codes", [f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items()]),
)
for _command, _examples in COMMANDS:
    app.command(epilog=_epilog("Examples", _examples))(_command)


GROUPS: Final = (
    ("periods", periods.COMMANDS, "Accounting months: close them, and see what they come to."),
    ("plans", plans.COMMANDS, "Plans: show a file, check one, begin with one; renew subscriptions."),
    ("prices", prices.COMMANDS, "Price lists: show and export them, tell two apart, check the ledger's."),
    (
        "outbox",
        outbox.COMMANDS,
        "Messages: which wait, which are dead; have one delivered again, drop old ones.",
    ),
    (
        "quarantine",
        quarantine.COMMANDS,
        "Calls that were answered and not charged: settle or dismiss them.",
    ),
    ("payments", payments.COMMANDS, "Payments: what each brought, what was claimed back; refunds."),
    ("referrals", referrals.COMMANDS, "Referrals: an account's code, who used it, what that came to."),
    ("webhooks", webhooks.COMMANDS, "Webhooks: what Stripe sent, and what to do about dead letters."),
    ("mitigations", mitigations.COMMANDS, "What is done for a while because margins are thin."),
    ("calibration", calibration.COMMANDS, "What settled calls taught the estimates."),
)
"""Commands that go by two words: the first, those it has, and what they are for."""

for _group, _commands, _help in GROUPS:
    _together = typer.Typer(no_args_is_help=True, help=_help)
    for _command, _examples in _commands:
        _name = _command.__name__.strip("_").replace("_", "-")
        _together.command(_name, epilog=_epilog("Examples", _examples))(_command)
    app.add_typer(_together, name=_group)


def _version(asked: bool) -> None:
    if asked:
        import ptmeter

        sys.stdout.write(f"ptmeter {ptmeter.__version__}\n")
        raise typer.Exit


@app.callback()
def ptmeter(
    _asked: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """
    Meter LLM usage in prepaid Platform Tokens (PT), on your own database.

    The database is named by --db or, better for a URL with a password in it,
    by PTMETER_DB. A command says what it did in tables for people or, with
    --json, in one document for scripts.
    """


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; returns the exit code. Only a fault of our own leaves a traceback."""
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name="ptmeter", standalone_mode=False)
        return int(code or ExitCode.OK)
    except PtmeterError as error:
        return report(error, as_json=as_json)
    except TyperException as error:
        return _wrong_usage(error, as_json=as_json)
    except SystemExit:  # typer's way to leave when nobody reads on: `ptmeter statement acme | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - told apart below; what is left is our fault and shown whole
        if storage := from_database(error):
            return report(storage, as_json=as_json)
        sys.excepthook(type(error), error, error.__traceback__)
        return ExitCode.BUG


def _wrong_usage(error: TyperException, *, as_json: bool) -> ExitCode:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "ptmeter"
    message = error.format_message().rstrip(".") or "say which command"  # its help was shown
    message = message.replace("Value error, ", "").replace("Input should be", "it has to be")  # pydantic's
    tell("usage", f"{message[:1].lower()}{message[1:]}: see {where} --help", as_json=as_json)
    return ExitCode.USAGE
