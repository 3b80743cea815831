"""The rate card: exact amounts by either method, the first rule that matches, and a version for each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.prices import Price
from ptmeter.domain.pt import MICRO, PT, Money
from ptmeter.domain.rates import (
    Band,
    Banded,
    Buffer,
    Complexity,
    Content,
    CostPlus,
    ModelRule,
    RateCard,
    UnitRate,
    Workload,
    bare_name,
    card_at,
)
from ptmeter.domain.usage import Usage
from ptmeter.errors import ConfigurationError, UnknownModelError, UnknownUnitError

CORE = Banded((Band(1_500, 1 * MICRO), Band(4_200, 3 * MICRO), Band(7_800, 6 * MICRO)))

BUFFER = Buffer(
    bloat={Complexity.SIMPLE: 1_500, Complexity.MODERATE: 2_000, Complexity.COMPLEX: 2_500},
    retries=(500, 1_500),
    moderation={Content.TEXT: 300, Content.CODE: 500, Content.MIXED: 800},
    tool_call=200,
    tool_calls_at_most=1_000,
    variance=700,
    least=3_300,
    most=6_800,
)

PRICE = Price(
    provider="acme",
    model="gpt-x",
    source="test",
    rates={"input_uncached": 2_000_000, "output_text": 10_000_000},
)


def card(*models: ModelRule, core: Banded | CostPlus = CORE, **changes: Any) -> RateCard:
    units = {
        "core": UnitRate(pays_for=Money.usd("0.001"), sells_at=Money.usd("0.010"), method=core),
        "advanced": UnitRate(pays_for=Money.usd("0.0035"), sells_at=Money.usd("0.035"), method=CORE),
    }
    facts: dict[str, Any] = {
        "name": "test",
        "effective_from": datetime(2026, 1, 1, tzinfo=UTC),
        "units": units,
        "models": models,
        "source": {"name": "test"},
    }
    return RateCard(**(facts | changes))


steps = st.sampled_from([1, 1_000, 10_000, 250_000, MICRO, 7 * MICRO])
workloads = st.builds(
    Workload,
    complexity=st.sampled_from(Complexity),
    content=st.sampled_from(Content),
    retry_rate=st.integers(0, 10_000),
    tool_calls=st.integers(0, 50),
)


@st.composite
def bandeds(draw: st.DrawFn) -> Banded:
    tokens = sorted(draw(st.sets(st.integers(1, 10**6), min_size=1, max_size=6)))
    amounts = sorted(draw(st.lists(st.integers(1, 10**9), min_size=len(tokens), max_size=len(tokens))))
    return Banded(tuple(map(Band, tokens, amounts)), draw(steps))


# --- banded -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "pt"),
    [
        (0, 1),
        (1, 1),
        (1_500, 1),
        (1_501, 3),
        (4_200, 3),
        (4_201, 6),
        (7_800, 6),
        (7_801, 7),
        (15_600, 12),
        (15_601, 13),
    ],
)
def test_the_bands_of_core(tokens: int, pt: int) -> None:
    """A core call costs 1, 3 or 6 PT by its band, and above them in proportion, rounded up to whole PT."""
    assert PT.of(pt) == PT(CORE.amount(tokens))


@given(bandeds())
def test_bands_are_exact_at_their_edges(banded: Banded) -> None:
    """A band's last token costs the band's amount; the token after it begins the next band."""
    for band, after in zip(banded.bands, banded.bands[1:], strict=False):
        assert band.amount == banded.amount(band.tokens)
        assert after.amount == banded.amount(band.tokens + 1)
    last = banded.bands[-1]
    assert last.amount == banded.amount(last.tokens) <= banded.amount(last.tokens + 1)


@given(bandeds(), st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_longer_call_never_costs_less(banded: Banded, one: int, other: int) -> None:
    """Of two calls the longer one costs at least as much, within the bands and above them."""
    assert banded.amount(min(one, other)) <= banded.amount(max(one, other))


@given(bandeds(), st.integers(1, 10**7))
def test_above_the_bands_the_amount_is_in_proportion(banded: Banded, more: int) -> None:
    """Above the last band a call costs its proportion of it, rounded up by less than one step."""
    last = banded.bands[-1]
    exact = Fraction(last.amount * (last.tokens + more), last.tokens)
    amount = banded.amount(last.tokens + more)

    assert exact <= amount < exact + banded.step
    assert amount % banded.step == 0


@pytest.mark.parametrize(
    "bands",
    [
        (),
        (Band(10, 1), Band(10, 2)),
        (Band(20, 1), Band(10, 2)),
        (Band(10, 2), Band(20, 1)),
        (Band(10, 0), Band(20, 1)),
        (Band(0, 1),),
    ],
)
def test_bands_that_make_no_sense_are_refused(bands: tuple[Band, ...]) -> None:
    """Bands out of order, bands for nothing, and bands that make a longer call cheaper are refused."""
    with pytest.raises(ConfigurationError, match="bands must be"):
        Banded(bands)


@pytest.mark.parametrize("step", [0, -1])
def test_a_step_is_positive(step: int) -> None:
    """Amounts cannot be rounded up to steps of nothing, by either method."""
    with pytest.raises(ConfigurationError, match="positive step"):
        Banded(CORE.bands, step)
    with pytest.raises(ConfigurationError, match="positive step"):
        CostPlus(BUFFER, step)


# --- cost-plus --------------------------------------------------------------------------------


@given(st.integers(0, 10**13), st.integers(1, 10**10), workloads, steps)
def test_cost_plus_covers_the_cost_and_its_buffer(
    cost: int, pays_for: int, workload: Workload, step: int
) -> None:
    """Cost-plus is never below cost × (1 + buffer) ÷ what a PT pays for, and above it by less than a step."""
    exact = Fraction(cost, pays_for) * (1 + Fraction(BUFFER.share(workload), 10_000)) * MICRO
    amount = CostPlus(BUFFER, step).amount(Money(cost), Money(pays_for), workload)

    assert exact <= amount < exact + step
    assert amount % step == 0


@given(st.integers(0, 10**12), st.integers(0, 10**12), workloads)
def test_a_dearer_call_never_costs_less(one: int, other: int, workload: Workload) -> None:
    """Of two calls the one that costs us more costs the account at least as much."""
    method, pays_for = CostPlus(BUFFER), Money.usd("0.001")
    low, high = sorted((one, other))

    assert method.amount(Money(low), pays_for, workload) <= method.amount(Money(high), pays_for, workload)


@given(workloads)
def test_the_buffer_keeps_its_bounds(workload: Workload) -> None:
    """The buffer is the sum of its parts, and never below 33 % or above 68 %."""
    parts = (
        {"simple": 1_500, "moderate": 2_000, "complex": 2_500}[workload.complexity]
        + min(max(workload.retry_rate, 500), 1_500)
        + {"text": 300, "code": 500, "mixed": 800}[workload.content]
        + min(workload.tool_calls * 200, 1_000)
        + 700
    )

    assert min(max(parts, 3_300), 6_800) == BUFFER.share(workload)


def test_the_buffer_of_the_plainest_and_of_the_hardest_workload() -> None:
    """The plainest workload is raised to 33 %; the hardest comes to 65 %."""
    hardest = Workload(complexity=Complexity.COMPLEX, content=Content.MIXED, retry_rate=9_999, tool_calls=9)

    assert 3_300 == BUFFER.share(Workload())
    assert 6_500 == BUFFER.share(hardest)
    assert 6_000 == replace(BUFFER, most=6_000).share(hardest)


def test_cost_in_another_currency_is_refused() -> None:
    """A cost in euros is not taken for one in dollars."""
    with pytest.raises(ConfigurationError, match="a price in EUR cannot be charged by a card in USD"):
        CostPlus(BUFFER).amount(Money(1, "EUR"), Money.usd("0.001"), Workload())


@pytest.mark.parametrize(("pays_for", "sells_at"), [(0, 1), (-1, 1), (1, -1)])
def test_a_pt_pays_for_something(pays_for: int, sells_at: int) -> None:
    """A PT that pays for nothing, or sells below nothing, is refused."""
    with pytest.raises(ConfigurationError, match="one PT must pay for something"):
        UnitRate(pays_for=Money(pays_for), sells_at=Money(sells_at), method=CORE)


# --- the card ---------------------------------------------------------------------------------


def test_the_first_rule_that_matches_counts() -> None:
    """Rules are tried in their order, on the model's bare name in lower case."""
    rules = (ModelRule("gpt-x-mini*", "core"), ModelRule("gpt-x*", "advanced"))

    assert rules[0] == card(*rules).rule("gpt-x-mini-2026")
    assert rules[1] == card(*rules).rule("OpenAI/GPT-X")
    assert rules[1] == card(*reversed(rules)).rule("gpt-x-mini-2026")


