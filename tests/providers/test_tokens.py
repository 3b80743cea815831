"""Token counting: exact where the tokenizer is public, bounded where it is not, and always offline."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import pytest
import requests
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import registry
from tiktoken_ext import openai_public

from ptmeter.domain.estimates import Count, Method
from ptmeter.errors import InvalidArgumentError
from ptmeter.providers import encodings, families, images, tokens
from ptmeter.providers.byteclasses import CLASSES, ByteCounter
from ptmeter.providers.families import family_of
from ptmeter.providers.framing import take_apart
from ptmeter.providers.parts import written
from ptmeter.providers.tokens import CHUNK, COUNTED_WHOLE, SAMPLES, Tokenizers, chunks, samples

ROOT = Path(__file__).resolve().parents[2]
RANKS = ROOT / "src" / "ptmeter" / "providers" / "ranks"

CORPUS = {
    "english": "The quick brown fox doesn't jump; it'll wait, won't it? Prices rose 3.14% to $1,299.00 in 2026.",
    "german": "Die Straßenbahn fährt über die Brücke, während der Bürgermeister Äpfel und Öl verkauft.",
    "french": "L'été dernier, nous étions à l'hôtel où l'on mangeait des crêpes sucrées.",
    "russian": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "greek": "Γρήγορη αλεπού πηδάει πάνω από τον τεμπέλη σκύλο.",
    "arabic": "السلام عليكم ورحمة الله وبركاته، كيف حالك اليوم؟",
    "hindi": "नमस्ते दुनिया, आज मौसम बहुत अच्छा है।",
    "thai": "สวัสดีชาวโลก วันนี้อากาศดีมาก",
    "japanese": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "chinese": "床前明月光、疑是地上霜。举头望明月、低头思故乡。",
    "korean": "안녕하세요, 오늘 날씨가 정말 좋네요.",
    "emoji": "👩‍👩‍👧‍👦 family 🎉🎉🎉 flags 🇩🇪🇯🇵 tone 👍🏽",
    "python": 'def f(x: int) -> int:\n    """Doc."""\n\treturn x ** 2  # twice\n\n\nclass A:\n    pass\n',
    "json": json.dumps(
        {"id": 12345678, "names": ["a", "b"], "nested": {"ok": True, "value": None}}, indent=2
    ),
    "spaces": "a" + " " * 50 + "b\t\t\tc \n \n\n  d\r\n\r\n   ",
    "shouting": "WHY IS EVERYTHING IN CAPITALS?!?! AAAAAARGH_____-----=====//////",
    "special": "<|endoftext|><|endofprompt|><|im_start|>system<|im_end|>",
    "combining": "e\u0301a\u0308 Z\u0351\u036b\u0343a\u0363\u0349\u034e o\u0302\u0323\u0300",
    "digits": "31415926535897932384626433832795028841971693993751",
}
CORPUS["everything"] = "\n".join(CORPUS.values()) * 20


class Words:
    """A counter simple enough to check by hand, which keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def count(self, text: str) -> int:
        self.given.append(text)
        return len(text.split())


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here fails if anything is fetched."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(requests.Session, "request", refuse)


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return Tokenizers()


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def by_words(words: Words) -> Tokenizers:
    return Tokenizers(counters={"o200k_base": words, "cl100k_base": words})


def unpacked(name: str) -> list[bytes]:
    return encodings.unpack((RANKS / f"{name}.bin").read_bytes())


def tiktokens_own(name: str, ranks: list[bytes]) -> tiktoken.Encoding:
    """What tiktoken's own constructor makes of *ranks*: its patterns, its special tokens."""
    with pytest.MonkeyPatch.context() as patch:
        table = {token: rank for rank, token in enumerate(ranks)}
        patch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: table)
        return tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[name]())


@pytest.fixture(scope="module", params=["o200k_base", "cl100k_base"])
def reference(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    return tiktokens_own(request.param, unpacked(request.param))


MODEL_OF = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}


# --- the ranks that ship ---


@pytest.mark.parametrize("name", encodings.ENCODINGS)
def test_the_rebuilt_rank_file_is_openais(name: str) -> None:
    """Our packed file, written out as OpenAI writes it, has the sha256 that tiktoken pins."""
    rebuilt = encodings.tiktoken_text(unpacked(name))
    digest = hashlib.sha256(rebuilt).hexdigest()

    assert encodings.ENCODINGS[name].source_sha256 == digest
    assert digest in inspect.getsource(openai_public)


@pytest.mark.parametrize("name", encodings.ENCODINGS)
def test_the_packed_file_is_the_pinned_one(name: str) -> None:
    """The file in the package is the one this code was released with."""
    packed = (RANKS / f"{name}.bin").read_bytes()

    assert encodings.ENCODINGS[name].packed_sha256 == hashlib.sha256(packed).hexdigest()


def test_packing_loses_nothing() -> None:
    """What is packed comes back, bytes and order; a gap in the ranks is refused."""
    ranks = [b"a", b"\n", b"bc", b"\x00" * 255]

    assert ranks == encodings.unpack(encodings.pack(ranks))
    assert ranks == encodings.parse_tiktoken(encodings.tiktoken_text(ranks))
    with pytest.raises(ValueError, match="not contiguous"):
        encodings.parse_tiktoken(b"YQ== 0\nYg== 2\n")


def test_the_script_finds_the_shipped_files_in_order() -> None:
    """``pack_ranks.py --check`` agrees with the repository, and does not need npm for it."""
    command = [sys.executable, str(ROOT / "scripts" / "pack_ranks.py"), "--check"]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert (0, "") == (run.returncode, run.stderr)
    assert "NOT" not in run.stdout


# --- the same tokens as tiktoken ---


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_counts_are_tiktokens(tokenizers: Tokenizers, reference: tiktoken.Encoding, text: str) -> None:
    """For every script and kind of text, the count is that of tiktoken's own encoding."""
    expected = len(reference.encode(text, disallowed_special=()))

    assert Count(expected, expected, Method.EXACT) == tokenizers.count_text(MODEL_OF[reference.name], text)


def test_another_order_of_ranks_is_noticed(tokenizers: Tokenizers) -> None:
    """The comparison can fail: with ranks in another order, the counts of the corpus differ."""
    ranks = unpacked("o200k_base")
    ranks[256:5000] = ranks[256:5000][::-1]
    wrong = tiktokens_own("o200k_base", ranks)
    text = CORPUS["everything"]

    assert tokenizers.count_text("gpt-4o", text).tokens != len(wrong.encode(text, disallowed_special=()))


def test_special_tokens_written_by_a_user_are_text(tokenizers: Tokenizers) -> None:
    """``<|endoftext|>`` in a user's text is the seven tokens it is spelled with, and raises nothing."""
    assert 7 == tokenizers.count_text("gpt-4o", "<|endoftext|>").tokens


