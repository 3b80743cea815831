"""
Traces of real calls: which formats there are, and how a file becomes rows, one at a time.

A row is read from its line alone, so a stray quotation mark costs one row and not all that follow. What
cannot be read becomes a `Malformed` with its line number, never nothing.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from ..domain.usage import Usage
from ..errors import InvalidArgumentError
from . import servegen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MOST_TOKENS: Final = 2**31 - 1
"""More tokens of a class than the ledger has room for."""

SECONDS_SINCE_1970: Final = 100_000_000
"""A number this large is a time; a smaller one counts from the beginning of the trace."""

MILLISECONDS_SINCE_1970: Final = 100_000_000_000

NAMES: Final[Mapping[str, str]] = {"ChatGPT": "gpt-3.5-turbo", "GPT-4": "gpt-4"}
"""What BurstGPT calls its models, and what they are called."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call of a trace: what it used, when, and whose it was if the trace says so."""

    line: int
    usage: Usage
    at: datetime | None = None
    model: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no call, and why not."""

    line: int
    problem: str


Read: TypeAlias = "Row | Malformed"


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that can be read as often as need be; *digest* names its content."""

    name: str
    format: str
    digest: str
    rows: Callable[[], Iterator[Read]]


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    columns: tuple[str, ...]
    optional: frozenset[str]
    row: Callable[[int, Mapping[str, str]], Row]

    def fits(self, header: list[str]) -> bool:
        """Whether a file with this header is of the format."""
        needed = set(self.columns)
        return len(set(header)) == len(header) and needed <= set(header) <= needed | self.optional


def open_trace(path: Path, *, seed: int = 0) -> Trace:
    """
    Recognise a trace by its header, or ServeGen's by the names of its files.

    Raises:
        InvalidArgumentError: It cannot be read, or its format is not known.
    """
    if files := servegen.files(path):
        return Trace(path.name, "ServeGen", f"{_digest(files)}:{seed}", partial(_sampled, files, seed))
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()
        header = _columns(next(_lines(path), (0, ""))[1])
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidArgumentError(msg) from error
    for known in FORMATS:
        if known.fits(header):
            return Trace(path.name, known.name, digest, partial(_read, path, known, header))
    msg = f"{path} has no header that is known: {formats()}"
    raise InvalidArgumentError(msg)


def formats() -> str:
    """The formats that are read, in a sentence."""
    known = [
        f"{known.name} ({','.join(known.columns)}{''.join(f'[,{each}]' for each in sorted(known.optional))})"
        for known in FORMATS
    ]
    return (
        f"what can be read is {'; '.join(known)}; and ServeGen (a chunk-N-trace.csv, or a folder of them)"
    )


# --- one line ---------------------------------------------------------------------------------


def _read(path: Path, known: _Format, header: list[str]) -> Iterator[Read]:
    lines = _lines(path)
    next(lines)
    for line, text in lines:
        if not text.strip():
            continue
        try:
            fields = _columns(text)
            if len(fields) != len(header):
                msg = f"it has {len(fields)} fields, and the header {len(header)}"
                raise ValueError(msg)  # noqa: TRY301 - told like whatever else is wrong with the line
            yield known.row(line, dict(zip(header, fields, strict=True)))
        except (ValueError, csv.Error) as problem:
            yield Malformed(line, str(problem))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        yield from enumerate(file, 1)


def _columns(text: str) -> list[str]:
    parsed = list(csv.reader([text.rstrip("\r\n")], strict=True))
    return [field.strip() for field in parsed[0]] if parsed else []


def _azure(line: int, row: Mapping[str, str]) -> Row:
    usage = _usage(row["ContextTokens"], row["GeneratedTokens"])
    return Row(line, usage, at=_moment(row["TIMESTAMP"]))


def _mooncake(line: int, row: Mapping[str, str]) -> Row:
    usage = _usage(row["input_tokens"], row["output_tokens"], row["cached_tokens_5min"])
    return Row(line, usage, at=_moment(row["timestamp_ms"]))


def _burstgpt(line: int, row: Mapping[str, str]) -> Row:
    usage = _usage(row["Request tokens"], row["Response tokens"])
    if usage.total != _count("Total tokens", row["Total tokens"]):
        msg = f"its tokens are {usage.total} in sum, and it says {row['Total tokens']}"
        raise ValueError(msg)
    return Row(line, usage, at=_moment(row["Timestamp"]), model=NAMES.get(row["Model"], row["Model"]))


def _generic(line: int, row: Mapping[str, str]) -> Row:
    usage = _usage(row["input_tokens"], row["output_tokens"], row.get("cached_tokens") or "0")
    at = _moment(row["timestamp"])
    return Row(line, usage, at=at, model=row.get("model") or None, account=row.get("account") or None)


FORMATS: Final = (
    _Format("Azure LLM inference", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), frozenset(), _azure),
    _Format(
        "Mooncake with cache",
        ("timestamp_ms", "input_tokens", "cached_tokens_inf", "cached_tokens_5min", "output_tokens"),
        frozenset(),
        _mooncake,
    ),
    _Format(
        "BurstGPT",
        ("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type"),
        frozenset(),
        _burstgpt,
    ),
    _Format(
        "generic",
        ("timestamp", "input_tokens", "output_tokens"),
        frozenset({"cached_tokens", "model", "account"}),
        _generic,
    ),
)


# --- one field --------------------------------------------------------------------------------


def _usage(entered: str, left: str, cached: str = "0") -> Usage:
    input_tokens, output, cached_tokens = (
        _count("input", entered),
        _count("output", left),
        _count("cached", cached),
    )
    if cached_tokens > input_tokens:
        msg = f"{cached_tokens} of its {input_tokens} input tokens are said to be cached"
        raise ValueError(msg)
    if not input_tokens + output:
        msg = "it has no tokens at all"
        raise ValueError(msg)
    return Usage(
        input_uncached=input_tokens - cached_tokens, input_cache_read=cached_tokens, output_text=output
    )


def _count(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MOST_TOKENS)):
        msg = f"{what} {text[:40]!r} is no number of tokens"
        raise ValueError(msg)
    count = int(text)
    if count > MOST_TOKENS:
        msg = f"{what} {count} is more tokens than a call can have"
        raise ValueError(msg)
    return count


def _moment(text: str) -> datetime | None:
    """Read a time; one without an offset is in UTC, a small number counts from some beginning and is none."""
    try:
        seconds = float(text)
        if seconds < SECONDS_SINCE_1970:
            return None
        return datetime.fromtimestamp(
            seconds / 1_000 if seconds >= MILLISECONDS_SINCE_1970 else seconds, UTC
        )
    except (ValueError, OverflowError, OSError):
        pass
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{text[:40]!r} is no time"
        raise ValueError(msg) from None


# --- ServeGen ---------------------------------------------------------------------------------


def _sampled(files: Iterable[Path], seed: int) -> Iterator[Read]:
    for number, call in enumerate(servegen.calls(files, seed), 1):
        if isinstance(call, servegen.Unreadable):
            yield Malformed(call.line, f"{call.file}: {call.problem}")
        else:
            yield Row(number, call.usage, account=call.client)


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.blake2b()
    for path in files:
        for each in (path, servegen.dataset_of(path)):
            content = each.read_bytes() if each.exists() else b""
            whole.update(f"{each.name}:{len(content)}:".encode() + content)
    return whole.hexdigest()
