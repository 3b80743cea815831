"""
Requests read the way providers bill them: messages with their framing, then tools and schemas.

Takes a plain text, a list of messages, or the body of a Chat Completions, Responses or Anthropic
Messages request. A parameter with no reader that could hold a prompt is counted as JSON with a note,
so an unknown dialect costs too much rather than nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .blocks import block, call, content
from .definitions import reply_format, tools
from .parts import Parts, Tally, items, label, mapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from .families import Family

Request: TypeAlias = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]
"""A text, a list of messages, or the body of a request."""


def take_apart(request: Request, family: Family) -> Parts:
    """Read *request* as it would be sent to a model of *family*."""
    tally = Tally(family)
    if isinstance(request, Mapping):
        _body(tally, request)
    else:
        _conversation(tally, request)
    return tally.parts()


def _body(tally: Tally, body: Mapping[str, Any]) -> None:
    for key, value in body.items():
        if key in BODY:
            BODY[key](tally, value)
        elif key not in PARAMETERS and value and not isinstance(value, bool | int | float):
            tally.unknown(f"the parameter {label(key)}", value)


def _conversation(tally: Tally, value: object) -> None:
    """Read messages or Responses items; a text alone is what a user said."""
    tally.add(tally.family.framing.base)
    for each in items(value):
        _message(tally, {"role": "user", "content": each} if isinstance(each, str) else each)


def _message(tally: Tally, value: object) -> None:
    """Read one message, or one item of a Responses input that is not a message."""
    tally.add(tally.family.framing.message)
    fields = mapping(value)
    if fields is None or ("role" not in fields and "type" in fields):
        block(tally, value)
        return
    for key, each in fields.items():
        if key in MESSAGE:
            MESSAGE[key](tally, each)
        elif key not in MARKS and each:
            tally.unknown(f"the message field {label(key)}", each)


def _role(tally: Tally, role: object) -> None:
    """A role is one token, and the framing has it; one we do not know is counted too."""
    if not isinstance(role, str) or role not in ROLES:
        tally.text(role)


def _name(tally: Tally, name: object) -> None:
    if name:
        tally.add(tally.family.framing.name)
        tally.text(name)


def _calls(tally: Tally, calls: object) -> None:
    for each in items(calls):
        call(tally, mapping(each) or {"name": each})


def _system(tally: Tally, prompt: object) -> None:
    """Read a system prompt given beside the messages; it is framed like one of them."""
    if prompt:
        tally.add(tally.family.framing.message)
        content(tally, prompt)


def _prompt(tally: Tally, prompt: object) -> None:
    """Read the text of a plain completion; the Responses API has stored prompts under this name."""
    if mapping(prompt) is None:
        content(tally, prompt)
    else:
        tally.unknown("the stored prompt", prompt)
        tally.unseen("the stored prompt is at the provider and was not counted")


def _elsewhere(what: str, tally: Tally, value: object) -> None:
    if value:
        tally.unseen(f"{what} at the provider and not counted")


ROLES: Final = frozenset(("system", "developer", "user", "assistant", "tool", "function", "model"))

BODY: Final[Mapping[str, Callable[[Tally, Any], None]]] = {
    "messages": _conversation,
    "input": _conversation,
    "system": _system,
    "instructions": _system,
    "prompt": _prompt,
    "tools": tools,
    "functions": tools,
    "response_format": reply_format,
    "text": reply_format,
    "output_format": reply_format,
    "output_config": reply_format,
    "previous_response_id": partial(_elsewhere, "the earlier turns are"),
    "conversation": partial(_elsewhere, "the earlier turns are"),
    "mcp_servers": partial(_elsewhere, "the tools of MCP servers are"),
}
"""The parameters that are part of the prompt."""

MESSAGE: Final[Mapping[str, Callable[[Tally, Any], None]]] = {
    "role": _role,
    "name": _name,
    "content": content,
    "refusal": content,
    "reasoning_content": content,
    "tool_calls": _calls,
    "function_call": _calls,
    "audio": partial(_elsewhere, "the recording of an earlier reply is"),
}
"""The fields of a message that are part of the prompt."""

MARKS: Final = frozenset(
    ("id", "type", "status", "phase", "tool_call_id", "cache_control", "annotations", "index")
)
"""Fields of a message that are not."""

PARAMETERS: Final = frozenset(
    (
        "api_key",
        "audio",
        "background",
        "base_url",
        "betas",
        "cache_control",
        "container",
        "context_management",
        "extra_headers",
        "extra_query",
        "frequency_penalty",
        "function_call",
        "include",
        "inference_geo",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "max_tool_calls",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "speed",
        "stop",
        "stop_sequences",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "timeout",
        "tool_choice",
        "top_k",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
        "verbosity",
    )
)
"""Parameters that are not part of the prompt."""
