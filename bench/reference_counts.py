"""
Texts, and how many tokens other tokenizers make of them; run by accuracy.py in its own interpreter.

    python -m venv tokenizers && tokenizers/bin/pip install anthropic==0.38.0 tokenizers mistral-common django==5.2.*

Claude's tokenizer up to 2 was public, and 1.1 times what it counts is within 2 % of what Claude 3 to 4.5 reported
(ai-tokenizer 1.0.6); Mistral's tekken is public. The texts are Django's: code, docstrings, and what its
translators wrote, as text and as JSON. Calls are drawn from the first half of each kind to learn from, and
from the second to be tried on.
"""

from __future__ import annotations

import ast
import gettext
import importlib.resources
import json
import random
import sys
from pathlib import Path

import anthropic  # pyright: ignore[reportMissingImports] - in an interpreter of its own
import django  # pyright: ignore[reportMissingImports]
from mistral_common.tokens.tokenizers.tekken import Tekkenizer  # pyright: ignore[reportMissingImports]
from tokenizers import Tokenizer  # pyright: ignore[reportMissingImports]

LANGUAGES = ("de", "fr", "es", "pt_BR", "pl", "ru", "el", "ar", "hi", "ja", "ko", "vi")
PLACE = Path(str(importlib.resources.files(django)))


def kinds() -> dict[str, str]:
    """All the text there is of each kind."""
    sources = sorted(each.read_text(encoding="utf-8") for each in PLACE.glob("db/**/*.py"))
    chance = random.Random(1)
    chance.shuffle(sources)
    made = {"code": "\n".join(sources), "prose": "\n\n".join(filter(None, map(docstrings, sources)))}
    for language in LANGUAGES:
        written = "\n".join(translated(language).values())
        made[language] = written
    catalogues = {language: translated(language) for language in ("de", "fr", "ja")}
    made["json"] = "\n".join(json.dumps(each, ensure_ascii=False) for each in catalogues.values())
    return made


def docstrings(source: str) -> str:
    """Every docstring of a module."""
    nodes = (
        n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
    )
    return "\n".join(filter(None, map(ast.get_docstring, nodes)))


def translated(language: str) -> dict[str, str]:
    """What Django's translators wrote, by what it translates."""
    found: dict[str, str] = {}
    for path in sorted(PLACE.glob(f"**/locale/{language}/LC_MESSAGES/django.mo")):
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        found |= {str(key): value for key, value in catalogue.items() if key and value}
    return found


def cut(text: str, chance: random.Random) -> str:
    """A piece of a text: half of them have more than 1,500 characters, few more than 12,000."""
    length = min(max(int(chance.lognormvariate(7.3, 0.9)), 100), len(text))
    begin = chance.randrange(len(text) - length + 1)
    return text[begin : begin + length]


def main() -> None:
    """Write a line of JSON for each call: its half, kind and text, and how many tokens it has in truth."""
    each_half = [int(number) for number in sys.argv[1:3]]
    claude = Tokenizer.from_str(
        (importlib.resources.files(anthropic) / "tokenizer.json").read_text(encoding="utf-8")
    )
    folder = importlib.resources.files("mistral_common") / "data"
    tekken = Tekkenizer.from_file(str(folder / "tekken_240911.json"))
    everything = kinds()
    chance = random.Random(2)
    for half, calls in enumerate(each_half):
        for _ in range(calls):
            kind = chance.choice(sorted(everything))
            whole = everything[kind]
            middle = len(whole) // 2
            text = cut(whole[middle:] if half else whole[:middle], chance)
            counts = {
                "claude-sonnet-4-5": -(-len(claude.encode(text, add_special_tokens=False).ids) * 11 // 10),
                "mistral-large-latest": len(tekken.encode(text, bos=False, eos=False)),
            }
            print(json.dumps({"half": half, "kind": kind, "text": text, "tokens": counts}))


main()
