"""Between the rows of the outbox and of top-ups, and the domain's values: one function each way."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..domain.alerts import Alert, Notice
from ..domain.instants import microseconds, moment
from ..domain.messages import TOP_UP, Message
from ..domain.pt import PT, Money
from ..domain.top_ups import TopUp, TopUpState
from .rows import id_from, id_row, names_its_row

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Row

    from ..domain.messages import Facts

_STATES = {TopUpState.OPEN: 0, TopUpState.PAID: 1, TopUpState.FAILED: 2}
_STATE_OF = {number: state for state, number in _STATES.items()}
_TICK = timedelta(microseconds=1)


def message_row(message: Message) -> dict[str, Any]:
    """All that is said of a message."""
    return {
        "account": message.account,
        "message_id": id_row(bytes.fromhex(message.id)),
        "noted_at": microseconds(message.noted_at),
        "due_at": _maybe_row(message.due_at),
        "delivered_at": _maybe_row(message.delivered_at),
        "attempts": message.attempts,
        "topic": message.topic,
        "body": json.dumps(_body(message.facts), separators=(",", ":")),
        "problem": message.problem or None,
    }


@names_its_row("ptm_outbox", "account", "message_id")
def message_from(row: Row[Any]) -> Message:
    """A message as stored."""
    return Message(
        id=id_from(row.message_id).hex(),
        account=row.account,
        topic=row.topic,
        facts=_facts(row.account, row.topic, moment(row.noted_at), json.loads(row.body)),
        noted_at=moment(row.noted_at),
        due_at=_maybe(row.due_at),
        delivered_at=_maybe(row.delivered_at),
        attempts=row.attempts,
        problem=row.problem or "",
    )


def _body(facts: Facts) -> Any:
    match facts:
        case Notice():
            until = {"days": facts.days, "until": _maybe_row(facts.until)} if facts.days else {}
            return {
                "alert": facts.alert,
                "unit": facts.unit,
                "share": facts.share,
                "line": facts.line,
                "reached": facts.reached,
                "window": facts.window,
                **until,
            }
        case TopUp():
            return {
                "id": facts.id,
                "unit": facts.unit,
                "amount": facts.amount.micro,
                "price": [facts.price.nano, facts.price.currency],
                "cool_down": facts.cool_down // _TICK,
                "attempts": facts.attempts,
            }
        case _:
            return dict(facts)


def _facts(account: str, topic: str, at: datetime, body: dict[str, Any]) -> Facts:
    """What a message says; a topic that is not known here may be of a newer version, or of the application."""
    if topic == TOP_UP:
        return TopUp(
            id=body["id"],
            account=account,
            unit=body["unit"],
            amount=PT(body["amount"]),
            price=Money(*body["price"]),
            requested_at=at,
            cool_down=body["cool_down"] * _TICK,
            attempts=body["attempts"],
        )
    if topic in _ALERTS:
        until = _maybe(body.get("until"))
        rest = {name: body[name] for name in ("unit", "share", "line", "reached", "window")}
        return Notice(
            alert=_ALERTS[topic], account=account, at=at, days=body.get("days", 0), until=until, **rest
        )
    return body


_ALERTS = {f"alert.{alert}": alert for alert in Alert}


def top_up_row(top_up: TopUp) -> dict[str, Any]:
    """All that is said of a top-up."""
    return {
        "top_up_id": id_row(bytes.fromhex(top_up.id)),
        "amount": top_up.amount.micro,
        "price": top_up.price.nano,
        "requested_at": microseconds(top_up.requested_at),
        "cool_down": top_up.cool_down // _TICK,
        "done_at": _maybe_row(top_up.done_at),
        "cools_until": _maybe_row(top_up.cools_until),
        "attempts": top_up.attempts,
        "state": state_row(top_up.state),
        "account": top_up.account,
        "unit": top_up.unit,
        "open_unit": top_up.unit if top_up.state is TopUpState.OPEN else None,
        "currency": top_up.price.currency,
        "payment": top_up.key or None,
        "problem": top_up.problem or None,
    }


@names_its_row("ptm_top_up", "top_up_id")
def top_up_from(row: Row[Any]) -> TopUp:
    """A top-up as stored."""
    return TopUp(
        id=id_from(row.top_up_id).hex(),
        account=row.account,
        unit=row.unit,
        amount=PT(row.amount),
        price=Money(row.price, row.currency),
        requested_at=moment(row.requested_at),
        cool_down=row.cool_down * _TICK,
        state=_STATE_OF[row.state],
        attempts=row.attempts,
        done_at=_maybe(row.done_at),
        cools_until=_maybe(row.cools_until),
        key=row.payment or "",
        problem=row.problem or "",
    )


def state_row(state: TopUpState) -> int:
    """The number that a state is kept as."""
    return _STATES[state]


def _maybe(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def _maybe_row(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)
