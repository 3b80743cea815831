"""The OpenAI and Anthropic SDKs as far as the pages use them: they answer, in the providers' shapes."""

from __future__ import annotations

import asyncio
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ANSWER: Final = "Because air scatters blue light more than red light."
WORDS: Final = tuple(f"{word} " for word in ANSWER.split())

CHAT: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 13, "completion_tokens": 11, "total_tokens": 24},
}
MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": ANSWER}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 13, "output_tokens": 14},
}


class Object(SimpleNamespace):
    """An SDK's object: attributes, and the dictionary it came from."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(**{name: _object(value) for name, value in body.items()})
        self._body = body

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return self._body


def _object(value: Any) -> Any:
    if isinstance(value, dict):
        return Object(value)
    return [_object(item) for item in value] if isinstance(value, list) else value


class _Chat:
    def create(self, *, stream: bool = False, **_: Any) -> Any:
        return chunks() if stream else Object(CHAT)


class _AsyncChat:
    async def create(self, *, stream: bool = False, **_: Any) -> Any:
        return _slowly() if stream else Object(CHAT)


class _Messages:
    def create(self, **_: Any) -> Any:
        return Object(MESSAGE)


def chunks() -> Iterator[Object]:
    """A streamed answer, with the usage in the last chunk."""
    for word in WORDS:
        delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        yield Object({**CHAT, "object": "chat.completion.chunk", "choices": [delta], "usage": None})
    yield Object({**CHAT, "object": "chat.completion.chunk", "choices": []})


async def _slowly() -> AsyncIterator[Object]:
    for chunk in chunks():
        await asyncio.sleep(0.01)
        yield chunk


def openai_module() -> Any:
    """The module ``openai``."""
    module: Any = ModuleType("openai")
    module.OpenAI = lambda **_: SimpleNamespace(chat=SimpleNamespace(completions=_Chat()))
    module.AsyncOpenAI = lambda **_: SimpleNamespace(chat=SimpleNamespace(completions=_AsyncChat()))
    return module


def anthropic_module() -> Any:
    """The module ``anthropic``."""
    module: Any = ModuleType("anthropic")
    module.Anthropic = lambda **_: SimpleNamespace(messages=_Messages())
    return module
