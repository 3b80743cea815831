"""Between the rows of accounts and the domain's values: one function each way."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..domain.accounts import Account
from ..domain.instants import microseconds, moment
from ..domain.limits import NO_LIMITS, Cap, Limits, Pace, SpendCap
from ..domain.pt import PT, Money
from ..domain.tallies import NOTHING, Tally
from ..domain.top_up_terms import TopUpTerms
from ..domain.windows import Every
from .rows import names_its_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row


@names_its_row("ptm_account", "account")
def account_from(row: Row[Any] | SimpleNamespace) -> Account:
    """An account as stored, with its tally."""
    return Account(
        name=row.account,
        parent=row.parent,
        pooled=bool(row.pooled),
        plan=row.plan,
        anchor=None if row.anchor is None else moment(row.anchor),
        zone=row.zone,
        placed_at=None if row.placed_at is None else moment(row.placed_at),
        former=names_from(row.former),
        overflow=bool(row.overflow),
        terms=_terms_from(row.terms),
        top_ups=_top_ups_from(row.top_ups),
        tally=Tally.from_json(row.tally),
    )


def account_from_json(text: str) -> Account:
    """An account from its row as one text."""
    return account_from(SimpleNamespace(**json.loads(text)))


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
        "former": json.dumps(account.former) if account.former else None,
        "overflow": int(account.overflow),
        "terms": _terms_row(account.terms),
        "top_ups": _top_ups_row(account.top_ups),
    }


def names_from(text: str | None) -> tuple[str, ...]:
    """Names of accounts, as they are kept."""
    return tuple(json.loads(text)) if text else ()


def tally_row(account: Account) -> dict[str, Any]:
    """What a batch changes of an account."""
    return {"who": account.name, "count": account.tally.as_json()}


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


def _top_ups_row(terms: Mapping[str, TopUpTerms]) -> str | None:
    if not terms:
        return None
    facts = {
        unit: [
            *(each.below.micro, each.amount.micro),
            *(each.per_month.nano, each.per_month.currency),
            each.cool_down // timedelta(microseconds=1),
        ]
        for unit, each in terms.items()
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def _top_ups_from(text: str | None) -> dict[str, TopUpTerms]:
    if not text:
        return {}
    return {
        unit: TopUpTerms(
            below=PT(below),
            amount=PT(amount),
            per_month=Money(nano, currency),
            cool_down=timedelta(microseconds=pause),
        )
        for unit, (below, amount, nano, currency, pause) in json.loads(text).items()
    }
