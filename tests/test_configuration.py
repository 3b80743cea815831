"""Rate cards, plans and prices as people write them: read exactly, or refused with file, line and place."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.configuration import read_plans, read_prices, read_rate_card, reference_card, reference_plans
from ptmeter.domain.flags import Flag
from ptmeter.domain.limits import Burn, BurnStep, Cap, Limits, Pace, Share, SpendCap
from ptmeter.domain.plans import Plan, RollOver, Trial
from ptmeter.domain.prices import ALWAYS, Price, Processing, Tier
from ptmeter.domain.pt import MICRO, PT, Money
from ptmeter.domain.rates import (
    Band,
    Banded,
    Complexity,
    Content,
    CostPlus,
    ModelRule,
    Workload,
)
from ptmeter.domain.referral_terms import Bound, Bounds, ReferralTerms, RewardKind, RewardTerms, RewardTier
from ptmeter.domain.usage import TOKEN_CLASSES, Usage
from ptmeter.domain.windows import Every
from ptmeter.errors import ConfigurationError, UnknownModelError, UnknownUnitError
from ptmeter.providers.prices import GenaiPrices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUFFER: dict[str, Any] = {
    "bloat": {"simple": "15%", "moderate": "20%", "complex": "25%"},
    "retries": {"least": "5%", "most": "15%"},
    "moderation": {"text": "3%", "code": "5%", "mixed": "8%"},
    "tool_calls": {"each": "2%", "at_most": "10%"},
    "variance": "7.25%",
    "total": {"least": "33%", "most": "68.5%"},
}

CARD_YAML = """\
name: ours
effective_from: 2026-01-31
notes: [a card for tests]
units:
  core:
    pays_for: "0.001"
    sells_at: "0.01"
    method: banded
    bands: &bands
      - {tokens: 1_500, pt: 1}
      - {tokens: 4200, pt: "2.5"}
    step: "0.5"
  advanced:
    pays_for: "0.0035"
    sells_at: 1
    method: cost_plus
    bands: *bands
buffer:
  bloat: {simple: 15%, moderate: 20%, complex: 25%}
  retries: {least: 5%, most: 15%}
  moderation: {text: 3%, code: 5%, mixed: 8%}
  tool_calls: {each: 2%, at_most: 10%}
  variance: 7.25%
  total: {least: 33%, most: 68.5%}
models:
  - {patterns: [tiny-*, mini], unit: core}
  - patterns: ["*"]
    unit: advanced
    method: banded
"""

BANDS = [{"tokens": 1500, "pt": 1}, {"tokens": 4200, "pt": "2.5"}]

CARD: dict[str, Any] = {
    "name": "ours",
    "effective_from": "2026-01-31",
    "notes": ["a card for tests"],
    "units": {
        "core": {
            "pays_for": "0.001", "sells_at": "0.01", "method": "banded", "bands": BANDS, "step": "0.5",
        },
        "advanced": {"pays_for": "0.0035", "sells_at": 1, "method": "cost_plus", "bands": BANDS},
    },
    "buffer": BUFFER,
    "models": [
        {"patterns": ["tiny-*", "mini"], "unit": "core"},
        {"patterns": ["*"], "unit": "advanced", "method": "banded"},
    ],
}  # fmt: skip


def changed(place: str, value: object, whole: dict[str, Any] = CARD) -> dict[str, Any]:
    """A copy of *whole* in which another value stands at *place*; ``...`` takes what is there away."""
    copy = json.loads(json.dumps(whole))
    *way, last = [int(part) if part.isdigit() else part for part in place.split("/")]
    inner = copy
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return copy


def refusal(read: Callable[[Any], object], source: object) -> list[str]:
    """The lines of the error with which a source is refused."""
    with pytest.raises(ConfigurationError) as caught:
        read(source)
    return str(caught.value).splitlines()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | bytes], str]:
    """Write a file where the test runs and return its name."""
    monkeypatch.chdir(tmp_path)

    def written(name: str, content: str | bytes) -> str:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return name

    return written


@pytest.fixture
def no_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if PyYAML were not installed."""
    monkeypatch.setitem(sys.modules, "yaml", None)


# --- rate cards -------------------------------------------------------------------------------


def test_a_card_is_read_as_it_is_written() -> None:
    """Every field of a rate card arrives in the domain's card, exactly."""
    card = read_rate_card(CARD)
    bands = (Band(1_500, 1_000_000), Band(4_200, 2_500_000))
    advanced = card.units["advanced"].method

    assert ("ours", datetime(2026, 1, 31, tzinfo=UTC)) == (card.name, card.effective_from)
    assert ["core", "advanced"] == list(card.units)
    assert (Money(1_000_000), Money(10_000_000)) == (
        card.units["core"].pays_for,
        card.units["core"].sells_at,
    )
    assert Banded(bands, 500_000) == card.units["core"].method
    assert isinstance(advanced, CostPlus)
    assert (MICRO, 725, 6_850) == (advanced.step, advanced.buffer.variance, advanced.buffer.most)
    assert (
        ModelRule("tiny-*", "core"),
        ModelRule("mini", "core"),
        ModelRule("*", "advanced", Banded(bands)),
    ) == card.models


def test_yaml_and_json_give_the_same_card(write: Callable[[str, str], str]) -> None:
    """A card written in YAML, in JSON or as a mapping is the same card of the same version."""
    from_yaml = read_rate_card(write("card.yaml", CARD_YAML))
    from_json = read_rate_card(write("card.json", json.dumps(CARD, indent=1)))
    from_mapping = read_rate_card(MappingProxyType(CARD))

    assert from_yaml == from_json == from_mapping
    assert from_yaml.version == from_json.version == from_mapping.version
    assert CARD == from_yaml.source


def test_the_version_of_a_card_is_its_content() -> None:
    """A card that differs in anything, be it a note, has another version; a copy has the same."""
    versions = {
        read_rate_card(source).version
        for source in (
            CARD,
            dict(reversed(CARD.items())),
            changed("notes", []),
            changed("units/core/step", 1),
        )
    }

    assert 3 == len(versions)


def test_a_card_does_not_change_with_its_source() -> None:
    """What is changed in a mapping after it was read changes nothing in the card."""
    source = changed("notes", [])
    card = read_rate_card(source)
    source["notes"].append("something else")

    assert '"notes":[]' in card.as_json()


@pytest.mark.parametrize("unit", ["core", "advanced"])
def test_cost_plus_can_be_chosen_by_unit_and_by_model(unit: str) -> None:
    """The method stands with the unit, and a rule for models may say the other one."""
    card = read_rate_card(changed("models/0", {"patterns": ["a"], "unit": unit, "method": "cost_plus"}))
    plain = read_rate_card(changed("models/0", {"patterns": ["a"], "unit": unit}))

    assert isinstance(card.rule("a").method, CostPlus)
    assert plain.rule("a").method is None


def test_what_is_beside_tokens_is_included_unless_the_card_says_otherwise() -> None:
    """Charged at the buffer and the step of the card; a card that says nothing keeps its version and its meaning."""
    card = read_rate_card(changed("units/core/beside_tokens", "cost_plus"))
    plain = read_rate_card(CARD)

    method, before = card.units["core"].method, plain.units["core"].method
    assert isinstance(method, Banded)
    assert isinstance(before, Banded)
    assert isinstance(plain.units["advanced"].method, CostPlus)
    assert (CostPlus(plain.units["advanced"].method.buffer, method.step), None) == (
        method.beside,
        before.beside,
    )
    assert card.version != plain.version
    assert before == read_rate_card(changed("units/core/beside_tokens", "included")).units["core"].method


def test_what_is_beside_tokens_needs_a_buffer_and_bands() -> None:
    """To be added at cost-plus there has to be a buffer, and bands to add it to."""
    bare = changed("buffer", ..., changed("units/advanced/method", "banded"))
    place = "units.advanced.beside_tokens"

    assert (
        "buffer: expected a buffer, for units.core.beside_tokens is cost_plus"
        in (refusal(read_rate_card, changed("units/core/beside_tokens", "cost_plus", bare))[-1])
    )
    unbanded = changed(
        "units/advanced/bands", ..., changed("models", [{"patterns": ["*"], "unit": "core"}])
    )
    assert (
        f"rate card: {place}: expected this beside bands alone: cost_plus charges for all there is"
        == (refusal(read_rate_card, changed("units/advanced/beside_tokens", "cost_plus", unbanded))[-1])
    )


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T09:00:00+01:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31 09:00Z", datetime(2026, 1, 31, 9, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_utc(written: str, moment: datetime) -> None:
    """A date begins at midnight UTC; a time is taken at its offset."""
    assert moment == read_rate_card(changed("effective_from", written)).effective_from


