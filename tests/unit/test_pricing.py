"""What a call costs: estimates and charges from one tariff, and models nobody has a price for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptmeter import (
    PT,
    Calibration,
    Ceiling,
    Count,
    HoldSize,
    InvalidArgumentError,
    Method,
    Policy,
    Price,
    Processing,
    Quantile,
    RateCard,
    Reading,
    UnknownModelError,
    UnknownTierError,
    Usage,
    Workload,
    reference_card,
)
from ptmeter.domain.rates import PLAIN, Band, Banded, ModelRule, UnitRate
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.learning import Learning
from ptmeter.pricing import MOST_TARIFFS, Pricing, assumed, request_digest
from ptmeter.providers.tokens import Tokenizers
from ptmeter.repricing import listed_price
from ptmeter.testing import Clock

MODEL = "small-1"


class Words:
    """Counts words, and takes one text in a hundred to have twice as many."""

    def count_text(self, model: str, text: str) -> Count:
        return Count(len(text.split()), 2 * len(text.split()), Method.EXACT)

    def count_request(self, model: str, request: Any) -> Count:
        return self.count_text(model, request if isinstance(request, str) else str(request))


class Listed:
    """A catalogue of one provider whose prices double at noon of the second day."""

    def __init__(self, **rates: int) -> None:
        self.rates = {"input_uncached": 100_000, "output_text": 400_000, **rates}
        self.first = Price(provider="acme", model=MODEL, source="list", rates=self.rates)
        doubled = {name: 2 * rate for name, rate in self.rates.items()}
        self.second = Price(provider="acme", model=MODEL, source="list", rates=doubled)

    def price(self, model: str, at: datetime, *, processing: Processing = Processing.STANDARD) -> Price:
        if not model.startswith("small"):
            raise UnknownModelError(model, processing.price_name)
        if processing in (Processing.BATCH, Processing.PRIORITY):
            rates = {
                name: rate * (2 if processing is Processing.PRIORITY else 1) // 2
                for name, rate in self.rates.items()
            }
            return replace(self.first, rates=rates, processing=processing)
        return self.first if at < datetime(2026, 1, 2, 12, tzinfo=UTC) else self.second


def card(
    name: str = "card", effective_from: datetime = datetime(2020, 1, 1, tzinfo=UTC), pt: int = 1
) -> RateCard:
    core = reference_card().unit("core")
    rate = UnitRate(
        pays_for=core.pays_for,
        sells_at=core.sells_at,
        method=Banded((Band(100, pt * 1_000_000), Band(1_000, 5_000_000))),
    )
    rules = (ModelRule("small-*", "core"),)
    return RateCard(
        name=name, effective_from=effective_from, units={"core": rate}, models=rules, source={"name": name}
    )


def pricing(clock: Clock, policy: Policy | None = None, *cards: RateCard, **rates: int) -> Pricing:
    return Pricing(
        cards or (card(),), policy or Policy(), catalogue=Listed(**rates), tokens=Words(), clock=clock
    )


def test_an_estimate_says_expected_and_at_most(clock: Clock) -> None:
    """Expected goes by the likely counts, at most by the high count and the longest answer allowed."""
    policy = Policy(expected_output_tokens=40, max_output_tokens=200)

    estimate = pricing(clock, policy).estimate(MODEL, "one two three")

    assert (3, 6) == (estimate.input.tokens, estimate.input.high)
    assert (40, 200) == (estimate.output_expected, estimate.output_at_most)
    assert (PT.of(1), PT.of(5)) == (estimate.expected, estimate.at_most)
    assert estimate.hold == estimate.at_most


def test_a_hold_may_be_what_is_expected(clock: Clock) -> None:
    """The policy says how much is set aside."""
    policy = Policy(hold=HoldSize.EXPECTED, expected_output_tokens=40)

    assert PT.of(1) == pricing(clock, policy).estimate(MODEL, "one two three").hold


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_request_may_limit_the_answer(clock: Clock, name: str) -> None:
    """A request body that limits its answer limits the estimate; an argument goes before it."""
    body = {"messages": [], name: 7}

    assert 7 == pricing(clock).estimate(MODEL, body).output_at_most
    assert 5 == pricing(clock).estimate(MODEL, body, max_tokens=5).output_at_most


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", True])
def test_a_senseless_limit_is_refused(clock: Clock, limit: object) -> None:
    """A limit that is no positive whole number says so, instead of being taken for the default."""
    with pytest.raises(InvalidArgumentError, match="max_tokens"):
        pricing(clock).estimate(MODEL, {"messages": [], "max_tokens": limit})


def test_at_most_counts_a_cache_write(clock: Clock) -> None:
    """Where writing the cache costs more than reading none, the upper bound assumes it."""
    plain = pricing(clock).estimate(MODEL, "one two three")
    writes = pricing(clock, None, input_cache_write_5m=125_000).estimate(MODEL, "one two three")

    assert writes.cost_at_most.nano - plain.cost_at_most.nano == 6 * 25
    assert writes.cost_expected == plain.cost_expected


def test_a_price_counts_from_its_date(clock: Clock) -> None:
    """What was rated at the first price stays so; what comes after the change goes by the second."""
    priced = pricing(clock)
    used = Usage(input_uncached=1_000)

    before = priced.charge(MODEL, used)
    clock.turn(timedelta(days=2))
    after = priced.charge(MODEL, used)

    assert 2 * before.cost.nano == after.cost.nano
    assert before.price.version != after.price.version


def test_a_rate_card_counts_from_its_date(clock: Clock) -> None:
    """Of several rate cards the one in force is used, and the charge says which."""
    later = card("later", datetime(2026, 1, 2, tzinfo=UTC), pt=2)
    priced = pricing(clock, None, card(), later)
    used = Usage(input_uncached=10)

    before = priced.charge(MODEL, used)
    clock.turn(timedelta(days=1))
    after = priced.charge(MODEL, used)

    assert (PT.of(1), PT.of(2)) == (before.amount, after.amount)
    assert after.card_version == later.version != before.card_version


def test_an_unknown_model_is_refused(clock: Clock) -> None:
    """A model without a price, or without a rule, is never free."""
    with pytest.raises(UnknownModelError, match="no price is known for model 'large-9'"):
        pricing(clock).estimate("large-9", "one")


def test_an_unknown_model_can_be_held_at_a_ceiling(clock: Clock) -> None:
    """Under a ceiling it is charged at the ceiling's rates, and its price says that it is parked."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))

    charge = pricing(clock, Policy(unpriced=ceiling)).charge("large-9", Usage(input_uncached=10))

    assert (10_000, "unpriced", "core") == (charge.cost.nano, charge.price.source, charge.unit)


