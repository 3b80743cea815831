"""Commands for the ledger as a whole: set it up, prove it, book what is due."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..errors import ConfigurationError, InvalidArgumentError
from . import options
from .checkpoints import checkpoint_document
from .failures import ExitCode

if TYPE_CHECKING:
    from .._sync import Meter
    from ..domain.audit import Report


def migrate(
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="URL", envvar="PTMETER_DB", help="The database to set up or upgrade."),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql",
            metavar="DIALECT",
            help="Print the SQL for sqlite, postgresql, mysql or mariadb instead, and touch no database.",
        ),
    ] = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Set a database up, or bring its tables up to date.

    All tables are named ptm_… and can live beside an application's own. It is
    safe to run again, and needed after an upgrade of ptmeter that says so.
    """
    if sql is not None:
        return _print_script(sql, as_json=as_json)
    if db is None:
        msg = "name the database to set up with --db or PTMETER_DB, or print its SQL with --sql DIALECT"
        raise InvalidArgumentError(msg)
    before, after = _upgrade(db, durability)
    if as_json:
        from .writing import write_json

        write_json({"revision_before": before, "revision": after, "changed": before != after})
        return ExitCode.OK
    from .writing import screen

    was = "was empty" if before is None else f"was at {before}"
    screen().print(f"at revision {after}" + (", nothing to do" if before == after else f"; it {was}"))
    return ExitCode.OK


def schema(
    distribute: Annotated[
        str,
        typer.Option(
            "--distribute",
            metavar="LAYOUT",
            help="How it is spread: partitions (of one PostgreSQL), citus, cockroachdb or yugabytedb.",
        ),
    ],
    partitions: Annotated[
        int,
        typer.Option("--partitions", metavar="N", min=2, max=1_000, help="Hash partitions of each table."),
    ] = 8,
    as_json: options.AsJson = False,
) -> int:
    """
    Print the SQL of a schema that is spread over partitions or servers.

    It is for an empty database, and touches none. What each engine needs
    beside it, and what was tested, is in the how-to guide on scaling out.
    """
    from ..storage.distribution import Layout, script
    from ..storage.schema import HEAD

    if distribute not in {*Layout}:
        msg = f"there is no layout {distribute!r}: choose {', '.join(Layout)}"
        raise InvalidArgumentError(msg)
    written = script(Layout(distribute), partitions=partitions)
    if as_json:
        from .writing import write_json

        write_json({"layout": distribute, "revision": HEAD, "sql": written})
    else:
        sys.stdout.write(written)
    return ExitCode.OK


def verify(
    db: options.Database,
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", metavar="FILE", help="Hold it against these signed checkpoints too."),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="The public key that proves who signed them."),
    ] = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Re-derive every balance from the journal, and name the first bad row.

    Exits with 0 only if everything was covered and everything holds; run it
    every night. A ledger whose hash chain has a key needs that key, in
    hexadecimal, in PTMETER_CHAIN_KEY. With signed checkpoints it also finds
    rows that were cut off, and a chain that was written anew.
    """
    if (checkpoints is None) != (public_key is None):
        msg = (
            "checkpoints prove nothing without the key: give both --checkpoints FILE and --public-key FILE"
        )
        raise InvalidArgumentError(msg)
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        report = _verified(meter, checkpoints, public_key)
    from .writing import screen, write_json

    if as_json:
        write_json(report_document(report))
    else:
        screen().print(*report_lines(report), sep="\n")
    return ExitCode.OK if report.clean else ExitCode.FAILED


def sweep(
    db: options.Database,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", min=1, max=5_000, help="Holds and wallets in one transaction."
        ),
    ] = 500,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Book the holds nobody came back for, and lots past their expiry.

    Nothing depends on when it runs: what is due is not available anyway, and
    is booked when it is needed. Run it now and then, so that accounts nobody
    touches are up to date too.
    """
    options.must_exist(db)
    holds = wallets = 0
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        while True:
            swept = meter.sweep(limit=limit)
            holds, wallets = holds + swept.holds, wallets + swept.wallets
            if not swept.more or not (swept.holds or swept.wallets):
                break
    from .writing import counted, screen, write_json

    if as_json:
        write_json({"holds_expired": holds, "wallets_lapsed": wallets})
    else:
        screen().print(f"{counted(holds, 'hold')} expired; lots lapsed in {counted(wallets, 'wallet')}")
    return ExitCode.OK


# --- what a verification found ---


def _verified(meter: Meter, checkpoints: Path | None, public_key: Path | None) -> Report:
    if checkpoints is None or public_key is None:
        return meter.verify()
    from ..checkpoints.keys import PublicKey

    return meter.checkpoints.verify(checkpoints, key=PublicKey.read(public_key))


def report_document(report: Report) -> dict[str, Any]:
    """A verification's report as scripts read it."""
    return {
        "clean": report.clean,
        "wallets": report.wallets,
        "transfers": report.transfers,
        "findings": [finding._asdict() for finding in report.findings],
        "uncovered": list(report.uncovered),
        "checkpoint": None if report.checkpoint is None else checkpoint_document(report.checkpoint),
    }


def report_lines(report: Report) -> list[Any]:
    """A verification's report as people read it: the verdict, then the first bad row of each wallet."""
    from rich.text import Text

    from .writing import counted, safe

    looked_at = f"{counted(report.transfers, 'transfer')} in {counted(report.wallets, 'wallet')}"
    signed = (
        [] if report.checkpoint is None else [f"held against signed checkpoints up to {report.checkpoint}"]
    )
    if report.clean:
        verdict = Text.assemble(
            ("clean", "bold green"), f": {looked_at}, every hash and balance as derived"
        )
        return [verdict, *signed]
    lines = [Text.assemble(("NOT CLEAN", "bold red"), f": {looked_at}"), *signed]
    further = Counter((finding.account, finding.unit) for finding in report.findings)
    for finding in report.findings:
        if count := further.pop((finding.account, finding.unit), 0):
            more = f" (and {count - 1} more in this wallet)" if count > 1 else ""
            lines.append(Text.assemble(("  wrong      ", "red"), safe(str(finding)), more))
    lines += [Text.assemble(("  uncovered  ", "yellow"), safe(gap)) for gap in report.uncovered]
    return lines


# --- setting up ---


def _print_script(dialect: str, *, as_json: bool) -> int:
    from ..storage import schema
    from ..storage.engine import SYNC

    if dialect not in SYNC:
        msg = f"there is no SQL for {dialect!r}: choose {', '.join(SYNC)}"
        raise InvalidArgumentError(msg)
    script = schema.script(dialect)
    if as_json:
        from .writing import write_json

        write_json({"dialect": dialect, "revision": schema.HEAD, "sql": script})
    else:
        sys.stdout.write(script)
    return ExitCode.OK


def _upgrade(db: str, durability: Durability) -> tuple[str | None, str]:
    from ..storage import schema
    from ..storage.engine import new_engine
    from ..storage.opening import MEMORY
    from ..storage.store import SqlStore

    if db == MEMORY:
        msg = "memory:// keeps nothing, so there is nothing to set up: name a database"
        raise ConfigurationError(msg)
    engine = new_engine(db)
    store = SqlStore(engine, options.policy(durability))
    try:
        with engine.begin() as connection:
            before = schema.revision(connection)
        store.prepare(migrate=True)
    finally:
        store.close()
    return before, schema.HEAD
