"""Commands for messages: see which wait, were delivered or are dead, and have one delivered again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..domain.messages import MessageState
from ..domain.policy import Durability
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._sync import Meter
    from ..domain.messages import Message

T = TypeVar("T")

State = Annotated[MessageState | None, typer.Option("--state", help="Of this state only.")]
Of = Annotated[str | None, typer.Option("--account", metavar="ACCOUNT", help="Of this account only.")]
Topic = Annotated[str, typer.Option("--topic", help="How their topics begin, such as alert.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="So many at most.")]
Days = Annotated[int, typer.Option("--days", metavar="N", min=1, help="Since they were delivered.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The message, as `ptmeter outbox list` shows it.")]


def list_(
    *,
    db: options.Database,
    state: State = None,
    account: Of = None,
    topic: Topic = "",
    limit: Limit = 100,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List messages, the latest first: how far each has got, and why it failed last."""
    from .writing import number, safe, screen, table, time_text, write_json

    found = _on_ledger(
        db,
        durability,
        lambda meter: meter.outbox.list(state=state, account=account, topic=topic, limit=limit),
    )
    if as_json:
        write_json({"messages": [_document(message) for message in found]})
        return ExitCode.OK
    made = table("messages", "id", "~account", "~topic", "state", ">attempts", "~noted at", "~problem")
    for each in found:
        texts = (safe(text) for text in (each.id, each.account, each.topic, each.state))
        made.add_row(*texts, number(each.attempts), time_text(each.noted_at), safe(each.problem) or None)
    screen().print(made)
    return ExitCode.OK


def retry(
    account: options.Account,
    message: Id,
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Have a message delivered again, whatever has become of it.

    It has all its attempts before it; whoever delivers messages next takes it.
    """
    from .writing import screen, write_json

    found = _on_ledger(db, durability, lambda meter: meter.outbox.retry(account, message))
    if as_json:
        write_json(_document(found))
    else:
        screen().print(f"{found.id} is due: it is delivered with the next messages", highlight=False)
    return ExitCode.OK


def prune(
    *,
    db: options.Database,
    days: Days = 90,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Drop messages that were delivered so many days ago or longer.

    What waits or is dead stays. At least 32 days: while a message is there, the
    same is not told again.
    """
    from .writing import counted, screen, write_json

    dropped = _on_ledger(db, durability, lambda meter: meter.outbox.prune(older_than=timedelta(days=days)))
    if as_json:
        write_json({"dropped": dropped})
    else:
        screen().print(f"{counted(dropped, 'message')} dropped", highlight=False)
    return ExitCode.OK


COMMANDS = (
    (list_, ("ptmeter outbox list --state dead", "ptmeter outbox list --topic alert. --json")),
    (prune, ("ptmeter outbox prune --days 60",)),
    (retry, ("ptmeter outbox retry acme 8f3a5be0c1d2e3f4",)),
)
"""Every command, with examples of it."""


def _on_ledger(db: str, durability: Durability, work: Callable[[Meter], T]) -> T:
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        return work(meter)


def _document(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "account": message.account,
        "topic": message.topic,
        "state": str(message.state),
        "attempts": message.attempts,
        "noted_at": message.noted_at.isoformat(),
        "due_at": message.due_at and message.due_at.isoformat(),
        "delivered_at": message.delivered_at and message.delivered_at.isoformat(),
        "problem": message.problem or None,
    }
