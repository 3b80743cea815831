"""
Reading of a request's form: brackets become hashes and lists, and what Stripe types is typed.

A form knows only strings. Which parameters are numbers is said here, by the last part of their name: Stripe uses
a name for one type throughout. ``true`` and ``false`` are booleans and an empty string unsets, except in metadata.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl

from .refusals import RefusedError

if TYPE_CHECKING:
    from .values import Obj

INTEGERS: Final = frozenset(
    [
        "amount",
        "amount_off",
        "amount_to_capture",
        "application_fee_amount",
        "backdate_start_date",
        "billing_cycle_anchor",
        "cancel_at",
        "created",
        "credit_amount",
        "date",
        "days_until_due",
        "due_date",
        "duration_in_months",
        "effective_at",
        "end",
        "end_date",
        "end_time",
        "exp_month",
        "exp_year",
        "expected_amount",
        "expires_at",
        "flat_amount",
        "frozen_time",
        "gt",
        "gte",
        "interval_count",
        "iterations",
        "limit",
        "lt",
        "lte",
        "max_redemptions",
        "out_of_band_amount",
        "period_end",
        "period_start",
        "proration_date",
        "quantity",
        "redeem_by",
        "refund_amount",
        "resumes_at",
        "start",
        "start_date",
        "start_time",
        "timestamp",
        "trial_end",
        "trial_period_days",
        "unit_amount",
        "up_to",
    ]
)
DECIMALS: Final = frozenset({"percent_off", "percentage"})
WORDS: Final = frozenset({"now", "inf", "unchanged", "min_period_end", "max_period_end"})
"""What may stand where a time or a bound is expected."""

TEXTS: Final = frozenset({"metadata", "payload"})
"""Hashes whose values stay what they are."""

BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")


def read(form: str) -> Obj:
    """
    Return the parameters of a form or a query.

    Raises:
        RefusedError: A number is none.
    """
    tree: Obj = {}
    for key, text in parse_qsl(form, keep_blank_values=True):
        path = [key.split("[", 1)[0], *BRACKETS.findall(key)]
        _put(tree, path, _typed(path, text))
    return cast("Obj", _lists(tree))


def _put(tree: Obj, path: list[str], value: Any) -> None:
    name, *rest = path
    if not name:
        name = _next(tree, rest)
    if not rest:
        tree[name] = value
        return
    branch = tree.setdefault(name, {})
    if not isinstance(branch, dict):
        raise RefusedError(f"Invalid hash: {name}", param=name)
    _put(cast("Obj", branch), rest, value)


def _next(tree: Obj, rest: list[str]) -> str:
    """Where ``a[]`` puts a value: the end, or the hash at the end for as long as it lacks the key."""
    last = tree.get(str(len(tree) - 1))
    joins = bool(rest) and isinstance(last, dict) and (len(rest) > 1 or rest[0] not in last)
    return str(len(tree) - joins)


def _lists(value: Any, name: str = "") -> Any:
    if not isinstance(value, dict):
        return value
    tree = {key: _lists(part, key) for key, part in cast("Obj", value).items()}
    if tree and name not in TEXTS and all(key.isdecimal() for key in tree):
        return [tree[key] for key in sorted(tree, key=int)]
    return tree


def _typed(path: list[str], text: str) -> Any:
    if not TEXTS.isdisjoint(path[:-1]):
        return text
    name = next(part for part in reversed(path) if part and not part.isdecimal())
    if not text:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if name in INTEGERS and text not in WORDS:
        return _integer(text, path)
    if name in DECIMALS:
        return _decimal(text, path)
    return text


def _integer(text: str, path: list[str]) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise RefusedError(f"Invalid integer: {text}", code="parameter_invalid_integer", param=_spelt(path))
    return int(text)


def _decimal(text: str, path: list[str]) -> float | int:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise RefusedError(f"Invalid decimal: {text}", param=_spelt(path)) from None
    return int(number) if number == number.to_integral_value() else float(number)


def _spelt(path: list[str]) -> str:
    return path[0] + "".join(f"[{part}]" for part in path[1:])
