"""Reading traces: each format, and each way a line can be none."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from ptmeter import InvalidArgumentError, Usage
from ptmeter.cli.traces import Malformed, Row, open_trace

if TYPE_CHECKING:
    from pathlib import Path

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
GENERIC = "timestamp,input_tokens,output_tokens"


def read(path: Path, text: str) -> list[Row | Malformed]:
    path.write_text(text)
    return list(open_trace(path).rows())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


# --- the formats ---


def test_azure(file: Path) -> None:
    """Azure's rows have a time in UTC, to seven decimals in 2023 and with an offset in 2024."""
    rows = read(
        file,
        AZURE + "2023-11-16 18:15:46.6805900,374,44\n2024-05-10 02:00:00.009930+02:00,2162,5\n",
    )

    assert [
        Row(
            2,
            Usage(input_uncached=374, output_text=44),
            at=datetime(2023, 11, 16, 18, 15, 46, 680590, tzinfo=UTC),
        ),
        Row(
            3,
            Usage(input_uncached=2162, output_text=5),
            at=datetime(2024, 5, 10, 0, 0, 0, 9930, tzinfo=UTC),
        ),
    ] == rows


def test_mooncake(file: Path) -> None:
    """What a cache of five minutes would have held counts as read from the cache."""
    header = "timestamp_ms,input_tokens,cached_tokens_inf,cached_tokens_5min,output_tokens\n"

    assert [Row(2, Usage(input_uncached=4322, input_cache_read=512, output_text=173))] == read(
        file, header + "0,4834,1024,512,173\n"
    )


def test_burstgpt(file: Path) -> None:
    """BurstGPT's names of models become the provider's; what does not add up is malformed."""
    header = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    rows = read(file, header + "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,10,5,16,API log\n")

    assert [
        Row(2, Usage(input_uncached=472, output_text=18), model="gpt-3.5-turbo"),
        Malformed(3, "its tokens are 15 in sum, and it says 16"),
    ] == rows


def test_generic(file: Path) -> None:
    """Any order of columns, with cached tokens, models and accounts where there are some."""
    text = "account,timestamp,input_tokens,output_tokens,model,cached_tokens\n"
    text += '"Acme, Inc.",1700000000,10,2,gpt-4o-mini,4\nB,1700000000000,10,2,,\nC,7.5,10,2,,0\n'

    at = datetime.fromtimestamp(1_700_000_000, UTC)
    plain = Usage(input_uncached=10, output_text=2)
    assert [
        Row(
            2,
            Usage(input_uncached=6, input_cache_read=4, output_text=2),
            at=at,
            model="gpt-4o-mini",
            account="Acme, Inc.",
        ),
        Row(3, plain, at=at, account="B"),
        Row(4, plain, at=None, account="C"),
    ] == read(file, text)


def test_the_files_of_others_are_read(file: Path) -> None:
    """A byte-order mark, line ends of Windows and blank lines do not matter."""
    file.write_bytes(b"\xef\xbb\xbf" + GENERIC.encode() + b"\r\n\r\n2023-01-01,1,2\r\n")

    assert [3] == [row.line for row in open_trace(file).rows() if isinstance(row, Row)]


# --- what is none ---


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2023-01-01,1", "it has 2 fields, and the header 3"),
        ("2023-01-01,1,2,3", "it has 4 fields"),
        ("yesterday,1,2", "'yesterday' is no time"),
        ("inf,1,2", "'inf' is no time"),
        ("nan,1,2", "'nan' is no time"),
        ("1e30,1,2", "'1e30' is no time"),
        ("0001-01-01T00:00+09:00,1,2", "is no time"),
        ("2023-01-01,-1,2", "input '-1' is no number of tokens"),
        ("2023-01-01,1.5,2", "input '1.5'"),
        ("2023-01-01,1_0,2", "input '1_0'"),
        ("2023-01-01,٣,2", "input '٣'"),
        ("2023-01-01,,2", "input ''"),
        ("2023-01-01,1,4294967296", "more tokens than a call can have"),
        ("2023-01-01,1,99999999999999999999", "no number of tokens"),
        ("2023-01-01,0,0", "no tokens at all"),
        ('2023-01-01,"1,2', "unexpected end of data"),
    ],
)
def test_a_malformed_line_costs_itself_only(line: str, problem: str, file: Path) -> None:
    """A line that is no call is told with its number and why, and the lines after it are read."""
    bad, good = read(file, f"{GENERIC}\n{line}\n2023-01-01,1,2\n")

    assert isinstance(bad, Malformed)
    assert (2, True) == (bad.line, problem in bad.problem)
    assert isinstance(good, Row)
    assert 3 == good.line


