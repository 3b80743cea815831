"""
Reading an event: what happened to what, out of bytes whose signature was checked.

Both forms that Stripe sends are read, snapshot events (``"object": "event"``, with a copy of what changed) and
thin events (``"object": "v2.core.event"``, with a link to it): docs.stripe.com/event-destinations. Of either only
names are taken; where a key is there twice, the last one counts.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, cast

from ..domain.inbox import Event, Subject, SubjectKind
from ..domain.keys import digest
from ..errors import EventInvalidError
from .subjects import identifier, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json: TypeAlias = "Mapping[str, Any]"

DEEPEST: Final = 64
"""How deep an event may be nested; Stripe's own are less than a fifth of that."""

_REPORTS: Final = frozenset(
    {"billing.meter.error_report_triggered", "billing.meter.no_meter_found"}
)  # docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors

_TOO_DEEP: Final = f"it is nested deeper than {DEEPEST} levels"

_ID: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,120}")
_TYPE: Final = re.compile(r"[a-z0-9_.\[\]]{1,120}")
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:\.[a-z_]{1,40})?")


def read_event(body: bytes) -> Event:
    """
    What an event says.

    Raises:
        EventInvalidError: It is no JSON, nested too deep, or lacks what every event has.
    """
    document = _parsed(body)
    thin = document.get("object") == "v2.core.event"
    if not thin and document.get("object") != "event":
        _invalid('it is no event: "object" says neither "event" nor "v2.core.event"')
    about = _about(document, thin=thin)
    kind = _text(document, "type", _TYPE)
    return Event(
        id=_text(document, "id", _ID),
        type=kind.removeprefix("v1.") if thin else kind,
        api_version=_version(document),
        created=_created(document.get("created")),
        livemode=_livemode(document),
        account=_text(document, "account" if not thin else "context", _ID, required=False),
        subject=_subject(kind.removeprefix("v1."), about, _text(document, "id", _ID)),
        body=body,
        digest=digest((json.dumps(about, sort_keys=True, separators=(",", ":")),)),
    )


def _subject(kind: str, about: Json, event: str) -> Subject | None:
    """What it is about; what a meter could not count stands in the event alone, which is fetched whole."""
    if kind in _REPORTS and identifier(event):
        return Subject(SubjectKind.USAGE_REPORT, event)
    return subject_of(about)


def _parsed(body: bytes) -> Json:
    try:
        document: Any = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except ValueError as error:  # no UTF-8, no JSON, or a number that nobody can read
        msg = "it is no JSON in UTF-8"
        raise EventInvalidError(msg) from error
    except RecursionError:
        _invalid(_TOO_DEEP)
    if not isinstance(document, dict):
        _invalid("it is no JSON object")
    if body.count(b"{") + body.count(b"[") > DEEPEST and _is_deep(document):
        _invalid(_TOO_DEEP)
    return cast("Json", document)


def _is_deep(document: Any) -> bool:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _inside(each) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inside(each: Any) -> Iterable[Any]:
    return cast("Json", each).values() if isinstance(each, dict) else each


def _about(document: Json, *, thin: bool) -> Json:
    """What it is about: the copy that it carries, or what it links to."""
    holder: Any = document if thin else document.get("data")
    field = "related_object" if thin else "object"
    about: Any = cast("Json", holder).get(field) if isinstance(holder, dict) else None
    if about is None and thin:
        return {}
    if not isinstance(about, dict):
        _invalid("it does not say what it is about")
    return cast("Json", about)


def _created(value: object) -> datetime:
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    return _invalid("it does not say when it was created")


def _livemode(document: Json) -> bool:
    mode = document.get("livemode")
    if not isinstance(mode, bool):
        _invalid("it does not say whether it is live")
    return mode


def _version(document: Json) -> str:
    return _text(document, "api_version", _VERSION, required=False)


def _text(document: Json, name: str, form: re.Pattern[str], *, required: bool = True) -> str:
    value = document.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not form.fullmatch(value):
        _invalid(f"its {name!r} is not what Stripe sends")
    return value


def _no_number(name: str) -> NoReturn:
    msg = f"{name} is no number in JSON"
    raise ValueError(msg)


def _invalid(problem: str) -> NoReturn:
    raise EventInvalidError(problem)