def test_a_flood_of_names_is_not_remembered(clock: Clock) -> None:
    """Names that somebody makes up cannot fill the memory."""
    priced = pricing(clock)

    for number in range(MOST_TARIFFS + 10):
        priced.charge(f"small-{number}", Usage())

    assert len(priced._tariffs) <= MOST_TARIFFS


def test_requests_are_told_apart() -> None:
    """The same request has the same digest in any order of its keys; another has another."""
    message = {"role": "user", "content": "hi"}

    assert request_digest(MODEL, [message], None) == request_digest(
        MODEL, [dict(reversed(message.items()))], None
    )
    others = [
        request_digest(MODEL, [message], 10),
        request_digest("small-2", [message], None),
        request_digest(MODEL, [{**message, "content": "ho"}], None),
    ]
    assert request_digest(MODEL, [message], None) not in others
    assert len(set(others)) == 3


# --- how calls are processed ---


class Careless(Listed):
    """A catalogue that has one price, whatever it is asked for."""

    def price(self, model: str, at: datetime, *, processing: Processing = Processing.STANDARD) -> Price:
        return self.first


def answered(tier: str | None) -> Reading:
    return Reading(Usage(input_uncached=10), MODEL, "acme", tier, {"said": tier})


def test_an_estimate_is_at_the_price_of_its_processing(clock: Clock) -> None:
    """By what the workload says, or the request; and the notes say so."""
    priced = pricing(clock)
    batch = Workload(processing=Processing.BATCH)
    body = {"messages": [], "service_tier": "default"}
    plain = priced.estimate(MODEL, body)

    said = priced.estimate(MODEL, body, workload=batch)
    asked = priced.estimate(MODEL, {**body, "service_tier": "priority"})

    assert 2 * said.cost_at_most.nano == plain.cost_at_most.nano == asked.cost_at_most.nano
    assert ("at the batch price", "at the priority price") == (said.notes[-1], asked.notes[-1])
    assert said.notes[:-1] == plain.notes