AMOUNT = 'expected US dollars such as "0.001", more than 0 and in steps of 1e-9, not '
TIME = (
    'expected a date such as "2026-01-31", from midnight UTC on, or a time with its offset '
    'such as "2026-01-31T09:00:00+01:00", not '
)
PATTERN = (
    'expected the name of models such as "gpt-4o-mini*", in lower case and without the provider, '
    "* and ? standing for what varies, not "
)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("units/core/pays_for", "x", f"units.core.pays_for: {AMOUNT}'x'"),
        ("units/core/pays_for", True, f"units.core.pays_for: {AMOUNT}True"),
        ("units/core/pays_for", 0, f"units.core.pays_for: {AMOUNT}0"),
        ("units/core/pays_for", "1e-10", f"units.core.pays_for: {AMOUNT}'1e-10'"),
        ("units/core/pays_for", None, f"units.core.pays_for: {AMOUNT}None"),
        ("units/core/sells_at", -1, f"units.core.sells_at: {AMOUNT.replace('more than', 'at least')}-1"),
        ("units/core/step", "0", "units.core.step: expected PT such as 3 or \"0.25\", more than 0 and in steps of 1e-6, not '0'"),
        ("units/core/method", "flat", "units.core.method: expected 'banded' or 'cost_plus', not 'flat'"),
        ("units/core/bands", [], "units.core.bands: expected at least one"),
        ("units/core/bands", "x", "units.core.bands: expected a list, not 'x'"),
        ("units/core/bands/0/tokens", "1", "units.core.bands[0].tokens: expected a whole number of tokens, at least 1, not '1'"),
        ("units/core/bands/0/tokens", 0, "units.core.bands[0].tokens: expected a whole number of tokens, at least 1, not 0"),
        ("units/core/bands/1/tokens", 1500, "units.core.bands[1].tokens: expected more than the 1500 tokens of the band before, not 1500"),
        ("units/core/bands/1/pt", "0.9", "units.core.bands[1].pt: expected at least the 1 PT of the band before, not 0.9 PT"),
        ("units/core/bands", ..., "units.core.bands: expected bands, for units.core.method is banded"),
        ("units/advanced/bands", ..., "units.advanced.bands: expected bands, for models[1].method is banded"),
        ("units/core/sells", 1, "units.core.sells: expected no such field"),
        ("units/core/sells_at", ..., "units.core.sells_at: expected this field, and it is not there"),
        ("units/core", 5, "units.core: expected fields and their values, not 5"),
        ("units", [], "units: expected names and their values, not []"),
        ("units", {}, "units: expected at least one"),
        ("buffer", ..., "buffer: expected a buffer, for units.advanced.method is cost_plus"),
        ("buffer/variance", 7, 'buffer.variance: expected a share such as "15%" or "7.25%", not 7'),
        ("buffer/variance", "-7%", "buffer.variance: expected a share such as \"15%\" or \"7.25%\", not '-7%'"),
        ("buffer/variance", "7.255%", "buffer.variance: expected a share such as \"15%\" or \"7.25%\", not '7.255%'"),
        ("buffer/total/most", "32%", "buffer.total.most: expected a share that is not below the least"),
        ("buffer/retries/most", "4%", "buffer.retries.most: expected a share that is not below the least"),
        ("units/core/beside_tokens", "free", "units.core.beside_tokens: expected 'cost_plus' or 'included', not 'free'"),
        ("models", {}, "models: expected a list, not {}"),
        ("models/0/patterns", [], "models[0].patterns: expected at least one"),
        ("models/0/patterns/0", "GPT-4*", f"models[0].patterns[0]: {PATTERN}'GPT-4*'"),
        ("models/0/patterns/0", "openai/gpt-4", f"models[0].patterns[0]: {PATTERN}'openai/gpt-4'"),
        ("models/0/patterns/1", "tiny-?", "models[0].patterns[1]: expected a pattern that is reached, and 'tiny-*' at models[0].patterns[0] covers 'tiny-?'"),
        ("models/0/unit", "corr", "models[0].unit: expected a unit of this card (advanced, core), not 'corr'"),
        ("models/0/unit", 5, "models[0].unit: expected text, not 5"),
        ("name", "", "name: expected a name of 1 to 64 printable characters, not ''"),
        ("name", " ours", "name: expected a name of 1 to 64 printable characters, not ' ours'"),
        ("effective_from", "2026-02-30", f"effective_from: {TIME}'2026-02-30'"),
        ("effective_from", "2026-01-31T09:00", f"effective_from: {TIME}'2026-01-31T09:00'"),
        ("effective_from", "0001-01-01T00:00+23:59", f"effective_from: {TIME}'0001-01-01T00:00+23:59'"),
        ("effective_from", 2026, f"effective_from: {TIME}2026"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_card_is_said_in_a_sentence(place: str, value: object, message: str) -> None:
    """Each problem is one sentence with the place and what is expected there."""
    assert [f"rate card: {message}"] == refusal(read_rate_card, changed(place, value))


def test_a_unit_is_named_as_units_are() -> None:
    """A name that could not be a keyword argument is refused for a unit."""
    [message] = refusal(read_rate_card, changed("units/Gold", CARD["units"]["core"]))

    assert message == (
        "rate card: units.Gold: expected a unit's name of up to 32 lower-case letters, digits and underscores, not 'Gold'"
    )


@pytest.mark.parametrize("pattern", ["tiny-x", "tiny-?", "tiny-*", "tiny-*-20*", "mini"])
def test_a_pattern_nobody_would_reach_is_refused(pattern: str) -> None:
    """A pattern behind one that covers it is refused: its models would be charged by the other."""
    source = changed("models/1/patterns", [pattern])

    assert "expected a pattern that is reached" in refusal(read_rate_card, source)[0]


def test_a_pattern_written_twice_is_refused() -> None:
    """A pattern that stands twice is refused the second time, whatever it is made of."""
    source = changed("models/1/patterns", ["x-?*", "x-?*"])

    assert refusal(read_rate_card, source)[0].startswith(
        "rate card: models[1].patterns[1]: expected a pattern that"
    )


def test_bands_may_cost_the_same() -> None:
    """A longer band may cost as much as the one before it."""
    assert read_rate_card(changed("units/core/bands/1/pt", 1)).units["core"].method == Banded(
        (Band(1_500, MICRO), Band(4_200, MICRO)), MICRO // 2
    )


@pytest.mark.parametrize("patterns", [["tiny", "tiny-*"], ["t?", "t*"], ["a*z", "a*"], ["*-mini", "x-*"]])
def test_a_pattern_that_can_be_reached_is_let_pass(patterns: list[str]) -> None:
    """Of overlapping patterns the narrower may come first."""
    assert 2 == len(read_rate_card(changed("models", [{"patterns": patterns, "unit": "core"}])).models)


# --- errors, where they are -------------------------------------------------------------------

WRONG_JSON = """\
{
  "plans": {
    "pro": {
      "price_per_month": 49.0,
      "allowance": {
        "core": "many"
      },
      "units": ["core", "Gold"],
      "seats": 5
    },
    "free": {"price_per_month": 0,
             "price_per_month": 1, "allowance": {}, "units": []}
  }
}
"""

WRONG_YAML = """\
plans:
  pro:
    price_per_month: 49.0
    allowance:
      core: many
    units: [core, Gold]
    seats: 5
  free: {price_per_month: 0,
         price_per_month: 1, allowance: {}, units: []}
"""


def expected_problems(name: str, *lines: int) -> list[str]:
    places = [
        'plans.pro.price_per_month: expected text or a whole number: write "49.0" in quotation marks',
        "plans.pro.allowance.core: expected PT such as 3 or \"0.25\", at least 0 and in steps of 1e-6, not 'many'",
        "plans.pro.units[1]: expected a unit's name of up to 32 lower-case letters, digits and underscores, not 'Gold'",
        "plans.pro.seats: expected no such field",
        f"plans.free.price_per_month: expected once, and it is on line {lines[-1] - 1} already",
    ]
    return [f"{name}:{line}: {place}" for line, place in zip(lines, places, strict=True)]


def test_errors_in_json_name_file_line_and_place(no_yaml: None, write: Callable[[str, str], str]) -> None:
    """All problems of a JSON file come at once, each with its file, line and place, without PyYAML."""
    name = write("plans.json", WRONG_JSON)

    assert expected_problems(name, 4, 6, 8, 9, 12) == refusal(read_plans, name)


def test_errors_in_yaml_name_file_line_and_place(write: Callable[[str, str], str]) -> None:
    """All problems of a YAML file come at once, each with its file, line and place."""
    name = write("plans.yml", WRONG_YAML)

    assert expected_problems(name, 3, 5, 6, 7, 9) == refusal(read_plans, name)


def test_a_field_that_is_missing_is_missed_where_it_belongs(write: Callable[[str, str], str]) -> None:
    """The line of a field that is not there is that of what it should be in."""
    name = write("plans.json", '{"plans":\n\n {"pro": {"allowance": {}, "units": []}}}')

    assert ["plans.json:3: plans.pro.price_per_month: expected this field, and it is not there"] == refusal(
        read_plans, name
    )


def test_problems_between_fields_have_lines_too(write: Callable[[str, str], str]) -> None:
    """What is wrong between two fields is said at the line of the one to mend."""
    text = CARD_YAML.replace("unit: advanced", "unit: gold").replace("tokens: 4200", "tokens: 42")
    expected = "tokens: expected more than the 1500 tokens of the band before, not 42"

    assert [
        f"card.yaml:11: units.advanced.bands[1].{expected}",
        f"card.yaml:11: units.core.bands[1].{expected}",
        "card.yaml:28: models[1].unit: expected a unit of this card (advanced, core), not 'gold'",
    ] == refusal(read_rate_card, write("card.yaml", text))


@pytest.mark.parametrize("number", ["0.1", "1e3", "-2.5E-1", "NaN", "Infinity", "9" * 60])
def test_no_number_becomes_a_float(number: str, write: Callable[[str, str], str]) -> None:
    """A number in JSON that is not a plain whole one is refused wherever it stands, as it was written."""
    name = write("card.json", json.dumps(changed("notes", ["HERE"])).replace('"HERE"', number))
    expected = (
        f'card.json:1: notes[0]: expected text or a whole number: write "{number}" in quotation marks'
    )

    assert expected in refusal(read_rate_card, name)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("0.1", 'expected text or a whole number: write "0.1" in quotation marks'),
        (".inf", 'expected text or a whole number: write ".inf" in quotation marks'),
        ("0777", "expected text or a whole number, not '0777' as a YAML int"),
        ("0x1F", "expected text or a whole number, not '0x1F' as a YAML int"),
        ("12:30", "expected text or a whole number, not '12:30' as a YAML int"),
        ("!!binary aGk=", "expected text or a whole number, not 'aGk=' as a YAML binary"),
        ("!ours x", "expected text or a whole number, not 'x' as a YAML !ours"),
        ("yes", "expected text, not True"),
        ("null", "expected text, not None"),
    ],
)
def test_yaml_reads_nothing_that_json_could_not(
    value: str, problem: str, write: Callable[[str, str], str]
) -> None:
    """What YAML would turn into a float, an octal or sexagesimal number, or an object is refused."""
    name = write("card.yaml", CARD_YAML.replace("[a card for tests]", f"[{value}]"))

    assert f"card.yaml:3: notes[0]: {problem}" == refusal(read_rate_card, name)[0]