@pytest.mark.parametrize("text", ["half \ud83d a pair", "\udfff", "x" * 300 + "\ud800", "\ud83d\ude00"])
def test_lone_surrogates_do_not_raise(
    tokenizers: Tokenizers, reference: tiktoken.Encoding, text: str
) -> None:
    """Half a surrogate pair counts as the replacement character, a whole one as its character."""
    repaired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    expected = len(reference.encode(repaired, disallowed_special=()))

    assert expected == tokenizers.count_text(MODEL_OF[reference.name], text).tokens


def test_a_plugged_in_counter_gets_valid_unicode(by_words: Tokenizers, words: Words) -> None:
    """A lone surrogate is repaired before an engine sees it."""
    by_words.count_text("gpt-4o", "a \ud800 b")

    assert ["a \ufffd b"] == words.given


# --- long texts ---


@pytest.mark.parametrize("end", ["", "x"])
def test_a_million_spaces(tokenizers: Tokenizers, reference: tiktoken.Encoding, end: str) -> None:
    """1,000,045 spaces, which tiktoken refuses if a letter follows, are counted."""
    text = " " * 1_000_045 + end
    if end:
        with pytest.raises(ValueError, match=r"(?i)regex|stack|limit"):
            reference.encode(text, disallowed_special=())
    count = tokenizers.count_text(MODEL_OF[reference.name], text)

    assert Method.EXACT is count.method
    assert 1_000_045 // 128 <= count.tokens <= 1_000_045 // 60


@pytest.mark.parametrize("character", ["a", "\n", "-", "😀", "字"])
def test_a_megabyte_of_one_character_is_cut_up(words: Words, character: str) -> None:
    """However monotonous, a text reaches the engine whole, in few pieces of bounded length."""
    text = character * 1_000_000
    Tokenizers(counters={"o200k_base": words}, remember=0).count_text("gpt-4o", text)

    assert text == "".join(words.given)
    assert max(map(len, words.given)) <= CHUNK
    assert len(words.given) <= 2 * len(text) // CHUNK + 1


def test_chunks_end_where_tokens_do(tokenizers: Tokenizers, reference: tiktoken.Encoding) -> None:
    """Cutting prose and code into chunks adds at most 0.02 % to the count, and never takes away."""
    text = " ".join(CORPUS[name] for name in ("english", "python", "json", "russian")) * 900
    whole = len(reference.encode(text, disallowed_special=()))
    count = tokenizers.count_text(MODEL_OF[reference.name], text).tokens

    assert len(text) > 10 * CHUNK
    assert 0 <= count - whole <= whole // 5000


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("x" * 12_000 + "\n" + "y" * 12_000, 12_001),  # after the newline
        ("x" * 12_000 + " " + "y" * 12_000, 12_000),  # before the space
        ("x\n" + "y" * 40_000, CHUNK),  # a newline too early is none
        ("x" * CHUNK, CHUNK),
    ],
)
def test_where_a_text_is_cut(text: str, first: int) -> None:
    """A chunk ends after a newline, before a space, or at the limit; nothing is lost."""
    cut = list(chunks(text))

    assert first == len(cut[0])
    assert text == "".join(cut)


