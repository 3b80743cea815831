"""
The shape of each file: its fields, and what each of them may hold; that of plans is in `plan_forms`.

What depends on several fields at once is checked where the values are built.
"""

from __future__ import annotations

import re
import reprlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from ..domain.prices import ALWAYS
from ..domain.pt import MICRO, PT, Money, scaled, unit_name
from ..domain.usage import TOKEN_CLASSES
from ..errors import InvalidArgumentError
from .documents import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

    from .documents import Document

LONGEST_NAME: Final = 64
LONGEST_MODEL: Final = 200

# --- single values ----------------------------------------------------------------------------


def _exact(value: object, scale: int, expected: str, *, least: int) -> int:
    """Read an amount that must not be below *least* once it is scaled."""
    try:
        amount = scaled(value, scale, "")  # pyright: ignore[reportArgumentType]
    except (InvalidArgumentError, TypeError):
        amount = least - 1
    if amount < least:
        msg = f"expected {expected}, not {reprlib.repr(value)}"
        raise ValueError(msg)
    return amount


def _dollars(value: object) -> Money:
    return Money(
        _exact(value, 10**9, 'US dollars such as "0.001", at least 0 and in steps of 1e-9', least=0)
    )


def _some_dollars(value: object) -> Money:
    return Money(
        _exact(value, 10**9, 'US dollars such as "0.001", more than 0 and in steps of 1e-9', least=1)
    )


def _pt(value: object) -> PT:
    return PT(_exact(value, MICRO, 'PT such as 3 or "0.25", at least 0 and in steps of 1e-6', least=0))


def _some_pt(value: object) -> PT:
    return PT(_exact(value, MICRO, 'PT such as 3 or "0.25", more than 0 and in steps of 1e-6', least=1))


def _rate(value: object) -> int:
    expected = 'US dollars per million tokens such as "0.15", at least 0 and in steps of 1e-6'
    return _exact(value, 10**6, expected, least=0)


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        msg = f"expected a whole number of tokens, at least 1, not {reprlib.repr(value)}"
        raise ValueError(msg)
    return value


def _share(value: object) -> int:
    parts = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%", value) if isinstance(value, str) else None
    if parts is None:
        msg = f'expected a share such as "15%" or "7.25%", not {reprlib.repr(value)}'
        raise ValueError(msg)
    return int(parts[1]) * 100 + int((parts[2] or "0").ljust(2, "0"))


def _moment(value: object) -> datetime:
    """Read a date, which begins at midnight UTC, or a time that says its offset."""
    try:
        text = value if isinstance(value, str) else ""
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    msg = (
        f'expected a date such as "2026-01-31", from midnight UTC on, or a time with its offset '
        f'such as "2026-01-31T09:00:00+01:00", not {reprlib.repr(value)}'
    )
    raise ValueError(msg)


def _name(value: object, longest: int = LONGEST_NAME) -> str:
    if (
        isinstance(value, str)
        and value == value.strip()
        and value.isprintable()
        and 0 < len(value) <= longest
    ):
        return value
    msg = f"expected a name of 1 to {longest} printable characters, not {reprlib.repr(value)}"
    raise ValueError(msg)


def _model(value: object) -> str:
    return _name(value, LONGEST_MODEL)


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s/\[\]]+", value) or value != value.lower():
        msg = (
            f'expected the name of models such as "gpt-4o-mini*", in lower case and without the provider, '
            f"* and ? standing for what varies, not {reprlib.repr(value)}"
        )
        raise ValueError(msg)
    return value


def _unit(name: str) -> str:
    try:
        return unit_name(name)
    except InvalidArgumentError:
        msg = f"expected a unit's name of up to 32 lower-case letters, digits and underscores, not {name!r}"
        raise ValueError(msg) from None


def _token_class(name: str) -> str:
    if name not in TOKEN_CLASSES:
        msg = f"expected a token class ({', '.join(TOKEN_CLASSES)}), not {name!r}"
        raise ValueError(msg)
    return name


Dollars: TypeAlias = Annotated[Money, PlainValidator(_dollars)]
SomeDollars: TypeAlias = Annotated[Money, PlainValidator(_some_dollars)]
Pt: TypeAlias = Annotated[PT, PlainValidator(_pt)]
SomePt: TypeAlias = Annotated[PT, PlainValidator(_some_pt)]
Rate: TypeAlias = Annotated[int, PlainValidator(_rate)]
Count: TypeAlias = Annotated[int, PlainValidator(_count)]
Share: TypeAlias = Annotated[int, PlainValidator(_share)]
Moment: TypeAlias = Annotated[datetime, PlainValidator(_moment)]
Name: TypeAlias = Annotated[str, PlainValidator(_name)]
Model: TypeAlias = Annotated[str, PlainValidator(_model)]
Pattern: TypeAlias = Annotated[str, PlainValidator(_pattern)]
Unit: TypeAlias = Annotated[str, AfterValidator(_unit)]
Rates: TypeAlias = dict[Annotated[str, AfterValidator(_token_class)], Rate]
Method: TypeAlias = Literal["banded", "cost_plus"]
Beside: TypeAlias = Literal["cost_plus", "included"]
Priced: TypeAlias = Literal["standard", "batch", "flex", "priority", "fast", "ultrafast"]