def test_a_mapping_holds_what_json_could(write: Callable[[str, str], str]) -> None:
    """A mapping is refused for floats, decimals and names that are no text, at their places."""
    wrong = {**CARD, "notes": (0.1, Decimal(1)), 5: "five"}

    assert [
        "rate card: expected text as the name of a field, not 5",
        'rate card: notes[0]: expected text or a whole number: write "0.1" in quotation marks',
        "rate card: notes[1]: expected text, a whole number, a list or a mapping, not Decimal('1')",
    ] == refusal(read_rate_card, wrong)


def test_names_in_yaml_are_text(write: Callable[[str, str], str]) -> None:
    """A name that YAML would take for a number has to stand in quotation marks."""
    name = write("plans.yaml", "plans:\n  2026: {price_per_month: 0, allowance: {}, units: []}\n")

    assert (
        "plans.yaml:1: plans: expected text as the name of a field: write '2026' in quotation marks"
        in refusal(read_plans, name)
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{\n"plans": {},}', "a.json:2: expected JSON: "),
        ("a.json", "", "a.json:1: expected JSON: Expecting value"),
        ("a.json", "[" * 100_000, "a.json: expected JSON of a reasonable size: "),
        ("a.json", "[" * 50 + "]" * 50, "a.json:1: [0][0][0]: expected no values nested 32 deep or deeper"),
        ("a.json", "9" * 5_000, "a.json: expected JSON of a reasonable size: "),
        ("a.json", "[]", "a.json:1: expected fields and their values, not []"),
        ("a.json", b"\xff{}", "a.json: expected text in UTF-8: invalid start byte at byte 0"),
        ("a.yaml", "a: [1,\nb: }", "a.yaml:2: expected YAML: "),
        ("a.yaml", "a: 1\n---\nb: 2", "a.yaml:2: expected YAML: but found another document"),
        ("a.yaml", "a: \x00", "a.yaml: expected YAML: unacceptable character"),
        ("a.yaml", "", "a.yaml:1: expected fields and their values, not an empty file"),
        (
            "a.yaml",
            "plans: &all [*all, *all]",
            "a.yaml:1: plans[0][0]: expected no values nested 32 deep or deeper",
        ),
    ],
)
def test_files_that_cannot_be_read_at_all(
    name: str, content: str | bytes, message: str, write: Callable[[str, str | bytes], str]
) -> None:
    """What is neither JSON nor YAML is refused with the line where that shows, if one can be named."""
    assert refusal(read_plans, write(name, content))[0].startswith(message)


def test_a_field_of_whole_numbers_does_not_ask_for_text(write: Callable[[str, str], str]) -> None:
    """A number with a decimal point is refused once, and quotation marks would not mend it."""
    plan = "price_per_month: 0, allowance: {core: 1}, units: [core], requests_per_minute: 2.5"
    name = write("plans.yaml", f"plans: {{free: {{{plan}}}}}")

    expected = "plans.free.requests_per_minute: expected a whole number from 0 to 1,000,000,000, not '2.5'"
    assert [f"plans.yaml:1: {expected}"] == refusal(read_plans, name)


UNITS = """
plans:
  free:
    price_per_month: 0
    allowance: {core: 1}
    units: [core]
    FIELD
"""


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("caps: {cores: {day: 1}}", "caps.cores"),
        ("shares: {cores: {soft: 5%}}", "shares.cores"),
        ("roll_over: {shares: {cores: 5%}}", "roll_over.shares.cores"),
        ("trial: {days: 1, allowance: {cores: 1}}", "trial.allowance.cores"),
        ("low_balance: {cores: 1}", "low_balance.cores"),
    ],
)
def test_a_unit_that_the_card_has_not_is_named_with_its_line(
    field: str, place: str, write: Callable[[str, str], str]
) -> None:
    """A plan file alone cannot say which units there are: whoever has the card too says where it stands."""
    plans = read_plans(write("plans.yaml", UNITS.replace("FIELD", field)))

    with pytest.raises(
        UnknownUnitError, match=f"plans.yaml:7: plans.free.{place}: there is no unit 'cores': the"
    ):
        plans.check(reference_card())


