"""Subscriptions, a row for each account, and the requests that brought them about."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from ..domain.instants import microseconds
from ..domain.pt import PT
from ..domain.subscriptions import Change, Discount, Interval, Subscribed, Subscription
from .rows import id_from, id_row, names_its_row
from .statements import insert_new
from .tables import subscription, subscription_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row, Select


class SqlSubscriptions:
    """Subscriptions inside one transaction."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def open(self, account: str) -> None:
        """See `ports.Subscriptions.open`; a row without a body is there to be locked."""
        row = {"account": account, "changed_at": microseconds(self._now())}
        self._connection.execute(insert_new(subscription, self._connection.dialect.name), row)

    def lock(self, account: str) -> Subscription | None:
        """See `ports.Subscriptions.lock`."""
        return self._read(_of(account).with_for_update())

    def find(self, account: str) -> Subscription | None:
        """See `ports.Subscriptions.find`."""
        return self._read(_of(account))

    def save(self, changed: Subscription) -> None:
        """See `ports.Subscriptions.save`."""
        due_at = changed.due_at
        values = {
            "due_at": due_at and microseconds(due_at),
            "changed_at": microseconds(changed.at),
            "body": json.dumps(_document(changed)),
        }
        this = update(subscription).where(subscription.c.account == changed.account)
        self._connection.execute(this.values(**values))

    def due(self, at: datetime, *, after: str = "", limit: int = 1_000) -> list[str]:
        """See `ports.Subscriptions.due`."""
        query = select(subscription.c.account).where(
            subscription.c.due_at <= microseconds(at), subscription.c.account > after
        )
        found = self._connection.execute(query.order_by(subscription.c.account).limit(limit))
        return list(found.scalars())

    def noted(self, account: str, request: bytes) -> tuple[bytes, Subscribed] | None:
        """See `ports.Subscriptions.noted`."""
        query = select(subscription_request).where(
            subscription_request.c.account == account, subscription_request.c.request_id == id_row(request)
        )
        row = self._connection.execute(query).first()
        return row and _noted_from(row)

    def note(self, account: str, request: bytes, fingerprint: bytes, done: Subscribed) -> None:
        """See `ports.Subscriptions.note`."""
        row = {
            "account": account,
            "request_id": id_row(request),
            "fingerprint": id_row(fingerprint),
            "noted_at": microseconds(done.subscription.at),
            "body": json.dumps(_done_document(done)),
        }
        self._connection.execute(subscription_request.insert(), row)

    def _read(self, query: Select[Any]) -> Subscription | None:
        row = self._connection.execute(query).first()
        return None if row is None or row.body is None else _subscription_from(row)


def _of(account: str) -> Select[Any]:
    return select(subscription).where(subscription.c.account == account)


# --- as JSON ------------------------------------------------------------------------------------


@names_its_row("ptm_subscription", "account")
def _subscription_from(row: Row[Any]) -> Subscription:
    return _from_document(row.account, json.loads(row.body))


@names_its_row("ptm_subscription_request", "account", "request_id")
def _noted_from(row: Row[Any]) -> tuple[bytes, Subscribed]:
    document = json.loads(row.body)
    done = Subscribed(
        subscription=_from_document(row.account, document["subscription"]),
        amounts={unit: PT(micro) for unit, micro in document["amounts"].items()},
        available={unit: PT(micro) for unit, micro in document["available"].items()},
    )
    return id_from(row.fingerprint), done


def _done_document(done: Subscribed) -> dict[str, Any]:
    return {
        "subscription": _document(done.subscription),
        "amounts": {unit: amount.micro for unit, amount in done.amounts.items()},
        "available": {unit: amount.micro for unit, amount in done.available.items()},
    }


def _document(of: Subscription) -> dict[str, Any]:
    pending, discount = of.pending, of.discount
    return {
        "plan": of.plan,
        "interval": of.interval,
        "anchor": _text(of.anchor),
        "zone": of.zone,
        "at": _text(of.at),
        "started_at": _text(of.started_at),
        "paid_from": _text(of.paid_from),
        "granted_until": _text(of.granted_until),
        "allowance": dict(of.allowance),
        "paid": of.paid,
        "grants": list(of.grants),
        "trial_end": _text(of.trial_end),
        "pending": [pending.plan, pending.interval, _text(pending.at)] if pending else None,
        "ends_at": _text(of.ends_at),
        "closed": of.closed,
        "discount": [discount.share, _text(discount.until)] if discount else None,
        "paid_until": _text(of.paid_until),
        "seen_at": _text(of.seen_at),
    }


def _from_document(account: str, document: dict[str, Any]) -> Subscription:
    pending, discount = document["pending"], document["discount"]
    return Subscription(
        account=account,
        plan=document["plan"],
        interval=Interval(document["interval"]),
        anchor=datetime.fromisoformat(document["anchor"]),
        zone=document["zone"],
        at=datetime.fromisoformat(document["at"]),
        started_at=datetime.fromisoformat(document["started_at"]),
        paid_from=datetime.fromisoformat(document["paid_from"]),
        granted_until=datetime.fromisoformat(document["granted_until"]),
        allowance=document["allowance"],
        paid=document["paid"],
        grants=tuple(document["grants"]),
        trial_end=_moment(document["trial_end"]),
        pending=pending and Change(pending[0], Interval(pending[1]), datetime.fromisoformat(pending[2])),
        ends_at=_moment(document["ends_at"]),
        closed=document["closed"],
        discount=discount and Discount(discount[0], datetime.fromisoformat(discount[1])),
        paid_until=_moment(document["paid_until"]),
        seen_at=_moment(document["seen_at"]),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
