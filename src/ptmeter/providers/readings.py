"""
What was read from a provider's answer, and how its counts are read: as whole numbers or not at all.

A count that is a float, a bool, negative, NaN or absurdly large is refused together with everything
around it: a guess about one number is a wrong charge, and nobody would see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from ..domain.usage import INPUT_CLASSES, Quality, Usage
from ..errors import UsageInconsistentError
from .payloads import object_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .payloads import Payload


MOST: Final = 1_000_000_000
"""What no single call counts to: the largest context windows hold a hundredth of it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One call's usage, and what else in the answer decides its price.

    ``raw`` is the provider's usage object as it came, kept so that the call can be rated again:
    ``read_usage({"usage": reading.raw, "model": reading.model})`` gives the same token classes.
    """

    usage: Usage
    model: str | None
    """As the provider reported it, which may be more exact than the name that was asked for."""
    provider: str
    """Whose wire shape it is, not who served it: many others speak OpenAI's."""
    service_tier: str | None
    """In the provider's words; at Anthropic the speed instead, if it was not the standard one."""
    raw: Payload


def unread(usage: Usage, service_tier: str | None = None) -> Reading:
    """Return *usage*, which no answer says, as if one did: of the rest only the tier may be known."""
    return Reading(usage, model=None, provider="", service_tier=service_tier, raw={})


class StreamReader(Protocol):
    """Gathers the usage of one stream in one provider's event format."""

    def feed(self, event: Payload) -> str:
        """Take an event and return the text generated in it; an event of another format has none."""
        ...

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` while the provider may have more to say."""
        ...

    def input_usage(self) -> Usage | None:
        """Return what the provider has said of the input so far, with no output."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """One object of a usage payload, read name by name; complaints carry the whole payload."""

    facts: Mapping[str, object]
    payload: Payload
    path: str = ""

    def need(self, name: str) -> int:
        """Return the count called *name*, which must be there: zero is a count, nothing is not."""
        if self.facts.get(name) is None:
            self.refuse(f"{self.path}{name} is missing")
        return self.count(name)

    def count(self, name: str) -> int:
        """Return the count called *name*, or 0 if there is none."""
        value = self.facts.get(name)
        if value is None:
            return 0
        if type(value) is not int or value < 0:
            self.refuse(f"{self.path}{name} is {value!r}, not a whole number")
        if value > MOST:
            self.refuse(f"{self.path}{name} is {value}, more than any call can use")
        return value

    def agreed(self, *counts: int) -> int:
        """Return the one count that is not zero, or 0: under how many names it came is no matter."""
        found = {count for count in counts if count}
        if len(found) > 1:
            self.refuse(f"{' and '.join(map(str, sorted(found)))} are given for one and the same count")
        return found.pop() if found else 0

    def section(self, name: str) -> Counts:
        """Return the object called *name*; one that is absent or null holds nothing."""
        facts = object_at(self.facts, name)
        if not facts and self.facts.get(name) not in (None, {}):
            self.refuse(f"{self.path}{name} is {self.facts.get(name)!r}, not an object")
        return Counts(facts, self.payload, f"{self.path}{name}.")

    def fit(self, whole: str, total: int, **parts: int) -> int:
        """Return what is left of *total*, the count called *whole*, when *parts* are taken out."""
        taken = sum(parts.values())
        if taken > total:
            self.refuse(f"{' + '.join(parts)} = {taken} is more than {whole} = {total}")
        return total - taken

    def summed(self, usage: Usage, into: int, out: int) -> Usage:
        """Return *usage* if its classes sum to the provider's totals, which no reader may get wrong."""
        if (usage.input_total, usage.output_total) != (into, out):
            self.refuse(
                f"the classes sum to {usage.input_total} + {usage.output_total}, not {into} + {out}"
            )
        return usage

    def refuse(self, problem: str) -> NoReturn:
        """
        Raise the error that says *problem* and carries the payload.

        Raises:
            UsageInconsistentError: Always.
        """
        raise UsageInconsistentError(problem, self.payload)


def input_only(usage: Usage) -> Usage | None:
    """
    Return *usage* as the input of a call that is still under way, or ``None`` if it has none.

    No call has no input: zeros are what a gateway says before it knows (langchainjs PR #11195).
    """
    said = {name: count for name, count in usage.tokens().items() if name in INPUT_CLASSES}
    if not said:
        return None
    return Usage(**said, tool_calls=usage.tool_calls, quality=Quality.PARTIAL_ESTIMATED)