def test_units_of_lists_and_of_rewards_are_named_with_their_lines(write: Callable[[str, str], str]) -> None:
    """The first place counts where there are several."""
    text = UNITS.replace("[core]", "[core, cores]").replace("FIELD", "low_balance: {cores: 1}")
    reward = "referrals: {referrer: {kind: pt, unit: gold, tiers: [{bonus: {gold: 1}}]}}\n"
    listed, earned = (
        read_plans(write("a.yaml", text)),
        read_plans(write("b.yaml", reward + UNITS.replace("FIELD", "models: []"))),
    )

    with pytest.raises(
        UnknownUnitError, match=r"a.yaml:6: plans.free.units\[1\]: there is no unit 'cores'"
    ):
        listed.check(reference_card())
    with pytest.raises(
        UnknownUnitError, match=r"b.yaml:1: referrals.referrer.unit: there is no unit 'gold'"
    ):
        earned.check(reference_card())
    assert listed == read_plans(write("elsewhere.yaml", text))


def test_a_model_to_send_to_instead_has_a_rule(write: Callable[[str, str], str]) -> None:
    """Every request that it should stand in for would be refused, unless models are charged at a ceiling."""
    text = "downgrades: {gpt-4o: [gpt-4o-mini, nope-model]}" + UNITS.replace("FIELD", "models: []")
    plans = read_plans(write("plans.yaml", text))

    with pytest.raises(
        ConfigurationError, match=r"plans.yaml:1: downgrades.gpt-4o\[1\]: no rate is known for"
    ):
        plans.check(reference_card())
    plans.check(reference_card(), unpriced=True)


def test_a_mapping_that_holds_itself_is_refused() -> None:
    """A mapping inside itself is refused before it is followed for ever."""
    source: dict[str, Any] = {}
    source["plans"] = source

    assert ["plans: plans.plans.plans: expected no values nested 32 deep or deeper"] == refusal(
        read_plans, source
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is a configuration error that names it, whatever kind of path was given."""
    path = tmp_path / "none.json"

    assert [f"{path}: expected a file that can be read: No such file or directory"] == refusal(
        read_plans, path
    )
    assert refusal(read_plans, path) == refusal(read_plans, str(path))


def test_a_byte_order_mark_is_no_content(write: Callable[[str, bytes], str]) -> None:
    """A file that an editor began with a byte order mark is read like any other."""
    content = b"\xef\xbb\xbf" + json.dumps(CARD).encode()

    assert read_rate_card(CARD) == read_rate_card(write("card.json", content))


def test_yaml_without_pyyaml_says_what_to_install(no_yaml: None, write: Callable[[str, str], str]) -> None:
    """Without PyYAML a YAML file is refused with the command that installs it; JSON is read."""
    message = "card.yaml: YAML needs PyYAML: pip install 'ptmeter[yaml]', or write JSON"

    assert [message] == refusal(read_rate_card, write("card.yaml", CARD_YAML))
    assert read_rate_card(CARD) == read_rate_card(write("card.json", json.dumps(CARD)))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values, st.sampled_from([None, 0, 2]), st.booleans())
def test_every_json_text_is_scanned_without_a_complaint(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    """Whatever JSON holds, the scanner finds the line of each place and no problem."""
    from ptmeter.configuration.documents import Place, from_json

    def places(value: Any, place: Place = ()) -> set[Place]:
        inner = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value)
            if isinstance(value, list)
            else ()
        )
        return {place}.union(*(places(item, (*place, key)) for key, item in inner))

    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = from_json("a.json", text)

    assert value == document.value
    assert () == document.problems
    assert places(value) == set(document.lines)
    assert set(range(1, text.count("\n") + 2)) >= set(document.lines.values())


# --- plans ------------------------------------------------------------------------------------


def test_plans_are_read_as_they_are_written() -> None:
    """Every field of a plan arrives in the domain's plan, exactly."""
    plans = read_plans(
        {
            "notes": ["two plans"],
            "plans": {
                "free": {
                    "price_per_month": 0,
                    "allowance": {"core": 100, "advanced": 0},
                    "units": ["core"],
                },
                "pro": {
                    "price_per_month": "49.90",
                    "price_per_year": 499,
                    "allowance": {"core": "1000.5"},
                    "units": ["core", "advanced"],
                    "models": ["o3-pro*"],
                    "notes": ["with a trial"],
                },
            },
        }
    )

    assert ["free", "pro"] == list(plans.by_name)
    assert {"core": PT.of(100), "advanced": PT(0)} == plans.find("free").allowance
    assert plans.find("free").price_per_year is None
    assert plans.find("pro") == Plan(
        name="pro",
        price_per_month=Money.usd("49.9"),
        price_per_year=Money.usd(499),
        allowance={"core": PT.of("1000.5")},
        units=frozenset({"core", "advanced"}),
        models=("o3-pro*",),
    )


FULL_PLAN: dict[str, Any] = {
    "price_per_month": 49,
    "price_per_year": 499,
    "allowance": {"core": 1000},
    "units": ["core"],
    "features": ["teams", "sso"],
    "agent_slots": 3,
    "requests_per_minute": 4,
    "requests_per_hour": 120,
    "requests_per_day": 900,
    "concurrent": 5,
    "caps": {"core": {"day": 50, "month": "900.5"}, "advanced": {"week": 7}},
    "spend_caps": {"year": 100, "month": "9.50"},
    "shares": {"advanced": {"soft": "20%", "hard": "25%", "overflow": 2}},
    "burn": {
        "warn": "30%",
        "steps": [{"share": "40%", "wait": "30 min"}, {"share": "60.5%", "wait": "2 h"}],
        "repeats": 3,
    },
    "roll_over": {"shares": {"core": "50%"}, "annual_only": True},
    "trial": {"days": 14, "allowance": {"core": 100}},
    "alerts": ["75%", "100%"],
    "low_balance": {"core": "2.5"},
}


def test_the_limits_of_a_plan_are_read_as_they_are_written() -> None:
    """All that limits a plan and all it gives besides arrives in the domain's plan, exactly."""
    assert read_plans({"plans": {"pro": FULL_PLAN}}).find("pro") == Plan(
        name="pro",
        price_per_month=Money.usd(49),
        price_per_year=Money.usd(499),
        allowance={"core": PT.of(1000)},
        units=frozenset({"core"}),
        features=frozenset({"sso", "teams"}),
        agent_slots=3,
        limits=Limits(
            paces=(
                Pace(timedelta(minutes=1), 4),
                Pace(timedelta(hours=1), 120),
                Pace(timedelta(days=1), 900),
            ),
            concurrent=5,
            caps=(
                Cap("core", Every.DAY, 50_000_000),
                Cap("core", Every.MONTH, 900_500_000),
                Cap("advanced", Every.WEEK, 7_000_000),
            ),
            spend=(
                SpendCap(Every.YEAR, Money.usd(100)),
                SpendCap(Every.MONTH, Money.usd("9.5")),
            ),
            shares={"advanced": Share(unit="advanced", soft=2_000, hard=2_500, overflow=2)},
            burn=Burn(
                warn=3_000,
                steps=(BurnStep(4_000, timedelta(minutes=30)), BurnStep(6_050, timedelta(hours=2))),
                repeats=3,
            ),
        ),
        roll_over=RollOver({"core": 5_000}, annual_only=True),
        trial=Trial(14, {"core": PT.of(100)}),
        alerts=(7_500, 10_000),
        low_balance={"core": 2_500_000},
    )


def test_a_plan_says_which_units_it_speaks_of() -> None:
    """The units of a plan are those it gives, opens, caps, limits the share of, rolls over or warns of."""
    plan = dict(FULL_PLAN, caps={"capped": {"day": 1}}, shares={"shared": {"hard": "5%"}})
    plan |= {"roll_over": {"shares": {"rolled": "1%"}}, "low_balance": {"low": 1}, "units": ["open"]}
    plan["trial"] = {"days": 1, "allowance": {"tried": 1}}

    assert {"core", "open", "capped", "shared", "rolled", "low", "tried"} == read_plans(
        {"plans": {"pro": plan}}
    ).units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90 s", timedelta(seconds=90)),
        ("30min", timedelta(minutes=30)),
        ("24 h", timedelta(days=1)),
        ("3 d", timedelta(days=3)),
    ],
)
def test_a_time_is_written_with_its_unit(text: str, expected: timedelta) -> None:
    """How long somebody waits is text with a unit, with or without a space between."""
    burn = {"steps": [{"share": "40%", "wait": text}]}
    read = read_plans({"plans": {"pro": {**FULL_PLAN, "burn": burn}}}).find("pro").limits.burn

    assert read is not None
    assert expected == read.steps[0].wait


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("requests_per_minute", "4", ": expected a whole number from 0 to 1,000,000,000, not '4'"),
        ("requests_per_hour", True, ": expected a whole number from 0 to 1,000,000,000, not True"),
        ("concurrent", -1, ": expected a whole number from 0 to 1,000,000,000, not -1"),
        ("caps", {"core": {"hour": 1}}, ".core.hour: expected day, week, month, year, not 'hour'"),
        ("shares", {"core": {"hard": "101%"}}, '.core.hard: expected a share of up to "100%", not 101%'),
        ("shares", {"core": {}}, ".core: expected a soft share, a hard one or both"),
        (
            "shares",
            {"core": {"soft": "30%", "hard": "25%"}},
            ".core.soft: expected a share that is not above the hard one",
        ),
        (
            "shares",
            {"core": {"soft": "30%", "overflow": 2}},
            ".core.overflow: expected a hard share, for overflow is what exceeds it",
        ),
        (
            "shares",
            {"core": {"hard": "30%", "overflow": "2"}},
            ".core.overflow: expected a whole number from 1 to 100, not '2'",
        ),
        (
            "burn",
            {"steps": [{"share": "40%", "wait": 30}]},
            '.steps[0].wait: expected a time such as "30 s", "30 min", "24 h" or "3 d", not 30',
        ),
        (
            "burn",
            {"steps": [{"share": "0%", "wait": "1 h"}]},
            '.steps[0].share: expected a share above "0%"',
        ),
        (
            "burn",
            {"steps": [{"share": "40%", "wait": "2 h"}, {"share": "60%", "wait": "1 h"}]},
            ".steps[1].wait: expected a time that is not shorter than in the step before",
        ),
        (
            "burn",
            {"steps": [{"share": "40%", "wait": "2 h"}, {"share": "40%", "wait": "3 h"}]},
            ".steps[1].share: expected a share above that of the step before",
        ),
        ("burn", {"repeats": 0}, ".repeats: expected a whole number from 1 to 1,000,000,000, not 0"),
        (
            "features",
            ["Single sign-on"],
            (
                "[0]: expected the name of a feature, of up to 64 lower-case letters, digits and underscores, "
                "not 'Single sign-on'"
            ),
        ),
        ("roll_over", {"shares": {}}, ".shares: expected at least one"),
        (
            "trial",
            {"days": 0, "allowance": {}},
            ".days: expected a whole number from 1 to 1,000,000,000, not 0",
        ),
        ("alerts", ["80%", "80%"], "[1]: expected a share above the one before"),
        (
            "low_balance",
            {"core": 0},
            '.core: expected PT such as 3 or "0.25", more than 0 and in steps of 1e-6, not 0',
        ),
    ],
)
def test_what_is_wrong_with_a_limit_is_said_where_it_is(field: str, value: object, problem: str) -> None:
    """Each limit that cannot be one is refused, with its place and what is expected there."""
    assert [f"plans: plans.pro.{field}{problem}"] == refusal(
        read_plans, {"plans": {"pro": {**FULL_PLAN, field: value}}}
    )


