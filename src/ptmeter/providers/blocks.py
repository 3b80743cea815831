"""
The typed blocks a message is made of: text, images, sound, files, tool calls and their results.

One table serves Chat Completions, the Responses API and Anthropic's Messages API, which share most
of their vocabulary. A block without a reader is counted as JSON with a note: litellm raised on
``tool_reference`` and lost the row of a call that had been paid for.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any, Final

from ..domain.pt import ceil_div
from .images import size_of
from .parts import DEEPEST, base64_in, items, label, mapping, word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .parts import Tally

_PAGE_TOKENS: Final = 3000
"""Anthropic's PDF guide: 1,500 to 3,000 tokens a page."""

_PAGE_BYTES: Final = 50_000
"""A page of a PDF whose page list is compressed."""

_SOUND_BYTES: Final = {"wav": 16_000}
"""Bytes per second of telephone quality, the least that is sent; 4,000 where it is compressed."""


def content(tally: Tally, value: object, depth: int = 0) -> None:
    """Read a text, a block, or a list of them."""
    for each in items(value):
        if isinstance(each, str):
            tally.text(each)
        else:
            block(tally, each, depth)


def block(tally: Tally, value: object, depth: int = 0) -> None:
    """Read one block."""
    fields = mapping(value)
    kind = fields.get("type") if fields else None
    if fields is None or not isinstance(kind, str):
        tally.unknown("a block without a type", value)
    elif depth > DEEPEST:
        tally.unknown("a block inside so many others", value)
    elif kind in TEXTS:
        tally.text(fields.get(TEXTS[kind]))
    elif kind in BLOCKS:
        BLOCKS[kind](tally, fields, depth)
    else:
        tally.unknown(f"the block type {label(kind)}", fields)


def image(tally: Tally, fields: Mapping[str, Any], _depth: int) -> None:
    """Count an image by its size if it is here, by the model's maximum if it is elsewhere."""
    place = fields.get("image_url") or fields.get("source") or fields
    source = mapping(place) or {"url": place}
    detail = word(source.get("detail")) or word(fields.get("detail")) or "auto"
    size = size_of(base64_in(source))
    how = "by its size" if size else "at the model's maximum, since its size cannot be read here"
    tally.add(tally.family.image.tokens(size, detail), note=f"an image is counted {how}")


def sound(tally: Tally, fields: Mapping[str, Any], _depth: int) -> None:
    """Count a recording by the longest it can be, going by the size of its file."""
    source = mapping(fields.get("input_audio")) or mapping(fields.get("source")) or fields
    size = len(base64_in(source)) * 3 // 4
    if not size:
        tally.unseen("a recording is at the provider and was not counted")
    rate = _SOUND_BYTES.get(word(source.get("format")), 4_000)
    tally.sound(ceil_div(size * tally.family.audio, rate), note="sound is counted by the size of its file")


def document(tally: Tally, fields: Mapping[str, Any], depth: int) -> None:
    """Count a document: text as the text it is, anything else by its pages."""
    source = mapping(fields.get("source")) or mapping(fields.get("file")) or fields
    encoded = base64_in(source)
    if source.get("type") == "text":
        tally.text(source.get("data"))
    elif source.get("type") == "content":
        content(tally, source.get("content"), depth + 1)
    elif not encoded:
        tally.unseen("a file is at the provider and was not counted")
    elif (plain := _plain_text(source, encoded)) is not None:
        tally.text(plain)
    else:
        pages = _PAGE_TOKENS * _pages(encoded)
        tally.add(pages, 2 * pages, note=f"a file is counted at {_PAGE_TOKENS:,} tokens a page")
    for key in ("title", "context", "filename"):
        tally.text(fields.get(key) or source.get(key))


def call(tally: Tally, fields: Mapping[str, Any], _depth: int = 0) -> None:
    """Count a tool call of an earlier turn: its name, its arguments and what is around them."""
    what = mapping(fields.get("function")) or mapping(fields.get("custom")) or fields
    overhead = tally.family.framing.call
    tally.add(overhead, 2 * overhead, note="tool calls are counted with a guessed overhead")
    tally.text(what.get("name"))
    tally.text(what.get("arguments") or what.get("input"))


def result(tally: Tally, fields: Mapping[str, Any], depth: int) -> None:
    """Read what a tool returned: text, or blocks with images among them."""
    content(tally, fields.get("content") or fields.get("output"), depth + 1)


def reasoning(tally: Tally, fields: Mapping[str, Any], depth: int) -> None:
    """Read reasoning handed back; what is encrypted of it is guessed from its length."""
    content(tally, fields.get("summary"), depth + 1)
    content(tally, fields.get("content"), depth + 1)
    secret = len(word(fields.get("encrypted_content")) or word(fields.get("data")))
    if secret:
        guess = ceil_div(secret * 3, 16)  # four bytes a token, three bytes in four of base64
        tally.add(guess, 2 * guess, note="encrypted reasoning is counted by its length")


def reference(tally: Tally, _fields: Mapping[str, Any], _depth: int) -> None:
    """Note an item that is only referred to."""
    tally.unseen("an item given by reference is at the provider and was not counted")


def _plain_text(source: Mapping[str, Any], encoded: str) -> str | None:
    """Decode a file that says it is text."""
    head = next(filter(None, (word(source.get(key)) for key in ("media_type", "file_data", "url"))), "")
    if not re.match(r"(?:data:)?(?:text/|application/json)", head):
        return None
    return _decoded(encoded).decode("utf-8", "replace")


def _pages(encoded: str) -> int:
    """Count the pages of a PDF as far as it lists them in the clear."""
    data = _decoded(encoded)
    return len(re.findall(rb"/Type\s*/Page(?![a-zA-Z])", data)) or ceil_div(len(data), _PAGE_BYTES) or 1


def _decoded(encoded: str) -> bytes:
    try:
        return binascii.a2b_base64(encoded)
    except ValueError:
        return b" " * (len(encoded) * 3 // 4)


TEXTS: Final[Mapping[str, str]] = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
    "thinking": "thinking",
}
"""Blocks that are a text, and the field that holds it."""

BLOCKS: Final[Mapping[str, Callable[[Tally, Mapping[str, Any], int], None]]] = {
    "image": image,
    "image_url": image,
    "input_image": image,
    "computer_screenshot": image,
    "audio": sound,
    "input_audio": sound,
    "document": document,
    "file": document,
    "input_file": document,
    "tool_use": call,
    "server_tool_use": call,
    "mcp_tool_use": call,
    "function": call,
    "function_call": call,
    "custom": call,
    "custom_tool_call": call,
    "tool_result": result,
    "mcp_tool_result": result,
    "function_call_output": result,
    "custom_tool_call_output": result,
    "computer_call_output": result,
    "reasoning": reasoning,
    "redacted_thinking": reasoning,
    "item_reference": reference,
}
"""The other blocks, and Responses items, by type."""