def test_more_than_two_million_characters_are_sampled(by_words: Tokenizers, words: Words) -> None:
    """A huge text is extrapolated from samples spread over all of it, and the count says so."""
    text = "word " * (COUNTED_WHOLE // 5) + "longer word " * 100_000
    count = by_words.count_text("gpt-4o", text)

    assert SAMPLES == len(words.given)
    assert Method.APPROXIMATE is count.method
    assert any("32 samples" in note for note in count.notes)
    assert 600_000 * 0.98 <= count.tokens <= 600_000 * 1.02
    assert count.high >= 600_000


def test_samples_reach_both_ends() -> None:
    """The first and the last sample are the ends of the text."""
    text = "a" * CHUNK + "b" * COUNTED_WHOLE + "c" * CHUNK
    found = list(samples(text))

    assert (text[:CHUNK], text[-CHUNK:]) == (found[0], found[-1])
    assert {CHUNK} == set(map(len, found))


def test_the_bound_of_a_sampled_text_never_exceeds_its_bytes() -> None:
    """No text has more tokens than bytes, however dense the densest sample."""

    class Dense:
        def count(self, text: str) -> int:
            return 10 * len(text)

    count = Tokenizers(counters={"o200k_base": Dense()}).count_text("gpt-4o", "a" * (COUNTED_WHOLE + 1))

    assert count.high == count.tokens


# --- offline, whatever the surroundings ---


def test_nothing_of_tiktokens_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache directory with damaged ranks, which tiktoken would delete and fetch anew, is not touched."""
    for name in ("o200k_base", "cl100k_base"):
        url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        (tmp_path / hashlib.sha1(url.encode()).hexdigest()).write_bytes(b"damaged")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    assert 2 == Tokenizers().count_text("gpt-4o", "hello world").tokens
    assert {b"damaged"} == {path.read_bytes() for path in tmp_path.iterdir()}


def test_the_network_block_would_notice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The control of every test here: tiktoken's own way does reach for the network."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    with pytest.raises(pytest.fail.Exception, match="the network was used"):
        openai_public.o200k_base()


def test_a_plugin_with_a_taken_name_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in that registers o200k_base a second time breaks tiktoken's registry, and not us."""
    plugin = types.ModuleType("tiktoken_ext.rival")
    plugin.ENCODING_CONSTRUCTORS = {"o200k_base": dict}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    found = ["tiktoken_ext.openai_public", plugin.__name__]
    monkeypatch.setattr(registry, "_available_plugin_modules", lambda: found)
    monkeypatch.setattr(registry, "ENCODING_CONSTRUCTORS", None)
    monkeypatch.setattr(registry, "ENCODINGS", {})
    with pytest.raises(ValueError, match="Duplicate encoding name"):
        tiktoken.get_encoding("cl100k_base")

    assert 2 == Tokenizers().count_text("gpt-4", "hello world").tokens
    assert {} == registry.ENCODINGS


def test_our_encodings_have_names_of_their_own() -> None:
    """No encoding of ours is called like one of tiktoken's."""
    names = {ranks.private_name for ranks in encodings.ENCODINGS.values()}

    assert {"ptmeter_o200k_base", "ptmeter_cl100k_base"} == names
    assert not names & set(openai_public.ENCODING_CONSTRUCTORS)


def test_importing_costs_no_tiktoken() -> None:
    """The import of tiktoken waits until something is counted."""
    code = "import sys, ptmeter.providers.tokens as t; t.Tokenizers(); print('tiktoken' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )

    assert "False\n" == run.stdout


# --- without ranks ---


def damaged(folder: Path, fault: str) -> Path:
    """A folder of ranks with a *fault*."""
    if fault == "changed":
        packed = bytearray((RANKS / "o200k_base.bin").read_bytes())
        packed[-1] ^= 1
        (folder / "o200k_base.bin").write_bytes(packed)
    if fault == "empty":
        (folder / "o200k_base.bin").touch()
    return folder


@pytest.mark.parametrize("fault", ["missing", "empty", "changed"])
def test_without_its_ranks_an_encoding_is_counted_by_bytes(tmp_path: Path, fault: str) -> None:
    """A missing or altered rank file is warned about once; counting goes on, and says how."""
    crippled = Tokenizers(ranks=damaged(tmp_path, fault))
    text = CORPUS["english"] * 50
    with pytest.warns(RuntimeWarning, match="o200k_base tokens from the bytes alone"):
        count = crippled.count_text("gpt-4o", text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = crippled.count_request("gpt-4o", text)

    estimate = ByteCounter("o200k_base").count(text)
    assert (estimate, Method.APPROXIMATE) == (count.tokens, count.method)
    assert estimate * 1.399 <= count.high <= estimate * 1.401
    assert ("counted from the bytes: the tokenizer did not load",) == count.notes == again.notes


def test_without_tiktoken_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that cannot be imported is no reason to fail a call either."""
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.warns(RuntimeWarning, match="tiktoken"):
        count = Tokenizers().count_text("gpt-4", "hello world")

    assert Method.APPROXIMATE is count.method


def test_the_family_applies_to_estimates_too(tmp_path: Path) -> None:
    """By bytes, Claude is still its factor over cl100k, and the bound is both bounds together."""
    with pytest.warns(RuntimeWarning, match="cl100k_base"):
        count = Tokenizers(ranks=tmp_path).count_text("claude-sonnet-4-5", "x" * 1000)

    assert (231 * 1230 + 999) // 1000 == count.tokens
    assert -(-324 * 1600 // 1000) == count.high
    assert 2 == len(count.notes)


@pytest.mark.parametrize("name", encodings.ENCODINGS)
def test_the_estimate_by_bytes_is_near(tokenizers: Tokenizers, name: str) -> None:
    """On prose of six languages, code and JSON the estimate is 0.7 to 1.5 times the count, and its bound holds."""
    counter = ByteCounter(name)
    kinds = ("english", "german", "russian", "japanese", "chinese", "korean", "python", "json")
    for text in (CORPUS[kind] * 10 for kind in kinds):
        exact = tokenizers.count_text(MODEL_OF[name], text).tokens

        assert 0.7 <= counter.count(text) / exact <= 1.5
        assert exact <= counter.at_most(text) <= len(text.encode())


def test_no_byte_is_in_two_classes_or_in_none() -> None:
    """The classes partition the bytes a character can begin with."""
    members = b"".join(each.members for each in CLASSES)
    beginnings = {chr(point).encode()[0] for point in [*range(0xD800), *range(0xE000, 0x110000, 64)]}

    assert len(members) == len(set(members))
    assert beginnings <= set(members)


# --- families ---


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o", "GPT-4o"),
        ("openai/gpt-4o-2024-08-06", "GPT-4o"),
        ("chatgpt-4o-latest", "GPT-4o"),
        ("gpt-realtime-2", "GPT-4o"),
        ("gpt-chat-latest", "GPT-4o"),
        ("codex-mini-latest", "GPT-4o"),
        ("ft:gpt-4o-mini-2024-07-18:org::id", "GPT-4o mini"),
        ("GPT-4.1", "GPT-4o"),
        ("gpt-4.1-mini", "GPT-4.1 mini"),
        ("gpt-4-1106-preview", "GPT-4 and GPT-3.5"),
        ("gpt-35-turbo", "GPT-4 and GPT-3.5"),
        ("text-embedding-3-small", "GPT-4 and GPT-3.5"),
        ("gpt-5-2025-08-07", "GPT-5"),
        ("gpt-5-mini", "GPT-5 mini"),
        ("gpt-5.4-nano", "GPT-5 nano"),
        ("gpt-5.1", "GPT-5.1"),
        ("gpt-5.2-codex", "GPT-5.2"),
        ("gpt-5.6-sol", "GPT-5.5"),
        ("gpt-6-astra", "GPT-6"),
        ("o5", "GPT-6"),
        ("o3-mini", "o-series"),
        ("o4-mini", "o4-mini"),
        ("openai.gpt-oss-120b", "gpt-oss"),
        ("claude-instant-1.2", "Claude 4.1 and older"),
        ("claude-3-5-sonnet-20241022", "Claude 4.1 and older"),
        ("claude-sonnet-4-20250514", "Claude 4.1 and older"),
        ("claude-opus-4-1-20250805", "Claude 4.1 and older"),
        ("claude-4-sonnet", "Claude 4.1 and older"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude 4.5 and 4.6"),
        ("claude-opus-4-6", "Claude 4.5 and 4.6"),
        ("claude-opus-4-7", "Claude 4.7 and later"),
        ("anthropic/claude-opus-4.8", "Claude 4.7 and later"),
        ("claude-opus-4-10", "Claude 4.7 and later"),
        ("claude-sonnet-5", "Claude 4.7 and later"),
        ("models/gemini-2.5-pro", "Gemini 2.5 and older"),
        ("gemini-3.5-flash", "Gemini"),
        ("mistral-large-4", "Mistral"),
        ("ministral-3b", "Mistral"),
        ("deepseek-r1-distill-llama-70b", "DeepSeek"),
        ("qwen3-max", "Qwen"),
        ("kimi-k3", "Kimi"),
        ("grok-3", "Grok 3 and older"),
        ("grok-4.7", "Grok 4 and later"),
        ("meta.llama3-1-70b", "Llama"),
        ("glm-5.3", "GLM"),
        ("amazon.nova-lite-v1:0", "Nova"),
        ("my-own-model", "unknown"),
        ("", "unknown"),
    ],
)
def test_models_find_their_family(model: str, family: str) -> None:
    """A model is recognised by its name, however a gateway spells it; any other is unknown."""
    assert family == family_of(model).name


def test_the_table_holds_together() -> None:
    """Every family has ranks and a bound no lower than its guess; only exact ones have no factor."""
    for family in families.FAMILIES:
        assert family.encoding in encodings.ENCODINGS
        assert family.high >= family.expected
        assert not family.exact or (family.expected, family.high, family.basis) == (1000, 1000, "")
        assert family.exact or family.basis


@pytest.mark.parametrize(
    ("model", "base", "expected", "high"),
    [
        ("claude-opus-4-6", "gpt-4", 1230, 1600),
        ("claude-opus-4-7", "gpt-4", 1661, 2350),
        ("gemini-2.5-pro", "gpt-4o", 1100, 1430),
        ("mistral-large-4", "gpt-4o", 1060, 1400),
        ("who-knows", "gpt-4o", 1200, 2400),
    ],
)
def test_other_families_are_a_factor_over_a_base(
    tokenizers: Tokenizers, model: str, base: str, expected: int, high: int
) -> None:
    """Where no tokenizer is public the count is a base encoding's times the factor, rounded up."""
    text = CORPUS["everything"]
    known = tokenizers.count_text(base, text).tokens
    count = tokenizers.count_text(model, text)

    assert (-(-known * expected // 1000), -(-known * high // 1000)) == (count.tokens, count.high)
    assert Method.CALIBRATED is count.method
    assert 1 == len(count.notes)


def test_a_wrong_factor_is_noticed(tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: LiteLLM's default for Claude, cl100k as it is, gives another count."""
    plain = replace(family_of("claude-opus-4-6"), expected=1000, high=1000)
    monkeypatch.setattr(tokens, "family_of", lambda _: plain)

    text = CORPUS["everything"]
    assert (
        Tokenizers().count_text("claude-opus-4-6", text).tokens
        < tokenizers.count_text("claude-opus-4-6", text).tokens
    )


def test_an_unknown_family_says_so(tokenizers: Tokenizers) -> None:
    """A guess is called one, and its bound is far."""
    count = tokenizers.count_text("who-knows", CORPUS["english"])

    assert "family is not known" in count.notes[0]
    assert count.high >= 2 * count.tokens - 1


def test_gpt_6_is_not_called_exact(tokenizers: Tokenizers) -> None:
    """OpenAI has not said which tokenizer GPT-6 uses, so o200k is a stand-in for it."""
    count = tokenizers.count_text("gpt-6-astra", CORPUS["english"])

    assert Method.CALIBRATED is count.method
    assert tokenizers.count_text("gpt-4o", CORPUS["english"]).tokens == count.tokens < count.high


# --- framing: by hand, with a counter that counts words ---


COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon "
        "into plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for "
        "increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]

WEATHER = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}

ASKED = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]


@pytest.mark.parametrize(
    ("model", "billed"), [("gpt-4o", 124), ("gpt-4o-mini", 124), ("gpt-4", 129), ("gpt-3.5-turbo", 129)]
)
def test_openai_chats_count_what_the_api_reports(tokenizers: Tokenizers, model: str, billed: int) -> None:
    """The conversation of OpenAI's cookbook counts exactly what the cookbook says the API reported."""
    assert Count(billed, billed, Method.EXACT) == tokenizers.count_request(model, COOKBOOK)


@pytest.mark.parametrize(("model", "billed"), [("gpt-4o", 101), ("gpt-4", 105)])
def test_openai_tools_count_what_the_api_reports(tokenizers: Tokenizers, model: str, billed: int) -> None:
    """So does its example of a tool, which is a fit and therefore not called exact."""
    request = {"model": model, "messages": ASKED, "tools": [{"type": "function", "function": WEATHER}]}
    count = tokenizers.count_request(model, request)

    assert (billed, Method.CALIBRATED) == (count.tokens, count.method)
    assert billed < count.high


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", 3 + (3 + 1 + 2) + (3 + 1 + 3 + 1 + 1)),  # 3 a message, 1 a role, 1 and 1 for the name
        ("gpt-5", 5 + (4 + 1 + 2) + (4 + 1 + 3 + 1 + 1)),  # base 5, 4 a message
        ("claude-sonnet-4-5", 6 + 2 * (2 + 1) + -(-6 * 123 // 100)),  # base 6, 2 a message; 6 words x 1.23
        ("gemini-2.5-pro", -(-6 * 11 // 10)),  # no framing; 6 words x 1.1
    ],
)
def test_framing_of_messages(by_words: Tokenizers, model: str, expected: int) -> None:
    """Base, messages, roles and names cost what each family's framing says."""
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "name": "alice", "content": "one two three"},
    ]

    assert expected == by_words.count_request(model, messages).tokens


def test_a_text_is_a_users_message(by_words: Tokenizers) -> None:
    """A request given as text is one message; a text counted alone has no framing."""
    assert 3 + 4 + 2 == by_words.count_request("gpt-4o", "two words").tokens
    assert 2 == by_words.count_text("gpt-4o", "two words").tokens


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello there you"}]},
        {"instructions": "be brief", "input": "hello there you"},
        {"instructions": "be brief", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello there you"}]}]},
        {"system": "be brief", "messages": [{"role": "user", "content": [{"type": "text", "text": "hello there you"}]}]},
        {"system": [{"type": "text", "text": "be brief"}], "messages": [{"role": "user", "content": "hello there you"}]},
    ],
    ids=["chat", "responses text", "responses items", "anthropic", "anthropic blocks"],
)  # fmt: skip
def test_dialects_agree(by_words: Tokenizers, body: dict[str, Any]) -> None:
    """The same conversation costs the same in each API's words; settings cost nothing."""
    settings_ = {
        "model": "gpt-4o",
        "max_tokens": 5,
        "temperature": 0.5,
        "metadata": {"a": "b c d"},
        "stop": ["x"],
    }

    assert Count(3 + 4 + 2 + 4 + 3, 16, Method.EXACT) == by_words.count_request(
        "gpt-4o", {**settings_, **body}
    )


def test_tools_by_the_fit(by_words: Tokenizers) -> None:
    """Each part of a definition costs its fitted overhead and its words; the bound has a quarter more."""
    tool = {
        "name": "search",
        "description": "find it",
        "input_schema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "what to find"},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "where": {"type": "object", "properties": {"x": {"type": "number"}}},
                "all": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"y": {"type": "number"}}},
                },
            },
        },
    }
    words_ = 1 + 2 + 4 + 3 + 2 + 1 + 1  # name, description, properties, the first's, choices, x, y
    fit = 549 + 5 + 13 + 3 * 12 + 5 + 9 + (12 + 13) + (13 + 13)  # in the order of the definition
    bare = {"name": "stop", "input_schema": {"type": "object"}}
    count = by_words.count_request("claude-opus-4-5", {"tools": [tool, bare]})

    assert fit + 53 + -(-(words_ + 1) * 123 // 100) == count.tokens
    assert count.high >= count.tokens + 549 // 4


def test_what_the_fit_does_not_know_is_json(by_words: Tokenizers) -> None:
    """A keyword outside the fit adds its JSON, so a schema cannot hide words in it."""
    plain = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
    wordy = json.loads(json.dumps(plain))
    wordy["parameters"]["properties"]["x"]["default"] = "one two three"
    wordy["parameters"]["$defs"] = {"y": "four five"}
    before, after = (by_words.count_request("gpt-4o", {"tools": [t]}).tokens for t in (plain, wordy))

    assert 3 + 2 == after - before


def test_tools_without_a_fit_are_json(by_words: Tokenizers) -> None:
    """Where no fit is known a definition costs its JSON, and 150 once for what explains it."""
    tool = {"type": "function", "function": {"name": "f", "description": "one two three", "parameters": {}}}
    count = by_words.count_request("deepseek-v4", {"tools": [tool, tool]})

    assert 150 + -(-2 * 3 * 105 // 100) == count.tokens


def test_a_reply_schema_is_counted(by_words: Tokenizers) -> None:
    """A schema for the reply is part of the prompt in each dialect; asking for plain JSON is not."""
    schema = {"type": "object", "title": "one two three"}
    chat = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}
    responses = {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}

    assert (
        3
        == by_words.count_request("gpt-4o", chat).tokens
        == by_words.count_request("gpt-4o", responses).tokens
    )
    assert 0 == by_words.count_request("gpt-4o", {"response_format": {"type": "json_object"}}).tokens


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "a b c"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": "a b c"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "a b c"},
    ],
    ids=["chat", "anthropic", "responses"],
)  # fmt: skip
def test_tool_calls_cost_more_than_their_words(by_words: Tokenizers, message: dict[str, Any]) -> None:
    """A tool call in the history is its name, its arguments and an overhead, twice that at most."""
    count = by_words.count_request("gpt-4o", [message])

    assert (3 + 4 + 8 + 4, 3 + 4 + 16 + 4) == (count.tokens, count.high)
    assert (
        3 + 3 + 40 + -(-4 * 123 // 100) + 3 == by_words.count_request("claude-3-5-haiku", [message]).tokens
    )


def test_tool_results_are_read(by_words: Tokenizers) -> None:
    """What a tool returned is text in each dialect, also inside blocks."""
    block = {"type": "text", "text": "a b c"}
    for message in (
        {"role": "tool", "tool_call_id": "1", "content": "a b c"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [block]}]},
        {"type": "function_call_output", "call_id": "1", "output": "a b c"},
    ):
        assert 3 + 4 + 3 == by_words.count_request("gpt-4o", [message]).tokens


