"""
Every error ptmeter raises on purpose, and what to do about each.

    PtmeterError
    ├── InvalidArgumentError (ValueError)   UnknownModelError · UnknownUnitError · ConfigurationError
    │                                       · CheckpointInvalidError
    ├── NotFoundError (LookupError)         AccountNotFoundError · HoldNotFoundError
    ├── RefusedError                        InsufficientFundsError · ModelLockedError · AccountFrozenError
    │                                       · ApprovalMissingError
    ├── ConflictError                       IdempotencyConflictError · HoldNotPendingError
    │                                       · PeriodNotOverError · PeriodOrderError · PeriodNotSealedError
    │                                       · PeriodClosedError · CheckpointMismatchError
    │                                       · QuarantineResolvedError
    ├── UsageError                          UsageMissingError · UsageInconsistentError
    ├── StorageError                        ContentionError · LedgerBusyError · IndeterminateError
    │                                       · UnavailableError · SchemaOutdatedError · UnsafeDurabilityError
    └── InvariantError                      UnreadableRowError

Each class has a stable ``code`` for scripts and logs, says in ``retryable`` whether the same call
may succeed later unchanged, and carries its facts as attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from decimal import Decimal


class PtmeterError(Exception):
    """Anything ptmeter raises on purpose; catch this to catch them all."""

    code: ClassVar[str] = "ptmeter"
    retryable: ClassVar[bool] = False


# --- what was asked for cannot be ------------------------------------------------------------


class InvalidArgumentError(PtmeterError, ValueError):
    """An argument is outside what the call accepts; the message says what it takes."""

    code = "invalid_argument"


class UnknownModelError(InvalidArgumentError):
    """No price or no rate is known for the model: add one, or allow it at a ceiling rate."""

    code = "unknown_model"

    def __init__(self, model: str, missing: str) -> None:
        self.model = model
        self.missing = missing
        super().__init__(
            f"no {missing} is known for model {model!r}, so a call to it would be free: "
            f"add it to the price overrides and the rate card, or set Policy.unpriced"
        )


class UnknownUnitError(InvalidArgumentError):
    """The platform has no such unit of PT; units are named by the rate card."""

    code = "unknown_unit"


class ConfigurationError(InvalidArgumentError):
    """A rate card, plan file or policy does not hold together; the message names the place."""

    code = "configuration"


class CheckpointInvalidError(InvalidArgumentError):
    """
    A file of signed checkpoints cannot be relied on; the message names the line and what is wrong with it.

    It may be another file, be damaged or cut short, or be signed with another key than the one given.
    """

    code = "checkpoint_invalid"

    def __init__(self, file: str, line: int, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        where = f"{file}, line {line}" if line else file
        super().__init__(f"the checkpoints in {where} cannot be relied on: {problem}")


class NotFoundError(PtmeterError, LookupError):
    """The thing named does not exist."""

    code = "not_found"


class AccountNotFoundError(NotFoundError):
    """No such account: an account comes into being with its first grant."""

    code = "account_not_found"

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(f"there is no account {account!r}: grant it PT first (meter.funds.grant)")


class HoldNotFoundError(NotFoundError):
    """No hold was ever placed under this account and key."""

    code = "hold_not_found"

    def __init__(self, account: str, key: str) -> None:
        self.account = account
        self.key = key
        super().__init__(f"account {account!r} has no hold under key {key!r}")


# --- the ledger said no -----------------------------------------------------------------------


class RefusedError(PtmeterError):
    """The request was understood and refused; nothing was moved."""

    code = "refused"


class InsufficientFundsError(RefusedError):
    """
    The wallet has less available than the call may cost: top up, or ask for less.

    ``available`` and ``required`` are in whole PT.
    """

    code = "insufficient_funds"

    def __init__(self, account: str, unit: str, *, available: Decimal, required: Decimal) -> None:
        self.account = account
        self.unit = unit
        self.available = available
        self.required = required
        super().__init__(
            f"account {account!r} has {available:f} {unit} PT available and {required:f} are required: "
            f"top up, or ask for less"
        )


class ModelLockedError(RefusedError):
    """The account's plan does not include the model; ``opens_with`` names the cheapest that does."""

    code = "model_locked"

    def __init__(self, model: str, plan: str, opens_with: str | None) -> None:
        self.model = model
        self.plan = plan
        self.opens_with = opens_with
        remedy = f"plan {opens_with!r} opens it" if opens_with else "no plan opens it"
        super().__init__(f"model {model!r} is not part of plan {plan!r}: {remedy}")


