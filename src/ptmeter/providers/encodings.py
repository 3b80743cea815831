"""
The o200k_base and cl100k_base encodings, built from ranks that ship with the package.

tiktoken would fetch the ranks over the network on first use, with no timeout and no way to switch it
off (openai/tiktoken#232, #317, #513), and a plug-in that registers one of its names breaks every
encoding in the process. So the request path asks it for nothing but its BPE engine: the ranks come
from here, are checked against a pinned hash, and the encodings have names of their own.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable


class TokenCounter(Protocol):
    """Counts the tokens of one encoding; what a faster engine has to offer to be plugged in."""

    def count(self, text: str) -> int:
        """Return the number of tokens in *text*, which is valid Unicode and at most a chunk long."""
        ...


@dataclass(frozen=True, slots=True)
class Ranks:
    """One rank table: what it was packed from, what it must hash to, and how its text is split."""

    name: str
    packed_sha256: str
    """Of our ``.bin`` file; `scripts/pack_ranks.py` prints it."""
    source_sha256: str
    """Of OpenAI's ``.tiktoken`` file, as pinned in tiktoken's own ``openai_public.py``."""
    pattern: str
    special: Mapping[str, int]

    @property
    def private_name(self) -> str:
        """What our tiktoken encoding is called: never a name of tiktoken's registry."""
        return f"ptmeter_{self.name}"


class RanksError(Exception):
    """A rank file is not the one this version was released with; we count bytes instead."""


O200K: Final = Ranks(
    name="o200k_base",
    packed_sha256="ba55b38e477b631966c2496061ecd7d10108501c7c47358222d9dc27c22f9422",
    source_sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    pattern=(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    special={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
)
"""GPT-4o and later; o200k_harmony has the same ranks and counts ordinary text alike."""

CL100K: Final = Ranks(
    name="cl100k_base",
    packed_sha256="79045c4dbf49c4e3b90893afbcbfd80cf94cf2b99256bd84b19ffcace49d9bd2",
    source_sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    pattern=(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    special={
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
)
"""GPT-3.5 and GPT-4, and the closest base for Claude."""

ENCODINGS: Final[Mapping[str, Ranks]] = {ranks.name: ranks for ranks in (O200K, CL100K)}


class RankedCounter:
    """Counts with tiktoken's BPE engine over our ranks."""

    def __init__(self, ranks: Ranks, tokens: Iterable[bytes]) -> None:
        import tiktoken  # 30 ms that a program which counts nothing does not pay

        self.encoding = tiktoken.Encoding(
            name=ranks.private_name,
            pat_str=ranks.pattern,
            mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
            special_tokens=dict(ranks.special),
        )
        # The engine has its own copy; dropping this one gives back about 30 MB.
        vars(self.encoding).update(_mergeable_ranks={})

    def count(self, text: str) -> int:
        """
        Return the number of tokens in *text*; special tokens written out count as the text they are.

        ``encode`` and not ``encode_ordinary``: on a regex failure the latter raises a
        `BaseException` that ``except Exception`` lets through (openai/tiktoken#587).
        """
        return len(self.encoding.encode(text, disallowed_special=()))


def load(ranks: Ranks, folder: Traversable | None = None) -> RankedCounter:
    """
    Build the counter of *ranks* from its packed file, about 0.4 s for o200k.

    Raises:
        OSError: The file cannot be read.
        RanksError: It is not the file this version was released with.
        ImportError: tiktoken cannot be imported.
    """
    if folder is None:
        folder = resources.files("ptmeter.providers") / "ranks"
    packed = (folder / f"{ranks.name}.bin").read_bytes()

    if hashlib.sha256(packed).hexdigest() != ranks.packed_sha256:
        msg = f"{ranks.name}.bin is damaged or of another version: reinstall ptmeter"
        raise RanksError(msg)
    return RankedCounter(ranks, unpack(packed))


# --- the packed form: how many tokens, the length of each, then their bytes; order is rank --------

_COUNT_BYTES: Final = 4


def pack(tokens: Iterable[bytes]) -> bytes:
    """Pack *tokens*, given in rank order; none may be longer than 255 bytes (the longest has 128)."""
    tokens = list(tokens)
    return b"".join([len(tokens).to_bytes(_COUNT_BYTES, "little"), bytes(map(len, tokens)), *tokens])


def unpack(packed: bytes) -> list[bytes]:
    """Return the tokens of a packed file in rank order."""
    start = _COUNT_BYTES + int.from_bytes(packed[:_COUNT_BYTES], "little")
    lengths = packed[_COUNT_BYTES:start]
    return [packed[a:b] for a, b in pairwise(accumulate(lengths, initial=start))]


def tiktoken_text(tokens: Iterable[bytes]) -> bytes:
    """Write *tokens* the way OpenAI publishes them, so that its hash can be checked."""
    lines = (base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))
    return b"".join(lines)


def parse_tiktoken(text: bytes) -> list[bytes]:
    """
    Read the tokens of a published ``.tiktoken`` file in rank order.

    Raises:
        ValueError: The ranks are not 0, 1, 2, ... so order alone would not say them.
    """
    tokens: list[bytes] = []
    for expected, line in enumerate(text.splitlines()):
        token, rank = line.split()
        if int(rank) != expected:
            msg = f"rank {rank!r} where {expected} was expected: the ranks are not contiguous"
            raise ValueError(msg)
        tokens.append(base64.b64decode(token))
    return tokens
