"""
Read what a call used from the provider's answer: whole or streamed, SDK object, dictionary or JSON.

The shape is recognised by its keys, or named. OpenAI's totals include cached tokens and Anthropic's
leave them out; what comes from here is one vocabulary of disjoint classes whose sum is the provider's
total, or an error that says why not. There is no third way out: an answer without usage is not an
answer that used nothing (LiteLLM #37923 took one for the other on 1,012 of 1,283 streams).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError, UsageInconsistentError, UsageMissingError
from .anthropic_usage import MessageStream, read_message
from .bedrock_usage import ConverseStream, read_converse
from .cohere_usage import BilledStream, read_billed
from .event_lines import EventLines
from .gemini_usage import GenerateStream, InteractionStream, read_generated, read_interaction
from .mistral_usage import read_pages
from .openai_usage import ChatStream, ResponsesStream, read_chat, read_response
from .payloads import body_of, object_at, text_at
from .readings import Reading
from .spoken import BYTES_PER_TOKEN, sound_in
from .tiers import told_tier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..domain.usage import Usage
    from .payloads import Payload
    from .readings import StreamReader

__all__ = ["Reading", "Shape", "UsageStream", "read_usage"]


class Shape(StrEnum):
    """The wire shapes of usage that are known; the API decides the shape, not who serves it."""

    OPENAI_CHAT = "openai-chat"
    """Chat Completions, and all who speak it: DeepSeek, Mistral, xAI, OpenRouter, Groq, vLLM, gateways."""
    OPENAI_RESPONSES = "openai-responses"
    """The Responses API, xAI's too; a response of the Realtime API; a transcription."""
    ANTHROPIC_MESSAGES = "anthropic-messages"
    """The Messages API, also on Bedrock (InvokeModel) and on Vertex."""
    GEMINI_GENERATE = "gemini-generate"
    """``generateContent`` of the Gemini API and of Vertex, and what the Live API reports at the end."""
    GEMINI_INTERACTIONS = "gemini-interactions"
    """Gemini's Interactions API."""
    BEDROCK_CONVERSE = "bedrock-converse"
    """Bedrock's Converse, whoever made the model."""
    COHERE = "cohere"
    """Cohere's own API, version 1 and 2."""
    MISTRAL_OCR = "mistral-ocr"
    """Mistral's OCR endpoint."""


READERS: Final[Mapping[Shape, Callable[[Payload], Reading]]] = {
    Shape.OPENAI_CHAT: read_chat,
    Shape.OPENAI_RESPONSES: read_response,
    Shape.ANTHROPIC_MESSAGES: read_message,
    Shape.GEMINI_GENERATE: read_generated,
    Shape.GEMINI_INTERACTIONS: read_interaction,
    Shape.BEDROCK_CONVERSE: read_converse,
    Shape.COHERE: read_billed,
    Shape.MISTRAL_OCR: read_pages,
}

STREAMS: Final[Mapping[Shape, Callable[[], StreamReader]]] = {
    Shape.OPENAI_CHAT: ChatStream,
    Shape.OPENAI_RESPONSES: ResponsesStream,
    Shape.ANTHROPIC_MESSAGES: MessageStream,
    Shape.GEMINI_GENERATE: GenerateStream,
    Shape.GEMINI_INTERACTIONS: InteractionStream,
    Shape.BEDROCK_CONVERSE: ConverseStream,
    Shape.COHERE: BilledStream,
}

BY_OBJECT: Final[Mapping[str, Shape]] = {
    "chat.completion": Shape.OPENAI_CHAT,
    "chat.completion.chunk": Shape.OPENAI_CHAT,
    "text_completion": Shape.OPENAI_CHAT,
    "response": Shape.OPENAI_RESPONSES,
    "realtime.response": Shape.OPENAI_RESPONSES,
    "interaction": Shape.GEMINI_INTERACTIONS,
}

BODY_KEYS: Final[tuple[tuple[frozenset[str], Shape], ...]] = (
    (
        frozenset({"usageMetadata", "usage_metadata", "candidates", "promptFeedback"}),
        Shape.GEMINI_GENERATE,
    ),
    (frozenset({"usage_info"}), Shape.MISTRAL_OCR),
    (frozenset({"choices"}), Shape.OPENAI_CHAT),
)
"""Keys of an answer any of which says what it is."""

USAGE_KEYS: Final[tuple[tuple[frozenset[str], Shape], ...]] = (
    (
        frozenset({"promptTokenCount", "prompt_token_count"}),
        Shape.GEMINI_GENERATE,
    ),
    (frozenset({"total_input_tokens", "totalInputTokens"}), Shape.GEMINI_INTERACTIONS),
    (frozenset({"inputTokens"}), Shape.BEDROCK_CONVERSE),
    (frozenset({"billed_units"}), Shape.COHERE),
    (frozenset({"pages_processed"}), Shape.MISTRAL_OCR),
    (frozenset({"prompt_tokens"}), Shape.OPENAI_CHAT),
    (frozenset({"total_tokens", "input_tokens_details", "input_token_details"}), Shape.OPENAI_RESPONSES),
)
"""Keys of a usage object any of which says what it is; the first that is there decides."""


def read_usage(response: object, *, shape: Shape | str | None = None) -> Reading:
    """
    Read the usage of a call from the provider's whole answer.

    Args:
        response: What the provider answered: the SDK's object, the dictionary, or its JSON.
        shape: Whose wire shape it is, if its keys should not be asked.

    Raises:
        UsageMissingError: There is no usage in it, or it is no answer of a kind we know.
        UsageInconsistentError: The counts do not add up to the provider's total.
        InvalidArgumentError: There is no such shape.
    """
    named = None if shape is None else shape_named(shape)
    body = body_of(response)
    if body is None:
        msg = f"a {type(response).__name__} that is no JSON object carries no usage"
        raise UsageMissingError(msg)
    if (text_at(body, "type") or "").startswith("response."):
        body = object_at(body, "response")
    return READERS[named or _shape_of(body)](body)


