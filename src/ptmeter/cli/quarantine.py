"""Commands for calls that were answered and could not be charged: see them, and settle or dismiss each."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..domain.policy import Durability
from ..domain.prices import Processing
from ..domain.usage import TOKEN_CLASSES, Usage
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .._sync import Meter
    from ..domain.quarantine import Quarantined, QuarantineState
    from ..domain.receipts import Receipt

T = TypeVar("T")


class Which(StrEnum):
    """Calls in which state are listed."""

    OPEN = "open"
    SETTLED = "settled"
    DISMISSED = "dismissed"
    ALL = "all"

    @property
    def state(self) -> QuarantineState | None:
        """That state; ``None`` for any."""
        from ..domain.quarantine import QuarantineState

        return None if self is Which.ALL else QuarantineState[self.name]


Key = Annotated[
    str, typer.Option("--key", metavar="KEY", help="The key the call was begun, or recorded, under.")
]
Actor = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides; it stays on record.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]
State = Annotated[Which, typer.Option("--state", help="Only calls in this state.")]
After = Annotated[
    str | None, typer.Option("--after", metavar="PLACE", help="Go on where another page ended.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="So many calls at most.")]
Counts = Annotated[
    list[str] | None,
    typer.Option(
        "--usage",
        metavar="CLASS=N",
        help="Tokens of a class, such as input_uncached=20 or output_text=5; as often as need be.",
    ),
]
ResponseFile = Annotated[
    Path | None,
    typer.Option(
        "--response", metavar="FILE", help="The provider's answer, put right, as JSON; - is stdin."
    ),
]
WireShape = Annotated[
    str | None, typer.Option("--shape", help="The answer's wire shape, if its keys do not say.")
]

How = Annotated[
    Processing | None,
    typer.Option(
        "--processing",
        help="How it was processed; as the answer says if left out, else as it was asked for.",
    ),
]
PlansFile = Annotated[
    Path | None,
    typer.Option(
        "--plans",
        metavar="FILE",
        help="The plans of your application, if it has any: alerts, and whose PT an account uses, go by them.",
    ),
]


def list_(
    *,
    db: options.Database,
    state: State = Which.OPEN,
    after: After = None,
    limit: Limit = 100,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    List calls whose usage contradicts itself or has no price, the oldest first.

    Nobody is charged for them until somebody settles them.
    """
    page = _on_ledger(
        db,
        durability,
        lambda meter: meter.quarantine.list(state=state.state, after=after, limit=limit),
    )
    document = {"calls": [call_document(call) for call in page.calls], "after": page.after}
    return _answer(document, _listed(page.calls, page.after, state), as_json=as_json)


