"""What a call will cost, from a file or a pipe, without a database."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from ptmeter.cli.estimating import sniffed

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

MESSAGES = [{"role": "user", "content": "What is a ledger?"}]
BODY = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 2_000}


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Standard input, to write to."""
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(buffer))
    return buffer


def test_a_text_is_estimated_for_a_model(run: Run, tmp_path: Path) -> None:
    """Expected, at most and hold in PT; tokens and how they were counted; cost; what a PT is."""
    (tmp_path / "prompt.txt").write_text("word " * 1_000)
    found = run("estimate", "--model", "gpt-4o-mini", str(tmp_path / "prompt.txt"), "--json").json

    assert ("core", "1", "6", "6", "exact") == tuple(
        found[name] for name in ("unit", "expected", "at_most", "hold", "method")
    )
    assert 1_000 < found["input_tokens"] < 1_020
    assert float(found["cost_expected"]) < float(found["cost_at_most"])
    assert found["definition"].startswith("1 core PT pays for about")
    assert "freemium" in found["plans"]


def test_a_request_names_its_model_and_its_longest_answer(run: Run, tmp_path: Path) -> None:
    """The body of a request needs no ``--model``, and its own limit bounds the answer."""
    (tmp_path / "request.json").write_text(json.dumps(BODY))
    found = run("estimate", str(tmp_path / "request.json"), "--json").json

    assert ("gpt-4o-mini", 2_000, "3") == (found["model"], found["output_tokens_at_most"], found["at_most"])


def test_what_is_billed_by_the_piece_is_said(run: Run, tmp_path: Path) -> None:
    """Pages of a document, for a model that has no price for tokens; a word that is no number of pieces is refused."""
    (tmp_path / "scan.txt").write_text("a document")
    command = ("estimate", "--model", "mistral-ocr-2512", str(tmp_path / "scan.txt"))
    found = run(*command, "--piece", "ocr_page=12", "--json").json

    assert ("core", "32", {"ocr_page": 12}) == (found["unit"], found["hold"], found["pieces_at_most"])
    assert "ocr_page" in run(*command, "--piece", "ocr_page=12").out
    assert "pieces={...} of ocr_annotated_page, ocr_page" in " ".join(run(*command).err.split())
    for wrong in ("ocr_page", "=3", "ocr_page=-1", "ocr_page=x"):
        assert "as NAME=N, such as ocr_page=12" in " ".join(run(*command, "--piece", wrong).err.split())


def test_how_it_is_to_be_processed_may_be_said(run: Run, tmp_path: Path) -> None:
    """By an option, or by the request itself; a note says which price it is, and half of it is half the cost."""
    (tmp_path / "request.json").write_text(json.dumps(BODY))
    (tmp_path / "flex.json").write_text(json.dumps({**BODY, "model": "o3", "service_tier": "flex"}))
    standard = run("estimate", str(tmp_path / "request.json"), "--json").json
    batch = run("estimate", str(tmp_path / "request.json"), "--processing", "batch", "--json").json

    assert float(standard["cost_at_most"]) == 2 * float(batch["cost_at_most"])
    assert "at the batch price" in batch["notes"]
    assert "at the flex price" in run("estimate", str(tmp_path / "flex.json")).out
    assert 2 == run("estimate", str(tmp_path / "flex.json"), "--processing", "priority").code


def test_a_pipe_is_read_too(run: Run, pipe: io.BytesIO) -> None:
    """Standard input is read when no file is named or the file is ``-``."""
    pipe.write(json.dumps(BODY).encode())
    shown = []
    for arguments in ([], ["-"]):
        pipe.seek(0)
        shown.append(run("estimate", *arguments).out)

    assert shown[0] == shown[1]
    assert "gpt-4o-mini" in shown[0]


def test_people_see_the_doubts_too(run: Run, tmp_path: Path) -> None:
    """The notes say what a figure rests on, such as a tokenizer that is not the model's own."""
    (tmp_path / "prompt.txt").write_text("What is a ledger?")
    shown = run("estimate", "--model", "claude-sonnet-4-5", str(tmp_path / "prompt.txt")).out

    assert "note: no public tokenizer" in shown
    assert "calibrated" in shown
    assert "1 advanced PT pays for about" in shown


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("plain", "plain"),
        ('{"a": 1}', '{"a": 1}'),
        ("{not json", "{not json"),
        ("[]", "[]"),
        ('[{"a": 1}]', '[{"a": 1}]'),
        ("[1, 2]", "[1, 2]"),
        (json.dumps(MESSAGES), MESSAGES),
        (f"  {json.dumps(BODY)}\n", BODY),
        ('{"input": "x"}', {"input": "x"}),
    ],
)
def test_only_a_request_is_taken_for_one(text: str, request_: object) -> None:
    """JSON is a request if it has a request's shape; otherwise it is text like any other."""
    assert request_ == sniffed(text)


def test_what_cannot_be_estimated_is_wrong_usage(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No model, no such file, a model nobody knows, and nothing at all: each is said in a sentence."""
    (tmp_path / "prompt.txt").write_text("x")
    (tmp_path / "odd.json").write_text(json.dumps({**BODY, "model": 4}))
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    asked = {
        "say which model": run("estimate", str(tmp_path / "prompt.txt")),
        "say which model ": run("estimate", str(tmp_path / "odd.json")),
        "cannot be read": run("estimate", "--model", "gpt-4o-mini", str(tmp_path / "none.txt")),
        "gpt-99": run("estimate", "--model", "gpt-99", str(tmp_path / "prompt.txt")),
        "pipe the text in": run("estimate", "--model", "gpt-4o-mini"),
    }

    assert {2} == {each.code for each in asked.values()}
    assert [] == [words for words, each in asked.items() if words not in each.err]


def test_prices_and_plans_of_ones_own(run: Run, tmp_path: Path) -> None:
    """``--prices`` comes before the catalogue, and ``--plans`` says who may use the model."""
    (tmp_path / "prompt.txt").write_text("x")
    (tmp_path / "prices.json").write_text(
        json.dumps(
            {
                "prices": {
                    "openai/gpt-4o-mini": [
                        {"usd_per_million_tokens": {"input_uncached": "1000", "output_text": "1000"}}
                    ]
                }
            }
        )
    )
    (tmp_path / "plans.json").write_text(
        json.dumps({"plans": {"only": {"price_per_month": 1, "allowance": {"core": 1}, "units": ["core"]}}})
    )
    options = ("--prices", str(tmp_path / "prices.json"), "--plans", str(tmp_path / "plans.json"))
    found = run(
        "estimate", "--model", "openai/gpt-4o-mini", str(tmp_path / "prompt.txt"), *options, "--json"
    )

    assert ["only"] == found.json["plans"]
    assert float(found.json["cost_at_most"]) > 4