@pytest.mark.parametrize("model", ["gpt-xy", "my-gpt-x", "gpt-x/", "", "gpt.x", "gpt-x\n"])
def test_a_model_no_rule_matches_is_refused(model: str) -> None:
    """A model that no rule matches as a whole is refused, never free; so is every model of an empty card."""
    for known in (card(ModelRule("gpt-x", "core")), card()):
        with pytest.raises(UnknownModelError, match="no rate is known"):
            known.rule(model)


names = st.text("ab-.*?[]!", max_size=6)


@given(st.lists(names, max_size=8), names)
def test_rules_match_as_file_names_do(patterns: list[str], model: str) -> None:
    """Whatever the patterns are, the rule is the first that fnmatch would have taken."""
    rules = [ModelRule(pattern, "core") for pattern in patterns]
    first = next((rule for rule in rules if fnmatchcase(model, rule.pattern)), None)

    if first:
        assert first is card(*rules).rule(model)
    else:
        with pytest.raises(UnknownModelError):
            card(*rules).rule(model)


def test_a_rule_charges_in_a_unit_of_the_card() -> None:
    """A rule that charges in a unit the card does not have is refused."""
    with pytest.raises(ConfigurationError, match="'gpt-x' charges in 'gold', which is not a unit"):
        card(ModelRule("gpt-x", "gold"))


