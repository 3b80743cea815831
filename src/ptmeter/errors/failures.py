"""A usage, a database or a ledger that is not as it should be."""

from __future__ import annotations

from .base import PtmeterError


class UsageError(PtmeterError):
    """What the provider reported cannot be charged as it stands."""

    code = "usage"


class UsageMissingError(UsageError):
    """No usage was reported (which is not the same as zero): record one, or settle by hand."""

    code = "usage_missing"


class UsageInconsistentError(UsageError):
    """
    The provider's counts contradict each other, so nothing was charged: look at them, and settle by hand.

    ``payload`` is what the provider sent. The call waits in quarantine; its hold stays until it expires, and can be
    settled then and later.
    """

    code = "usage_inconsistent"

    def __init__(self, problem: str, payload: object) -> None:
        self.problem = problem
        self.payload = payload
        super().__init__(f"the provider's usage does not add up: {problem}")


class StorageError(PtmeterError):
    """The database could not do what was asked; nothing was written unless the class says so."""

    code = "storage"


class ContentionError(StorageError):
    """The database kept aborting the transaction (deadlock, lock timeout): try again."""

    code = "contention"
    retryable = True


class UnavailableError(StorageError):
    """The database cannot be reached: check the URL and that the server runs, then try again."""

    code = "unavailable"
    retryable = True


class LedgerBusyError(StorageError):
    """More is waiting to be written than the ledger keeps up with; nothing was done: try again later."""

    code = "ledger_busy"
    retryable = True


class IndeterminateError(StorageError):
    """
    The connection was lost around COMMIT, or there was no answer in time: retry with the same key.

    ``key`` is the one to retry with, where one was given. Retrying charges nothing twice: it finds out what
    happened, and carries the request out if it was not.
    """

    code = "indeterminate"
    retryable = True

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        super().__init__(
            f"there was no answer to COMMIT, so the transaction may or may not have been written: "
            f"retry with the same key{'' if key is None else f' {key!r}'}, which charges nothing twice"
        )


class SchemaOutdatedError(StorageError):
    """The database lacks ptmeter's tables or has older ones: run ``ptmeter migrate``; newer ones say so."""

    code = "schema_outdated"

    def __init__(self, found: str | None, expected: str) -> None:
        self.found = found
        self.expected = expected
        state = f"at revision {found}, this version needs {expected}" if found else "not set up"
        remedy = "run `ptmeter migrate --db URL` or open the meter with migrate=True"
        if found and found > expected:
            remedy = "a newer ptmeter has made it, so install that one here too"
        super().__init__(f"the ptmeter schema is {state}: {remedy}")


class UnsafeDurabilityError(StorageError):
    """The server would acknowledge commits it can lose: turn that off, or accept it in Policy."""

    code = "unsafe_durability"

    def __init__(self, setting: str, value: str, wanted: str) -> None:
        self.setting = setting
        self.value = value
        super().__init__(
            f"the server has {setting}={value}, so acknowledged charges can be lost in a crash: "
            f"set it to {wanted}, or accept the loss with Policy(durability='relaxed')"
        )


class InvariantError(PtmeterError):
    """A law of the ledger does not hold: a bug in ptmeter or a tampered database. Please report it."""

    code = "invariant"


class UnreadableRowError(InvariantError):
    """A row holds what ptmeter never writes: somebody else did; ``table`` and ``row`` say which it is."""

    code = "unreadable_row"

    def __init__(self, table: str, row: dict[str, object], problem: str) -> None:
        self.table = table
        self.row = row
        self.problem = problem
        name = ", ".join(f"{column}={value}" for column, value in row.items())
        super().__init__(f"{table} has a row that cannot be read ({name}): {problem}")
