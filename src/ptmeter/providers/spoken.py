"""
How long an answer is that is spoken, while it is streamed: its sound comes encoded, beside its transcript.

Sources: the guide "Managing costs" of OpenAI's Realtime API ("audio tokens in assistant messages are 1 token per 50ms
of audio"); openai-python #2507, where a streamed chat completion has its sound. It comes as PCM of 16 bits, 24,000
times a second, which is all that Chat Completions stream and what a Realtime session has unless it asks for another
format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .payloads import object_at, objects_at, text_at

if TYPE_CHECKING:
    from .payloads import Payload

BYTES_PER_TOKEN: Final = 24_000 * 2 // 20
"""Of 50 ms."""

REALTIME: Final = frozenset({"response.audio.delta", "response.output_audio.delta"})
"""Events that carry encoded sound; the first is what they were called at first."""


def sound_in(event: Payload) -> int:
    """How many bytes of sound an event of a stream carries."""
    if text_at(event, "type") in REALTIME:
        return _decoded(text_at(event, "delta"))
    deltas = (object_at(choice, "delta") for choice in objects_at(event, "choices"))
    return sum(_decoded(text_at(object_at(delta, "audio"), "data")) for delta in deltas)


def _decoded(data: str | None) -> int:
    """How many bytes a text in Base64 stands for."""
    return len(data.rstrip("=")) * 3 // 4 if data else 0
