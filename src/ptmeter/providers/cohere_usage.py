"""
Cohere's usage: what is billed, beside what went through the model.

``billed_units`` are the bill, and all that is read. ``tokens`` also count what Cohere puts around a
prompt and does not charge for, and ``cached_tokens`` are of those: a hit in the cache lowers no bill.
There is no total to compare with; each class is one of the units.
The API calls its counts numbers and the SDK makes floats of them; a whole one is a count here too.
Rerank and classify are billed by the search and the text, which count as calls of a tool.

Sources: docs.cohere.com/v2/reference/chat (Usage), "How does Cohere's pricing work", "Streaming".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .payloads import object_at, text_at
from .readings import Counts, Reading

if TYPE_CHECKING:
    from .payloads import Payload

PROVIDER: Final = "cohere"

PIECES: Final = {"search_units": "search_unit", "classifications": "classification", "images": "image"}
"""What is billed by the piece, and our names for one of each."""


def read_billed(body: Payload) -> Reading:
    """
    Read an answer of chat, rerank, embed or classify, of either version of the API.

    Raises:
        UsageMissingError: It says nothing of what is billed.
        UsageInconsistentError: A count is not a whole number, or one of a chat is missing.
    """
    raw = object_at(body, "usage") or object_at(body, "meta")
    if not object_at(raw, "billed_units"):
        msg = "the answer carries no usage: billed_units are missing"
        raise UsageMissingError(msg)
    units = Counts(_whole(object_at(raw, "billed_units")), raw, "billed_units.")
    pieces = {tool: count for name, tool in PIECES.items() if (count := units.count(name))}
    if image := units.count("image_tokens"):
        pieces.pop("image", None)  # billed by their tokens
    chat = "message" in body or "text" in body  # where both counts have to be there
    token_count = units.need if chat else units.count
    usage = Usage(
        input_uncached=token_count("input_tokens"),
        input_image=image,
        output_text=token_count("output_tokens"),
        tool_calls=pieces,
    )
    return Reading(usage, text_at(body, "model"), PROVIDER, None, raw)


@dataclass(slots=True)
class BilledStream:
    """Gathers the usage of a streamed chat: it comes with ``message-end``, or ``stream-end`` in version 1."""

    body: Payload = field(default_factory=dict[str, Any])

    def feed(self, event: Payload) -> str:
        """Take an event and return the text generated in it."""
        match event.get("type") or event.get("event_type"):
            case "message-end":
                self.body = object_at(event, "delta")
            case "stream-end":
                self.body = object_at(event, "response")
            case "text-generation":
                return text_at(event, "text") or ""
            case "content-delta" | "tool-plan-delta" | "tool-call-start" | "tool-call-delta":
                return _text(object_at(object_at(event, "delta"), "message"))
            case _:
                pass
        return ""

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` if it has not ended or ended without one."""
        raw = object_at(self.body, "usage") or object_at(self.body, "meta")
        return read_billed(self.body) if object_at(raw, "billed_units") else None

    def input_usage(self) -> Usage | None:
        """Return ``None``: nothing is said of the input before the end."""
        return None


def _text(message: Payload) -> str:
    content, call = object_at(message, "content"), object_at(message, "tool_calls")
    pieces = (
        text_at(content, "text"),
        text_at(content, "thinking"),
        text_at(message, "tool_plan"),
        text_at(object_at(call, "function"), "arguments"),
    )
    return "".join(filter(None, pieces))


def _whole(units: Payload) -> Payload:
    """Return the units with whole numbers for whole floats; others stay, to be refused."""
    return {
        name: int(value) if type(value) is float and value.is_integer() else value
        for name, value in units.items()
    }
