"""Arguments of wrong types: each is refused by an error of ptmeter's that names it, before anything is done."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import NAMESPACES

from ptmeter import (
    PT,
    Ahead,
    AsyncMeter,
    Backoff,
    Calibration,
    Ceiling,
    Discount,
    Endpoint,
    Hold,
    HoldSize,
    Interval,
    InvalidArgumentError,
    Invoices,
    MarginGoals,
    Meter,
    Metered,
    Money,
    Policy,
    Price,
    PtmeterError,
    RateCard,
    Stripe,
    Subscription,
    Tax,
    TopUpSales,
    TopUpTerms,
    Usage,
    VolumeDiscount,
    Workload,
    reference_card,
    reference_plans,
)
from ptmeter.asking import typed
from ptmeter.domain.margin_mitigations import MitigationTerms
from ptmeter.domain.policy import Overage
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - what is refused
NOW = datetime(2026, 1, 1, tzinfo=UTC)

WRONG: dict[str, list[Any]] = {
    "str": [None, 5, b"text", ["a"], {"a": 1}],
    "int": [None, "5", 1.0, True, {}],
    "bool": [None, 1, "yes"],
    "bytes": [None, "text", 5],
    "timedelta": [None, 90, "90 days", 1.5],
    "datetime": [None, NAIVE, "2026-01-01", 1_790_000_000, date(2026, 1, 1)],
    "date": [None, NOW, "2026-01-01", 5],
    "Hold": [None, "r1", {"key": "r1"}],
    "Money": [None, 5, "5", Decimal(5), {"nano": 5}],
    "Usage": [None, {"input_uncached": 5}, "5"],
    "Workload": [None, {}, "code"],
    "Discount": [None, "20%", 2_000],
    "Mapping": [None, "text", 5],
    "Sequence": [None, "text", 5],
    "Callable": [None, "text", {}],
    "Message": [None, "id", {}],
    "TopUp": [None, "id", {}],
    "Subscription": [None, "pro", {}],
    "SigningKey": [None, b"key", "key"],
    "PublicKey": [None, b"key", "key"],
    "Calibration": [None, "{}", {}],
    "Quantile": [None],
}
"""What may be given by mistake where an annotation says that."""

RIGHT: dict[str, Any] = {
    "str": "x",
    "int": 1,
    "bool": True,
    "bytes": b"secret kept apart",
    "timedelta": timedelta(days=90),
    "datetime": NOW,
    "date": date(2026, 1, 1),
    "Money": Money.usd(1),
    "Hold": Hold(account="acme", key="r1", amounts={}, expires_at=NOW),
    "Subscription": Subscription(
        account="acme",
        plan="pro",
        interval=Interval.MONTH,
        anchor=NOW,
        zone="UTC",
        at=NOW,
        started_at=NOW,
        paid_from=NOW,
        granted_until=NOW,
    ),
    "Usage": Usage(),
    "Mapping": {},
    "Sequence": (),
    "Callable": print,
    "None": None,
}


def verbs(of: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public verbs of a class, its own and those it inherits."""
    for name, verb in inspect.getmembers(of, inspect.isfunction):
        if not name.startswith("_"):
            yield f"{of.__name__}.{name}", verb


def arguments(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        each
        for each in [*inspect.signature(verb).parameters.values()][1:]
        if each.kind is not each.VAR_KEYWORD
    ]


def parts(parameter: inspect.Parameter) -> list[str]:
    """What an annotation takes; in brackets there may be several kinds, which are not looked at."""
    text = str(parameter.annotation)
    while "[" in text:
        before, _, rest = text.partition("[")
        depth, place = 1, 0
        while depth:
            depth += {"[": 1, "]": -1}.get(rest[place], 0)
            place += 1
        text = before + rest[place:]
    return text.split(" | ")