# --- images, sound, files ---


def png(width: int, height: int) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
        + struct.pack(">II", width, height)
        + b"\x08\x06"
        + b"\0" * 40
    )


def jpeg(width: int, height: int) -> bytes:
    thumbnail = b"\xff\xe1" + struct.pack(">H", 60_002) + b"\xff\xc0" * 30_000
    frame = b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + b"\0" * 12
    return b"\xff\xd8" + thumbnail + b"\xff\xc4\x00\x04\x00\x00" + frame


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0" * 20


def webp(kind: bytes, header: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + b"\x00\x00\x00\x00" + header + b"\0" * 20


IMAGES = {
    "png": png(1234, 567),
    "jpeg": jpeg(1234, 567),
    "gif": gif(1234, 567),
    "webp": webp(b"VP8 ", b"\0" * 3 + b"\x9d\x01\x2a" + struct.pack("<HH", 1234 | 0x4000, 567)),
    "webp lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 1233 | 566 << 14)),
    "webp extended": webp(b"VP8X", b"\0" * 4 + (1233).to_bytes(3, "little") + (566).to_bytes(3, "little")),
}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_sizes_are_read_from_headers(data: bytes) -> None:
    """Width and height are found in each format without decoding the image."""
    assert images.Size(1234, 567) == images.size_of(encoded(data))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=====",
        "not base64 at all!",
        "ünïcode",
        encoded(b"BM" + b"\0" * 60),
        encoded(png(0, 5)),
        *(encoded(data[:length]) for data in IMAGES.values() for length in (2, 4, 9)),
        *(encoded(IMAGES[name][:20]) for name in ("png", "jpeg", "webp", "webp lossless", "webp extended")),
        encoded(b"RIFF\0\0\0\0WEBPVP9 " + b"\0" * 20),
        encoded(b"\xff\xd8\xff\xd0\xff\xd9" + b"\xff\x01" * 9),
        encoded(b"\xff\xd8\xff\xe0\x00\x02 no marker follows"),
    ],
)
def test_what_is_no_image_has_no_size(text: str) -> None:
    """Anything else, and an image cut short, has no size, and raises nothing."""
    assert images.size_of(text) is None


