"""Between the columns of a transfer that say what was used, and the usage event they are."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from ..domain.ledger import UsageEvent
from ..domain.prices import Processing
from ..domain.pt import Money
from ..domain.rates import PLAIN, Complexity, Content, Workload
from ..domain.usage import TOKEN_CLASSES, Quality, Usage
from ..errors import InvariantError
from .columns import version_from, version_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row

    from ..domain.prices import Price

NO_USAGE: Final[Mapping[str, None]] = dict.fromkeys(
    (
        "price_version",
        "card_version",
        "cost",
        *TOKEN_CLASSES,
        "requests",
        "quality",
        "tool_calls",
        "workload",
    )
)
"""The columns of a transfer that was charged for no usage."""


def usage_from(row: Row[Any], prices: Mapping[str, Price]) -> UsageEvent | None:
    """What a transfer was charged for."""
    if row.price_version is None:
        if any(getattr(row, name) is not None for name in NO_USAGE):
            msg = f"transfer {row.seq} has usage that was rated by no price"
            raise InvariantError(msg)
        return None
    price = prices.get(version_from(row.price_version))
    if price is None:
        msg = f"transfer {row.seq} was rated by price {version_from(row.price_version)}, which is missing"
        raise InvariantError(msg)
    counts = {name: getattr(row, name) or 0 for name in TOKEN_CLASSES}
    tools: dict[str, int] = json.loads(row.tool_calls) if row.tool_calls else {}
    return UsageEvent(
        usage=Usage(
            **counts,
            requests=1 if row.requests is None else row.requests,
            tool_calls=tools,
            quality=Quality(row.quality) if row.quality else Quality.EXACT,
        ),
        price=price,
        card_version=version_from(row.card_version),
        cost=Money(row.cost, price.currency),
        workload=workload_from(row.workload),
    )


def usage_row(event: UsageEvent) -> dict[str, Any]:
    """A usage event, as part of its transfer."""
    usage = event.usage
    return {
        "price_version": version_row(event.price.version),
        "card_version": version_row(event.card_version),
        "cost": event.cost.nano,
        **{name: getattr(usage, name) or None for name in TOKEN_CLASSES},
        "requests": None if usage.requests == 1 else usage.requests,
        "quality": None if usage.quality is Quality.EXACT else str(usage.quality),
        "tool_calls": json.dumps(dict(usage.tool_calls), sort_keys=True) if usage.tool_calls else None,
        "workload": workload_row(event.workload),
    }


def workload_from(value: str | None) -> Workload:
    """A workload as `workload_row` wrote it."""
    if not value:
        return PLAIN
    facts = json.loads(value)
    return Workload(
        complexity=Complexity(facts.get("complexity", PLAIN.complexity)),
        content=Content(facts.get("content", PLAIN.content)),
        retry_rate=facts.get("retry_rate", PLAIN.retry_rate),
        tool_calls=facts.get("tool_calls", PLAIN.tool_calls),
        processing=Processing(facts.get("processing", PLAIN.processing)),
        routed=facts.get("routed", PLAIN.routed),
    )


def workload_row(workload: Workload) -> str | None:
    """A workload as JSON, without what is ordinary; nothing if all of it is."""
    told = {
        each.name: value
        for each in fields(workload)
        if (value := getattr(workload, each.name)) != getattr(PLAIN, each.name)
    }
    return json.dumps(told, sort_keys=True) if told else None