def mistakes() -> Iterator[Any]:
    """Every argument of every verb that takes a kind we know, with whatever else may be given for it."""
    classes: list[type] = [AsyncMeter, *NAMESPACES.values()]
    seen: set[str] = set()
    for of in classes:
        for name, verb in verbs(of):
            for parameter in arguments(verb):
                takes = parts(parameter)
                known = [part for part in takes if part in WRONG or part == "None"]
                if len(known) < len(takes) or not {*takes} & {*WRONG}:
                    continue
                for wrong in [each for part in takes for each in WRONG.get(part, [])]:
                    if _fits(wrong, takes):
                        continue
                    case = f"{name}({parameter.name}={wrong!r})"
                    if case not in seen:
                        seen.add(case)
                        yield pytest.param(verb, parameter.name, wrong, id=case)


def _fits(value: object, takes: list[str]) -> bool:
    kinds = {"str": str, "bytes": bytes, "Mapping": dict, "Sequence": list, "None": type(None)}
    if type(value) is int and "int" in takes:
        return True
    if type(value) is bool and "bool" in takes:
        return True
    if type(value) is date and "date" in takes:
        return True
    return any(isinstance(value, kinds[part]) for part in takes if part in kinds)


def test_there_are_mistakes_to_be_made() -> None:
    """The sweep reaches most verbs of all namespaces."""
    reached = {case.values[0].__qualname__ for case in mistakes()}

    assert len(reached) > 60, sorted(reached)


@pytest.mark.parametrize(("verb", "name", "wrong"), [*mistakes()])
def test_a_wrong_argument_is_named(verb: Callable[..., Any], name: str, wrong: object) -> None:
    """Nothing is done, and the error says which argument it is."""
    given: dict[str, Any] = {}
    for parameter in arguments(verb):
        if parameter.name == name:
            given[name] = wrong
        elif parameter.default is parameter.empty:
            given[parameter.name] = next(
                (RIGHT[part] for part in parts(parameter) if part in RIGHT), object()
            )

    with pytest.raises(InvalidArgumentError) as caught:
        answer = verb(None, **given)
        if inspect.iscoroutine(answer):
            asyncio.run(answer)

    assert name in str(caught.value) or "time zone" in str(caught.value)


def test_what_is_secret_is_not_shown() -> None:
    """Of a text, a dict or bytes only the type is said."""
    with pytest.raises(InvalidArgumentError) as caught:
        typed(Odd)().ask(b"whsec_secret")  # type: ignore[arg-type]

    assert "text is a text, not bytes" == str(caught.value)


class Odd:
    """A class with one verb, and something that is none."""

    def ask(self, text: str) -> str:
        """Say it again."""
        return text


@pytest.mark.parametrize(("name", "reader"), [("plans", "read_plans"), ("card", "read_rate_card")])
def test_a_path_in_the_place_of_what_is_read_from_it(name: str, reader: str) -> None:
    """Is refused with the name of what reads it."""
    path: Any = "file.yaml"

    with pytest.raises(InvalidArgumentError, match=f"{name} is a .*, as {reader} returns, .* not str"):
        Meter.open("memory://", **{name: path})


# --- amounts ---


@pytest.fixture
def meter() -> Iterator[Meter]:
    """A meter in memory with the reference plans, and an account that has 100 PT."""
    with Meter.open("memory://", plans=reference_plans(), clock=Clock(NOW)) as meter:
        meter.funds.grant("acme", core=100, source="test", key="g")
        yield meter


NO_AMOUNTS: list[Any] = [1.5, float("nan"), True, None, {}, b"5", [5], Money.usd(5)]
WORDS: list[Any] = ["", "five", "1e", "nan", "inf", "1/2", Decimal("NaN"), "0.0000000001", 10**40]


