"""
The calls of the demonstration: as large as real ones are, and the same for the same seed.

Token counts are drawn from quantiles of the Azure LLM inference trace 2023, conversation and code: Azure
Public Dataset (github.com/Azure/AzurePublicDataset), CC-BY 4.0, from "Splitwise: Efficient Generative LLM
Inference Using Phase Splitting", ISCA 2024. Quantiles are facts about the trace; no row of it is here.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT_LEVELS: Final = (*(step / 20 for step in range(20)), 0.975, 0.99, 0.995, 1.0)
OUTPUT_LEVELS: Final = (*(step / 10 for step in range(10)), 0.95, 0.98, 0.99, 1.0)


class Shape(NamedTuple):
    """How large requests of a kind are: quantiles of the input, and of the output by fifth of the input."""

    input: tuple[int, ...]
    output: tuple[tuple[int, ...], ...]


def _shape(inputs: str, *outputs: str) -> Shape:
    return Shape(_numbers(inputs), tuple(map(_numbers, outputs)))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


CHAT: Final = _shape(
    "2 181 207 372 387 396 403 414 703 984 1020 1045 1071 1097 1130 1189 1315 1876 2734 4083 4092 4142 4831 14050",
    "7 25 62 74 86 105 133 162 179 212 217 224 260 1000",
    "25 81 86 90 94 97 101 107 117 135 148 168 184 739",
    "10 95 375 390 396 399 409 415 429 461 532 601 638 1000",
    "26 138 371 386 396 399 410 418 429 477 549 617 652 1000",
    "15 39 47 55 66 77 90 105 128 162 200 288 407 918",
)
CODE: Final = _shape(
    "3 75 147 232 386 578 770 938 1075 1261 1469 1690 1909 2164 2433 2745 3192 3919 5186 7302 7435 7436 7436 7437",
    "6 7 8 10 12 14 16 19 28 54 88 139 232 1899",
    "6 7 8 9 11 13 16 21 30 57 89 173 249 841",
    "6 7 8 9 11 13 16 21 30 55 86 164 232 824",
    "6 7 8 9 11 12 14 18 26 53 90 178 253 940",
    "6 7 8 10 11 13 16 21 30 58 101 172 286 928",
)
CODE_SHARE: Final = 0.3

MAX_TOKENS: Final = 2_000
"""The longest answer the application allows: what is held goes by it."""


class Customer(NamedTuple):
    """An account: its plan, its share of the calls, and how often it asks for a large model."""

    account: str
    plan: str
    share: float
    advanced: float


CUSTOMERS: Final = (
    Customer("ada", "freemium", 0.10, 0.05),
    Customer("brightside", "pro", 0.35, 0.08),
    Customer("corvus", "business", 0.55, 0.12),
)

CORE_MODELS: Final = ("gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash")
ADVANCED_MODELS: Final = ("gpt-4.1", "claude-sonnet-4-5")


class Ending(StrEnum):
    """What becomes of a call."""

    ANSWERED = "answered"
    FAILED = "failed"
    """The provider broke down: what was held is given back."""
    ABANDONED = "abandoned"
    """The application died with the call under way: its hold expires."""
    NO_FUNDS = "no_funds"
    """Refused for want of PT."""
    LOCKED = "locked"
    """Refused because the plan does not include the model."""


FAILING: Final = 0.03
ABANDONED: Final = 0.01

COMMON: Final = (
    "the of and to in is that it was for on are as with they at be this have from or one had by word but not "
    "what all were we when your can said there use an each which she do how their if will up other about out "
    "many then them these so some her would make like him into time has look two more write go see number no "
    "way could people my than first water been call who oil its now find long down day did get come made may"
)
WORDS: Final = tuple(COMMON.split(" "))


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that is going to be made: by whom, how large, with how much of it cached, and its end."""

    number: int
    customer: Customer
    model: str
    input: int
    cached: int
    output: int
    ending: Ending

    def messages(self) -> list[dict[str, str]]:
        """What is asked: about as many common words as the request has tokens."""
        chance = random.Random(self.number)  # noqa: S311 - words, not a secret
        return [{"role": "user", "content": " ".join(chance.choices(WORDS, k=self.input))}]

    def answer(self) -> dict[str, Any]:
        """What a provider would answer, with the usage in the provider's own words."""
        if self.model.startswith("claude"):
            usage = {
                "input_tokens": self.input - self.cached,
                "cache_read_input_tokens": self.cached,
                "cache_creation_input_tokens": 0,
                "output_tokens": self.output,
            }
            return {"type": "message", "role": "assistant", "model": self.model, "usage": usage}
        return {
            "object": "chat.completion",
            "model": self.model,
            "usage": {
                "prompt_tokens": self.input,
                "prompt_tokens_details": {"cached_tokens": self.cached},
                "completion_tokens": self.output,
                "total_tokens": self.input + self.output,
            },
        }


def plan_calls(count: int, seed: int) -> list[Planned]:
    """Draw *count* calls; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a demonstration, not a secret
    shares = [customer.share for customer in CUSTOMERS]
    return [_planned(number, chance, shares) for number in range(1, count + 1)]


def between(levels: Sequence[float], quantiles: Sequence[int], place: float) -> int:
    """The quantile at *place*, on a straight line between those that are known."""
    above = min(bisect_right(levels, place), len(levels) - 1)
    low, high = levels[above - 1], levels[above]
    first, last = quantiles[above - 1], quantiles[above]
    return round(first + (last - first) * (place - low) / (high - low))


def _planned(number: int, chance: random.Random, shares: Sequence[float]) -> Planned:
    (customer,) = chance.choices(CUSTOMERS, weights=shares)
    models = ADVANCED_MODELS if chance.random() < customer.advanced else CORE_MODELS
    shape = CODE if chance.random() < CODE_SHARE else CHAT
    place = chance.random()
    size = between(INPUT_LEVELS, shape.input, place)
    output = between(OUTPUT_LEVELS, shape.output[int(place * len(shape.output))], chance.random())
    return Planned(
        number,
        customer,
        chance.choice(models),
        size,
        _cached(size, chance),
        output,
        _ending(chance.random()),
    )


def _cached(size: int, chance: random.Random) -> int:
    """A third of the longer requests find half of themselves in the provider's cache, in steps of 128."""
    return size // 2 // 128 * 128 if size > 1_024 and chance.random() < 1 / 3 else 0  # noqa: PLR2004


def _ending(drawn: float) -> Ending:
    if drawn < FAILING:
        return Ending.FAILED
    return Ending.ABANDONED if drawn < FAILING + ABANDONED else Ending.ANSWERED