def test_only_a_plan_by_the_year_rolls_over_by_the_year() -> None:
    """Roll-over for annual subscriptions makes no sense where there is no price for a year."""
    plan = {name: value for name, value in FULL_PLAN.items() if name != "price_per_year"}

    assert [
        (
            "plans: plans.pro.roll_over.annual_only: expected price_per_year, for nobody can be on this plan by "
            "the year"
        )
    ] == refusal(read_plans, {"plans": {"pro": plan}})


def test_flags_are_read_with_the_plans() -> None:
    """A flag arrives with its share and the accounts that are let in or kept out."""
    flags = {"teams": {"share": "12.5%", "allow": ["acme"], "deny": ["zeta", "Umbrella Corp."]}}

    assert {
        "teams": Flag(
            name="teams",
            share=1_250,
            allow=frozenset({"acme"}),
            deny=frozenset({"zeta", "Umbrella Corp."}),
        )
    } == read_plans({"plans": {"pro": FULL_PLAN}, "flags": flags}).flags


def test_a_flag_without_a_feature_is_refused() -> None:
    """A flag for what no plan has, or for and against the same account, is refused where it stands."""
    flags = {
        "team": {"share": "10%"},
        "sso": {"share": "101%"},
        "teams": {"share": "5%", "allow": ["acme"], "deny": ["zeta", "acme"]},
    }
    plans = {"plans": {"pro": FULL_PLAN}, "flags": flags}

    assert ['plans: flags.sso.share: expected a share of up to "100%", not 101%'] == refusal(
        read_plans, plans
    )
    flags["sso"]["share"] = "100%"
    assert [
        "plans: flags.team: expected a feature of some plan (sso, teams)",
        "plans: flags.teams.deny[1]: expected an account that is not allowed as well",
    ] == refusal(read_plans, plans)


def test_a_limit_out_of_order_has_its_line(write: Callable[[str, str], str]) -> None:
    """What is wrong between two limits is said at the line of the one to mend."""
    text = """\
plans:
  pro:
    price_per_month: 49
    allowance: {core: 1000}
    units: [core]
    shares:
      advanced:
        hard: "25%"
        soft: "30%"
    burn:
      steps:
        - {share: "40%", wait: 2 h}
        - share: "60%"
          wait: 30 min
"""

    assert [
        "plans.yaml:9: plans.pro.shares.advanced.soft: expected a share that is not above the hard one",
        "plans.yaml:14: plans.pro.burn.steps[1].wait: expected a time that is not shorter than in the step before",
    ] == refusal(read_plans, write("plans.yaml", text))


# --- prices -----------------------------------------------------------------------------------

PRICES: dict[str, Any] = {
    "prices": {
        "acme/large": [
            {
                "effective_from": "2026-06-01",
                "usd_per_million_tokens": {
                    "input_uncached": "1.5",
                    "input_cache_read": "0.15",
                    "output_text": 6,
                },
                "tiers": [
                    {
                        "above": 200_000,
                        "usd_per_million_tokens": {
                            "input_uncached": 3,
                            "input_cache_read": "0.3",
                            "output_text": 9,
                        },
                    },
                    {
                        "above": 500_000,
                        "usd_per_million_tokens": {
                            "input_uncached": 4,
                            "input_cache_read": "0.4",
                            "output_text": 12,
                        },
                    },
                ],
                "usd_per_tool_call": {"web_search": "0.01"},
                "usd_per_request": "0.0001",
            },
            {"usd_per_million_tokens": {"input_uncached": 2, "output_text": 8}},
        ],
        "house-model": [{"provider": "house", "free": True}],
    }
}


def rates(uncached: int, cache_read: int, output: int) -> dict[str, int]:
    return {
        "input_uncached": uncached,
        "input_cache_read": cache_read,
        "output_text": output,
        "output_reasoning": output,
    }


def test_prices_are_read_as_they_are_written(write: Callable[[str, str], str]) -> None:
    """Every figure of a price arrives exactly, a model's prices in the order of their dates."""
    prices = read_prices(write("prices.json", json.dumps(PRICES)))
    old, new = prices["acme/large"]

    assert ["acme/large", "house-model"] == list(prices)
    assert new == Price(
        provider="acme",
        model="large",
        source="override prices.json",
        rates=rates(1_500_000, 150_000, 6_000_000),
        tiers=(
            Tier(200_000, rates(3_000_000, 300_000, 9_000_000)),
            Tier(500_000, rates(4_000_000, 400_000, 12_000_000)),
        ),
        tools={"web_search": 10_000_000},
        request=100_000,
        effective_from=datetime(2026, 6, 1, tzinfo=UTC),
    )
    assert ALWAYS == old.effective_from


def test_a_class_that_is_not_named_is_not_free() -> None:
    """Cache reads and reasoning cost what other input and output do; any other class not named is refused."""
    [old, _] = read_prices(PRICES)["acme/large"]

    assert Money.usd("0.00002") == old.cost(Usage(input_uncached=1, input_cache_read=9))
    assert Money.usd("0.00008") == old.cost(Usage(output_text=1, output_reasoning=9))
    with pytest.raises(UnknownModelError, match="no price for input_audio is known"):
        old.cost(Usage(input_audio=1))


