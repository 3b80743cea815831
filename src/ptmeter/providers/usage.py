"""
Read what a call used from the provider's answer: whole or streamed, SDK object, dictionary or JSON.

The shape is recognised by its keys. OpenAI's totals include cached tokens and Anthropic's leave them
out; what comes from here is one vocabulary of disjoint classes whose sum is the provider's total, or
an error that says why not. There is no third way out: an answer without usage is not an answer that
used nothing (LiteLLM #37923 took one for the other on 1,012 of 1,283 streams).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..errors import UsageInconsistentError, UsageMissingError
from .anthropic_usage import MessageStream, read_message
from .openai_usage import ChatStream, ResponsesStream, read_chat, read_response
from .payloads import body_of, events_of, object_at, text_at
from .readings import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..domain.usage import Usage
    from .payloads import Payload
    from .readings import StreamReader

__all__ = ["Reading", "UsageStream", "read_usage"]

BY_OBJECT: Final[Mapping[str, Callable[[Payload], Reading]]] = {
    "chat.completion": read_chat,
    "chat.completion.chunk": read_chat,
    "text_completion": read_chat,
    "response": read_response,
}


def read_usage(response: object) -> Reading:
    """
    Read the usage of a call from the provider's whole answer.

    Args:
        response: An OpenAI chat completion or response or an Anthropic message: the SDK's object,
            the dictionary, or its JSON.

    Raises:
        UsageMissingError: There is no usage in it, or it is no answer of a kind we know.
        UsageInconsistentError: The counts do not add up to the provider's total.
    """
    body = body_of(response)
    if body is None:
        msg = f"a {type(response).__name__} that is no JSON object carries no usage"
        raise UsageMissingError(msg)
    if (text_at(body, "type") or "").startswith("response."):
        body = object_at(body, "response")
    return _reader_of(body)(body)


class UsageStream:
    """
    Gathers the usage of one streamed call, event by event, and the text in case none arrives.

    Feed it every event, as the SDK yields it or line by line off the wire; then ask for the `reading`.
    If that raises `UsageMissingError` the stream broke off, or was never asked for its usage: `text`
    is what was generated until then, and `input_usage` what the provider had said of the input.
    """

    def __init__(self) -> None:
        self._message = MessageStream()
        self._readers: tuple[StreamReader, ...] = (ChatStream(), ResponsesStream(), self._message)
        self._text: list[str] = []

    def feed(self, chunk: object) -> None:
        """
        Take the next piece: an SDK object, a dictionary, JSON, or server-sent-event lines.

        Lines may be ``data: {...}``, ``data: [DONE]``, ``event: ...`` or blank, one or several at a
        time, but each of them whole.
        """
        for event in events_of(chunk):
            inner = object_at(event, "chunk") or event  # openai's stream() helper wraps each chunk
            self._text.extend(filter(None, [reader.feed(inner) for reader in self._readers]))

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
    def input_usage(self) -> Usage | None:
        """
        The input by class, once the provider has said it, with no output: Anthropic does so at once.

        Add the output counted here, as ``stream.input_usage + Usage(output_text=n, requests=0)``.

        Raises:
            UsageInconsistentError: The counts do not add up.
        """
        return self._message.input_usage()

    @property
    def input_tokens(self) -> int | None:
        """All input tokens, cached or not, once the provider has said them: Anthropic does so at once."""
        usage = self.input_usage
        return None if usage is None else usage.input_total

    def _found(self) -> Reading | None:
        return next(filter(None, (reader.reading() for reader in self._readers)), None)


def _reader_of(body: Payload) -> Callable[[Payload], Reading]:
    names = object_at(body, "usage").keys()
    if known := BY_OBJECT.get(text_at(body, "object") or ""):
        return known
    if body.get("type") == "message":
        return read_message
    if "choices" in body or "prompt_tokens" in names:
        return read_chat
    if names & {"total_tokens", "input_tokens_details"}:
        return read_response
    if names >= {"input_tokens", "output_tokens"}:
        return read_message
    msg = "no usage was found: expected an OpenAI completion or response, or an Anthropic message"
    raise UsageMissingError(msg)
