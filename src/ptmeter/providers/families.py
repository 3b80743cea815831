"""
Which tokenizer, framing, tool and image rules apply to a model: a table, not code.

Only OpenAI publishes its tokenizers. For the rest a public base encoding is multiplied by a measured
factor, and a second, larger one bounds the count for 99 texts of 100. tiktoken's own
``encoding_name_for_model`` raises KeyError for half of today's names; here every name finds a row,
at worst the last, which says that it is a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from .images import Crops, Flat, ImageRule, Patches, Tiles

SCALE: Final = 1000
"""Multipliers are in thousandths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """Tokens a conversation takes beyond its words."""

    base: int
    """Once per request; at OpenAI the start of the reply."""
    message: int
    """Per message, the role's own token included."""
    name: int = 0
    """Per message that carries a name, besides the name itself."""
    call: int = 8
    """Per tool call in the history, besides its name and arguments; a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFraming:
    """Tokens tool definitions take beyond their words (fitted per model by ai-tokenizer 1.0.6, MIT)."""

    first: int
    more: int
    description: int
    first_property: int
    property: int
    property_description: int
    enum: int
    nested: int
    array: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that are counted alike."""

    name: str
    pattern: str
    """A regular expression, found at the start of the model's name or after one of ``/ . : @ _ -``."""
    encoding: str
    framing: Framing
    image: ImageRule
    expected: int = SCALE
    """Tokens per thousand of the base encoding, on average."""
    high: int = SCALE
    """What 99 texts of 100 stay under."""
    exact: bool = False
    """Whether the base encoding is the family's own."""
    tools: ToolFraming | None = None
    """None: tool definitions are counted as the JSON they are, and `tools_once` for what explains them."""
    tools_once: int = 150
    """ai-tokenizer's fits of such families run from 48 (Kimi) to 262 (Grok)."""
    audio: int = 32
    """Tokens per second of sound: Gemini's rate, which is also the highest."""
    note: str = ""

    @property
    def basis(self) -> str:
        """How a count of this family came about, in a sentence; empty if there is nothing to say."""
        if self.exact:
            return ""
        factor = f"{self.encoding} x {self.expected / SCALE:g}"
        return self.note or f"no public tokenizer for {self.name}: counted as {factor}"


def family_of(model: str) -> Family:
    """Return the family of *model*, however a gateway spells it (``us.anthropic.claude-...``)."""
    name = model.lower()
    return next(family for family in FAMILIES if re.search(rf"(?:^|[/.:@_-])(?:{family.pattern})", name))


# --- framing: 3 a message and 3 for the reply since gpt-3.5-turbo-0613 (OpenAI cookbook, "How to
# count tokens with tiktoken"); the other figures are ai-tokenizer's fits, plus one for the role -----

_CHAT: Final = Framing(base=3, message=4, name=1)
_GPT_5_CHAT: Final = Framing(base=5, message=5, name=1)
_GPT_OSS_CHAT: Final = Framing(base=70, message=5, name=1)
# Tool calls to Claude took 2.1 to 2.9 times their cl100k tokens (strands-agents/harness-sdk#2031).
_CLAUDE_CHAT: Final = Framing(base=6, message=3, call=40)
_BARE_CHAT: Final = Framing(base=0, message=0)
_OTHER_CHAT: Final = Framing(base=7, message=5, name=1)

# 13 and not the fitted 16: it gives the 101 and 105 tokens the API reported for the cookbook's tool.
_GPT_4O_TOOLS: Final = ToolFraming(
    first=13,
    more=6,
    description=1,
    first_property=5,
    property=3,
    property_description=2,
    enum=7,
    nested=-3,
    array=1,
)
_GPT_4_TOOLS: Final = replace(_GPT_4O_TOOLS, description=2, property_description=3)
_GPT_5_TOOLS: Final = replace(_GPT_4O_TOOLS, first=24, description=2)
_GPT_5_1_TOOLS: Final = replace(_GPT_5_TOOLS, first=103)
_O_TOOLS: Final = replace(_GPT_4O_TOOLS, first=19)
_CLAUDE_4_TOOLS: Final = ToolFraming(
    first=366,
    more=53,
    description=5,
    first_property=13,
    property=12,
    property_description=5,
    enum=9,
    nested=12,
    array=13,
)
_CLAUDE_4_5_TOOLS: Final = replace(_CLAUDE_4_TOOLS, first=549)
# Claude 4.5's, times the 1.35 that 4.7 takes for the same text; nobody has published a fit.
_CLAUDE_4_7_TOOLS: Final = ToolFraming(
    first=742,
    more=72,
    description=7,
    first_property=18,
    property=17,
    property_description=7,
    enum=13,
    nested=17,
    array=18,
)
_GEMINI_TOOLS: Final = ToolFraming(
    first=18,
    more=18,
    description=0,
    first_property=10,
    property=10,
    property_description=0,
    enum=5,
    nested=29,
    array=29,
)