@pytest.mark.parametrize(
    ("model", "size", "detail", "expected"),
    [
        ("gpt-4o", (1024, 1024), "high", 85 + 4 * 170),  # OpenAI's example: 765
        ("gpt-4o", (2048, 4096), "high", 85 + 6 * 170),  # and 1,105
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o", (2049, 513), "auto", 85 + 8 * 170),  # billed so, and
        ("gpt-4o", (2050, 513), "auto", 85 + 4 * 170),  # so (OpenAI forum, topic 1281361)
        ("gpt-4o", (9000, 1), "auto", 85 + 4 * 170),
        ("gpt-4o", None, "auto", 85 + 8 * 170),
        ("gpt-4o-mini", (128, 64), "high", 2833 + 5667),  # billed so (topic 1262691)
        ("gpt-4.1-mini", (1024, 1024), "auto", 1659),  # 1,024 patches x 1.62
        ("gpt-4.1-mini", (4000, 1474), "auto", 2489),  # 1,536 patches (billed 2,488)
        ("gpt-5.2", (1024, 1024), "auto", 1229),  # 1,024 patches x 1.2
        ("gpt-5.2", None, "auto", 1844),  # vybestack/llxprt-code#3477
        ("gpt-5.2", None, "original", 12_000),
        ("gpt-6-astra", (4000, 3000), "auto", 14_100),  # not cut to a limit
        ("gpt-6-astra", (4000, 3000), "high", 3_000),
        ("gpt-6-astra", None, "auto", 14_364),
        ("claude-sonnet-4-5", (1000, 1000), "auto", 36 * 36),
        ("claude-sonnet-4-5", (6000, 4000), "auto", 1568),
        ("claude-sonnet-4-5", (6000, 600), "auto", 56 * 6),  # 1568 x 156.8 after shrinking
        ("claude-sonnet-4-5", None, "auto", 1568),
        ("claude-opus-4-7", (1920, 1080), "auto", 69 * 39),
        ("claude-opus-4-7", None, "auto", 4784),
        ("gemini-2.5-pro", (384, 384), "auto", 258),
        ("gemini-2.5-pro", (960, 540), "auto", 258 * 3 * 2),  # crops of 360
        ("gemini-2.5-pro", None, "auto", 258 * 16),
        ("gemini-3-pro", (9000, 9000), "auto", 1101),
    ],
)
def test_image_rules(model: str, size: tuple[int, int] | None, detail: str, expected: int) -> None:
    """Each family's rule gives the documented or billed figure."""
    rule = family_of(model).image

    assert expected == rule.tokens(images.Size(*size) if size else None, detail)