def test_a_price_of_nothing_says_so() -> None:
    """A model that is free by its own words costs nothing in any class of tokens."""
    [free] = read_prices(PRICES)["house-model"]

    assert ("house", "house-model") == (free.provider, free.model)
    assert dict.fromkeys(TOKEN_CLASSES, 0) == free.rates
    assert Money(0) == free.cost(Usage(**dict.fromkeys(TOKEN_CLASSES, 1_000)))


REGION: dict[str, Any] = {
    "surcharge": "10%",
    "usd_per_million_tokens": {"input_uncached": 3, "input_cache_read": "0.3", "output_text": 15},
    "tiers": [
        {
            "above": 200_000,
            "usd_per_million_tokens": {
                "input_uncached": 6,
                "input_cache_read": "0.6",
                "output_text": "22.5",
            },
        }
    ],
    "usd_per_tool_call": {"web_search": "0.01"},
}


def test_a_surcharge_raises_every_rate_and_no_other_amount() -> None:
    """List prices and a share on top, long requests included; a search costs what it did, and the price says so."""
    [there] = read_prices({"prices": {"us/claude": [REGION]}})["us/claude"]

    assert ("us", "claude", {"web_search": 10_000_000}) == (
        there.provider,
        there.model,
        there.tools,
    )
    assert rates(3_300_000, 330_000, 16_500_000) == there.rates
    assert (Tier(200_000, rates(6_600_000, 660_000, 24_750_000)),) == there.tiers
    assert there.source.endswith(", surcharge 10 %")


def test_a_region_has_a_price_of_its_own_and_no_others_in_its_place() -> None:
    """Under a provider's name that is not the catalogue's, what is not in the file is refused, a batch too."""
    prices = GenaiPrices(read_prices({"prices": {"us/claude-sonnet-4-5": [REGION]}}))
    at = datetime(2026, 11, 22, tzinfo=UTC)

    there, here = (prices.price(f"{who}/claude-sonnet-4-5", at) for who in ("us", "anthropic"))

    assert (3_300_000, 3_000_000) == (there.rates["input_uncached"], here.rates["input_uncached"])
    assert here.rates["input_uncached"] == prices.price("claude-sonnet-4-5", at).rates["input_uncached"]
    with pytest.raises(UnknownModelError, match="no batch price is known"):
        prices.price("us/claude-sonnet-4-5", at, processing=Processing.BATCH)
    with pytest.raises(UnknownModelError, match="no price is known"):
        prices.price("us/claude-opus-4-5", at)


def test_prices_override_those_of_the_catalogue() -> None:
    """What is read can be given to the price catalogue as it is."""
    at = datetime(2026, 7, 1, tzinfo=UTC)
    catalogue = GenaiPrices(read_prices(PRICES))

    assert 1_500_000 == catalogue.price("acme/large", at).rates["input_uncached"]
    assert 0 == catalogue.price("house-model", at).rates["output_text"]


@pytest.mark.parametrize("processing", ["batch", "flex", "priority", "fast", "ultrafast"])
def test_a_price_may_be_for_one_processing(processing: str) -> None:
    """Beside the standard one of the same date; a name that is none is refused, and so is what nobody knows."""
    standard = {"usd_per_million_tokens": RATES}
    own = {**standard, "processing": processing}
    found = read_prices({"prices": {"a/b": [standard, own]}})["a/b"]

    assert [Processing.STANDARD, Processing(processing)] == [price.processing for price in found]
    for wrong in ("unknown", "bulk", "BATCH"):
        problem = refusal(read_prices, {"prices": {"a/b": [{**own, "processing": wrong}]}})[-1]
        assert problem.startswith("prices: prices['a/b'][0].processing: expected 'standard', 'batch'")
    twice = refusal(read_prices, {"prices": {"a/b": [own, standard, own]}})
    assert (
        "prices: prices['a/b'][2].effective_from: expected another date than that of the price at [0]"
        in twice
    )


RATES = {"input_uncached": 1, "output_text": 2}


