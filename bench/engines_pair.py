"""
What other engines take to count the same texts; run by bench_tokens.py in an interpreter of its own.

    python -m venv engines && engines/bin/pip install litellm tiktoken gigatoken fastokens rs-bpe
    PTMETER_ENGINES_PYTHON=engines/bin/python make bench ARGS="bench/bench_tokens.py"

None of them is needed to count: `Tokenizers(counters=...)` takes any. Each gets the ranks that ship with
ptmeter, and texts that it has not seen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


def gigatoken(ranks: str) -> Callable[[str], int]:
    """The fastest of those measured; its counts of words it has seen before are remembered."""
    from gigatoken import Tokenizer  # pyright: ignore[reportMissingImports]

    tokenizer = Tokenizer.from_tiktoken(ranks, pretokenizer="o200k")
    return lambda text: len(tokenizer.encode(text))


def rs_bpe(_ranks: str) -> Callable[[str], int]:
    """GitHub's algorithm, with a count that builds no tokens."""
    from rs_bpe.bpe import openai  # pyright: ignore[reportMissingImports]

    return openai.o200k_base().count


def litellm(_ranks: str) -> Callable[[str], int]:
    """A text alone: its messages are in bench_estimate.py."""
    from litellm import token_counter  # pyright: ignore[reportMissingImports]

    return lambda text: token_counter(model="gpt-4o", text=text)


def measure(counter: Callable[[str], int], texts: list[str]) -> dict[str, Any]:
    """How long each text took, and what came out."""
    seconds: list[float] = []
    tokens: list[int] = []
    for text in texts:
        start = time.perf_counter()
        tokens.append(counter(text))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "tokens": tokens}


def main() -> None:
    """Read texts as JSON, and write what the engine named made of them, or why it could not."""
    name, ranks = sys.argv[1:3]
    texts = json.load(sys.stdin)
    make = {"gigatoken": gigatoken, "rs_bpe": rs_bpe, "litellm": litellm}[name]
    try:
        counter = make(ranks)
    except ImportError as missing:
        print(json.dumps({"missing": str(missing)}))
        return
    counter(texts[0][:20])
    print(json.dumps({"version": version(name), **measure(counter, texts[1:])}))


main()