# --- images; the OpenAI figures are from its vision guide, whose ambiguity is openai/openai-python#2851 -

_MINI: Final = Patches(side=32, limit=1536, thousandths=1620)
_NANO: Final = Patches(side=32, limit=1536, thousandths=2460)
_O4_MINI: Final = Patches(side=32, limit=1536, thousandths=1720)
_GPT_4O_IMAGE: Final = Tiles(base=85, tile=170)
# 2,833 and 5,667: billed in OpenAI forum topic 1262691, epam/ai-dial-adapter-openai#165.
_GPT_4O_MINI_IMAGE: Final = Tiles(base=2833, tile=5667)
_GPT_5_IMAGE: Final = Tiles(base=70, tile=140)
_O_IMAGE: Final = Tiles(base=75, tile=150)
# vybestack/llxprt-code#3477
_GPT_5_2_IMAGE: Final = Patches(side=32, limit=1536, thousandths=1200, limits={"original": 10_000})
# ceil(1.2 x patches) fits all nine sizes of the public table JOHNISKING/image-token-cost.
_GPT_5_5_IMAGE: Final = Patches(side=32, limit=10_000, thousandths=1200, limits={"high": 2500, "low": 2500})
_GPT_6_IMAGE: Final = replace(_GPT_5_5_IMAGE, limit=11_970, limited=False)
# Anthropic vision guide; the same table has seven sizes that fit the 28-pixel patch.
_CLAUDE_IMAGE: Final = Patches(side=28, limit=1568, longest=1568)
_CLAUDE_4_7_IMAGE: Final = Patches(side=28, limit=4784, longest=2576)
# Llama's 2 x 2 tiles of 1,601 are the most any of the others is documented to charge.
_OTHER_IMAGE: Final = Patches(side=28, limit=6404)

# --- the table: the first row that matches wins -----------------------------------------------------

_OPENAI: Final = Family(
    name="GPT-4o",
    pattern=r"(?:chat)?gpt-(?:4o|4[.-][15](?!\d)|realtime|audio|chat)|codex-mini",
    encoding="o200k_base",
    exact=True,
    framing=_CHAT,
    tools=_GPT_4O_TOOLS,
    image=_GPT_4O_IMAGE,
    audio=10,
)
_GPT_5: Final = replace(
    _OPENAI,
    name="GPT-5",
    pattern=r"gpt-5",
    framing=_GPT_5_CHAT,
    tools=_GPT_5_TOOLS,
    image=_GPT_5_IMAGE,
)
# x 1.23: median error 5.3 %, 99th percentile 23 % on 28 corpora (o200k x 1.38: 11 % and 60 %).
_CLAUDE_4: Final = Family(
    name="Claude 4.1 and older",
    pattern=r"claude-(?:instant|v?[1-3](?!\d)|(?:[a-z]+-)?4(?!\d|[.-](?:[7-9]|\d\d)(?!\d)))",
    encoding="cl100k_base",
    expected=1230,
    high=1600,
    framing=_CLAUDE_CHAT,
    tools=_CLAUDE_4_TOOLS,
    image=_CLAUDE_IMAGE,
)
_OTHER: Final = Family(
    name="unknown",
    pattern="",
    encoding="o200k_base",
    expected=1200,
    high=2400,
    framing=_OTHER_CHAT,
    image=_OTHER_IMAGE,
)

