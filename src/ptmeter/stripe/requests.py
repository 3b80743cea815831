"""What is asked of Stripe, as a value: built by pure functions, a module for each noun, and sent by the facade."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..domain.keys import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class StripeRequest:
    """A path below ``/v1/``, and what goes with it; what is ``None`` is not sent."""

    path: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


def idempotency_key(verb: str, *parts: str) -> str:
    """
    What Stripe knows a request by for a day: the same for the same operation of ours, whoever repeats it.

    It is made of the caller's own key for the operation, so it is never drawn.
    """
    return f"ptmeter-{verb}-{digest((verb, *parts), size=16).hex()}"


def given(**params: Any) -> dict[str, Any]:
    """Those that say anything."""
    return {name: value for name, value in params.items() if value not in (None, "", (), [], {})}


def setting_key(request: StripeRequest, at: datetime) -> str:
    """
    The same for what may be done any number of times, such as setting an address: of this request at this moment.

    Tried again within a call it is the same; told anew later, after something else was told, it is another.
    """
    return idempotency_key("set", request.path, _said(request), at.isoformat())


def repeated_key(request: StripeRequest, verb: str, *parts: str) -> str:
    """
    The same for the same operation as long as it asks for the same.

    For a request that is made of what Stripe says at the time: what it says otherwise by now is another request, and
    Stripe refuses another under the key of one that it knows.
    """
    return idempotency_key(verb, *parts, request.path, _said(request))


def _said(request: StripeRequest) -> str:
    return json.dumps(request.params, sort_keys=True, default=str)