NOISE = random.Random(7).randbytes(300_000)
PICTURE = encoded(png(1000, 1000) + NOISE)
DATA_URL = f"data:image/png;base64,{PICTURE}"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "auto"}},
        {"type": "image_url", "image_url": DATA_URL},
        {"type": "input_image", "image_url": DATA_URL, "detail": "auto"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": PICTURE}}]},
        {"type": "function_call_output", "output": [{"type": "input_image", "image_url": DATA_URL}]},
    ],
    ids=["chat", "chat short", "responses", "anthropic", "anthropic tool", "responses tool"],
)  # fmt: skip
def test_base64_images_are_images(by_words: Tokenizers, words: Words, block: dict[str, Any]) -> None:
    """In every dialect an image costs its size, and not one character of it is counted as text."""
    count = by_words.count_request("claude-opus-4-7", [{"role": "user", "content": [block]}])

    assert 6 + 3 + 36 * 36 == count.tokens
    assert [] == words.given
    assert ("an image is counted by its size",) == count.notes[1:]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "hologram", "frames": [{"bytes": PICTURE}]},
        {"type": "hologram", "url": DATA_URL},
        {"inline_data": {"mime_type": "image/png", "data": PICTURE}},
    ],
)
def test_base64_in_unknown_blocks_is_not_text(
    by_words: Tokenizers, words: Words, block: dict[str, Any]
) -> None:
    """A file in a block we do not know costs the most an image can, and its JSON is counted without it."""
    count = by_words.count_request("claude-opus-4-7", [{"role": "user", "content": [block]}])

    assert 4784 <= count.tokens <= 4784 + 30
    assert sum(map(len, words.given)) < 200
    assert any("counted as JSON" in note for note in count.notes)


def test_base64_a_user_pasted_is_text(tokenizers: Tokenizers) -> None:
    """The control: the same base64 inside a text is text, and the model is billed for reading it."""
    assert tokenizers.count_request("gpt-4o", PICTURE).tokens > 100_000


def test_images_elsewhere_cost_the_most(by_words: Tokenizers) -> None:
    """An image behind a URL or a file id costs its model's maximum, and a note says why."""
    for block in (
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "base64", "data": "????"}},
        {"type": "image"},
    ):
        count = by_words.count_request("gpt-4o", [{"role": "user", "content": [block]}])

        assert 3 + 4 + 1445 == count.tokens
        assert "maximum" in count.notes[0]


def test_files_are_read_or_counted_by_page(by_words: Tokenizers, words: Words) -> None:
    """A text file is its text, a PDF 3,000 tokens a page, and a file kept elsewhere is said to be."""
    pdf = encoded(b"%PDF-1.7 /Type /Pages /Type /Page /Type/Page " + NOISE[:100])
    blocks: list[tuple[dict[str, Any], int]] = [
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": pdf},
            },
            6000,
        ),
        (
            {
                "type": "file",
                "file": {"file_data": f"data:application/pdf;base64,{pdf}", "filename": "a.pdf"},
            },
            6001,
        ),
        ({"type": "input_file", "file_data": f"data:application/pdf;base64,{encoded(NOISE)}"}, 3000 * 6),
        ({"type": "input_file", "file_data": f"data:text/plain;base64,{encoded(b'one two')}"}, 2),
        ({"type": "document", "source": {"type": "text", "data": "one two"}, "title": "three"}, 3),
        ({"type": "document", "source": {"type": "content", "content": "one two"}}, 2),
        ({"type": "file", "file": {"file_id": "file-1"}}, 0),
        ({"type": "document", "source": {"media_type": "application/pdf", "data": "A"}}, 3000),
    ]
    for block, expected in blocks:
        count = by_words.count_request("gpt-4o", [{"role": "user", "content": [block]}])

        assert 7 + expected == count.tokens
        assert (Method.APPROXIMATE if expected == 0 else count.method) is count.method


def test_sound_is_counted_by_size(by_words: Tokenizers) -> None:
    """A recording costs its longest possible length: 10 tokens a second at OpenAI, 32 elsewhere."""
    block = {"type": "input_audio", "input_audio": {"data": encoded(b"\0" * 48_000), "format": "wav"}}
    other = {"type": "input_audio", "input_audio": {"data": encoded(b"\0" * 48_000), "format": "mp3"}}
    gone = {"type": "input_audio", "input_audio": {"file_id": "x"}}

    assert 7 + 3 * 10 == by_words.count_request("gpt-audio", [{"role": "user", "content": [block]}]).tokens
    assert 12 * 32 == by_words.count_request("gemini-3-pro", [{"role": "user", "content": [other]}]).tokens
    assert (
        Method.APPROXIMATE is by_words.count_request("gpt-4o", [{"role": "user", "content": [gone]}]).method
    )


# --- requests we do not understand ---


def test_unknown_blocks_are_json_with_a_note(by_words: Tokenizers) -> None:
    """A block type from the future costs its words and is named; litellm raised and lost the row."""
    block = {"type": "tool_reference", "tool_name": "a b c"}
    count = by_words.count_request("gpt-4o", [{"role": "user", "content": [block]}])

    assert 7 + 3 == count.tokens
    assert ("the block type 'tool_reference' is not known here: counted as JSON",) == count.notes
    assert Method.CALIBRATED is count.method


def test_unknown_parameters_are_json_with_a_note(by_words: Tokenizers) -> None:
    """A parameter that could hold a prompt costs its words, so another dialect is not free."""
    count = by_words.count_request("gpt-4o", {"contents": [{"parts": [{"text": "a b c"}]}], "flag": True})

    assert 3 == count.tokens
    assert ("the parameter 'contents' is not known here: counted as JSON",) == count.notes


@pytest.mark.parametrize(
    "request_",
    [
        {"previous_response_id": "resp_1", "input": "hi"},
        {"conversation": {"id": "conv_1"}, "input": "hi"},
        {"prompt": {"id": "pmpt_1", "variables": {"x": "y"}}},
        {"tools": [{"type": "web_search"}], "input": "hi"},
        {"mcp_servers": [{"url": "https://example.com"}], "messages": []},
        [{"type": "item_reference", "id": "1"}],
        [{"role": "assistant", "audio": {"id": "audio_1"}}],
    ],
)
def test_what_the_provider_keeps_is_said(by_words: Tokenizers, request_: object) -> None:
    """Where part of the prompt is at the provider the count is approximate and names that part."""
    count = by_words.count_request("gpt-4o", cast("Any", request_))

    assert Method.APPROXIMATE is count.method
    assert any("not counted" in note for note in count.notes)


