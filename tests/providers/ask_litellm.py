"""
What litellm makes of the corpus: its own client, asked for each answer, over a server on this machine.

litellm pins an openai that ptmeter's other tools cannot live with, so it stays in a virtual environment of
its own. Its answers are kept in tests/corpus/answers/litellm.json; to ask again, after a change of the
corpus or for another version:

    /path/to/python tests/providers/ask_litellm.py > tests/corpus/answers/litellm.json
"""

from __future__ import annotations

import json
import os
import sys
import threading
from decimal import ROUND_HALF_UP, Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION_NAME": "us-east-1",
}

import litellm  # pyright: ignore[reportMissingImports] - in an interpreter of its own

CORPUS = Path(__file__).parent.parent / "corpus"

ROUTES = {
    "anthropic": "anthropic/",
    "bedrock": "bedrock/converse/",
    "cohere": "cohere_chat/",
    "deepseek": "deepseek/",
    "gemini": "gemini/",
    "groq": "groq/",
    "mistral": "mistral/",
    "moonshot": "moonshot/",
    "openai": "openai/",
    "openrouter": "openrouter/",
    "xai": "xai/",
}

MODELS = {
    "bedrock-cache": "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock-converse": "amazon.nova-pro-v1:0",
    "cohere-chat": "command-a-03-2025",
    "cohere-tools": "command-a-03-2025",
    "cohere-chat-v1": "v1/command-a-03-2025",
    "openai-responses-realtime": "gpt-realtime",
    "openai-responses-transcription": "gpt-4o-transcribe",
    "openai-responses-transcription-seconds": "whisper-1",
}
"""What the answer does not name, and the version of an API."""

ENDPOINTS = {"gemini-openai-endpoint": "openai/"}
"""Where it is asked in another provider's format than that of whoever charges for it."""

PATHS = {"cohere-chat-v1": "/v1/chat"}
"""Where its client does not add the path itself."""

NOT_ASKED = {"gemini-sdk-tools"}
"""An answer in the names of an SDK, which are not on the wire."""


class Provider(ThreadingHTTPServer):
    """Answers whatever it is asked with the body at hand."""

    body = b""


class Answer(BaseHTTPRequestHandler):
    """One answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = self.server.body  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the output is the answers."""


def ask(name: str, payload: dict[str, Any], provider: Provider) -> dict[str, Any]:
    """Tokens in and out and the cost in nano-dollars, or why there is none."""
    body = payload["response"]
    provider.body = json.dumps(body).encode()
    model = ROUTES[name.partition("-")[0]] + (MODELS.get(name) or payload["model"])
    where: dict[str, Any] = {
        "model": ENDPOINTS[name] + payload["model"] if name in ENDPOINTS else model,
        "api_base": f"http://127.0.0.1:{provider.server_port}{PATHS.get(name, '')}",
        "api_key": "none",
    }
    try:
        if "usage_info" in body:
            answer = litellm.ocr(
                document={"type": "document_url", "document_url": "https://example.org/a.pdf"}, **where
            )
            return {"input": 0, "output": 0, "nano_dollars": cost(answer, model, call_type="ocr")}
        if body.get("type") == "response.done":
            return in_a_session(body, model)
        if body.get("object") == "interaction":
            answer = litellm.interactions.create(input="hello", **where)
            used = answer.usage
            into = used["total_input_tokens"] + used["total_tool_use_tokens"]
            return {
                "input": into,
                "output": used["total_tokens"] - into,
                "nano_dollars": cost(answer, model),
            }
        if body.get("object") == "response":
            answer = litellm.responses(input="hello", **where)
        elif "finish_reason" not in body and isinstance(body.get("text"), str):
            answer = litellm.transcription(file=("a.wav", b"RIFF"), **where)
        else:
            answer = litellm.completion(messages=[{"role": "user", "content": "hello"}], **where)
    except litellm.APIConnectionError as failure:
        return {"failed": str(failure).splitlines()[0].partition("Exception - ")[2]}
    into, out = (tokens(answer.usage, *names) for names in (INTO, OUT))
    return {"input": into, "output": out, "nano_dollars": cost(answer, model)}


INTO, OUT = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")


def tokens(usage: Any, *names: str) -> int:
    """The count under the one of these names that it has; a duration has none."""
    return next((getattr(usage, name) for name in names if hasattr(usage, name)), 0)


def in_a_session(event: dict[str, Any], model: str) -> dict[str, Any]:
    """The one event of a session of the Realtime API, which its proxy adds up."""
    from litellm.cost_calculator import (  # pyright: ignore[reportMissingImports]
        RealtimeAPITokenUsageProcessor,
        handle_realtime_stream_cost_calculation,
    )

    used = RealtimeAPITokenUsageProcessor.collect_and_combine_usage_from_realtime_stream_results([event])
    provider, _, name = model.partition("/")
    dollars = handle_realtime_stream_cost_calculation([event], used, provider, name)
    return {"input": used.prompt_tokens, "output": used.completion_tokens, "nano_dollars": nano(dollars)}


def cost(answer: Any, model: str, **how: str) -> int | None:
    """In nano-dollars, or ``None`` if litellm lists no price."""
    try:
        return nano(
            litellm.completion_cost(answer, model=model, custom_llm_provider=model.partition("/")[0], **how)
        )
    except litellm.exceptions.NotFoundError:
        return None
    except Exception as failure:
        if type(failure).__name__ == "ModelNotMappedError":
            return None
        raise


def nano(dollars: float) -> int:
    """Dollars in nano-dollars, rounded half up."""
    return int((Decimal(repr(dollars)) * 10**9).to_integral_value(ROUND_HALF_UP))


def main() -> None:
    """Ask for every answer and print what came back."""
    litellm.suppress_debug_info = True
    provider = Provider(("127.0.0.1", 0), Answer)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    answers = {
        path.stem: ask(path.stem, json.loads(path.read_text(encoding="utf-8")), provider)
        for path in sorted(CORPUS.glob("*.json"))
        if path.stem not in NOT_ASKED
    }
    provider.shutdown()
    json.dump({"version": version("litellm"), "answers": answers}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
