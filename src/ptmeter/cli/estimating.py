"""The command that says what a call will cost, before there is a call or a database."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from ..domain.estimates import Method
from ..domain.prices import Processing
from ..domain.rates import Workload
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..domain.estimates import Estimate
    from ..domain.plans import Plans
    from ..pricing import Request

BODY_KEYS: Final = frozenset({"messages", "input", "prompt", "system", "instructions"})
"""A JSON object with one of these is the body of a request; any other is text that happens to be JSON."""


COUNTED: Final = {
    Method.EXACT: "by the model's own tokenizer",
    Method.CALIBRATED: "by another tokenizer, times a measured factor",
    Method.APPROXIMATE: "in part from the bytes alone",
}


def estimate(
    *,
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="What is to be sent; standard input if left out or -.")
    ] = "-",
    model: Annotated[
        str | None, typer.Option("--model", help="The model; left out, the one the request names.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, help="The longest answer allowed.")
    ] = None,
    processing: Annotated[
        Processing,
        typer.Option("--processing", help="How it is to be processed, unless the request says so itself."),
    ] = Processing.STANDARD,
    pieces: Annotated[
        list[str] | None,
        typer.Option(
            "--piece", metavar="NAME=N", help="Pages, seconds, searches: ocr_page=12. May be repeated."
        ),
    ] = None,
    card: options.CardFile = None,
    plans: options.PlansFile = None,
    prices: options.PricesFile = None,
    as_json: options.AsJson = False,
) -> int:
    """
    Say what a text or a chat request will cost before it is sent.

    The file may be plain text, a JSON list of chat messages, or the JSON body
    of a request to OpenAI or Anthropic. It is counted here: nothing is sent
    anywhere, and no database is needed.
    """
    text = _read(file)
    request = sniffed(text)
    chosen = model or _model_of(request)
    rates = options.pricing(card, prices, options.policy())
    workload = Workload(processing=processing)
    said = dict(map(_piece, pieces or []))
    found = rates.estimate(chosen, request, max_tokens=max_tokens, workload=workload, pieces=said)
    opening = _opened_by(_plans(plans), found)
    from .writing import screen, write_json

    if as_json:
        write_json(_document(found, opening, rates.card.version))
    else:
        screen().print(*_lines(found, opening), sep="\n")
    return ExitCode.OK


def sniffed(text: str) -> Request:
    """The request that *text* is: messages or a body in JSON, or else the text itself."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict):
        body = cast("dict[str, Any]", value)
        return body if BODY_KEYS & body.keys() else text
    messages = cast("list[Any]", value)
    return messages if messages and all(map(_is_message, messages)) else text


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and "role" in value


def _read(file: str) -> str:
    if file == "-":
        if sys.stdin.isatty():
            msg = "there is nothing to estimate: name a file, or pipe the text in"
            raise InvalidArgumentError(msg)
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        return Path(file).read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise InvalidArgumentError(msg) from error


def _model_of(request: Request) -> str:
    named: object = request.get("model") if isinstance(request, Mapping) else None
    if not isinstance(named, str) or not named:
        msg = "say which model the text is for: --model gpt-4o-mini"
        raise InvalidArgumentError(msg)
    return named


def _piece(said: str) -> tuple[str, int]:
    name, _, count = said.partition("=")
    if not name or not (count.isascii() and count.isdigit()):
        msg = f"say what will be charged by the piece as NAME=N, such as ocr_page=12, not {said!r}"
        raise InvalidArgumentError(msg)
    return name, int(count)


def _plans(file: Path | None) -> Plans:
    from .. import configuration

    return configuration.read_plans(file) if file else configuration.reference_plans()


def _opened_by(plans: Plans, found: Estimate) -> list[str]:
    return [name for name, plan in plans.by_name.items() if plan.opens(found.model, found.unit)]


def _document(found: Estimate, opening: list[str], card_version: str) -> dict[str, Any]:
    from .writing import money_text, pt_text

    return {
        "model": found.model,
        "unit": found.unit,
        "expected": pt_text(found.expected),
        "at_most": pt_text(found.at_most),
        "hold": pt_text(found.hold),
        "input_tokens": found.input.tokens,
        "input_tokens_at_most": found.input.high,
        "method": str(found.input.method),
        "output_tokens_expected": found.output_expected,
        "output_tokens_at_most": found.output_at_most,
        "pieces_at_most": dict(found.pieces),
        "cost_expected": money_text(found.cost_expected),
        "cost_at_most": money_text(found.cost_at_most),
        "currency": found.cost_expected.currency,
        "definition": found.definition,
        "plans": opening,
        "card_version": card_version,
        "notes": list(found.notes),
    }


def _lines(found: Estimate, opening: list[str]) -> list[RenderableType]:
    from .writing import facts, money, number, pt, remark, safe, table

    made = table(safe(found.model), "~", ">expected", ">at most")
    made.add_row(f"{found.unit} PT", pt(found.expected, "bold"), pt(found.at_most, "bold"))
    made.add_row("provider cost", money(found.cost_expected, 6), money(found.cost_at_most, 6))
    made.add_row("input tokens", number(found.input.tokens), number(found.input.high))
    made.add_row("output tokens", number(found.output_expected), number(found.output_at_most))
    for name, count in found.pieces.items():
        made.add_row(safe(name), "", number(count))
    rows = {
        "hold": f"{found.hold}, set aside until the call is answered",
        "counted": f"{found.input.method}: {COUNTED[found.input.method]}",
        "plans": ", ".join(opening) or "none includes this model",
        "PT": found.definition,
    }
    notes = [remark(f"note: {note}") for note in found.notes]
    return [made, "", facts(rows), *notes]
