"""The shape of a plan file: its fields, and what each of them may hold."""

from __future__ import annotations

import re
import reprlib
from datetime import timedelta
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator

from ..domain.limits import MOST_MULTIPLE
from ..domain.plans import ALERTS
from ..domain.rates import WHOLE
from ..domain.windows import Every
from .forms import Dollars, Form, Model, Pattern, Pt, Share, SomePt, Unit

SECONDS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
"""What a time may be written in."""

MOST: Final = 10**9
"""No number of requests, slots or days is larger."""

# --- single values ----------------------------------------------------------------------------


def _whole(value: object, least: int, most: int = MOST) -> int:
    if type(value) is not int or not least <= value <= most:
        msg = f"expected a whole number from {least} to {most:,}, not {reprlib.repr(value)}"
        raise ValueError(msg)
    return value


def _number(value: object) -> int:
    return _whole(value, 0)


def _some(value: object) -> int:
    return _whole(value, 1)


def _multiple(value: object) -> int:
    return _whole(value, 1, MOST_MULTIPLE)


def _span(value: object) -> timedelta:
    parts = re.fullmatch(r"([1-9][0-9]{0,5}) ?(s|min|h|d)", value) if isinstance(value, str) else None
    if parts is None:
        msg = f'expected a time such as "30 s", "30 min", "24 h" or "3 d", not {reprlib.repr(value)}'
        raise ValueError(msg)
    return timedelta(seconds=int(parts[1]) * SECONDS[parts[2]])


def _part(share: int) -> int:
    if share > WHOLE:
        msg = f'expected a share of up to "100%", not {share / 100:g}%'
        raise ValueError(msg)
    return share


def _some_share(share: int) -> int:
    if not share:
        msg = 'expected a share above "0%"'
        raise ValueError(msg)
    return share


def _every(value: str) -> Every:
    try:
        return Every(value)
    except ValueError:
        msg = f"expected {', '.join(Every)}, not {reprlib.repr(value)}"
        raise ValueError(msg) from None


def _feature(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", value):
        msg = (
            "expected the name of a feature, of up to 64 lower-case letters, digits and underscores, "
            f"not {reprlib.repr(value)}"
        )
        raise ValueError(msg)
    return value


Number: TypeAlias = Annotated[int, PlainValidator(_number)]
Some: TypeAlias = Annotated[int, PlainValidator(_some)]
Multiple: TypeAlias = Annotated[int, PlainValidator(_multiple)]
Span: TypeAlias = Annotated[timedelta, PlainValidator(_span)]
Part: TypeAlias = Annotated[Share, AfterValidator(_part)]
SomeShare: TypeAlias = Annotated[Share, AfterValidator(_some_share)]
SomePart: TypeAlias = Annotated[SomeShare, AfterValidator(_part)]
Windowed: TypeAlias = Annotated[str, AfterValidator(_every)]
Feature: TypeAlias = Annotated[str, PlainValidator(_feature)]
Account: TypeAlias = Model
"""Accounts may be called what models may: 1 to 200 printable characters."""

# --- plans ------------------------------------------------------------------------------------


class ShareForm(Form):
    """How much of a cycle's PT may be of one unit, and at what multiple the rest is charged."""

    soft: Part | None = None
    hard: Part | None = None
    overflow: Multiple | None = None


class BurnStepForm(Form):
    """Whoever burns more than *share* within 72 hours waits so long."""

    share: SomeShare
    wait: Span


class BurnForm(Form):
    """How fast a cycle's PT may be used."""

    warn: SomeShare | None = None
    steps: list[BurnStepForm] = []
    repeats: Some = 4


class RollOverForm(Form):
    """How much of what a cycle leaves unused goes on into the next."""

    shares: Annotated[dict[Unit, SomePart], Field(min_length=1)]
    annual_only: bool = False


class TrialForm(Form):
    """A time for nothing, and the PT there are for it."""

    days: Some
    allowance: dict[Unit, Pt]


class PlanForm(Form):
    """A plan: what it costs and gives, what it opens, and what limits it."""

    price_per_month: Dollars
    price_per_year: Dollars | None = None
    allowance: dict[Unit, Pt]
    units: list[Unit]
    models: list[Pattern] = []
    features: list[Feature] = []
    agent_slots: Number | None = None
    requests_per_minute: Number | None = None
    requests_per_hour: Number | None = None
    requests_per_day: Number | None = None
    concurrent: Number | None = None
    caps: dict[Unit, dict[Windowed, Pt]] = {}
    spend_caps: dict[Windowed, Dollars] = {}
    shares: dict[Unit, ShareForm] = {}
    burn: BurnForm | None = None
    roll_over: RollOverForm | None = None
    trial: TrialForm | None = None
    alerts: list[SomeShare] = [*ALERTS]
    low_balance: dict[Unit, SomePt] = {}
    notes: list[str] = []


class FlagForm(Form):
    """For whom a feature is on already, among those whose plan has it."""

    share: Part
    allow: list[Account] = []
    deny: list[Account] = []
