"""
What is to be looked up because of an event: the thing whose state decides, whichever of its parts the event names.

A charge, its refunds, its disputes and the Checkout session that led to it are all one payment, so their events,
in whatever order they come, lead to one look at that payment as a whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ..domain.inbox import Subject, SubjectKind

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = "Mapping[str, Any]"

_ID: Final = re.compile(r"[A-Za-z0-9_]{1,120}")

_KINDS: Final[Mapping[str, SubjectKind]] = {
    "payment_intent": SubjectKind.PAYMENT,
    "charge": SubjectKind.CHARGE,
    "refund": SubjectKind.REFUND,
    "dispute": SubjectKind.DISPUTE,
    "radar.early_fraud_warning": SubjectKind.CHARGE,
    "checkout.session": SubjectKind.SESSION,
    "invoice": SubjectKind.INVOICE,
    "invoice_payment": SubjectKind.INVOICE,
    "credit_note": SubjectKind.INVOICE,
    "subscription": SubjectKind.SUBSCRIPTION,
    "subscription_schedule": SubjectKind.SUBSCRIPTION,
    "payout": SubjectKind.PAYOUT,
}
"""What each of Stripe's objects is about, unless it names what it belongs to."""

_OF_CHARGES: Final = ("refund", "dispute", "radar.early_fraud_warning")

_BELONGS: Final = (
    ("payment_intent", SubjectKind.PAYMENT, (*_OF_CHARGES, "charge", "checkout.session")),
    ("charge", SubjectKind.CHARGE, _OF_CHARGES),
    ("subscription", SubjectKind.SUBSCRIPTION, ("checkout.session", "subscription_schedule")),
    ("released_subscription", SubjectKind.SUBSCRIPTION, ("subscription_schedule",)),
    ("invoice", SubjectKind.INVOICE, ("invoice_payment", "credit_note")),
)
"""Under which name an object says what it belongs to, the one that decides first."""


def subject_of(about: Json) -> Subject | None:
    """The subject of an event about that object; ``None`` if ptmeter has nothing to do with such objects."""
    name = about.get("object") or about.get("type")
    if not isinstance(name, str) or name not in _KINDS:
        return None
    for field, kind, objects in _BELONGS:
        if name in objects and (owner := identifier(about.get(field))):
            return Subject(kind, owner)
    own = identifier(about.get("id"))
    return Subject(_KINDS[name], own) if own and name not in _PARTS else None


_PARTS: Final = frozenset(
    {"invoice_payment", "credit_note", "radar.early_fraud_warning", "subscription_schedule"}
)
"""What says nothing by its own id."""


def identifier(value: object) -> str:
    """The id of what a field refers to, which may be there whole; empty if it refers to nothing."""
    if isinstance(value, dict):
        value = cast("Json", value).get("id")
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