def test_a_call_is_charged_by_the_method_of_its_unit() -> None:
    """A call costs what its unit's method says, and tells the price and the card it was charged by."""
    known = card(ModelRule("gpt-x", "core"))
    charge = known.rate("acme/gpt-x", Usage(input_uncached=1_000, output_text=600), PRICE)

    assert ("acme/gpt-x", "core", PT.of(3)) == (charge.model, charge.unit, charge.amount)
    assert Money.usd("0.008") == charge.cost
    assert (PRICE, known.version) == (charge.price, charge.card_version)


def test_a_rule_may_have_its_own_method() -> None:
    """A model's own method comes before its unit's: US$0.008 × 1.33 ÷ 0.001 is 10.64, so 11 PT."""
    known = card(ModelRule("gpt-x", "core", CostPlus(BUFFER)))

    assert PT.of(11) == known.rate("gpt-x", Usage(input_uncached=1_000, output_text=600), PRICE).amount


def test_bands_of_tokens_rate_nothing_that_has_none() -> None:
    """A thousand pages are not the shortest call: bands refuse what used no tokens, and cost-plus charges it."""
    pages = Usage(tool_calls={"ocr_page": 1_000})
    price = replace(PRICE, tools={"ocr_page": 2_000_000, "web_search": 10_000_000})

    with pytest.raises(
        UnknownModelError, match="no cost-plus rate for ocr_page is known for model 'gpt-x'"
    ):
        card(ModelRule("gpt-x", "core")).rate("gpt-x", pages, price)
    assert (
        PT.of(2_660)
        == card(ModelRule("gpt-x", "core", CostPlus(BUFFER))).rate("gpt-x", pages, price).amount
    )
    searched = Usage(input_uncached=1, tool_calls={"web_search": 1})
    assert PT.of(1) == card(ModelRule("gpt-x", "core")).rate("gpt-x", searched, price).amount


def test_a_workload_raises_what_cost_plus_charges() -> None:
    """A complex workload costs more by cost-plus, and the same by bands."""
    usage, hard = (
        Usage(input_uncached=1_000, output_text=600),
        Workload(complexity=Complexity.COMPLEX, tool_calls=5),
    )
    by_cost = card(ModelRule("gpt-x", "core"), core=CostPlus(BUFFER, step=1))

    assert PT.of("10.64") == by_cost.rate("gpt-x", usage, PRICE).amount
    assert PT.of("12") == by_cost.rate("gpt-x", usage, PRICE, hard).amount
    assert PT.of(3) == card(ModelRule("gpt-x", "core")).rate("gpt-x", usage, PRICE, hard).amount


def test_a_call_can_be_charged_in_a_given_unit() -> None:
    """A model without a rule can be charged in a unit that is named instead."""
    tariff = card().tariff_in("advanced", "gpt-x", PRICE)
    charge = tariff.charge(Usage(input_uncached=10))

    assert ("advanced", PT.of(1)) == (charge.unit, charge.amount)


def test_a_unit_that_is_not_there_is_refused() -> None:
    """Asking for a unit that the platform does not have names those it has."""
    with pytest.raises(UnknownUnitError, match="no unit 'gold': the units are advanced, core"):
        card().unit("gold")


def test_a_unit_says_what_one_pt_is() -> None:
    """The definition of a unit says what one PT pays for and what it sells at."""
    assert "1 core PT pays for about US$0.001 of provider cost and sells at US$0.01" == card().definition(
        "core"
    )


def test_the_version_is_the_content() -> None:
    """Cards written alike have one version, in whatever order; cards written otherwise have two."""
    one = card(source={"name": "a", "notes": []})

    assert one.version == card(source={"notes": [], "name": "a"}).version
    assert one.version != card(source={"name": "b", "notes": []}).version
    assert one.as_json() == '{"name":"a","notes":[]}'


def test_the_latest_card_that_has_begun_is_in_force() -> None:
    """At any time the card in force is the latest that has begun; before the first there is none."""
    early, late = (card(effective_from=datetime(year, 1, 1, tzinfo=UTC)) for year in (2025, 2026))

    assert early is card_at((late, early), datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert late is card_at((late, early), datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigurationError, match="no rate card is in force at 2024-12-31 23:00 UTC"):
        card_at((late, early), datetime(2024, 12, 31, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("model", "bare"),
    [("gpt-4o", "gpt-4o"), ("a/b/GPT-4o", "gpt-4o"), ("openai/", ""), ("ft:gpt-4o:me", "ft:gpt-4o:me")],
)
def test_the_bare_name_of_a_model(model: str, bare: str) -> None:
    """Patterns see a model's name without its provider and in lower case."""
    assert bare == bare_name(model)
