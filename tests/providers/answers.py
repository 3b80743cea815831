"""What ptmeter, genai-prices and litellm make of each answer in the corpus: tokens in, tokens out, nano-dollars."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from genai_prices.data import providers

from ptmeter.errors import UnknownModelError
from ptmeter.providers.usage import read_usage

if TYPE_CHECKING:
    from ptmeter.providers.prices import GenaiPrices

CORPUS: Final = Path(__file__).parent.parent / "corpus"
ANSWERS: Final = CORPUS / "answers"
AT: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)

PAYLOADS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(CORPUS.glob("*.json"))
}

FLAVORS: Final = {
    ("openai", "response"): "responses",
    ("x-ai", "response"): "responses",
    ("openai", "realtime.response"): "realtime",
    ("mistral", None): "ocr",
    ("anthropic", None): "default",
    ("aws", None): "default",
    ("cohere", None): "default",
    ("google", None): "default",
    ("mistral", "chat.completion"): "default",
    ("groq", "chat.completion"): "default",
}
"""How genai-prices calls the API, by provider and the object that answers; else ``chat``."""


@dataclass(frozen=True)
class Answer:
    """What somebody makes of one answer; ``None`` where they have no price, or refuse to name one."""

    input: int
    output: int
    nano_dollars: int | None


def nano(dollars: Decimal) -> int:
    """Dollars in nano-dollars, rounded half up."""
    return int((dollars * 10**9).to_integral_value(ROUND_HALF_UP))


def ours(name: str, prices: GenaiPrices) -> Answer:
    """Our reading of the answer and our cost of it."""
    payload = PAYLOADS[name]
    usage = read_usage(payload["response"]).usage
    listed = payload["listed"]
    try:
        price = prices.price(listed["model"], AT, provider=listed["provider"])
        cost = price.cost(usage).nano
    except UnknownModelError:
        cost = None
    return Answer(usage.input_total, usage.output_total, cost)


def golden(name: str) -> Answer:
    """What the corpus says, by hand."""
    payload = PAYLOADS[name]
    into = sum(count for kind, count in payload["usage"].items() if kind.startswith("input"))
    return Answer(into, payload["total"] - into, payload["listed"]["nano_dollars"])


def by_hand(name: str) -> Decimal | None:
    """The cost in dollars from the list prices in the corpus: a product and a sum, and nothing else."""
    payload, listed = PAYLOADS[name], PAYLOADS[name]["listed"]
    tokens, calls, hours = (listed.get(f"dollars_per_{each}", {}) for each in ("million", "call", "hour"))
    if set(payload["usage"]) - set(tokens) or set(payload["tool_calls"]) - {*calls, *hours}:
        return None
    million = sum((Decimal(tokens[kind]) * n for kind, n in payload["usage"].items()), Decimal())
    dearness = {name: Decimal(dollars) for name, dollars in calls.items()}
    dearness |= {name: Decimal(dollars) / 3600 for name, dollars in hours.items()}
    each = sum((dearness[tool] * n for tool, n in payload["tool_calls"].items()), Decimal())
    return million / 1_000_000 + each


def of_genai_prices(name: str) -> Answer | str:
    """Its own reading of the answer and its own cost; or the error it raises."""
    payload, listed = PAYLOADS[name], PAYLOADS[name]["listed"]
    provider = next(one for one in providers if one.id == listed["provider"])
    body = {**payload["response"], "model": listed["model"]}
    answered = body.get("response", body).get("object")
    flavor = FLAVORS.get((provider.id, answered), "chat")
    try:
        _, usage = provider.extract_usage(body, api_flavor=flavor)
        model = provider.find_model(listed["model"])
        assert model is not None
        cost = model.calc_price(usage, provider, genai_request_timestamp=AT)
    except ValueError as refused:
        return f"{type(refused).__name__}: {refused}"
    return Answer(int(usage.input_tokens or 0), int(usage.output_tokens or 0), nano(cost.total_price))


def of_litellm(asked: dict[str, Any]) -> dict[str, Answer | str]:
    """Its answers as they were kept, by name."""
    return {name: answer.get("failed") or Answer(**answer) for name, answer in asked["answers"].items()}