# --- rate card --------------------------------------------------------------------------------


class Form(BaseModel):
    """Fields that are read as they are written; one that is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BandForm(Form):
    """A call of up to *tokens* costs *pt*."""

    tokens: Count
    pt: SomePt


class UnitForm(Form):
    """What one PT of a unit pays for and sells at, and how calls are charged in it."""

    pays_for: SomeDollars
    sells_at: Dollars
    method: Method
    bands: Annotated[list[BandForm], Field(min_length=1)] | None = None
    beside_tokens: Beside = "included"
    step: SomePt = PT(MICRO)


class RangeForm(Form):
    """A share between two."""

    least: Share
    most: Share


class BloatForm(Form):
    """What an agent adds to the prompt by itself, by complexity."""

    simple: Share
    moderate: Share
    complex: Share


class ModerationForm(Form):
    """What moderation adds, by content."""

    text: Share
    code: Share
    mixed: Share


class ToolCallsForm(Form):
    """What tool calls add: each, and all together at most."""

    each: Share
    at_most: Share


class BufferForm(Form):
    """What a cost-plus rate adds to the provider's cost."""

    bloat: BloatForm
    retries: RangeForm
    moderation: ModerationForm
    tool_calls: ToolCallsForm
    variance: Share
    total: RangeForm


class RuleForm(Form):
    """The models that match a pattern are charged in a unit, by its method or another."""

    patterns: Annotated[list[Pattern], Field(min_length=1)]
    unit: str
    method: Method | None = None


class CardForm(Form):
    """A rate card."""

    name: Name
    effective_from: Moment
    notes: list[str] = []
    units: Annotated[dict[Unit, UnitForm], Field(min_length=1)]
    buffer: BufferForm | None = None
    models: list[RuleForm]


# --- prices ----------------------------------------------------------------------------------


class TierForm(Form):
    """Other rates for requests with more input than *above* tokens."""

    above: Count
    usd_per_million_tokens: Rates


class PriceForm(Form):
    """What a provider charges for a model from a date on."""

    provider: Name | None = None
    effective_from: Moment = ALWAYS
    processing: Priced = "standard"
    free: bool = False
    surcharge: Share = 0
    usd_per_million_tokens: Rates = {}
    tiers: list[TierForm] = []
    usd_per_tool_call: dict[str, Dollars] = {}
    usd_per_request: Dollars = Money(0)


class PricesForm(Form):
    """Price overrides, by model."""

    notes: list[str] = []
    prices: dict[Model, Annotated[list[PriceForm], Field(min_length=1)]]


# --- from a document to a form ----------------------------------------------------------------

AnyForm = TypeVar("AnyForm", bound=Form)

SENTENCES: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": lambda _: "expected this field, and it is not there",
    "extra_forbidden": lambda _: "expected no such field",
    "model_type": lambda error: f"expected fields and their values, not {_given(error)}",
    "dict_type": lambda error: f"expected names and their values, not {reprlib.repr(error['input'])}",
    "list_type": lambda error: f"expected a list, not {reprlib.repr(error['input'])}",
    "string_type": lambda error: f"expected text, not {reprlib.repr(error['input'])}",
    "bool_type": lambda error: f"expected true or false, not {reprlib.repr(error['input'])}",
    "literal_error": lambda error: (
        f"expected {_context(error)['expected']}, not {reprlib.repr(error['input'])}"
    ),
    "too_short": lambda _: "expected at least one",
    "value_error": lambda error: str(_context(error)["error"]),
}
"""What pydantic found, said as the rest is."""


def filled(form: type[AnyForm], document: Document) -> AnyForm:
    """
    Fill a form with what a document holds.

    Raises:
        ConfigurationError: It does not fit; the error names every place where it does not.
    """
    try:
        found = form.model_validate(document.value)
    except ValidationError as error:
        raise document.refusal(map(_problem, error.errors(include_url=False))) from None
    if document.problems:
        raise document.refusal(())
    return found


def _problem(error: ErrorDetails) -> Problem:
    place = tuple(part for part in error["loc"] if part != "[key]")
    say = SENTENCES.get(error["type"])
    return Problem(place, say(error) if say else f"expected otherwise: {error['msg']}")


def _given(error: ErrorDetails) -> str:
    """What was given in the place of something else; of a file that is empty there is nothing."""
    empty = error["input"] is None and not error["loc"]
    return "an empty file" if empty else reprlib.repr(error["input"])


def _context(error: ErrorDetails) -> dict[str, Any]:
    return error.get("ctx", {})