@pytest.mark.parametrize("amount", [*NO_AMOUNTS, *WORDS], ids=repr)
@pytest.mark.parametrize(
    "take",
    [
        lambda meter, amount: meter.funds.grant("acme", core=amount, source="s", key="k"),
        lambda meter, amount: meter.funds.adjust("acme", core=amount, reason="r", key="k"),
        lambda meter, amount: meter.hold("acme", core=amount, key="k"),
        lambda meter, amount: meter.settle(meter.hold("acme", core=1, key="h"), core=amount, key="k"),
        lambda meter, amount: meter.accounts.limit("acme", caps={"core": {"day": amount}}),
        lambda meter, amount: meter.accounts.limit("acme", spend={"day": amount}),
        lambda meter, amount: meter.top_ups.set("acme", unit="core", below=amount, amount=1, per_month=1),
        lambda meter, amount: meter.top_ups.set("acme", unit="core", below=1, amount=amount, per_month=1),
        lambda meter, amount: meter.top_ups.set("acme", unit="core", below=1, amount=1, per_month=amount),
        lambda meter, amount: meter.payments.checkout(
            "acme", core=amount, success_url="https://a/b", cancel_url="https://a/b", key="k"
        ),
    ],
    ids=["grant", "adjust", "hold", "settle", "caps", "spend", "below", "amount", "per_month", "checkout"],
)
def test_what_is_no_amount_is_refused(
    meter: Meter, take: Callable[[Meter, Any], object], amount: Any
) -> None:
    """A float is a `TypeError` that says how to write it, as documented; nothing is rounded or guessed."""
    before = meter.balance("acme").core.available

    with pytest.raises((TypeError, PtmeterError)) as caught:
        take(meter, amount)

    assert isinstance(caught.value, PtmeterError) or "are given as int, str or Decimal" in str(caught.value)
    meter.sweep()
    held = meter.balance("acme").core
    assert before.micro == held.available.micro + held.held.micro


@pytest.mark.parametrize("paid", [1.5, True, {}, b"5", [5], PT.of(5)], ids=repr)
def test_what_was_paid_is_no_float(meter: Meter, paid: Any) -> None:
    """What a grant sold for is exact too."""
    with pytest.raises((TypeError, PtmeterError)) as caught:
        meter.funds.grant("acme", core=1, source="s", key="k", paid=paid)

    assert isinstance(caught.value, PtmeterError) or "are given as int, str or Decimal" in str(caught.value)


# --- ids ---


@pytest.mark.parametrize("name", ["", " ", " acme", "a\0b", "x" * 300], ids=repr)
@pytest.mark.parametrize(
    "ask",
    [
        lambda meter, name: meter.funds.grant(name, core=1, source="s", key="k"),
        lambda meter, name: meter.hold(name, core=1, key="k"),
        lambda meter, name: meter.find_hold(name, key="k"),
        lambda meter, name: meter.balance(name),
        lambda meter, name: meter.statement(name),
        lambda meter, name: meter.record(name, model="gpt-4o-mini", response=Usage(), key="k"),
        lambda meter, name: meter.plans.assign(name, "pro", key="k"),
        lambda meter, name: meter.plans.subscribe(name, "pro", key="k"),
        lambda meter, name: meter.plans.find(name),
        lambda meter, name: meter.accounts.place(name, under=None),
        lambda meter, name: meter.accounts.place("ann", under=name),
        lambda meter, name: meter.accounts.find(name),
        lambda meter, name: meter.may(name, model="gpt-4o"),
        lambda meter, name: meter.quarantine.find(name, key="k"),
        lambda meter, name: meter.outbox.retry(name, "id"),
        lambda meter, name: meter.payments.find(name),
        lambda meter, name: meter.top_ups.find(name),
        lambda meter, name: meter.mitigations.undo(name, by="ann", reason="r"),
        lambda meter, name: meter.webhooks.find(name),
        lambda meter, name: meter.periods.show(name),
    ],
)
def test_what_names_nothing_is_refused(
    meter: Meter, ask: Callable[[Meter, str], object], name: str
) -> None:
    """An empty or padded name, or one that no database takes, is none; whatever it was to name."""
    with pytest.raises(PtmeterError):
        ask(meter, name)