def test_a_processing_without_a_price_is_refused_before_the_call(clock: Clock) -> None:
    """The standard price does not take its place: not in an estimate, not in a charge."""
    flex = Workload(processing=Processing.FLEX)

    with pytest.raises(UnknownModelError, match="no flex price is known for model 'small-1'"):
        pricing(clock).estimate(MODEL, "one", workload=flex)
    with pytest.raises(UnknownModelError, match="no flex price"):
        pricing(clock).charge(MODEL, Usage(), flex)


def test_a_careless_catalogue_is_not_believed(clock: Clock) -> None:
    """A price for another processing than was asked for is none, whoever gives it."""
    careless = Pricing((card(),), Policy(), catalogue=Careless(), tokens=Words(), clock=clock)

    assert 1_000 == careless.charge(MODEL, Usage(input_uncached=10)).cost.nano
    with pytest.raises(UnknownModelError, match="no batch price"):
        careless.charge(MODEL, Usage(), Workload(processing=Processing.BATCH))


def test_what_was_served_is_charged(clock: Clock) -> None:
    """Downgraded, upgraded or as asked for; the rest of the workload stays as it was."""
    priced = pricing(clock)
    asked = Workload(processing=Processing.PRIORITY, tool_calls=2)

    assert asked == priced.served(MODEL, asked, answered(None))
    assert Workload(tool_calls=2) == priced.served(MODEL, asked, answered("default"))
    assert asked == priced.served(MODEL, Workload(tool_calls=2), answered("priority"))


def test_a_tier_nobody_knows_is_refused(clock: Clock) -> None:
    """Before the call and after it; after it the error carries what the provider sent."""
    priced = pricing(clock)

    with pytest.raises(UnknownTierError, match=r"say Workload\(processing=\.\.\.\)") as before:
        priced.estimate(MODEL, {"messages": [], "service_tier": "warp"})
    with pytest.raises(UnknownTierError, match="settle by hand") as after:
        priced.served(MODEL, Workload(), answered("warp"))

    assert (MODEL, "warp", None) == (before.value.model, before.value.tier, before.value.payload)
    assert (MODEL, "warp", {"said": "warp"}) == (after.value.model, after.value.tier, after.value.payload)


def test_a_tier_nobody_knows_is_charged_at_the_ceiling(clock: Clock) -> None:
    """Where there is one; the workload says that the processing was not known, so nobody rates it as standard later."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    priced = pricing(clock, Policy(unpriced=ceiling))

    estimate = priced.estimate(MODEL, {"messages": [], "service_tier": "warp"}, max_tokens=1)
    workload = priced.served(MODEL, Workload(), answered("warp"))
    charge = priced.charge(MODEL, Usage(input_uncached=10), workload)

    assert estimate.cost_at_most > priced.estimate(MODEL, {"messages": []}, max_tokens=1).cost_at_most
    assert Processing.UNKNOWN is charge.workload.processing
    assert (10_000, "unpriced") == (charge.cost.nano, charge.price.source)
    with pytest.raises(UnknownModelError, match="no unknown price"):
        listed_price(Listed(), charge.price, clock(), charge.workload.processing)


def test_a_word_for_a_model_nobody_lists(clock: Clock) -> None:
    """Who charges for it is then taken from its name; at a ceiling it may be processed as it likes."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    priced = pricing(clock, Policy(unpriced=ceiling))

    asked = priced.asked("groq/large-9", {"service_tier": "flex"}, Workload())
    other = priced.asked("large-9", {"service_tier": "flex"}, Workload())

    assert (Processing.STANDARD, Processing.FLEX) == (asked.processing, other.processing)
    assert "unpriced" == priced.charge("large-9", Usage(), other).price.source


