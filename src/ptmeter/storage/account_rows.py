"""Between the rows of accounts and of the outbox, and the domain's values: one function each way."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..domain.accounts import Account
from ..domain.instants import microseconds, moment
from ..domain.limits import NO_LIMITS, Cap, Limits, Pace, SpendCap
from ..domain.pt import Money
from ..domain.tallies import NOTHING, Tally
from ..domain.windows import Every
from .rows import id_row, names_its_row

if TYPE_CHECKING:
    from sqlalchemy import Row

    from ..domain.alerts import Notice


@names_its_row("ptm_account", "account")
def account_from(row: Row[Any]) -> Account:
    """An account as stored, with its tally."""
    return Account(
        name=row.account,
        parent=row.parent,
        pooled=bool(row.pooled),
        plan=row.plan,
        anchor=None if row.anchor is None else moment(row.anchor),
        zone=row.zone,
        placed_at=None if row.placed_at is None else moment(row.placed_at),
        overflow=bool(row.overflow),
        terms=_terms_from(row.terms),
        tally=Tally.from_json(row.tally),
    )


def account_row(account: Account) -> dict[str, Any]:
    """All that is said of an account."""
    return {
        "tally": None if account.tally == NOTHING else account.tally.as_json(),
        "parent": account.parent,
        "pooled": int(account.pooled),
        "plan": account.plan,
        "anchor": account.anchor and microseconds(account.anchor),
        "zone": account.zone,
        "placed_at": account.placed_at and microseconds(account.placed_at),
        "overflow": int(account.overflow),
        "terms": _terms_row(account.terms),
    }


def tally_row(account: Account) -> dict[str, Any]:
    """What a batch changes of an account."""
    return {"who": account.name, "count": account.tally.as_json()}


def notice_row(notice: Notice) -> dict[str, Any]:
    """A message that nobody has delivered yet."""
    facts = {
        "alert": notice.alert,
        "unit": notice.unit,
        "share": notice.share,
        "line": notice.line,
        "reached": notice.reached,
        "window": notice.window,
    }
    at = microseconds(notice.at)
    return {
        "account": notice.account,
        "message_id": id_row(notice.id),
        "noted_at": at,
        "due_at": at,
        "delivered_at": None,
        "attempts": 0,
        "topic": f"alert.{notice.alert}",
        "body": json.dumps(facts, separators=(",", ":")),
        "problem": None,
    }


def _terms_row(terms: Limits) -> str | None:
    if terms == NO_LIMITS:
        return None
    facts = {
        "paces": [[pace.per // timedelta(seconds=1), pace.requests] for pace in terms.paces],
        "concurrent": terms.concurrent,
        "caps": [[cap.unit, cap.every, cap.amount] for cap in terms.caps],
        "spend": [[cap.every, cap.amount.nano, cap.amount.currency] for cap in terms.spend],
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def _terms_from(text: str | None) -> Limits:
    if not text:
        return NO_LIMITS
    facts = json.loads(text)
    return Limits(
        paces=tuple(Pace(timedelta(seconds=per), requests) for per, requests in facts["paces"]),
        concurrent=facts["concurrent"],
        caps=tuple(Cap(unit, Every(every), amount) for unit, every, amount in facts["caps"]),
        spend=tuple(
            SpendCap(Every(every), Money(nano, currency)) for every, nano, currency in facts["spend"]
        ),
    )