def test_more_cached_than_sent_is_malformed(file: Path) -> None:
    """A call cannot have read more from the cache than it had tokens."""
    (bad,) = read(file, GENERIC + ",cached_tokens\n1,10,2,11\n")

    assert Malformed(2, "11 of its 10 input tokens are said to be cached") == bad


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "timestamp,timestamp,input_tokens,output_tokens\n"])
def test_an_unknown_header_is_told_what_is_known(text: str, file: Path) -> None:
    """A file with another header, or none, is refused with all formats that are read."""
    file.write_text(text)

    with pytest.raises(InvalidArgumentError, match=r"Azure .*Mooncake .*BurstGPT .*generic .*ServeGen"):
        open_trace(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A trace that cannot be read is said so; so is a folder that is not ServeGen's."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidArgumentError, match="cannot be read"):
            open_trace(path)


def test_the_content_names_a_trace(tmp_path: Path) -> None:
    """A copy under another name is the same trace; one more line makes another."""
    for name, text in (("a", AZURE), ("b", AZURE), ("c", AZURE + "2023-01-01,1,2\n")):
        (tmp_path / name).write_text(text)
    first, copy, longer = (open_trace(tmp_path / name).digest for name in "abc")

    assert first == copy != longer


# --- ServeGen ---


def servegen(folder: Path, client: int, trace: str, **fields: str) -> Path:
    (folder / f"chunk-{client}-trace.csv").write_text(trace)
    habits = {"input_tokens": "{100: 0.5, 200: 0.5}", "output_tokens": "{1000: 1.0}", **fields}
    (folder / f"chunk-{client}-dataset.json").write_text(
        json.dumps({"0": habits, "21600": dict.fromkeys(habits, "{}")})
    )
    return folder / f"chunk-{client}-trace.csv"


def test_servegen_is_sampled_per_client(tmp_path: Path) -> None:
    """Each client is an account, has as many calls as its rate says, and reasons as much as it does."""
    servegen(tmp_path, 2, "0,0.5,1.0,Gamma,1.0,2.0\n600,0,0,,0,0\n", reason_ratio="{0.25: 1.0}")
    servegen(tmp_path, 10, "0,0.1,2.0,Weibull,0.5,1.0\n600,0.1,1.0,Gamma,1.0,1.0\n")
    rows = list(open_trace(tmp_path).rows())

    assert {"client-2": 300, "client-10": 120} == Counter(
        row.account for row in rows if isinstance(row, Row)
    )
    assert list(range(1, 421)) == [row.line for row in rows]
    assert {(750, 250), (1000, 0)} == {
        (row.usage.output_text, row.usage.output_reasoning) for row in rows if isinstance(row, Row)
    }
    assert {100, 200} == {row.usage.input_total for row in rows if isinstance(row, Row)}


def test_servegen_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """The same seed gives the same calls under the same name, another seed others."""
    chunk = servegen(tmp_path, 1, "0,0.2,3.0,Gamma,0.1,2.0\n")
    first, again, other = open_trace(tmp_path, seed=1), open_trace(chunk, seed=1), open_trace(chunk, seed=2)

    assert (list(first.rows()), first.digest) == (list(again.rows()), again.digest)
    assert list(first.rows()) != list(other.rows())
    assert first.digest != other.digest


@pytest.mark.parametrize(
    "window",
    [
        "0,1,1",
        "0,many,1.0,Gamma,1,1",
        "0,0.1,1.0,Pareto,1,1",
        "0,-1,1.0,Gamma,1,1",
        "0,0.1,1.0,Gamma,0,1",
        "0,inf,1,Gamma,1,1",
    ],
)
def test_a_malformed_window_of_servegen(window: str, tmp_path: Path) -> None:
    """A window that cannot be sampled is told with its file and line."""
    servegen(tmp_path, 1, f"{window}\n600,0.1,1.0,Gamma,1.0,1.0\n")
    bad, *good = open_trace(tmp_path).rows()

    assert isinstance(bad, Malformed)
    assert (1, True) == (bad.line, bad.problem.startswith("chunk-1-trace.csv: "))
    assert 60 == len(good)


@pytest.mark.parametrize("content", [None, "not json", '{"0": {}}', '{"0": {"input_tokens": "["}}', "[]"])
def test_a_chunk_without_its_distributions(content: str | None, tmp_path: Path) -> None:
    """A chunk whose dataset is missing or none is refused by name."""
    dataset = servegen(tmp_path, 1, "0,0.1,1.0,Gamma,1,1\n").with_name("chunk-1-dataset.json")
    dataset.unlink()
    if content is not None:
        dataset.write_text(content)

    with pytest.raises(InvalidArgumentError, match=r"chunk-1-dataset\.json"):
        list(open_trace(tmp_path).rows())


# --- the real ones ---


@pytest.mark.parametrize(
    ("name", "format_", "rows"),
    [
        ("azure_llm_2023_conv.csv", "Azure LLM inference", 19_366),
        ("azure_llm_2023_code.csv", "Azure LLM inference", 8_819),
        ("mooncake_conversation_with_cache.csv", "Mooncake with cache", 12_031),
    ],
)
def test_the_public_traces_are_read_whole(name: str, format_: str, rows: int, data: Path) -> None:
    """Every row of the public traces is read, and none is malformed."""
    trace = open_trace(data / "traces" / name)

    assert format_ == trace.format
    assert {Row: rows} == Counter(map(type, trace.rows()))


def test_servegen_itself_is_read(data: Path) -> None:
    """Calls are sampled from the 73 clients of ServeGen's reasoning model, and they do reason."""
    trace = open_trace(data / "traces" / "servegen-deepseek-r1")
    rows = [row for row in islice(trace.rows(), 2_000) if isinstance(row, Row)]

    assert ("ServeGen", 2_000) == (trace.format, len(rows))
    assert 10 < len({row.account for row in rows})
    assert sum(row.usage.output_reasoning for row in rows) > sum(row.usage.output_text for row in rows)
