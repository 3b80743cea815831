"""
Calls that were answered and cannot be charged: to nobody until a person has decided what becomes of them.

Their usage contradicts itself, or no price is known for how they were processed.

What the provider sent is kept for that person as canonical JSON, bounded in size. Counts hold no text, and to be
sure of it no text is kept that could have been generated: of strings only those that name something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from ..errors import InvalidArgumentError, QuarantineResolvedError
from .checks import check_note
from .keys import digest, transfer_id
from .ledger import Kind
from .periods import check_person
from .prices import Processing
from .rates import PLAIN

if TYPE_CHECKING:
    from datetime import datetime

    from .ledger import Transfer
    from .pt import PT
    from .rates import Workload
    from .usage import Usage

LARGEST_PAYLOAD: Final = 65_536
"""Bytes of a payload that are kept; one that is larger is described."""

LONGEST_PROBLEM: Final = 1_000
"""Characters of a problem that are kept."""

_DEEPEST: Final = 16
_FAR: Final = 10**30
_NAMES: Final = frozenset(
    {"inference_geo", "modality", "object", "service_tier", "speed", "trafficType", "traffic_type", "type"}
)
"""The keys in providers' usage objects whose values are words: classes, tiers, kinds."""
_WORD: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,64}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.:/@\[\]-]{1,64}")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")


class QuarantineState(IntEnum):
    """How a call in quarantine stands."""

    OPEN = 0
    """Nobody has decided about it."""
    SETTLED = 1
    """It was charged what a person took to be right."""
    DISMISSED = 2
    """It is charged to nobody for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """
    A call that was answered and could not be charged, and what became of it.

    ``held`` is what its hold had set aside; a call that was recorded without one has ``None``. ``payer`` is
    whose PT that were, the account's own or those it uses; ``None`` while there are none. ``more`` are the keys of the
    holds that were placed for it besides, while its answer was written. ``workload`` says how it
    was processed, as far as that is known. ``payload`` is the provider's usage object as canonical JSON,
    ``problem`` what is wrong with it. ``resolver``, ``resolved_at`` and ``reason`` say who decided, when and why.
    ``decision`` is a hash of what was decided. ``unit`` is what is held; of a call that was recorded
    without a hold, what its model is charged in, or empty if no rate card had a rule for it then.
    """

    account: str
    key: str
    unit: str
    model: str
    route: str
    held: PT | None
    payer: str | None = None
    workload: Workload = PLAIN
    more: tuple[str, ...] = ()
    problem: str
    payload: str
    received_at: datetime
    state: QuarantineState = QuarantineState.OPEN
    resolved_at: datetime | None = None
    resolver: str = ""
    reason: str = ""
    decision: bytes = b""

    def __str__(self) -> str:
        end = f" by {self.resolver}: {self.reason}" if self.resolver else f": {self.problem}"
        return f"{self.account} {self.key} ({self.model}) is {self.state.name.lower()}{end}"


class QuarantinePage(NamedTuple):
    """Some calls in quarantine, the oldest first, and where to go on: ``after`` is ``None`` on the last page."""

    calls: tuple[Quarantined, ...]
    after: str | None


class Backlog(NamedTuple):
    """How many calls wait for a decision, and since when the oldest of them does, as of ``at``."""

    open: int
    oldest_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What a person decides about a call: to charge *usage*, or nothing for good if there is none.

    *processing* is how the call was processed, if it is to be another price than the call's workload says.
    """

    usage: Usage | None
    by: str
    reason: str
    processing: Processing | None = None

    def __post_init__(self) -> None:
        check_person(self.by)
        check_note(self.reason)
        if not self.reason.strip():
            msg = "a decision about a call in quarantine needs a reason: it stays on record"
            raise InvalidArgumentError(msg)

    @property
    def state(self) -> QuarantineState:
        """What the call becomes by it."""
        return QuarantineState.DISMISSED if self.usage is None else QuarantineState.SETTLED

    def workload(self, call: Quarantined) -> Workload:
        """The workload of *call* as it is to be charged."""
        return replace(call.workload, processing=self.processing or call.workload.processing)

    def digest(self, call: Quarantined) -> bytes:
        """What tells it from any other about *call*: what is charged; not who says so, nor why."""
        return decision_digest(self.usage, self.workload(call).processing)


def decision_digest(usage: Usage | None, processing: Processing) -> bytes:
    """What tells a decision from any other: to charge *usage* of a call processed so, or to charge nothing."""
    facts = (*usage.facts(), str(processing)) if usage else ("dismissed",)
    return digest(("quarantine", *facts))


# --- deciding ---------------------------------------------------------------------------------


