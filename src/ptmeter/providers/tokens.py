"""
Input tokens of a text or a request, counted offline, for any model.

The answer is a best guess, a bound for 99 texts of 100, and how they were got: by the model's own
tokenizer, by another family's times a measured factor, or from the bytes alone. Nothing is fetched,
no environment variable is read, and no text makes it raise, run for seconds or count as nothing.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

from ..domain.estimates import Count, Method
from ..domain.pt import ceil_div
from ..errors import InvalidArgumentError
from . import encodings
from .byteclasses import ByteCounter
from .families import SCALE, family_of
from .framing import take_apart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from .encodings import TokenCounter
    from .families import Family
    from .framing import Request

CHUNK: Final = 16_000
"""Characters given to a counter at once. On a million whitespace characters tiktoken's regex engine
gives up (openai/tiktoken#587); cutting at this length costs at most 0.02 % more tokens."""

COUNTED_WHOLE: Final = 2_000_000
"""Longer texts are sampled: in the worst case, tokenizing so much takes a second or two."""

SAMPLES: Final = 32

REMEMBERED: Final = 20
"""A shorter text is counted again rather than looked up: that takes no longer."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Tokens of one text in one encoding."""

    tokens: int
    high: int
    note: str = ""
    """Why the figure is approximate; empty if it is not."""


class Tokenizers:
    """
    The encodings and what was counted with them; thread-safe, and shares nothing with others.

    An encoding is loaded when it is first needed: 0.2 to 0.4 s and 30 to 50 MB. Count an empty
    text at start-up, before forking, to have that behind you and the memory shared.
    """

    def __init__(
        self,
        *,
        counters: Mapping[str, TokenCounter] | None = None,
        remember: int = 16_384,
        ranks: Traversable | None = None,
    ) -> None:
        """
        Make a set of tokenizers; nothing is loaded yet.

        Args:
            counters: Faster engines to use instead of tiktoken, by encoding (``o200k_base``,
                ``cl100k_base``). Each is given valid Unicode, at most `CHUNK` characters at a time.
            remember: How many counts to keep, about 150 bytes each and no text; a chat sends its history
                every turn, and a message that came before costs a look-up instead of its length.
            ranks: Where the packed ranks are, if not in the package.

        Raises:
            InvalidArgumentError: A counter is for an encoding that is not used here.
        """
        self._counters: dict[str, TokenCounter] = dict(counters or {})
        if unused := self._counters.keys() - encodings.ENCODINGS.keys():
            msg = f"no model is counted with {sorted(unused)}: plug in {sorted(encodings.ENCODINGS)}"
            raise InvalidArgumentError(msg)
        self._ranks = ranks
        self._loading = Lock()
        self._recent = _Recent(remember)
        self._family = lru_cache(maxsize=256)(family_of)

    def __repr__(self) -> str:
        return f"Tokenizers(loaded={sorted(self._counters)}, remembered={len(self._recent)})"

    def count_text(self, model: str, text: str) -> Count:
        """Count *text* alone, without what a message around it takes."""
        family = self._family(model)
        measure = self._measure(family.encoding, text)
        if family.exact and not measure.note:
            return Count(measure.tokens, measure.high, Method.EXACT)

        tokens, high = _scaled(family, measure.tokens, measure.high)
        notes = tuple(filter(None, (family.basis, measure.note)))
        return Count(tokens, high, Method.APPROXIMATE if measure.note else Method.CALIBRATED, notes)

    def count_request(self, model: str, request: Request) -> Count:
        """
        Count all a request makes the provider read: messages, tools, schemas, images.

        Args:
            model: As sent to the provider, or as a gateway spells it.
            request: A text, a list of messages, or the body of a Chat Completions, Responses or
                Anthropic Messages request.
        """
        family = self._family(model)
        parts = take_apart(request, family)
        measures = [self._measure(family.encoding, text) for text in parts.texts]
        tokens, high = _scaled(
            family, sum(each.tokens for each in measures), sum(each.high for each in measures)
        )

        doubts = dict.fromkeys(each.note for each in measures if each.note)
        method = Method.EXACT
        if doubts or parts.unseen:
            method = Method.APPROXIMATE
        elif parts.fitted or not family.exact:
            method = Method.CALIBRATED
        notes = tuple(filter(None, (family.basis, *doubts, *parts.notes)))
        return Count(max(tokens + parts.tokens, 0), max(high + parts.high, 0), method, notes, parts.sound)

    def _measure(self, encoding: str, text: str) -> Measure:
        """Count *text*, or remember what it came to; what is longer than a chunk, chunk by chunk."""
        if len(text) <= REMEMBERED:
            return self._count(encoding, text)
        # A text is named by its hash and length, never kept. Python computes a text's hash once and keys it
        # with a secret of the process; should two texts share one after all, an estimate is off, no charge.
        key = (encoding, hash(text), len(text))
        measure = self._recent.get(key)
        if measure is None:
            measure = self._count(encoding, text)
            self._recent.put(key, measure)
        return measure

    def _count(self, encoding: str, text: str) -> Measure:
        counter = self._counters.get(encoding) or self._load(encoding)
        try:
            size = len(text.encode())
        except UnicodeEncodeError:  # half a surrogate pair, as JSON from JavaScript may hold
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            size = len(text.encode())
        if CHUNK < len(text) <= COUNTED_WHOLE and not isinstance(counter, ByteCounter):
            tokens = sum(self._measure(encoding, chunk).tokens for chunk in chunks(text))
            return Measure(tokens, tokens)
        return measured(counter, text, size)

    def _load(self, encoding: str) -> TokenCounter:
        """Load an encoding once; without its ranks, go by the bytes from now on and say so once."""
        with self._loading:
            if counter := self._counters.get(encoding):
                return counter
            try:
                counter = encodings.load(encodings.ENCODINGS[encoding], self._ranks)
            except (OSError, ImportError, encodings.RanksError) as error:
                counter, fault = ByteCounter(encoding), error
            else:
                fault = None
            self._counters[encoding] = counter

        if fault is not None:
            message = f"ptmeter counts {encoding} tokens from the bytes alone: {fault}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)  # whoever asked for the count
        return counter


def measured(counter: TokenCounter, text: str, size: int) -> Measure:
    """Count *text*, which is *size* bytes long and a chunk or more than `COUNTED_WHOLE`: whole or by samples."""
    if isinstance(counter, ByteCounter):
        high = counter.at_most(text)
        return Measure(counter.count(text), high, "counted from the bytes: the tokenizer did not load")
    if len(text) <= CHUNK:
        tokens = _counted(counter, text)
        return Measure(tokens, tokens)

    counts = [_counted(counter, sample) for sample in samples(text)]
    tokens = ceil_div(sum(counts) * len(text), CHUNK * SAMPLES)
    high = min(ceil_div(max(counts) * len(text), CHUNK), size)
    note = f"extrapolated from {SAMPLES} samples of a text of {len(text):,} characters"
    return Measure(tokens, max(tokens, high), note)


def chunks(text: str) -> Iterator[str]:
    """
    Cut *text* after a newline or before a space, where tokens end anyway, or else anywhere.

    A chunk is at least half of `CHUNK` long, so that a stray newline does not make it tiny. Where it ends does
    not depend on what comes after it, so a text that grows keeps its chunks, but for the last.
    """
    start = 0
    while len(text) - start > CHUNK:
        least, most = start + CHUNK // 2, start + CHUNK
        end = text.rfind("\n", least, most) + 1 or text.rfind(" ", least, most)
        end = end if end > 0 else most
        yield text[start:end]
        start = end
    yield text[start:]


def samples(text: str) -> Iterator[str]:
    """Yield evenly spaced chunks, the first and the last of *text* among them."""
    for index in range(SAMPLES):
        start = index * (len(text) - CHUNK) // (SAMPLES - 1)
        yield text[start : start + CHUNK]


def _counted(counter: TokenCounter, text: str) -> int:
    tokens: object = counter.count(text)
    if type(tokens) is not int or tokens < 0:
        msg = f"{counter!r} counted {tokens!r} tokens: a counter returns a whole number"
        raise InvalidArgumentError(msg)
    return tokens


def _scaled(family: Family, tokens: int, high: int) -> tuple[int, int]:
    """Apply the family's factors to counts of its base encoding."""
    return ceil_div(tokens * family.expected, SCALE), ceil_div(high * family.high, SCALE)


_Key: TypeAlias = tuple[str, int, int]
"""An encoding, and the hash and the length of a text."""


class _Recent:
    """The counts of the texts used last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._measures: OrderedDict[_Key, Measure] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._measures)

    def get(self, key: _Key) -> Measure | None:
        with self._lock:
            measure = self._measures.get(key)
            if measure is not None:
                self._measures.move_to_end(key)
            return measure

    def put(self, key: _Key, measure: Measure) -> None:
        with self._lock:
            self._measures[key] = measure
            while len(self._measures) > self._most:
                self._measures.popitem(last=False)