def shape_named(name: Shape | str) -> Shape:
    """
    Return the shape of that name.

    Raises:
        InvalidArgumentError: There is none.
    """
    if name in tuple(Shape):
        return Shape(name)
    msg = f"there is no wire shape {name!r}: take one of {', '.join(Shape)}"
    raise InvalidArgumentError(msg)


class UsageStream:
    """
    Gathers the usage of one streamed call, event by event, and the text in case none arrives.

    Feed it every event, as the SDK yields it or as it comes off the wire; then ask for the `reading`.
    If that raises `UsageMissingError` the stream broke off, or was never asked for its usage: `text`
    is what was generated until then, and `input_usage` what the provider had said of the input.

    Args:
        shape: Whose wire shape it is, if the events' keys should not be asked.

    Raises:
        InvalidArgumentError: There is no such shape, or none of it is streamed.
    """

    def __init__(self, shape: Shape | str | None = None) -> None:
        shapes = tuple(STREAMS) if shape is None else (shape_named(shape),)
        if not set(shapes) <= set(STREAMS):
            msg = f"answers of shape {shape} are not streamed: read them with read_usage"
            raise InvalidArgumentError(msg)
        self._readers = tuple(STREAMS[one]() for one in shapes)
        self._events = EventLines()
        self._text: list[str] = []
        self.size = 0
        """How many bytes of text there are so far, in UTF-8: more than it has tokens."""
        self._sound = 0
        self._tier: str | None = None

    def feed(self, chunk: object) -> None:
        """
        Take the next piece: an SDK object, a dictionary, JSON, or text or bytes off the wire.

        The wire may be cut anywhere: into lines, with or without their ends, or in the middle of one.
        """
        for event in self._events.feed(chunk):
            inner = _unwrapped(event)
            self._tier = told_tier(inner) or self._tier
            self._sound += sound_in(inner)
            for text in filter(None, [reader.feed(inner) for reader in self._readers]):
                self._text.append(text)
                self.size += len(text.encode(errors="replace"))

    def reading(self) -> Reading:
        """
        Return the usage of the call: the last complete one, wherever in the stream it came.

        Raises:
            UsageMissingError: None came, or only the beginning of one.
            UsageInconsistentError: The counts do not add up, or text came and no output was counted.
        """
        found = self._found()
        if found is None:
            msg = "the stream ended without its usage: count what arrived, or settle by hand"
            raise UsageMissingError(msg)
        if self._text and not found.usage.output_total:
            problem = "text was generated and 0 output tokens were counted"
            raise UsageInconsistentError(problem, found.raw)
        return found

    @property
    def usage_seen(self) -> bool:
        """Whether the provider has sent the usage of the whole call, consistent or not."""
        try:
            return self._found() is not None
        except UsageInconsistentError:
            return True

    @property
    def text(self) -> str:
        """All that was generated so far: answers, tool inputs, reasoning, in the order they came."""
        return "".join(self._text)

    @property
    def sound(self) -> int:
        """How many tokens of sound there are so far, of which `text` has the transcript; by how long it lasts."""
        return -(-self._sound // BYTES_PER_TOKEN)

    @property
    def service_tier(self) -> str | None:
        """The service tier that the provider has told so far, for a stream that ends without its usage."""
        return self._tier

    @property
    def input_usage(self) -> Usage | None:
        """
        The input by class, once the provider has said it, with no output.

        Anthropic and Gemini say it with their first event, OpenAI with the last. Add the output counted
        here, as ``stream.input_usage + Usage(output_text=n, requests=0)``.

        Raises:
            UsageInconsistentError: The counts do not add up.
        """
        return next(filter(None, (reader.input_usage() for reader in self._readers)), None)

    @property
    def input_tokens(self) -> int | None:
        """All input tokens, cached or not, once the provider has said them."""
        usage = self.input_usage
        return None if usage is None else usage.input_total

    def _found(self) -> Reading | None:
        return next(filter(None, (reader.reading() for reader in self._readers)), None)


def _unwrapped(event: Payload) -> Payload:
    """Return the event that an SDK has wrapped: OpenAI's ``stream()`` in a chunk, Mistral's in data."""
    data = object_at(event, "data")
    return object_at(event, "chunk") or (data if "choices" in data else event)


def _shape_of(body: Payload) -> Shape:
    usage = object_at(body, "usage")
    if known := BY_OBJECT.get(text_at(body, "object") or ""):
        return known
    if usage.get("type") == "duration":
        return Shape.OPENAI_RESPONSES
    if body.get("type") == "message":
        return Shape.ANTHROPIC_MESSAGES
    if object_at(object_at(body, "meta"), "billed_units"):
        return Shape.COHERE
    for keys, shape in ((body.keys(), BODY_KEYS), (usage.keys(), USAGE_KEYS)):
        if found := next((one for any_of, one in shape if any_of & keys), None):
            return found
    if usage.keys() >= {"input_tokens", "output_tokens"}:
        return Shape.ANTHROPIC_MESSAGES
    msg = (
        f"no usage was found, for the answer has the keys of no shape that is known ({', '.join(Shape)}): "
        f"name its shape, or record a Usage with the tokens you know of"
    )
    raise UsageMissingError(msg)