@pytest.mark.parametrize(
    ("model", "price", "problem"),
    [
        ("a/b", {"usd_per_million_tokens": {"output_text": 1}}, "usd_per_million_tokens.input_uncached: expected this rate, or `free: true` in its place"),
        ("a/b", {"usd_per_million_tokens": {"input_uncached": 1}}, "usd_per_million_tokens.output_text: expected this rate, or `free: true` in its place"),
        ("a/b", {"usd_per_million_tokens": {"input_uncached": 0, "output_text": "0"}}, "usd_per_million_tokens: expected a rate above 0, or `free: true` in place of them all"),
        ("a/b", {"usd_per_million_tokens": {**RATES, "output_text": "0.0000001"}}, "usd_per_million_tokens.output_text: expected US dollars per million tokens such as \"0.15\", at least 0 and in steps of 1e-6, not '0.0000001'"),
        ("a/b", {"usd_per_million_tokens": {**RATES, "prompt": 1}}, f"usd_per_million_tokens.prompt: expected a token class ({', '.join(TOKEN_CLASSES)}), not 'prompt'"),
        ("a/b", {"free": True, "usd_per_million_tokens": RATES}, "free: expected no other amounts in a price that is free"),
        ("a/b", {"free": True, "usd_per_request": 1}, "free: expected no other amounts in a price that is free"),
        ("a/b", {"free": True, "surcharge": "10%"}, "free: expected no other amounts in a price that is free"),
        ("a/b", {"surcharge": "10%", "usd_per_million_tokens": {**RATES, "output_text": "0.000001"}}, "usd_per_million_tokens.output_text: expected a rate that is in steps of 1e-6 with the surcharge too"),
        ("a/b", {"surcharge": "10%", "usd_per_tool_call": {"web_search": 1}}, "surcharge: expected none, for it raises rates and this names none"),
        ("a/b", {"tiers": [{"above": 5, "usd_per_million_tokens": {}}], "usd_per_tool_call": {"web_search": 1}}, "tiers: expected none, for there are no rates outside them"),
        ("a/b", {"usd_per_request": 1}, "usd_per_million_tokens.output_text: expected this rate, or `free: true` in its place"),
        ("a/b", {"free": True, "usd_per_tool_call": {"web_search": 1}}, "free: expected no other amounts in a price that is free"),
        ("a/b", {"free": "yes", "usd_per_million_tokens": RATES}, "free: expected true or false, not 'yes'"),
        ("b", {"usd_per_million_tokens": RATES}, "provider: expected who charges it, for 'b' does not say so as provider/model"),
        ("a/b", {"usd_per_million_tokens": RATES, "tiers": [{"above": 5, "usd_per_million_tokens": {"output_text": 1}}]}, "tiers[0].usd_per_million_tokens: expected the same token classes as outside the tier (input_uncached, output_text)"),
        ("a/b", {"usd_per_million_tokens": RATES, "tiers": [{"above": n, "usd_per_million_tokens": RATES} for n in (5, 5)]}, "tiers[1].above: expected more than the 5 tokens of the tier before, not 5"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_price_is_said_in_a_sentence(model: str, price: object, problem: str) -> None:
    """A price that leaves something open, most of all whether it is free, is refused with the place."""
    place = "prices['a/b'][0]" if "/" in model else "prices.b[0]"

    assert f"prices: {place}.{problem}" == refusal(read_prices, {"prices": {model: [price]}})[-1]


def test_two_prices_from_one_date_are_refused() -> None:
    """Of two prices from the same moment on none could be told to be in force."""
    dated = [
        {"effective_from": at, "usd_per_million_tokens": RATES}
        for at in ("2026-01-01", "2026-01-01T00:00Z")
    ]

    assert [
        "prices: prices['a/b'][1].effective_from: expected another date than that of the price at [0]"
    ] == refusal(read_prices, {"prices": {"a/b": dated}})


# --- referrals --------------------------------------------------------------------------------

REFERRALS: Final[dict[str, Any]] = {
    "referrer": {
        "kind": "pt",
        "unit": "core",
        "expires_after": "90 d",
        "tiers": [{"share": "12.5%"}, {"at_least": 3, "bonus": {"core": "0.5", "advanced": 2}}],
    },
    "referred": {"kind": "cash", "tiers": [{"share": "5%"}]},
    "new_within": "24 h",
    "step": "0.05",
    "bounds": {"card": {"most": 1}, "code": {"most": 9, "within": "1 d"}},
}


def test_referrals_are_read_with_the_plans() -> None:
    """All that may be said of them arrives, and their units are among those of the plans."""
    read = read_plans({"plans": {"pro": FULL_PLAN}, "referrals": REFERRALS})

    assert read.referrals == ReferralTerms(
        referrer=RewardTerms(
            kind=RewardKind.PT,
            unit="core",
            expires_after=timedelta(days=90),
            tiers=(
                RewardTier(0, 1_250),
                RewardTier(3, 0, {"core": PT.of("0.5"), "advanced": PT.of(2)}),
            ),
        ),
        referred=RewardTerms(kind=RewardKind.CASH, tiers=(RewardTier(0, 500),)),
        new_within=timedelta(days=1),
        step=Money.usd("0.05"),
        bounds=Bounds(card=Bound(1), code=Bound(9, timedelta(days=1))),
    )
    assert {"core", "advanced"} <= read.units
    assert read_plans({"plans": {"pro": FULL_PLAN}}).referrals is None


@pytest.mark.parametrize(
    ("referrals", "problem"),
    [
        ({}, ": expected a referrer, a referred or both, to be rewarded"),
        (
            {"referrer": {"kind": "pt", "tiers": [{}]}},
            ".referrer.unit: expected a unit, for the reward is given in PT of it",
        ),
        (
            {"referred": {"kind": "cash", "unit": "core", "tiers": [{}]}},
            ".referred.unit: expected no unit, for a cash is money",
        ),
        (
            {"referred": {"kind": "cash", "tiers": [{"at_least": 1}]}},
            ".referred.tiers[0].at_least: expected 0: whoever begins is on the first tier",
        ),
        (
            {"referred": {"kind": "cash", "tiers": [{}, {"at_least": 2}, {"at_least": 2}]}},
            ".referred.tiers[2].at_least: expected more than in the tier before",
        ),
        (
            {"referred": {"kind": "cash", "tiers": [{"share": "101%"}]}},
            '.referred.tiers[0].share: expected a share of up to "100%", not 101%',
        ),
    ],
    ids=["nobody", "pt of what", "money of a unit", "no first tier", "no rise", "more than all"],
)
def test_referrals_that_do_not_hold_together_are_refused(referrals: dict[str, Any], problem: str) -> None:
    """The place of each problem is named."""
    assert [f"plans: referrals{problem}"] == refusal(
        read_plans, {"plans": {"pro": FULL_PLAN}, "referrals": referrals}
    )


# --- the reference card and plans -------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "pays_for", "sells_at", "bands"),
    [
        ("core", "0.001", "0.010", {1_500: 1, 4_200: 3, 7_800: 6, 7_801: 7, 15_600: 12}),
        ("advanced", "0.0035", "0.035", {1_500: 3, 4_200: 7, 7_800: 14, 7_801: 15, 15_600: 28}),
    ],
)
def test_the_units_of_the_reference_card(
    unit: str, pays_for: str, sells_at: str, bands: dict[int, int]
) -> None:
    """
    One core PT pays for US$0.001 and sells at 0.010, an advanced one at 0.035; short, medium and long calls
    cost 1, 3 and 6 or 3, 7 and 14, longer ones in proportion, in whole PT.
    """
    rate = reference_card().unit(unit)

    assert (Money.usd(pays_for), Money.usd(sells_at)) == (rate.pays_for, rate.sells_at)
    assert isinstance(rate.method, Banded)
    assert {1_500, 4_200, 7_800} == {band.tokens for band in rate.method.bands}
    assert bands == {tokens: rate.method.amount(tokens) / MICRO for tokens in bands}


def test_the_buffer_of_the_reference_card() -> None:
    """
    The buffer is bloat of 15, 20, 25 %, retries of 5–15 %, moderation of 3, 5, 8 %, 2 % a tool call up to
    10 %, variance of 7 %, and 33–68 % in sum.
    """
    method = reference_card().rule("o1-pro").method
    assert isinstance(method, CostPlus)
    buffer = method.buffer

    assert {Complexity.SIMPLE: 1_500, Complexity.MODERATE: 2_000, Complexity.COMPLEX: 2_500} == buffer.bloat
    assert {Content.TEXT: 300, Content.CODE: 500, Content.MIXED: 800} == buffer.moderation
    assert (500, 1_500) == buffer.retries
    assert (200, 1_000, 700) == (buffer.tool_call, buffer.tool_calls_at_most, buffer.variance)
    assert (3_300, 6_800) == (buffer.least, buffer.most)
    assert 3_300 == buffer.share(Workload())


REFERENCE_PLANS = [
    ("freemium", 0, None, 100, 0, {"core"}),
    ("entry", 19, 193, 300, 0, {"core"}),
    ("pro", 49, 499, 1_000, 50, {"core", "advanced"}),
    ("pro_plus", 79, 799, 1_600, 100, {"core", "advanced"}),
    ("business", 159, 1_619, 3_500, 200, {"core", "advanced"}),
    ("enterprise", 299, None, 10_000, 500, {"core", "advanced"}),
]


def test_the_reference_plans() -> None:
    """Six plans, from freemium at nothing to enterprise at US$299, with their allowances and units."""
    plans = reference_plans().by_name.values()

    assert REFERENCE_PLANS == [
        (
            plan.name,
            plan.price_per_month.nano / 10**9,
            plan.price_per_year.nano / 10**9 if plan.price_per_year else None,
            plan.allowance["core"].whole,
            plan.allowance["advanced"].whole,
            plan.units,
        )
        for plan in plans
    ]


def test_the_reference_referrals() -> None:
    """The tiers by count, and bounds on cards, addresses and codes."""
    terms = reference_plans().referrals
    assert terms is not None
    assert terms.referrer is not None

    assert [
        (0, 2_000, {}),
        (5, 2_500, {"core": 100}),
        (10, 3_000, {"core": 250}),
        (25, 3_500, {"core": 500}),
    ] == [
        (tier.at_least, tier.share, {unit: amount.whole for unit, amount in tier.bonus.items()})
        for tier in terms.referrer.tiers
    ]
    assert (RewardKind.PT, "core") == (terms.referrer.kind, terms.referrer.unit)
    assert Bounds(Bound(1), Bound(3, timedelta(days=1)), Bound(20, timedelta(days=1))) == terms.bounds


@pytest.mark.parametrize(
    ("name", "minute", "hour", "concurrent", "soft", "hard"),
    [
        ("freemium", 1, 30, 1, None, None),
        ("entry", 2, 60, 2, None, None),
        ("pro", 4, 120, 4, 2_000, 2_500),
        ("pro_plus", 6, 180, 6, 2_000, 2_500),
        ("business", 10, 300, 10, None, None),
        ("enterprise", 20, 600, 20, 3_000, 3_500),
    ],
)
def test_the_reference_limits(
    name: str, minute: int, hour: int, concurrent: int, soft: int | None, hard: int | None
) -> None:
    """Rates, calls at once and the advanced share of each reference plan; burn rate and alerts of all."""
    plan = reference_plans().find(name)
    share = plan.limits.shares.get("advanced")

    assert (Pace(timedelta(minutes=1), minute), Pace(timedelta(hours=1), hour)) == plan.limits.paces
    assert concurrent == plan.limits.concurrent
    assert (soft, hard, 2) == ((share.soft, share.hard, share.overflow) if share else (None, None, 2))
    assert plan.limits.burn == Burn(
        warn=3_000,
        steps=(
            BurnStep(4_000, timedelta(minutes=30)),
            BurnStep(6_000, timedelta(hours=2)),
            BurnStep(8_000, timedelta(hours=24)),
        ),
        repeats=4,
    )
    assert (8_000, 9_000, 10_000) == plan.alerts


def test_only_the_annual_business_plan_rolls_over() -> None:
    """Half of the unused core PT of an annual business subscription goes on; teams begin with that plan."""
    plans = reference_plans().by_name

    assert {"business": RollOver({"core": 5_000}, annual_only=True)} == {
        name: plan.roll_over for name, plan in plans.items() if plan.roll_over
    }
    assert {"business", "enterprise"} == {name for name, plan in plans.items() if "teams" in plan.features}


def test_pro_is_the_cheapest_plan_for_a_large_model() -> None:
    """A model locked on freemium and entry is opened by pro."""
    card, plans = reference_card(), reference_plans()

    assert "pro" == plans.cheapest("gpt-4o", card.rule("gpt-4o").unit)
    assert "freemium" == plans.cheapest("gpt-4o-mini", card.rule("gpt-4o-mini").unit)


def test_reference_files_are_files_like_any_other() -> None:
    """The bundled files are read by the public readers too, to the same version."""
    bundled = resources.files("ptmeter") / "reference"
    with (
        resources.as_file(bundled / "rate_card.json") as card,
        resources.as_file(bundled / "plans.json") as plans,
    ):
        assert reference_card().version == read_rate_card(card).version
        assert reference_plans() == read_plans(plans)


def test_every_reference_plan_is_in_units_of_the_reference_card() -> None:
    """The plans give and open no unit that the card does not have."""
    units = set(reference_card().units)

    assert all(units >= {*plan.units, *plan.allowance} for plan in reference_plans().by_name.values())


@pytest.mark.parametrize(
    ("unit", "method", "models"),
    [
        ("core", "banded", "gpt-4o-mini gpt-4o-mini-2024-07-18 openai/gpt-4.1-nano gpt-5-mini gpt-5.4-nano o4-mini o3-mini"),
        ("core", "banded", "claude-3-5-haiku-20241022 claude-3.5-haiku claude-haiku-4-5 us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("core", "banded", "gemini-2.5-flash models/gemini-2.5-flash-lite gemini-3-flash-preview gemma-3-27b-it"),
        ("core", "banded", "mistral-small-latest ministral-8b-latest codestral-2508 deepseek-chat deepseek-v3.2 grok-3-mini grok-4-fast-reasoning"),
        ("core", "banded", "meta-llama/llama-3.1-8b-instruct llama-4-scout qwen/qwen3-32b qwen-turbo command-r command-r7b-12-2024"),
        ("advanced", "banded", "gpt-4o gpt-4o-2024-11-20 gpt-4.1 gpt-5 gpt-5.1 gpt-5-codex o3 gpt-4-turbo chatgpt-4o-latest"),
        ("advanced", "banded", "claude-sonnet-4-5-20250929 claude-opus-4-5 anthropic/claude-3.7-sonnet claude-sonnet-4@20250514"),
        ("advanced", "banded", "gemini-2.5-pro gemini-3-pro-preview gemini-1.5-pro-002"),
        ("advanced", "banded", "mistral-large-latest deepseek-reasoner deepseek-r1 grok-4-0709 grok-3 command-r-plus command-a"),
        ("advanced", "banded", "Meta-Llama-3.1-405B-Instruct-Turbo llama-3.3-70b-versatile qwen3-235b-a22b qwen-max"),
        ("advanced", "cost_plus", "gpt-4 gpt-4-0613 o1 o1-pro o3-pro gpt-5-pro gpt-5.2-pro-2025-12-11 gpt-4.5-preview"),
        ("advanced", "cost_plus", "claude-3-opus-20240229 claude-opus-4-20250514 claude-opus-4-1-20250805"),
        ("core", "cost_plus", "mistral-ocr-latest mistral/mistral-ocr-2512 whisper-1 groq/whisper-large-v3-turbo gpt-4o-transcribe gpt-4o-mini-transcribe"),
        ("core", "cost_plus", "gpt-transcribe voxtral-mini-latest voxtral-mini-transcribe-3-0 tts-1 tts-1-hd gpt-4o-mini-tts gemini-2.5-flash-preview-tts rerank-v3.5"),
        ("core", "banded", "voxtral-small-24b-2507"),
        ("advanced", "cost_plus", "gpt-audio gpt-realtime gemini-2.5-flash-image o3-deep-research gpt-4o-search-preview"),
    ],
)  # fmt: skip
def test_which_models_the_reference_card_charges_how(unit: str, method: str, models: str) -> None:
    """Small models are core, large ones advanced, and what a band would not cover is charged cost-plus."""
    card = reference_card()
    found = {model: card.rule(model) for model in models.split()}

    assert dict.fromkeys(found, (unit, method)) == {
        model: (rule.unit, "cost_plus" if rule.method else "banded") for model, rule in found.items()
    }


@pytest.mark.parametrize(
    "model",
    [
        "gpt-9", "gpt-5.9", "claude-haiku-9", "gemini-9-pro",
        "gemini-2.5-flash-native-audio-latest", "text-embedding-3-small", "mistral-embed", "", "*", "llama",
    ],
)  # fmt: skip
def test_the_reference_card_refuses_what_it_does_not_know(model: str) -> None:
    """A model of tomorrow, and what is no chat model, matches no rule of the reference card."""
    with pytest.raises(UnknownModelError, match="no rate is known"):
        reference_card().rule(model)


NOT_CHARGED = {
    "anthropic": "",
    "openai": """
        ada babbage babbage-002 curie davinci davinci-002 text-davinci-002 text-davinci-003 moderation
        chatgpt-image-latest gpt-5-image gpt-5-image-mini gpt-5.4-image-2 gpt-4o-audio-preview
        gpt-4o-mini-audio-preview gpt-live-1
        text-embedding-3-large text-embedding-3-small text-embedding-ada-002
    """,
    "google": """
        gemini-3.1-flash-live-preview gemini-3.8-live
        gemini-live-2.5-flash gemini-embedding-001 gemini-embedding-2 gemini-omni-1.1-flash
        gemini-omni-flash-preview
    """,
}
"""Models of the catalogue that the reference card refuses: no chat, or sound and pictures without a price."""


def catalogue(*providers: str) -> list[tuple[str, str]]:
    """The models in the installed price catalogue, each with its provider."""
    from genai_prices.data import providers as known

    return [
        (provider.id, model.id)
        for provider in known
        if provider.id in providers
        for model in provider.models
    ]


def test_the_reference_card_charges_every_chat_model_of_the_catalogue() -> None:
    """
    Every chat model of OpenAI, Anthropic and Google that has a price has a rate; one that is new to the
    catalogue fails this until somebody has said in which unit it is charged.
    """
    card = reference_card()
    refused: dict[str, set[str]] = {provider: set() for provider in NOT_CHARGED}
    for provider, model in catalogue(*NOT_CHARGED):
        try:
            card.rule(model)
        except UnknownModelError:
            refused[provider].add(model)

    assert {provider: set(models.split()) for provider, models in NOT_CHARGED.items()} == refused


def test_no_band_of_the_reference_card_sells_below_cost() -> None:
    """
    A band's selling price covers a call of its length even if every token is of the model's dearest class.

    Rates for very long contexts are left out: most tokens of such a call are input, which they hardly raise.
    """
    card, prices = reference_card(), GenaiPrices()
    charged: set[str] = set()
    dear: list[tuple[str, str]] = []
    for provider, model in catalogue(
        "anthropic", "cohere", "deepseek", "google", "meta", "mistral", "openai", "x-ai"
    ):
        try:
            rule, price = card.rule(model), prices.prices(model, provider=provider)[-1]
        except (ConfigurationError, UnknownModelError):
            continue
        unit = card.unit(rule.unit)
        if not price.rates or rule.method or not isinstance(unit.method, Banded):
            continue
        charged.add(model)
        for band in unit.method.bands:
            pico = max(price.rates.values()) * band.tokens
            if pico * MICRO > band.amount * unit.sells_at.nano * 1_000:
                dear.append((model, rule.pattern))

    assert len(charged) > 100
    assert [] == dear


# --- how it is imported -----------------------------------------------------------------------


def test_importing_the_configuration_needs_no_yaml() -> None:
    """Importing the package of readers loads neither PyYAML nor the price catalogue."""
    code = "import sys, ptmeter.configuration; print(sorted({'yaml', 'genai_prices'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == loaded.stdout.strip()
