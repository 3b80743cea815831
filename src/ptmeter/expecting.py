"""
What a call that is not sent yet is expected to take, and at most: tokens, and beside them searches, pages and sound.

It is what the request says, as far as it does, what calls that were settled taught, and else the policy's assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .domain.estimates import Count
from .domain.expected_usage import Sound, dearest_usage, expected_usage
from .domain.policy import HoldSize
from .domain.usage import checked_pieces
from .errors import InvalidArgumentError, UnknownModelError
from .providers.asked_tools import asked_tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .domain.calibration import Bound
    from .domain.policy import Policy
    from .domain.prices import Price
    from .domain.sketches import Quantile
    from .domain.usage import Usage
    from .learning import Outlook

    Request = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]
    """What is sent to a model: text, chat messages, or the whole body of the request."""


OUTPUT_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""Where requests say how long the answer may be: OpenAI chat, OpenAI responses, Anthropic and others."""


class Pieces(NamedTuple):
    """How many of each are expected and how many there are at most, and sentences about what that rests on."""

    expected: Mapping[str, int]
    most: Mapping[str, int]
    notes: tuple[str, ...] = ()


def expected_pieces(
    price: Price, model: str, request: Request, said: Mapping[str, int], allowed: int
) -> Pieces:
    """
    What the caller *said*, and of the tools that the request turns on one call each, or *allowed* at most.

    A tool without a price is left out with a note: what it would cost is not known.

    Raises:
        UnknownModelError: Something that was said has no price, or nothing was said and tokens have none.
    """
    said = checked_pieces(said)
    expected, most, notes = dict(said), dict(said), list[str]()
    for name, limit in asked_tools(request, model, price.provider).items():
        if name in said or limit == 0:
            continue
        if name not in price.priced_pieces():
            notes.append(f"{name} has no price: a call that uses it is charged to nobody until it has one")
            continue
        expected[name], most[name] = 1, allowed if limit is None else limit
        if limit is None:
            notes.append(f"{name} is turned on without a limit: {allowed} are allowed for")
    if not price.rates and not most and price.tools:
        names = ", ".join(sorted(price.priced_pieces()))
        remedy = f"it is charged by the piece, so say how many there are, pieces={{...}} of {names}"
        raise UnknownModelError(model, "price for tokens", remedy)
    return Pieces(expected, most, tuple(notes))


class Use(NamedTuple):
    """
    The tokens that are expected and the longest answer, and the usage that is likely, the most, and held for.

    ``spoken``: whether the answer is to be sound.
    """

    input: Count
    output_expected: int
    output_at_most: int
    spoken: bool
    likely: Usage
    most: Usage
    held: Usage


def expected_use(
    price: Price,
    request: Request,
    counted: Count,
    learnt: Outlook,
    beside: Pieces,
    policy: Policy,
    *,
    size: HoldSize | Quantile,
    max_tokens: int | None,
) -> Use:
    """What the request takes by the tokens that were *counted*, what was *learnt* and what is *beside* them."""
    stated = _checked("max_tokens", max_tokens) if max_tokens is not None else _output_limit(request)
    count = _corrected(counted, learnt)
    assumed_limit = max(policy.max_output_tokens, learnt.output_at_most)
    longest = stated or max(assumed_limit, _tokens(learnt.output_within, 0))
    expected = min(_tokens(learnt.output, policy.expected_output_tokens), longest)
    if not price.rates and beside.most:
        count, expected, longest = Count(0, 0, count.method), 0, 0
    sound = Sound(count.sound, spoken=_is_answered_in_sound(request))
    likely = expected_usage(price, count.tokens, expected, sound, beside.expected)
    most = dearest_usage(price, count.high, longest, sound, beside.most)
    held = most if size is not HoldSize.EXPECTED else likely
    if learnt.output_within:
        read, answered = _tokens(learnt.input_within, count.high), learnt.output_within.tokens
        held = dearest_usage(price, read, min(answered, longest), sound, beside.most)
    return Use(count, expected, longest, sound.spoken, likely, most, held)


def what_it_rests_on(learnt: Outlook, size: HoldSize | Quantile) -> Iterator[str]:
    """Sentences about the calls that the figures were learnt from, or about the want of them."""
    if learnt.output:
        yield f"the answer is expected to be as long as those of {learnt.output.calls:,} calls settled before"
    if isinstance(size, HoldSize):
        return
    if learnt.output_within:
        calls = learnt.output_within.calls
        yield f"the hold is what {size} of calls stay within, by {calls:,} calls settled before"
    else:
        yield (
            f"the hold is the most the call can cost: it takes {size.calls_needed:,} settled calls of its "
            f"route to know what {size} of them stay within"
        )


def _output_limit(request: Request) -> int | None:
    if not isinstance(request, Mapping):
        return None
    named = ((name, request[name]) for name in OUTPUT_LIMITS if request.get(name) is not None)
    return next((_checked(name, limit) for name, limit in named), None)


def _is_answered_in_sound(request: Request) -> bool:
    """Whether a request asks for an answer that is spoken (``modalities`` of OpenAI's Chat Completions)."""
    asked = request.get("modalities") if isinstance(request, Mapping) else None
    return isinstance(asked, list) and "audio" in asked


def _checked(name: str, limit: object) -> int:
    if type(limit) is not int or limit <= 0:
        msg = f"{name} must be a positive whole number of tokens, not {limit!r}"
        raise InvalidArgumentError(msg)
    return limit


def _corrected(counted: Count, learnt: Outlook) -> Count:
    """The count as settled calls have corrected it; its bound is never lowered, for it is to err high."""
    tokens = _tokens(learnt.input, counted.tokens)
    return replace(
        counted,
        tokens=tokens,
        high=max(counted.high, tokens, learnt.input_at_most, _tokens(learnt.input_within, 0)),
    )


def _tokens(bound: Bound | None, otherwise: int) -> int:
    return otherwise if bound is None else bound.tokens