def test_tariffs_of_two_processings_are_kept_apart(clock: Clock) -> None:
    """One model at two prices, asked for in turn, is charged each time at the one that was meant."""
    priced = pricing(clock)
    batch, usage = Workload(processing=Processing.BATCH), Usage(input_uncached=10)

    costs = [priced.charge(MODEL, usage, workload).cost.nano for workload in (PLAIN, batch, PLAIN, batch)]

    assert [1_000, 500, 1_000, 500] == costs


def test_requests_for_another_processing_are_told_apart() -> None:
    """The same messages at another price are another request."""
    batch = Workload(processing=Processing.BATCH)

    assert request_digest(MODEL, [], None, batch) != request_digest(MODEL, [], None)


# --- what settled calls taught ---


def learnt(calls: int, *, used: int = 3, answered: int = 10) -> Learning:
    known = Calibration()
    for _ in range(calls):
        known.learn(MODEL, "", counted=3, used=used, answered=answered)
    return Learning(known)


def knowing(clock: Clock, learning: Learning, policy: Policy | None = None) -> Pricing:
    return Pricing(
        (card(),), policy or Policy(), catalogue=Listed(), tokens=Words(), learning=learning, clock=clock
    )


def test_a_count_is_corrected_and_its_bound_only_raised(clock: Clock) -> None:
    """Calls that took three times what was counted, and calls that took a third of it."""
    more = knowing(clock, learnt(1_000, used=9)).estimate(MODEL, "one two three")
    less = knowing(clock, learnt(1_000, used=1)).estimate(MODEL, "one two three")

    assert (3, 10, 10) == (more.counted, more.input.tokens, more.input.high)
    assert (3, 2, 6) == (less.counted, less.input.tokens, less.input.high)


def test_an_assumed_limit_gives_way_to_longer_answers_a_stated_one_does_not(clock: Clock) -> None:
    """A reasoning model outruns the policy's 4,096 tokens; a provider that is told 50 stops at 50."""
    priced = knowing(clock, learnt(1_000, answered=9_000))

    assumed = priced.estimate(MODEL, "one two three", quantile=Quantile.of(99))
    stated = priced.estimate(MODEL, "one two three", quantile=Quantile.of(99), max_tokens=50)

    assert 9_000 <= assumed.output_at_most < 9_300
    assert assumed.hold == assumed.at_most
    assert (50, 50) == (stated.output_expected, stated.output_at_most)
    assert stated.hold == PT.of(1)


@settings(deadline=None)
@given(
    settled=st.lists(
        st.tuples(
            st.integers(0, 2_000), st.integers(0, 4_000), st.integers(0, 20_000), st.integers(1, 400)
        ),
        max_size=6,
    ),
    words=st.integers(0, 600),
)
def test_a_greater_quantile_never_holds_less(settled: list[tuple[int, int, int, int]], words: int) -> None:
    """From 50 % to the most a call can cost, whatever was learnt and of calls of whatever size."""
    known = Calibration()
    for counted, used, answered, times in settled:
        for _ in range(times):
            known.learn(MODEL, "", counted=counted, used=used, answered=answered)
    priced = knowing(Clock(), Learning(known))
    request = "word " * words

    estimates = [
        priced.estimate(MODEL, request, quantile=Quantile.of(percent))
        for percent in ("50", "95", "99", "99.5", "99.9")
    ]

    holds = [estimate.hold for estimate in estimates]
    assert holds == sorted(holds)
    assert all(each.expected <= each.at_most and each.hold <= each.at_most for each in estimates)


def test_what_was_taken_once_is_assumed_at_most(clock: Clock) -> None:
    """One longer answer of the route raises the assumption, not that of other routes."""
    priced = knowing(clock, learnt(1, answered=20_000))

    assert priced.estimate(MODEL, "one two three").output_at_most >= 20_000
    assert priced.estimate(MODEL, "one two three", route="other").output_at_most == 4_096