def test_other_text_bearing_fields(by_words: Tokenizers) -> None:
    """Refusals, reasoning, thinking and odd roles are text; what is encrypted is guessed from its length."""
    cases: list[tuple[Any, int]] = [
        ({"role": "assistant", "refusal": "a b", "reasoning_content": "c d"}, 4),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "a b", "signature": "xyz"}]},
            2,
        ),
        ({"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x" * 160}]}, 30),
        (
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "a"}],
                "encrypted_content": "x" * 16,
            },
            4,
        ),
        ({"role": "oracle of", "content": "a"}, 3),
        ({"role": ["a"], "content": ["b", {"type": "refusal", "refusal": "c"}]}, 3),
        ({"role": "user", "content": "a", "comment": "b c", "id": "not counted"}, 3),
        ({"role": "user", "name": "", "content": 17, "audio": None}, 1),
        ({"role": "user", "content": [10**5000, Path("a/b"), 1.5]}, 3),
        ({"type": "reasoning", "summary": [], "content": None}, 0),
        ({"role": "user", "content": {"type": "text", "text": {"a": "b c"}}}, 2),
        ("just a text", 3),
        (17, 1),
    ]
    for message, expected in cases:
        assert 7 + expected == by_words.count_request("gpt-4o", [message]).tokens


def test_plain_completions(by_words: Tokenizers) -> None:
    """The prompt of a text completion has no framing."""
    assert 2 == by_words.count_request("gpt-3.5-turbo-instruct", {"prompt": "a b", "max_tokens": 5}).tokens


def test_objects_of_an_sdk_are_read(by_words: Tokenizers) -> None:
    """Messages an SDK returned can be sent back as they are; a reply class is its schema."""

    class Message:
        def model_dump(self, *, exclude_none: bool) -> dict[str, Any]:
            return {"role": "assistant", "content": "a b c"}

    class Reply:
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            return {"title": "a b c"}

    assert 3 + 4 + 3 == by_words.count_request("gpt-4o", [Message()]).tokens  # type: ignore[list-item]
    assert 3 == by_words.count_request("gpt-4o", {"response_format": Reply}).tokens


def nested(depth: int, kind: str) -> object:
    value: Any = "deep"
    for _ in range(depth):
        value = {
            "lists": [value],
            "blocks": [{"type": "tool_result", "content": value}],
            "schema": {"type": "object", "properties": {"x": value}},
        }[kind]
    return value


@pytest.mark.parametrize("kind", ["lists", "blocks", "schema"])
def test_depth_does_not_raise_or_hide(words: Words, kind: str) -> None:
    """Five thousand levels neither overflow the stack nor make what is at the bottom free."""
    by_words = Tokenizers(counters={"o200k_base": words}, remember=0)
    value = nested(5000, kind)
    for request_ in (
        {"messages": [{"role": "user", "content": value}]},
        {"tools": [{"name": "f", "parameters": {"type": "object", "properties": {"x": value}}}]},
        {"unknown": value},
    ):
        words.given.clear()
        by_words.count_request("gpt-4o", request_)

        assert any("deep" in text for text in words.given)


@pytest.mark.parametrize("kind", ["image", "input_audio", "file", "reasoning", "tool_use", "text"])
@pytest.mark.parametrize(
    "field",
    ["source", "detail", "data", "format", "media_type", "encrypted_content", "text", "name", "url"],
)
def test_depth_where_a_word_belongs(by_words: Tokenizers, kind: str, field: str) -> None:
    """Nor does it matter in which field of which block the levels are."""
    deep = nested(5000, "lists")
    for block in ({"type": kind, field: deep}, {"type": kind, "source": {"data": "AAAA", field: deep}}):
        count = by_words.count_request("gpt-4o", [{"role": "user", "content": [block]}])

        assert 7 <= count.tokens <= count.high


def test_a_structure_in_itself_ends(monkeypatch: pytest.MonkeyPatch, by_words: Tokenizers) -> None:
    """A list that contains itself, which no JSON can, is cut off."""
    monkeypatch.setattr("ptmeter.providers.parts._MOST_PIECES", 1000)
    loop: list[Any] = []
    loop.append(loop)

    assert by_words.count_request("gpt-4o", {"unknown": loop}).tokens > 0


KEYS = "type role content text source data image_url function name input parameters properties enum items url x"
KINDS = (
    "text image tool_use tool_result file reasoning function_call input_audio document item_reference user"
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(KEYS.split()), inner | st.sampled_from(KINDS.split()), max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    value=json_values, model=st.sampled_from(["gpt-4o", "claude-opus-4-7", "gemini-3-pro", "unheard-of"])
)
def test_no_json_raises(value: object, model: str) -> None:
    """Whatever JSON stands anywhere in a request, it is counted, within a bound."""
    counter = Words()
    by_words = Tokenizers(counters={"o200k_base": counter, "cl100k_base": counter})
    for request_ in (
        {"messages": [{"role": "user", "content": value}], "tools": value, "system": value},
        {"input": value, "prompt": value, "text": value, "response_format": value, "other": value},
        {"messages": value},
        value if isinstance(value, dict | list | str) else [value],
    ):
        count = by_words.count_request(model, cast("Any", request_))

        assert 0 <= count.tokens <= count.high


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(value=json_values)
def test_written_json_is_json(value: object) -> None:
    """What is counted as JSON reads back as the same value."""
    assert json.loads(json.dumps(value)) == json.loads(written(value))


def test_notes_do_not_grow_with_the_request(by_words: Tokenizers) -> None:
    """A request full of oddities gets twenty notes, each of them short."""
    content = [{"type": f"{index} {'x' * 1000}"} for index in range(1000)]
    count = by_words.count_request("gpt-4o", [{"role": "user", "content": content}])

    assert 20 == len(count.notes)
    assert max(map(len, count.notes)) < 120


# --- what is remembered ---


LONG = "a long enough text " * 20


def test_a_text_is_counted_once(by_words: Tokenizers, words: Words) -> None:
    """The history of a chat, sent every turn, reaches the engine once; so says the repr."""
    first = by_words.count_text("gpt-4o", LONG)
    second = by_words.count_request("gpt-5", [{"role": "user", "content": LONG}])

    assert 1 == len(words.given)
    assert first.tokens + 10 == second.tokens
    assert "Tokenizers(loaded=['cl100k_base', 'o200k_base'], remembered=1)" == repr(by_words)


def characters(words: Words) -> int:
    """The engine's work: how much text it was given."""
    return sum(map(len, words.given))