def show(
    account: options.Account,
    *,
    db: options.Database,
    key: Key,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show a call in quarantine: why it could not be charged, and what the provider sent."""
    found = _on_ledger(db, durability, lambda meter: meter.quarantine.find(account, key=key))
    return _answer(call_document(found), [*_shown(found)], as_json=as_json)


def settle(
    account: options.Account,
    *,
    db: options.Database,
    key: Key,
    by: Actor,
    reason: Reason,
    usage: Counts = None,
    response: ResponseFile = None,
    shape: WireShape = None,
    processing: How = None,
    card: options.CardFile = None,
    prices: options.PricesFile = None,
    plans: PlansFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Charge a call in quarantine what you take to be right: --usage or --response.

    It is rated by the price and the card of its time. Its hold is settled, or
    late if it expired. Run again, it says what was charged the first time.
    """
    taken = _usage(usage) if usage else None
    answer = _read(response) if response else None

    def work(meter: Meter) -> Receipt:
        return meter.quarantine.settle(
            account,
            key=key,
            actor=by,
            reason=reason,
            usage=taken,
            response=answer,
            shape=shape,
            processing=processing,
        )

    receipt = _on_ledger(db, durability, work, card, prices, plans)
    return _answer(receipt_document(receipt), [str(receipt)], as_json=as_json)


def dismiss(
    account: options.Account,
    *,
    db: options.Database,
    key: Key,
    by: Actor,
    reason: Reason,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Charge a call in quarantine to nobody for good; its hold is given back if it is still open."""
    found = _on_ledger(
        db, durability, lambda meter: meter.quarantine.dismiss(account, key=key, actor=by, reason=reason)
    )
    return _answer(call_document(found), [_line(found)], as_json=as_json)


_CALL = "acme --key req-3"

COMMANDS = (
    (list_, ("ptmeter quarantine list", "ptmeter quarantine list --state all --json | jq .calls")),
    (show, (f"ptmeter quarantine show {_CALL}",)),
    (
        settle,
        (
            f"ptmeter quarantine settle {_CALL} --usage output_text=6 --by ann --reason 'the total is right'",
            f"ptmeter quarantine settle {_CALL} --response answer.json --by ann --reason 'they sent it again'",
        ),
    ),
    (dismiss, (f"ptmeter quarantine dismiss {_CALL} --by ann --reason 'no answer was given'",)),
)
"""Every command, with examples of it."""


def _on_ledger(
    db: str,
    durability: Durability,
    work: Callable[[Meter], T],
    card: Path | None = None,
    prices: Path | None = None,
    plans: Path | None = None,
) -> T:
    options.must_exist(db)
    known = options.plan_file(plans) if plans else None
    with options.open_meter(
        db, options.rate_card(card), options.policy(durability), prices, known
    ) as meter:
        return work(meter)


def _answer(document: dict[str, Any], shown: Sequence[Any], *, as_json: bool) -> int:
    from .writing import screen, write_json

    if as_json:
        write_json(document)
    else:
        screen().print(*shown, sep="\n")
    return ExitCode.OK


def _usage(counts: Sequence[str]) -> Usage:
    """The usage that *counts* spell."""
    known = (*TOKEN_CLASSES, "requests")
    found: dict[str, Any] = {}
    for each in counts:
        name, _, count = each.partition("=")
        if name not in known or name in found or not (count.isascii() and count.isdigit()):
            msg = f"--usage {each!r} is no count: write each class once, as in input_uncached=20; there are {', '.join(known)}"
            raise InvalidArgumentError(msg)
        found[name] = int(count)
    return Usage(**found)


def _read(file: Path) -> Any:
    """The answer in *file*, as JSON."""
    try:
        return json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        msg = f"--response {file} cannot be read as JSON: {problem}"
        raise InvalidArgumentError(msg) from problem


# --- for scripts ---


def call_document(call: Quarantined) -> dict[str, Any]:
    """A call in quarantine, as scripts read it."""
    from .writing import pt_text

    return {
        "account": call.account,
        "key": call.key,
        "unit": call.unit,
        "model": call.model,
        "route": call.route,
        "held": None if call.held is None else pt_text(call.held),
        "payer": call.payer,
        "processing": str(call.workload.processing),
        "problem": call.problem,
        "payload": json.loads(call.payload),
        "received_at": call.received_at.isoformat(),
        "state": call.state.name.lower(),
        "resolved_at": call.resolved_at and call.resolved_at.isoformat(),
        "by": call.resolver,
        "reason": call.reason,
    }


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """What settling a call came to, as scripts read it."""
    from .writing import amounts

    return {
        "account": receipt.account,
        "key": receipt.key,
        "charged": amounts(receipt.charged),
        "held": amounts(receipt.held),
        "available": amounts(receipt.available),
        "booked_at": receipt.booked_at.isoformat(),
        "replayed": receipt.replayed,
    }


# --- for people ---


def _line(call: Quarantined) -> str:
    from .writing import safe

    return safe(str(call))


def _listed(calls: Sequence[Quarantined], after: str | None, which: Which) -> list[Any]:
    from .writing import remark, safe, table, time_text

    if not calls:
        return [remark("nothing is in quarantine" if which is Which.ALL else f"no call is {which}")]
    columns = ("~account", "key", "state", "~model", ">held", "~received (UTC)", "~problem")
    made = table("quarantine", *columns)
    for call in calls:
        held = "–" if call.held is None else f"{call.held} {safe(call.unit)}"
        made.add_row(
            safe(call.account),
            safe(call.key),
            call.state.name.lower(),
            safe(call.model),
            held,
            time_text(call.received_at),
            safe(call.problem),
        )
    return [made, *([remark(f"more: --after {after}")] if after else [])]


def _shown(call: Quarantined) -> Iterator[Any]:
    from .writing import facts, safe, time_text

    rows = {
        "account": safe(call.account),
        "key": safe(call.key),
        "state": call.state.name.lower(),
        "model": safe(call.model),
        "route": safe(call.route) or "–",
        "held": "–, it was recorded without a hold"
        if call.held is None
        else f"{call.held} {safe(call.unit)}",
        "whose PT": safe(call.payer or "–"),
        "processing": str(call.workload.processing),
        "received (UTC)": time_text(call.received_at),
        "problem": safe(call.problem),
        "provider sent": safe(call.payload),
    }
    if call.resolved_at:
        rows |= {
            "decided (UTC)": time_text(call.resolved_at),
            "by": safe(call.resolver),
            "reason": safe(call.reason),
        }
    yield facts(rows)