def decide(found: Quarantined, decision: Decision, *, at: datetime) -> Quarantined:
    """
    The call as *decision* leaves it at that time; decided alike before, it stays word for word as it is.

    Raises:
        QuarantineResolvedError: It was decided otherwise.
        InvalidArgumentError: It is to be charged, and nobody says how it was processed.
    """
    if found.state is QuarantineState.OPEN:
        if decision.usage and not decision.processing and found.workload.processing is Processing.UNKNOWN:
            msg = (
                f"it is not known how call {found.key!r} of account {found.account!r} was processed, and its "
                f"price goes by that: say processing={Processing.STANDARD.value!r}, or another of "
                f"{', '.join(each for each in Processing if each is not Processing.UNKNOWN)}"
            )
            raise InvalidArgumentError(msg)
        return replace(
            found,
            state=decision.state,
            resolved_at=at,
            resolver=decision.by.strip(),
            reason=decision.reason.strip(),
            decision=decision.digest(found),
        )
    if found.decision == decision.digest(found):
        return found
    raise QuarantineResolvedError(found.account, found.key, found.state.name.lower(), found.resolver)


def call_id(account: str, key: str) -> bytes:
    """The id under which a call in quarantine is kept; see `transfer_id`."""
    return transfer_id(account, "quarantine", key)


def decided_key(call: Quarantined) -> str:
    """
    The key under which what was decided about *call* is posted.

    A hold is settled or given back under a key of its own, and only once, whoever does it. A call without
    one is charged under the key it was recorded with, so that no later attempt to record it charges it too.
    """
    return call.key if call.held is None else f"#quarantine:{call.decision.hex()}:{call.key}"


def settlement_id(call: Quarantined) -> bytes:
    """The id of the transfer that charges *call*, as it was decided."""
    verb = "debit" if call.held is None else "settle"
    return transfer_id(call.account, verb, decided_key(call))


# --- checking ---------------------------------------------------------------------------------


def disagreement(call: Quarantined, hold: Transfer | None, charged: Transfer | None) -> str | None:
    """What of a call does not go with the journal: with its *hold*, or with what it was *charged*."""
    if call.held is not None and (
        hold is None
        or (hold.kind, hold.wallet.unit, hold.amount) != (Kind.HOLD, call.unit, call.held.micro)
    ):
        return "its hold is not in the journal"
    if call.state is QuarantineState.OPEN:
        return None
    if call.state is QuarantineState.DISMISSED:
        wrong = call.decision != decision_digest(None, call.workload.processing)
        return "it is dismissed, and that was not decided about it" if wrong else None
    if charged is None:
        return "it is settled, and nothing was charged for it"
    event = charged.usage
    wrong = event is None or call.decision != decision_digest(event.usage, event.workload.processing)
    return "it is settled, and something else was charged for it than was decided" if wrong else None


# --- what is kept -----------------------------------------------------------------------------


def kept_payload(payload: object) -> str:
    """
    What of a provider's *payload* is kept: canonical JSON of its numbers and names, at most `LARGEST_PAYLOAD` bytes.

    Text that is no name of a class, a tier or a kind is replaced by its length.
    """
    text = _json(_counts(payload, "", 0))
    if len(text) <= LARGEST_PAYLOAD:  # it is ASCII
        return text
    names = list(cast("Mapping[object, object]", payload)) if isinstance(payload, Mapping) else []
    return _json({"omitted": f"{len(text)} bytes of JSON", "names": [_name(name) for name in names[:100]]})


def kept_problem(problem: str) -> str:
    """What of the sentence that says what is wrong is kept: what it quotes only if that is a word or a name."""
    told = _QUOTED.sub(lambda quoted: quoted[0] if _NAME.fullmatch(quoted[0][1:-1]) else "'…'", problem)
    shortened = told if len(told) <= LONGEST_PROBLEM else f"{told[: LONGEST_PROBLEM - 1]}…"
    return shortened.replace("\0", "").encode("utf-8", "replace").decode()


def _counts(value: object, name: str, depth: int) -> object:
    if isinstance(value, int) and not -_FAR < value < _FAR:
        return f"<{value.bit_length()} bits>"
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)  # JSON has no NaN and no infinity
    if isinstance(value, str):
        return value if name in _NAMES and _WORD.fullmatch(value) else f"<{len(value)} characters>"
    if depth < _DEEPEST and isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {_name(key): _counts(each, str(key), depth + 1) for key, each in pairs}
    if depth < _DEEPEST and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_counts(each, name, depth + 1) for each in cast("Sequence[object]", value)]
    return f"<{type(value).__name__}>"


def _name(key: object) -> str:
    text = str(key)
    return text if _WORD.fullmatch(text) else f"<{len(text)} characters>"


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