@pytest.mark.parametrize(
    "ask",
    [
        lambda meter: meter.hold("acme", core=1, key=""),
        lambda meter: meter.funds.grant("acme", core=1, source="s", key=""),
        lambda meter: meter.void(meter.hold("acme", core=1, key="h"), key=""),
        lambda meter: meter.record("acme", model="gpt-4o-mini", response=Usage(output_text=5), key=""),
        lambda meter: meter.plans.assign("acme", "pro", key=""),
        lambda meter: meter.plans.subscribe("acme", "pro", key=""),
        lambda meter: meter.mitigations.apply(
            unit="advanced", share=0, lasts=timedelta(days=1), by="ann", reason="r", key=""
        ),
        lambda meter: meter.find_hold("acme", key=""),
    ],
)
def test_an_empty_key_is_none(meter: Meter, ask: Callable[[Meter], object]) -> None:
    """A request without a name could not be told from the next one."""
    with pytest.raises(PtmeterError):
        ask(meter)


# --- values ---

RATES = dict.fromkeys(TOKEN_CLASSES, 1_000)
SECRETS: list[Any] = [None, b"whsec_x", 5, [None], [b"whsec_x"], [], "", [""]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Discount("20%", NOW),  # type: ignore[arg-type]
        lambda: Discount(0.2, NOW),  # type: ignore[arg-type]
        lambda: Discount(True, NOW),
        lambda: Discount(2_000, None),  # type: ignore[arg-type]
        lambda: Discount(2_000, "2027-01-01"),  # type: ignore[arg-type]
        lambda: Discount(2_000, NAIVE),
        lambda: Discount(2_000, date(2027, 1, 1)),  # type: ignore[arg-type]
        *(lambda secrets=secrets: Endpoint(secrets=secrets, livemode=False) for secrets in SECRETS),
        lambda: Endpoint(secrets="whsec_x", livemode="no"),  # type: ignore[arg-type]
        lambda: Endpoint(secrets="whsec_x", livemode=False, tolerance=300),  # type: ignore[arg-type]
        lambda: Endpoint(secrets="whsec_x", livemode=False, largest_body="1 MB"),  # type: ignore[arg-type]
        lambda: Stripe(key=None),  # type: ignore[arg-type]
        lambda: Stripe(endpoints="whsec_x"),  # type: ignore[arg-type]
        lambda: Stripe(endpoints=["whsec_x"]),  # type: ignore[list-item]
        lambda: Stripe(endpoints=None),  # type: ignore[arg-type]
        lambda: Stripe(timeout=10),  # type: ignore[arg-type]
        lambda: Stripe(attempts="4"),  # type: ignore[arg-type]
        lambda: Stripe(prices=["price_1"]),  # type: ignore[arg-type]
        lambda: Stripe(tax={}),  # type: ignore[arg-type]
        lambda: Stripe(metered=[]),  # type: ignore[arg-type]
        lambda: Stripe(metered={"core": "pt_used"}),  # type: ignore[dict-item]
        lambda: Tax(behavior="included"),  # type: ignore[arg-type]
        lambda: Tax(code=5),  # type: ignore[arg-type]
        lambda: Invoices(fields=[]),  # type: ignore[arg-type]
        lambda: Invoices(fields={"PO": 5}),  # type: ignore[dict-item]
        lambda: Invoices(fields={5: "PO"}),  # type: ignore[dict-item]
        lambda: Invoices(footer=None),  # type: ignore[arg-type]
        lambda: Metered(event=None, since=date(2026, 1, 1)),  # type: ignore[arg-type]
        lambda: Metered(event="pt", since="2026-01-01"),  # type: ignore[arg-type]
        lambda: Metered(event="pt", since=NOW),
        lambda: Backoff(attempts=1.5),  # type: ignore[arg-type]
        lambda: Backoff(first=30),  # type: ignore[arg-type]
        lambda: TopUpTerms(below=1.5, amount=PT.of(1), per_month=Money.usd(1)),  # type: ignore[arg-type]
        lambda: TopUpTerms(below=PT.of(1), amount="1", per_month=Money.usd(1)),  # type: ignore[arg-type]
        lambda: TopUpTerms(below=PT.of(1), amount=PT.of(1), per_month=1),  # type: ignore[arg-type]
        lambda: TopUpSales(minimum=100),  # type: ignore[arg-type]
        lambda: TopUpSales(least=5.0),  # type: ignore[arg-type]
        lambda: VolumeDiscount(50, 500),  # type: ignore[arg-type]
        lambda: VolumeDiscount(Money.usd(50), 0.05),  # type: ignore[arg-type]
        lambda: MarginGoals(green=0.65, yellow=0.5),  # type: ignore[arg-type]
        lambda: MarginGoals(burn_unit=None),  # type: ignore[arg-type]
        lambda: MitigationTerms(floor=0.4),  # type: ignore[arg-type]
        lambda: MitigationTerms(closed_for=12),  # type: ignore[arg-type]
        lambda: Ahead(expiring=7),  # type: ignore[arg-type]
        lambda: Ahead(expiring=("7",)),  # type: ignore[arg-type]
        lambda: Policy(hold_ttl=900),  # type: ignore[arg-type]
        lambda: Policy(hold="expected"),  # type: ignore[arg-type]
        lambda: Policy(hold=0.99),  # type: ignore[arg-type]
        lambda: Policy(overage="reject"),  # type: ignore[arg-type]
        lambda: Policy(max_output_tokens="4096"),  # type: ignore[arg-type]
        lambda: Policy(unpriced={}),  # type: ignore[arg-type]
        lambda: Policy(chain_key="secret"),  # type: ignore[arg-type]
        lambda: Policy(margins=None),  # type: ignore[arg-type]
        lambda: Ceiling(None, RATES),  # type: ignore[arg-type]
        lambda: Ceiling("core", {**RATES, "output_text": 0.5}),  # type: ignore[dict-item]
        lambda: Ceiling("core", [1]),  # type: ignore[arg-type]
        lambda: Price(provider="a", model="m", source="s", rates={"output_text": 0.5}),  # type: ignore[dict-item]
        lambda: Price(provider="a", model="m", source="s", rates={"output_text": "5"}),  # type: ignore[dict-item]
        lambda: Price(provider="a", model="m", source="s", rates=None),  # type: ignore[arg-type]
        lambda: Price(provider="a", model="m", source="s", rates={}, request=0.5),  # type: ignore[arg-type]
        lambda: Price(provider="a", model="m", source="s", rates={}, tools={"web_search": 0.01}),  # type: ignore[dict-item]
        lambda: Usage(output_text=1.5),  # type: ignore[arg-type]
        lambda: Usage(output_text="5"),  # type: ignore[arg-type]
        lambda: Usage(tool_calls=["web_search"]),  # type: ignore[arg-type]
        lambda: Workload(retry_rate=0.05),  # type: ignore[arg-type]
        lambda: Workload(complexity="simple"),  # type: ignore[arg-type]
        lambda: Workload(tool_calls="2"),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_a_wrong_type_cannot_be_made(make: Callable[[], object]) -> None:
    """So that it does not come to light in the middle of a call, or never."""
    with pytest.raises(InvalidArgumentError) as caught:
        make()

    assert "whsec_x" not in str(caught.value)


def test_a_float_is_no_amount() -> None:
    """Neither as PT nor as money, by whichever way they are made: `TypeError`, as documented."""
    for make in (PT.of, PT, Money.usd, Money):
        with pytest.raises(TypeError, match="float"):
            make(1.5)  # type: ignore[arg-type]


# --- verbs ---

OPEN: Any = Meter.open


@pytest.mark.parametrize(
    "ask",
    [
        lambda meter: meter.webhooks.prune(older_than=90),
        lambda meter: meter.outbox.prune(older_than=90),
        lambda meter: meter.outbox.deliver("payment."),
        lambda meter: meter.outbox.deliver({"payment.": "tell"}),
        lambda meter: meter.outbox.deliver(None),
        lambda meter: meter.outbox.deliver([print]),
        lambda meter: meter.outbox.deliver(print, backoff={}),
        lambda meter: meter.worker.round(handlers={"payment.": "tell"}),
        lambda meter: meter.worker.round(handlers=print),
        lambda meter: meter.webhooks.receive("{}", {}),
        lambda meter: meter.webhooks.receive(b"{}", None),
        lambda meter: meter.webhooks.receive(b"{}", [("stripe-signature", "t=1")]),
        lambda meter: meter.settle("r1", core=1, key="k"),
        lambda meter: meter.void({"key": "r1"}, key="k"),
        lambda meter: meter.hold("acme", core=1, key="k", ttl=900),
        lambda meter: meter.prices.rerate(since=NOW, until=NOW, reason="r", by="a", basis="charged"),
        lambda meter: meter.prices.preview(since=NAIVE, until=NOW),
        lambda meter: meter.prices.preview(since=NOW, until=NOW + timedelta(1), card={}),
        lambda meter: meter.plans.subscribe("acme", "pro", key="k", discount="20%"),
        lambda meter: meter.plans.subscribe("acme", "pro", key="k", interval=12),
        lambda meter: meter.plans.subscribe("acme", "pro", key="k", zone="Mars"),
        lambda meter: meter.plans.assign("acme", "pro", key="k", until=NAIVE),
        lambda meter: meter.accounts.limit("acme", requests={60: 5}),
        lambda meter: meter.accounts.limit("acme", requests={timedelta(minutes=1): "5"}),
        lambda meter: meter.accounts.limit("acme", requests={timedelta(minutes=1): 1.5}),
        lambda meter: meter.accounts.limit("acme", concurrent=1.5),
        lambda meter: meter.accounts.limit("acme", caps={"core": 5}),
        lambda meter: meter.accounts.limit("acme", caps={"core": {5: 5}}),
        lambda meter: meter.accounts.limit("acme", spend=5),
        lambda meter: meter.accounts.visitor(None, under="acme", secret=b"x" * 16),
        lambda meter: meter.accounts.visitor("203.0.113.7", under="acme", secret="x" * 16),
        lambda meter: meter.accounts.below("acme", limit=0),
        lambda meter: meter.accounts.below("acme", limit=-1),
        lambda meter: meter.accounts.count_from("acme", NAIVE),
        lambda meter: meter.sweep(limit=0),
        lambda meter: meter.sweep(limit=-1),
        lambda meter: meter.alerts.list("acme", limit=0),
        lambda meter: meter.alerts.scan(portion=0),
        lambda meter: meter.top_ups.scan(portion=0),
        lambda meter: meter.plans.renew_due(limit=0),
        lambda meter: meter.statement("acme", limit=0),
        lambda meter: meter.statement("acme", since=NAIVE),
        lambda meter: meter.statement("acme", after="nonsense"),
        lambda meter: meter.summary("acme", since=NOW, until=NAIVE),
        lambda meter: meter.estimate(None, "text"),
        lambda meter: meter.estimate("gpt-4o-mini", None),
        lambda meter: meter.estimate("gpt-4o-mini", 5),
        lambda meter: meter.estimate("gpt-4o-mini", {"text"}),
        lambda meter: meter.estimate("gpt-4o-mini", "text", max_tokens=1.5),
        lambda meter: meter.estimate("gpt-4o-mini", "text", workload={}),
        lambda meter: meter.estimate("gpt-4o-mini", "text", route=None),
        lambda meter: meter.call("acme", model="gpt-4o-mini", messages=None, key="k"),
        lambda meter: meter.call(None, model="gpt-4o-mini", messages="text", key="k"),
        lambda meter: meter.call("acme", model="gpt-4o-mini", messages="text", key=None),
        lambda meter: meter.record("acme", model="gpt-4o-mini", response=None, key="k"),
        lambda meter: meter.record("acme", model="gpt-4o-mini", response=5, key="k"),
        lambda meter: meter.record("acme", model="gpt-4o-mini", response={"usage": 5}, key="k"),
        lambda meter: meter.record("acme", model="gpt-4o-mini", response=Usage(), key="k", shape=5),
        lambda meter: meter.margins.report(by=5),
        lambda meter: meter.margins.report(since=NOW),
        lambda meter: meter.margins.report(since="2026-01-01"),
        lambda meter: meter.margins.report(goals={}),
        lambda meter: meter.mitigations.apply(
            unit="advanced", share=0.5, lasts=timedelta(1), by="a", reason="r", key="k"
        ),
        lambda meter: meter.mitigations.apply(
            unit="advanced", share=0, lasts=12, by="a", reason="r", key="k"
        ),
        lambda meter: meter.route("acme", model="gpt-4o", mitigations="none"),
        lambda meter: meter.route("acme", model="gpt-4o", mitigations=["none"]),
        lambda meter: meter.calibration.add("{}"),
        lambda meter: meter.checkpoints.take(5, key=b"key"),
        lambda meter: meter.checkpoints.verify(None, key=b"key"),
        lambda meter: meter.periods.close("2026", by="ann"),
        lambda meter: meter.periods.close("2025-12", by=""),
        lambda meter: meter.quarantine.settle("acme", key="k", actor="a", reason="r", usage={}),
        lambda meter: meter.quarantine.list(state=5),
        lambda meter: meter.quarantine.list(after="nonsense"),
        lambda meter: meter.outbox.list(state=5),
        lambda meter: meter.webhooks.list(state=5),
        lambda meter: meter.webhooks.list(subject="pi_1"),
        lambda meter: meter.webhooks.catch_up(since=3),
        lambda meter: meter.top_ups.list(state=5),
        lambda meter: meter.payments.refund("pi_1", key="k", amount=1.5),
        lambda meter: meter.payments.refund("pi_1", key="k", reason=5),
        lambda meter: meter.payments.charge("id"),
        lambda meter: meter.payments.send_usage({}),
        lambda meter: meter.payments.customer("acme", tax_id="DE1"),
        lambda meter: meter.payments.customer("acme", address="Berlin"),
        lambda meter: meter.referrals.paid("acme", payment=49, payment_id="pi_1"),
        lambda meter: meter.referrals.paid("acme", payment=49.0, payment_id="pi_1"),
        lambda meter: meter.referrals.refunded("pi_1", amount="49"),
        lambda meter: meter.joined(None),
        lambda meter: meter.joined("connection"),
        lambda meter: meter.post(5),
        lambda meter: meter.post(None),
        lambda _: OPEN(None),
        lambda _: OPEN(5),
        lambda _: OPEN("memory://", policy={}),
        lambda _: OPEN("memory://", card={}),
        lambda _: OPEN("memory://", card=[]),
        lambda _: OPEN("memory://", plans={}),
        lambda _: OPEN("memory://", stripe="sk_test_1"),
        lambda _: OPEN("memory://", clock=NOW),
    ],
)
def test_a_verb_says_what_it_takes(meter: Meter, ask: Callable[[Any], object]) -> None:
    """No attribute is missed and no operand unsupported inside: what is wrong is said where it was given."""
    with pytest.raises(PtmeterError):
        ask(meter)


def test_the_reference_is_what_they_say() -> None:
    """The values that ship pass their own checks, and enumerations are taken by name where that is said."""
    with suppress(PtmeterError):
        Policy(hold=HoldSize.EXPECTED, overage=Overage.REJECT)
    assert isinstance(reference_card(), RateCard)
    assert Calibration() is not None