def test_the_policys_hold_gives_way_to_the_callers_quantile(clock: Clock) -> None:
    """One call may be held more carefully than the others."""
    priced = knowing(clock, learnt(200), Policy(hold=HoldSize.EXPECTED))

    assert priced.estimate(MODEL, "one two three").hold == PT.of(1)
    assert priced.estimate(MODEL, "one two three", quantile=Quantile.of("99.9")).hold > PT.of(1)


# --- sound ----------------------------------------------------------------------------------------

SECONDS_OF_SILENCE: dict[str, Any] = {
    "type": "input_audio",
    "input_audio": {"format": "wav", "data": "A" * 64_000},
}
HEARD: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "what is said?"}, SECONDS_OF_SILENCE]}
]


@pytest.mark.parametrize(
    ("rates", "modalities", "input_rate", "output_rate"),
    [
        ({"input_audio": 4_000_000, "output_audio": 8_000_000}, ["text", "audio"], 4_000_000, 8_000_000),
        ({"input_audio": 4_000_000, "output_audio": 8_000_000}, ["text"], 4_000_000, 400_000),
        ({"input_audio": 4_000_000, "output_audio": 8_000_000}, None, 4_000_000, 400_000),
        ({}, ["text", "audio"], 100_000, 400_000),
    ],
)
def test_sound_is_held_at_what_sound_costs(
    clock: Clock, rates: dict[str, int], modalities: list[str] | None, input_rate: int, output_rate: int
) -> None:
    """What is said in a request and what may be said in answer, where the model prices it apart from text."""
    request: dict[str, Any] = {"messages": HEARD, "max_tokens": 100}
    if modalities:
        request["modalities"] = modalities
    listening = Pricing((card(),), Policy(), catalogue=Listed(**rates), tokens=Tokenizers(), clock=clock)
    estimate = listening.estimate(MODEL, request)

    sound = estimate.input.sound
    assert sound > 50
    text = estimate.input.high - sound
    pico = text * 100_000 + sound * input_rate + 100 * output_rate
    assert estimate.cost_at_most.nano == -(-pico // 1_000)


def test_an_answer_that_is_spoken_reaches_as_far_as_sound_costs(clock: Clock) -> None:
    """What is held for a spoken answer suffices for it and for no more, and for a written one twenty times as long."""
    rule = ModelRule("small-*", "core", method=reference_card().rule("gpt-audio").method)
    speaking = Pricing(
        (replace(card(), models=(rule,)),),
        Policy(),
        catalogue=Listed(input_audio=4_000_000, output_audio=8_000_000),
        tokens=Tokenizers(),
        clock=clock,
    )
    request: dict[str, Any] = {"messages": HEARD, "max_tokens": 5_000}
    written = speaking.estimate(MODEL, request)
    spoken = speaking.estimate(MODEL, request | {"modalities": ["text", "audio"]})

    tokens, words = (speaking.reach(each, PLAIN, spoken.hold.micro).tokens for each in (spoken, written))

    assert (False, True) == (written.spoken, spoken.spoken)
    assert 5_000 <= tokens < 5_200
    assert 20 * tokens - 1_000 < words


def test_a_spoken_answer_that_breaks_off_is_charged_for_its_sound(clock: Clock) -> None:
    """Its transcript is text; where the model has no price for sound, no sound is charged."""
    request: dict[str, Any] = {"messages": HEARD, "max_tokens": 100, "modalities": ["text", "audio"]}
    rates = {"input_audio": 4_000_000, "output_audio": 8_000_000}
    for given_rates, sound in ((rates, 40), ({}, 0)):
        speaking = Pricing(
            (card(),), Policy(), catalogue=Listed(**given_rates), tokens=Tokenizers(), clock=clock
        )
        estimate = speaking.estimate(MODEL, request)

        usage = speaking.count_broken_off(MODEL, estimate, "Good morning", None, sound=40)

        said = speaking._tokens.count_text(MODEL, "Good morning").tokens
        assert (said, sound) == (usage.output_text, usage.output_audio)
        wanting = assumed(estimate)
        assert (estimate.output_expected, bool(given_rates)) == (
            wanting.output_audio + wanting.output_text,
            wanting.output_audio > 0,
        )
