"""
Service tiers: what providers call them, in requests and answers, and which price each is charged at.

What a word means is up to who charges for the call, not to whose wire format it comes in: ``priority`` is
dearer at OpenAI and prepaid at Anthropic, ``flex`` is half the price at OpenAI and the same at Groq.

Sources, as read in November 2026:

* OpenAI: ``service_tier`` is ``auto``, ``default``, ``flex``, ``priority``, ``fast``, ``ultrafast`` or
  ``scale`` in a request, and what was "actually used" in the answer; ``default`` is standard pricing, and
  ``fast`` is answered as ``priority`` (API reference, responses/create). Answers from a batch say
  ``default`` (README of genai-prices 0.2.3). Scale and reserved tiers are capacity bought beforehand, drawn
  down at list prices, and beyond it calls cost what they do without (openai.com/api-reserved-tier).
* Anthropic: ``usage.service_tier`` is ``standard``, ``priority`` or ``batch``; priority is a commitment to
  capacity, which tokens draw down as they are priced, with the standard tier beyond it
  (platform.claude.com/docs/en/api/service-tiers). ``speed`` is ``standard`` or ``fast``, in a request and in
  ``usage`` (platform.claude.com/docs/en/build-with-claude/fast-mode).
* Gemini: ``service_tier`` is ``standard``, ``flex`` or ``priority``
  (ai.google.dev/gemini-api/docs/optimization); on Vertex AI ``trafficType`` says ``ON_DEMAND``,
  ``ON_DEMAND_FLEX``, ``ON_DEMAND_PRIORITY`` or ``PROVISIONED_THROUGHPUT``, which is paid for by commitment
  (docs.cloud.google.com/vertex-ai/generative-ai/docs/deploy/consumption-options).
* Bedrock: ``serviceTier.type`` is ``default``, ``flex``, ``priority`` or ``reserved``; reserved is paid for
  by the month, with the standard tier beyond it
  (docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html).
* Groq: ``on_demand`` is the default, ``flex`` costs the same (console.groq.com/docs/flex-processing), and
  ``performance`` is provisioned (console.groq.com/docs/performance-tier).
* xAI: ``default`` or ``priority``, at a premium
  (docs.x.ai/developers/advanced-api-usage/priority-processing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from ..domain.prices import Processing
from ..errors import InvalidArgumentError
from .payloads import object_at

if TYPE_CHECKING:
    from .payloads import Payload

MEANINGS: Final[Mapping[str, Processing]] = {
    "standard": Processing.STANDARD,
    "standard_only": Processing.STANDARD,
    "default": Processing.STANDARD,
    "on_demand": Processing.STANDARD,
    "batch": Processing.BATCH,
    "flex": Processing.FLEX,
    "on_demand_flex": Processing.FLEX,
    "priority": Processing.PRIORITY,
    "on_demand_priority": Processing.PRIORITY,
    "fast": Processing.FAST,
    "ultrafast": Processing.ULTRAFAST,
    # Capacity that was bought beforehand has no price per token. What a call takes of it is worth what it
    # would have cost beyond it: the standard price.
    "scale": Processing.STANDARD,
    "reserved": Processing.STANDARD,
    "performance": Processing.STANDARD,
    "provisioned_throughput": Processing.STANDARD,
}
"""What each word means, in lower case, unless who charges for the call means something else by it."""

OWN_MEANINGS: Final[Mapping[str, Mapping[str, Processing]]] = {
    "anthropic": {"priority": Processing.STANDARD},
    "groq": {"flex": Processing.STANDARD},
}
"""What a word means at one provider, by the provider's name in a price."""

SAYS_NOTHING: Final = frozenset({"", "auto", "unspecified", "traffic_type_unspecified"})
"""Words that leave it to the provider: no answer is charged by them."""

SAYS_BATCH: Final = frozenset({"anthropic"})
"""Who calls a batch a batch in the answer; elsewhere an answer out of one says that it is a standard one."""

PLACES: Final = ("service_tier", "serviceTier")
"""Where requests name the tier: as text, or as Bedrock's object with a ``type``."""


def asked_tier(request: object) -> str | None:
    """The service tier or speed that the body of a request asks for, in its words, or ``None``."""
    if not isinstance(request, Mapping):
        return None
    body = cast("Mapping[str, Any]", request)
    return _faster(body) or _named(body) or asked_tier(body.get("config"))


def answered_tier(usage: Payload) -> str | None:
    """The service tier or speed in Anthropic's *usage*, in its words, or ``None``."""
    return _faster(usage) or _named(usage)


def told_tier(event: Payload) -> str | None:
    """The service tier that an event of a stream says already: a chunk of OpenAI's, Anthropic's first event."""
    return _named(event) or answered_tier(object_at(object_at(event, "message"), "usage"))


def asked_processing(tier: str | None, provider: str, said: Processing) -> Processing:
    """
    At which price a call is asked for, by the request's *tier* and by what the caller *said* of it.

    A caller who said ``standard`` said nothing. A batch may hold requests of the ordinary tier, and a tier
    that is not known here is what the caller says it is.

    Raises:
        InvalidArgumentError: The caller said one thing, and the request another.
    """
    said = OWN_MEANINGS.get(provider, {}).get(said, said)
    meant = _meaning(tier, provider)
    if meant is None or said is meant or (said, meant) == (Processing.BATCH, Processing.STANDARD):
        return said
    if said is Processing.STANDARD:
        return meant
    if meant is Processing.UNKNOWN:
        return said
    msg = f"the request asks for service tier {tier!r} and the workload for {said}: leave one of them out"
    raise InvalidArgumentError(msg)


def served_processing(tier: str | None, provider: str, asked: Processing) -> Processing:
    """At which price a call is charged that was answered with *tier*: what was asked for if it says nothing."""
    meant = _meaning(tier, provider)
    if meant is None:
        return asked
    if (asked, meant) == (Processing.BATCH, Processing.STANDARD) and provider not in SAYS_BATCH:
        return asked
    return meant


def _meaning(tier: str | None, provider: str) -> Processing | None:
    """What a word means to who charges for the call; ``None`` if it leaves that open."""
    word = (tier or "").lower().removeprefix("service_tier_")
    if word in SAYS_NOTHING:
        return None
    own = OWN_MEANINGS.get(provider, {})
    return own.get(word) or MEANINGS.get(word, Processing.UNKNOWN)


def _faster(facts: Mapping[str, Any]) -> str | None:
    speed = facts.get("speed")
    return speed if isinstance(speed, str) and speed.lower() != "standard" else None


def _named(facts: Mapping[str, Any]) -> str | None:
    for place in PLACES:
        found = facts.get(place)
        named = cast("Mapping[str, Any]", found).get("type") if isinstance(found, Mapping) else found
        if isinstance(named, str):
            return named
    return None