@pytest.mark.parametrize("parsed_anew", [False, True], ids=["same objects", "parsed anew"])
def test_an_appended_message_costs_its_own_length(words: Words, parsed_anew: bool) -> None:
    """Two hundred turns of a chat, its history sent whole each time, are read once in all."""
    by_words = Tokenizers(counters={"o200k_base": words})
    messages: list[dict[str, str]] = []
    for turn in range(200):
        messages.append({"role": "user", "content": f"turn {turn} {LONG}"})
        sent = json.loads(json.dumps(messages)) if parsed_anew else messages
        counted = by_words.count_request("gpt-4o", sent)

    assert characters(words) == sum(len(message["content"]) for message in messages)
    words.given.clear()
    assert counted == Tokenizers(counters={"o200k_base": words}, remember=0).count_request(
        "gpt-4o", messages
    )


def test_without_memory_a_chat_is_quadratic(words: Words) -> None:
    """Positive control: the same measure shows what is saved."""
    forgetful = Tokenizers(counters={"o200k_base": words}, remember=0)
    messages = []
    for turn in range(200):
        messages.append({"role": "user", "content": f"turn {turn} {LONG}"})
        forgetful.count_request("gpt-4o", messages)

    assert characters(words) > 90 * sum(len(message["content"]) for message in messages)


def test_a_text_that_grows_costs_what_was_added(words: Words) -> None:
    """An answer that streams in, counted a hundred times: no more than a chunk is read again each time."""
    by_words = Tokenizers(counters={"o200k_base": words})
    text = ""
    for _ in range(100):
        text += LONG * 20
        grown = by_words.count_text("gpt-4o", text)

    read = characters(words)
    assert read <= 100 * CHUNK + len(text)
    assert read < sum(len(LONG) * 20 * (turn + 1) for turn in range(100)) / 5
    assert grown == Tokenizers(counters={"o200k_base": Words()}, remember=0).count_text("gpt-4o", text)


PATHOLOGICAL: Final = {
    "one letter": "a",
    "spaces": " ",
    "newlines": "\n",
    "no spaces": "xq7",
    "emoji": "👩‍👩‍👧",
    "surrogates": "\ud800",
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_the_work_grows_with_the_text_and_no_faster(name: str) -> None:
    """A megabyte of one character is read once, a chunk at a time; ten are no more work than two."""
    given = {}
    for size in (100_000, 1_000_000, 10_000_000):
        words = Words()
        by_words = Tokenizers(counters={"o200k_base": words}, remember=0)
        text = PATHOLOGICAL[name] * (size // len(PATHOLOGICAL[name]))
        assert by_words.count_text("gpt-4o", text).high >= 0
        assert max(map(len, words.given)) <= CHUNK
        given[size] = characters(words)

    assert given[100_000] <= 100_000
    assert given[1_000_000] <= 1_000_000
    assert given[10_000_000] <= CHUNK * SAMPLES


def test_a_megabyte_of_one_character_has_a_count(tokenizers: Tokenizers) -> None:
    """By the real tokenizer, which merges runs: as many as OpenAI's for each chunk."""
    count = tokenizers.count_text("gpt-4o", "a" * 1_000_000)

    assert 100_000 < count.tokens == count.high < 140_000


def test_encodings_are_remembered_apart(tokenizers: Tokenizers) -> None:
    """The same text in two encodings has two counts."""
    text = CORPUS["russian"] * 10
    first = [tokenizers.count_text(model, text).tokens for model in ("gpt-4o", "gpt-4")]

    assert first[0] < first[1]
    assert first == [tokenizers.count_text(model, text).tokens for model in ("gpt-4o", "gpt-4")]


def test_the_oldest_is_forgotten(words: Words) -> None:
    """Only so many counts are kept, those used last; short texts are not kept at all."""
    small = Tokenizers(counters={"o200k_base": words}, remember=2)
    for text in (
        f"1 {LONG}",
        f"2 {LONG}",
        f"1 {LONG}",
        f"3 {LONG}",
        f"1 {LONG}",
        f"2 {LONG}",
        "short",
        "short",
    ):
        small.count_text("gpt-4o", text)

    assert ["1", "2", "3", "2", "short", "short"] == [text.split()[0] for text in words.given]
    assert 2 == len(small._recent)


def test_remembering_can_be_turned_off(words: Words) -> None:
    """With nothing remembered, every text is counted every time."""
    forgetful = Tokenizers(counters={"o200k_base": words}, remember=0)
    for _ in range(2):
        forgetful.count_text("gpt-4o", LONG)

    assert [LONG, LONG] == words.given


def test_instances_share_nothing(words: Words) -> None:
    """What one instance counted or was given, another knows nothing of."""
    Tokenizers(counters={"o200k_base": words}).count_text("gpt-4o", LONG)
    other = Tokenizers()

    assert 80 < other.count_text("gpt-4o", LONG).tokens
    assert 1 == len(words.given)


def test_threads_load_an_encoding_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads that need an encoding at once load it once, and all get the right counts."""
    loads: list[str] = []
    meet = threading.Barrier(8)

    def slow(ranks: encodings.Ranks, folder: object) -> Words:
        loads.append(ranks.name)
        threading.Event().wait(0.05)
        return Words()

    monkeypatch.setattr(encodings, "load", slow)
    shared = Tokenizers(remember=4)

    def count(number: int) -> list[int]:
        meet.wait()
        return [shared.count_text("gpt-4o", f"{LONG}{index} {number}").tokens for index in range(200)]

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(count, range(8)))

    assert ["o200k_base"] == loads
    assert [[82] * 200] * 8 == counts
    assert 4 == len(shared._recent)


# --- other engines ---


def test_an_engine_for_an_unused_encoding_is_refused() -> None:
    """A misspelt encoding is an error at once, not an engine that is never asked."""
    with pytest.raises(InvalidArgumentError, match="p50k_base"):
        Tokenizers(counters={"p50k_base": Words()})


@pytest.mark.parametrize("answer", [-1, 2.0, True, None, "3"])
def test_an_engine_that_does_not_count_is_refused(answer: object) -> None:
    """Anything but a whole number from an engine is an error, not a price."""

    class Odd:
        def count(self, text: str) -> int:
            return cast("int", answer)

    with pytest.raises(InvalidArgumentError, match="whole number"):
        Tokenizers(counters={"o200k_base": Odd()}).count_text("gpt-4o", "text")


def test_parts_are_pure(words: Words) -> None:
    """Taking a request apart twice gives the same parts, and changes nothing in the request."""
    request_ = {"messages": ASKED, "tools": [WEATHER]}
    before = json.dumps(request_)
    family = family_of("gpt-4o")

    assert take_apart(request_, family) == take_apart(request_, family)
    assert before == json.dumps(request_)