FAMILIES: Final = (
    replace(
        _OPENAI, name="gpt-oss", pattern=r"gpt-oss", framing=_GPT_OSS_CHAT, tools=None, image=_OTHER_IMAGE
    ),
    replace(_GPT_5, name="GPT-5 nano", pattern=r"gpt-5(?:[.-]\d)?-nano", image=_NANO),
    replace(_GPT_5, name="GPT-5 mini", pattern=r"gpt-5(?:[.-]\d)?-(?:codex-)?mini", image=_MINI),
    replace(_GPT_5, name="GPT-5.1", pattern=r"gpt-5[.-]1(?!\d)", tools=_GPT_5_1_TOOLS),
    replace(
        _GPT_5, name="GPT-5.2", pattern=r"gpt-5[.-][2-4](?!\d)", tools=_GPT_5_1_TOOLS, image=_GPT_5_2_IMAGE
    ),
    replace(
        _GPT_5, name="GPT-5.5", pattern=r"gpt-5[.-][5-9](?!\d)", tools=_GPT_5_1_TOOLS, image=_GPT_5_5_IMAGE
    ),
    _GPT_5,
    replace(
        _GPT_5,
        name="GPT-6",
        pattern=r"gpt-[6-9]|o[5-9](?!\d)",
        exact=False,
        high=1350,
        tools=_GPT_5_1_TOOLS,
        image=_GPT_6_IMAGE,
        note="OpenAI has not said which tokenizer GPT-6 and later use: counted as o200k_base",
    ),
    replace(_OPENAI, name="GPT-4o mini", pattern=r"gpt-4o-mini", image=_GPT_4O_MINI_IMAGE),
    replace(_OPENAI, name="GPT-4.1 mini", pattern=r"gpt-4[.-]1-mini", image=_MINI),
    replace(_OPENAI, name="GPT-4.1 nano", pattern=r"gpt-4[.-]1-nano", image=_NANO),
    _OPENAI,
    replace(
        _OPENAI,
        name="GPT-4 and GPT-3.5",
        pattern=r"gpt-4(?!\d)|gpt-3\.?5|text-embedding",
        encoding="cl100k_base",
        tools=_GPT_4_TOOLS,
    ),
    replace(_OPENAI, name="o4-mini", pattern=r"o4-mini", tools=_O_TOOLS, image=_O4_MINI),
    replace(_OPENAI, name="o-series", pattern=r"o[134](?![\da-z])", tools=_O_TOOLS, image=_O_IMAGE),
    replace(
        _CLAUDE_4,
        name="Claude 4.5 and 4.6",
        pattern=r"claude-(?:[a-z]+-)?4[.-][56](?!\d)",
        tools=_CLAUDE_4_5_TOOLS,
    ),
    _CLAUDE_4,
    # Anthropic changed the tokenizer with 4.7: the same text takes 1.0 to 1.47 times as many tokens
    # (count_tokens, three sources; BerriAI/litellm#37102 saw 1.77 times the cl100k count).
    replace(
        _CLAUDE_4,
        name="Claude 4.7 and later",
        pattern=r"claude",
        expected=1661,
        high=2350,
        tools=_CLAUDE_4_7_TOOLS,
        image=_CLAUDE_4_7_IMAGE,
    ),
    replace(
        _OTHER,
        name="Gemini 2.5 and older",
        pattern=r"gemini-(?:[12]\.|pro|flash)|gemma",
        expected=1100,
        high=1430,
        framing=_BARE_CHAT,
        tools=_GEMINI_TOOLS,
        image=Crops(),
    ),
    replace(
        _OTHER,
        name="Gemini",
        pattern=r"gemini",
        expected=1100,
        high=1430,
        framing=_BARE_CHAT,
        tools=_GEMINI_TOOLS,
        image=Flat(1101),
    ),
    # 1.057: median error 3.8 %, 99th percentile 24 %, against mistral-common's tekken.
    replace(
        _OTHER,
        name="Mistral",
        pattern=r"mi(?:s|x|nis)tral|codestral|devstral|magistral|pixtral",
        expected=1060,
        high=1400,
    ),
    # The factors below are ai-tokenizer's; the bounds follow the accuracy it reports for each.
    replace(_OTHER, name="DeepSeek", pattern=r"deepseek", expected=1050, high=1350),
    replace(_OTHER, name="Qwen", pattern=r"qwen|qwq|qvq", encoding="cl100k_base", expected=1050, high=1350),
    replace(_OTHER, name="Kimi", pattern=r"kimi|moonshot", expected=1100, high=1500),
    replace(_OTHER, name="Grok 3 and older", pattern=r"grok-[123](?!\d)", expected=1050, high=1400),
    replace(
        _OTHER,
        name="Grok 4 and later",
        pattern=r"grok",
        expected=1150,
        high=2000,
        framing=Framing(base=683, message=4, name=1),
        note="no public tokenizer for Grok: counted as o200k_base x 1.15, and 683 for the prompt it adds",
    ),
    replace(_OTHER, name="Llama", pattern=r"llama", encoding="cl100k_base", expected=1050, high=1500),
    replace(_OTHER, name="GLM", pattern=r"glm|chatglm", expected=1050, high=1400),
    replace(
        _OTHER,
        name="Nova",
        pattern=r"nova-(?:micro|lite|pro|premier|\d)",
        encoding="cl100k_base",
        expected=1050,
        high=1400,
    ),
    replace(
        _OTHER,
        note="the model's family is not known: counted as o200k_base x 1.2, at most x 2.4",
    ),
)
