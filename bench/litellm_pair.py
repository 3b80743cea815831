"""
What litellm takes to count a request's tokens and price them; run by bench_estimate.py in its own interpreter.

litellm pins an openai that ptmeter's other tools cannot live with, so it stays in a virtual environment of
its own: ``PTMETER_LITELLM_PYTHON=/path/to/python make bench ARGS="-k estimate"``.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # pyright: ignore[reportMissingImports] - in an interpreter of its own

text, model, rounds = sys.stdin.read(), sys.argv[1], int(sys.argv[2])
messages = [{"role": "user", "content": text}]


def pair() -> None:
    """Count and price, as one does before a call."""
    tokens = litellm.token_counter(model=model, messages=messages)
    litellm.cost_per_token(model=model, prompt_tokens=tokens, completion_tokens=400)


for _ in range(5):
    pair()
times = []
for _ in range(rounds):
    start = time.perf_counter()
    pair()
    times.append(time.perf_counter() - start)
print(json.dumps({"version": getattr(litellm, "__version__", "?"), "seconds": times}))
