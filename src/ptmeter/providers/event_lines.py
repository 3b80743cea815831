"""
Server-sent events off the wire, put together again wherever the connection has cut them.

An HTTP client hands a stream on as lines, or as bytes that end anywhere: in the middle of a line, of a
number, of a character. Both are fed in the same way here. A line that has not ended is taken as soon as
it holds a whole event, for a client that yields lines yields them without their ends; until then it is
kept. What a broken connection leaves of its last line was never sent, and no usage is made of it.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .payloads import DONE, mapping, object_in, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .payloads import Payload

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
"""The line ends of the event-stream format; a JSON string may hold the others Unicode knows."""

_FIELD: Final = "data:"


@dataclass(slots=True)
class EventLines:
    """The events of one stream, from SDK objects, dictionaries, JSON, or pieces of the wire."""

    begun: str = ""
    """The last line so far, while it holds no whole event."""
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def feed(self, chunk: object) -> Iterator[Payload]:
        """Return the events that are whole with this piece of the stream."""
        if isinstance(chunk, bytes | bytearray):
            yield from self._events(self.decoder.decode(bytes(chunk)))
        elif isinstance(chunk, str):
            yield from self._events(chunk)
        elif (event := mapping(plain(chunk))) is not None:
            yield event

    def _events(self, text: str) -> Iterator[Payload]:
        if not self.begun and (whole := object_in(text)) is not None:  # JSON alone, on however many lines
            yield whole
            return
        *ended, last = _LINE_END.split(self._joined(text))
        for line in ended:
            if (event := _event(line)) is not None:
                yield event
        event = _event(last)
        self.begun = last if event is None and _may_grow(last) else ""
        if event is not None:
            yield event

    def _joined(self, text: str) -> str:
        """
        Return what was begun with *text* after it, or *text* alone if the line before was broken off.

        That is so if *text* begins with a whole event. No piece of a longer line can look like one: within
        a JSON string its quotes would be escaped, and outside of strings there is no ``data:``.
        """
        first = _LINE_END.split(text, maxsplit=1)[0]
        restarted = self.begun and first.startswith(_FIELD) and _event(self.begun + first) is None
        return text if restarted and _event(first) else self.begun + text


def _event(line: str) -> Payload | None:
    data = line.lstrip("\ufeff").removeprefix(_FIELD).strip()
    if data == "[DONE]":
        return DONE
    return object_in(data) if data.endswith("}") else None


def _may_grow(line: str) -> bool:
    """Whether more of *line* could make an event of it: it is the beginning of ``data: …`` or of JSON."""
    start = line.lstrip("\ufeff \t")
    return bool(start) and (start.startswith(("{", _FIELD)) or _FIELD.startswith(start))