class AccountFrozenError(RefusedError):
    """The wallet is frozen or closed: it takes no new holds or debits until it is reopened."""

    code = "account_frozen"

    def __init__(self, account: str, unit: str) -> None:
        self.account = account
        self.unit = unit
        super().__init__(f"the {unit} wallet of account {account!r} is not open for spending")


class ApprovalMissingError(RefusedError):
    """What was asked for takes two persons, and both names were the same: have somebody else approve it."""

    code = "approval_missing"

    def __init__(self, by: str) -> None:
        self.by = by
        super().__init__(f"{by!r} cannot approve it too: this takes a second person")


class ConflictError(PtmeterError):
    """The request contradicts something already recorded."""

    code = "conflict"


class IdempotencyConflictError(ConflictError):
    """The key was used before with other arguments: use a new key for a new request."""

    code = "idempotency_conflict"

    def __init__(self, account: str, key: str) -> None:
        self.account = account
        self.key = key
        super().__init__(
            f"key {key!r} of account {account!r} was used before with other arguments: "
            f"a new request needs a new key"
        )


class HoldNotPendingError(ConflictError):
    """The hold was already settled, voided or (for a void) expired; nothing is left of it to move."""

    code = "hold_not_pending"

    def __init__(self, account: str, key: str) -> None:
        self.account = account
        self.key = key
        super().__init__(f"the hold of account {account!r} under key {key!r} is already resolved")


class PeriodNotOverError(ConflictError):
    """The period has not ended yet by the database's clock: close it once it has."""

    code = "period_not_over"

    def __init__(self, period: str, ends_at: str) -> None:
        self.period = period
        self.ends_at = ends_at
        super().__init__(f"{period} is not over before {ends_at}: close it then")


class PeriodOrderError(ConflictError):
    """Periods are closed in order and reopened in the opposite one: ``first`` names whose turn it is."""

    code = "period_order"

    def __init__(self, period: str, first: str) -> None:
        self.period = period
        self.first = first
        super().__init__(f"it is not the turn of {period}: {first} comes first")


class PeriodNotSealedError(ConflictError):
    """The period is not sealed, so there is nothing to reopen and nothing final to report: close it."""

    code = "period_not_sealed"

    def __init__(self, period: str, state: str) -> None:
        self.period = period
        self.state = state
        super().__init__(f"{period} is {state}, not sealed: close it first")


class PeriodClosedError(ConflictError):
    """The database refused a row booked in a closed period: book it now, and say when it took effect."""

    code = "period_closed"


class CheckpointMismatchError(ConflictError):
    """The ledger is not the one that a signed checkpoint describes, or was changed since: verify it."""

    code = "checkpoint_mismatch"

    def __init__(self, number: int, problem: str) -> None:
        self.number = number
        self.problem = problem
        super().__init__(
            f"checkpoint {number} does not describe this ledger, {problem}: it is of another ledger, or this one "
            f"was changed; run `ptmeter verify --checkpoints`"
        )


class QuarantineResolvedError(ConflictError):
    """It was decided otherwise about the call in quarantine, and that stands: correct it with an adjustment."""

    code = "quarantine_resolved"

    def __init__(self, account: str, key: str, state: str, resolver: str) -> None:
        self.account, self.key, self.state, self.resolver = account, key, state, resolver
        super().__init__(f"call {key!r} of account {account!r} was {state} by {resolver!r} already")


# --- what the provider sent -------------------------------------------------------------------


class UsageError(PtmeterError):
    """What the provider reported cannot be charged as it stands."""

    code = "usage"


class UsageMissingError(UsageError):
    """No usage was reported (which is not the same as zero): record one, or settle by hand."""

    code = "usage_missing"


class UsageInconsistentError(UsageError):
    """
    The provider's counts contradict each other, so nothing was charged: look at them, and settle by hand.

    ``payload`` is what the provider sent. The hold of a call stays until it expires, and can be settled
    then and later.
    """

    code = "usage_inconsistent"

    def __init__(self, problem: str, payload: object) -> None:
        self.problem = problem
        self.payload = payload
        super().__init__(f"the provider's usage does not add up: {problem}")


# --- the database -----------------------------------------------------------------------------


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
