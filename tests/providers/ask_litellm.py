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
}
"""What the answer does not name."""

NOT_ASKED = {
    "cohere-chat-v1",
    "gemini-interaction",
    "gemini-openai-endpoint",
    "gemini-sdk-tools",
    "mistral-ocr",
    "mistral-ocr-annotated",
    "openai-responses-realtime",
    "openai-responses-transcription",
    "openai-responses-transcription-seconds",
}
"""Answers of APIs that its chat client does not speak, and one in an SDK's names."""


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
    provider.body = json.dumps(payload["response"]).encode()
    model = ROUTES[name.partition("-")[0]] + (MODELS.get(name) or payload["model"])
    where: dict[str, Any] = {"api_base": f"http://127.0.0.1:{provider.server_port}", "api_key": "none"}
    try:
        if payload["response"].get("object") == "response":
            answer = litellm.responses(model=model, input="hello", **where)
            into, out = answer.usage.input_tokens, answer.usage.output_tokens
        else:
            answer = litellm.completion(
                model=model, messages=[{"role": "user", "content": "hello"}], **where
            )
            into, out = answer.usage.prompt_tokens, answer.usage.completion_tokens
    except litellm.APIConnectionError as failure:
        return {"failed": str(failure).splitlines()[0].partition("Exception - ")[2]}
    return {"input": into, "output": out, "nano_dollars": cost(answer, model)}


def cost(answer: Any, model: str) -> int | None:
    """In nano-dollars, or ``None`` if litellm lists no price."""
    try:
        dollars = Decimal(repr(litellm.completion_cost(answer, model=model)))
    except litellm.exceptions.NotFoundError:
        return None
    except Exception as failure:
        if type(failure).__name__ == "ModelNotMappedError":
            return None
        raise
    return int((dollars * 10**9).to_integral_value(ROUND_HALF_UP))


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
