"""What went wrong, in one sentence that says what to do, and the exit code that tells a script the same."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from enum import IntEnum
from typing import Final

from ..errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PtmeterError,
    RefusedError,
    StorageError,
    StripeError,
    UnavailableError,
    UsageError,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    DATABASE = 4
    RETRY = 5
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "a check found something (verify, prices), or not all was renewed",
    ExitCode.USAGE: "wrong usage: an argument, a file or the configuration",
    ExitCode.REFUSED: "refused: too few PT, a locked model, a key already used; or by Stripe",
    ExitCode.DATABASE: "the database: unreachable, not set up, or it could lose commits",
    ExitCode.RETRY: "try again as it is: contention, or a connection lost around a commit",
    ExitCode.BUG: "a fault in ptmeter: please report it",
    ExitCode.INTERRUPTED: "interrupted; what was done so far stands",
    ExitCode.BROKEN_PIPE: "nobody read on: the pipe was closed",
}

IN_COMMANDS: Final = (
    ("meter.funds.grant(...)", "ptmeter grant"),
    ("meter.funds.grant", "ptmeter grant"),
    ("meter.payments.refresh(...)", "ptmeter payments show --refresh"),
    (" or open the meter with migrate=True", ""),
    ("Policy(durability='relaxed')", "--durability relaxed"),
    ("open it with Meter.open(url, plans=...)", "name them with --plans FILE"),
    ("say Workload(processing=...)", "say --processing"),
    ("say processing=", "say --processing "),
    ("amount=...", "--amount"),
)
"""What errors of the library say to those who write Python, and what that is on a command line."""

_BY_KIND: Final = (
    (RefusedError, ExitCode.REFUSED),
    (ConflictError, ExitCode.REFUSED),
    (StripeError, ExitCode.REFUSED),
    (StorageError, ExitCode.DATABASE),
    (InvalidArgumentError, ExitCode.USAGE),
    (NotFoundError, ExitCode.USAGE),
    (UsageError, ExitCode.USAGE),
)


def exit_code(error: PtmeterError) -> ExitCode:
    """The exit code that stands for *error*."""
    if error.retryable and not isinstance(error, UnavailableError):
        return ExitCode.RETRY
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), ExitCode.BUG)


def report(error: PtmeterError, *, as_json: bool) -> ExitCode:
    """Write *error* on stderr, for a person or a script; returns the exit code."""
    facts = {name: plain for name, value in vars(error).items() if (plain := _plain(value)) is not None}
    tell(error.code, _on_a_command_line(str(error)), as_json=as_json, retryable=error.retryable, **facts)
    return exit_code(error)


def tell(code: str, message: str, *, as_json: bool, **facts: object) -> None:
    """Write a problem on stderr: a sentence, or an object with the sentence in it."""
    if as_json:
        document = {"error": {"code": code, "message": message, **facts}}
        sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"ptmeter: {message}\n")


def from_database(error: Exception) -> StorageError | None:
    """The storage error that *error*, raised by SQLAlchemy while it connects, amounts to; if it is one."""
    module = sys.modules.get("sqlalchemy.exc")
    if module is None or not isinstance(error, module.SQLAlchemyError):
        return None
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = cause[0] if cause else type(error).__name__
    return StorageError(f"the database could not be used ({reason}): check --db, and that the server is up")


def _on_a_command_line(message: str) -> str:
    """What an error says, in commands and options where there are some for what it names."""
    for python, command in IN_COMMANDS:
        message = message.replace(python, command)
    return message


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value if isinstance(value, str | int | bool) else None
