"""Webhooks: what is taken in, what is parked, what is refused, and what is done about dead letters."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import stripe
from tests.stripe.conftest import SECRET, read, receive, set_up

from ptmeter import (
    ConfigurationError,
    ConflictError,
    EventInvalidError,
    EventNotFoundError,
    EventState,
    Intake,
    InvalidArgumentError,
    SignatureInvalidError,
)
from ptmeter.domain.inbox import Subject, SubjectKind
from ptmeter.stripe import API_VERSION, Endpoint, Stripe
from ptmeter.stripe.events import DEEPEST
from ptmeter.testing.stripe import signature

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing.stripe import FakeStripe

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[3] / "shared/data/stripe/fixtures3.json"


def event(kind: str = "charge.succeeded", **changes: Any) -> dict[str, Any]:
    """An event as Stripe sends it."""
    about = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": API_VERSION,
        "created": 1_795_780_800,
        "livemode": False,
        "type": kind,
        "pending_webhooks": 1,
        "data": {"object": about},
        **changes,
    }


def thin(about: str = "charge", name: str = "ch_1") -> dict[str, Any]:
    """A thin event, as docs.stripe.com/event-destinations shows it."""
    return {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": "v1.charge.succeeded",
        "created": "2026-11-27T12:00:00.000Z",
        "livemode": False,
        "related_object": {"id": name, "type": about, "url": f"/v1/charges/{name}"},
    }


# --- taking in ------------------------------------------------------------------------------------


async def test_an_event_is_stored_once_and_counted_when_it_comes_again(meter: AsyncMeter) -> None:
    """An event is stored once and counted when it comes again."""
    first = await receive(meter, event())
    again = await receive(meter, event(pending_webhooks=0))

    assert (first.outcome, again.outcome) == (Intake.STORED, Intake.DUPLICATE)
    kept = await meter.webhooks.find("evt_1")
    assert (kept.deliveries, kept.altered, kept.state) == (2, 0, EventState.WAITING)
    assert kept.event.subject == Subject(SubjectKind.PAYMENT, "pi_1")
    assert json.loads(kept.event.body) == event()


async def test_an_event_that_comes_again_with_something_else_to_say_is_told_of(
    meter: AsyncMeter, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that comes again with something else to say is told of."""
    await receive(meter, event())
    other = event(data={"object": {"id": "ch_1", "object": "charge", "payment_intent": "pi_2"}})

    assert "something else" in (await receive(meter, other)).problem

    kept = await meter.webhooks.find("evt_1")
    assert (kept.deliveries, kept.altered) == (2, 1)
    assert json.loads(kept.event.body) == event()
    assert "something else" in caplog.text


async def test_headers_are_found_however_they_are_written(meter: AsyncMeter) -> None:
    """Headers are found however they are written."""
    body = json.dumps(event()).encode()
    header = signature(body, SECRET, int(datetime.now(UTC).timestamp()))

    for name in ("Stripe-Signature", "stripe-signature", "STRIPE-SIGNATURE"):
        for form in (body, bytearray(body), memoryview(body)):
            await meter.webhooks.receive(form, {"Host": "x", name: header})

    assert (await meter.webhooks.find("evt_1")).deliveries == 9


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"livemode": True}, "it is live"),
        ({"account": "acct_1"}, "acct_1"),
        ({"api_version": "2027-01-27.fjord"}, "newer"),
        (
            {"type": "customer.created", "data": {"object": {"id": "cus_1", "object": "customer"}}},
            "customer.created",
        ),
        ({"type": "balance.available", "data": {"object": {"object": "balance"}}}, "balance.available"),
        ({"type": "brand.new", "data": {"object": {"id": "new_1", "object": "novelty"}}}, "brand.new"),
    ],
    ids=str,
)
async def test_what_is_of_no_concern_or_cannot_be_read_safely_is_parked(
    changes: dict[str, Any], because: str, meter: AsyncMeter
) -> None:
    """What is of no concern or cannot be read safely is parked."""
    received = await receive(meter, event(**changes))

    assert received.outcome is Intake.PARKED
    assert because in received.problem
    kept = await meter.webhooks.find("evt_1")
    assert (kept.state, kept.problem) == (EventState.PARKED, received.problem)


@pytest.mark.parametrize(
    "version", ["2019-01-01", "2020-08-27", "2024-09-30.acacia", "2025-03-31.basil", None]
)
async def test_an_older_version_is_a_hint_like_any_other(version: str | None, meter: AsyncMeter) -> None:
    """An older version is a hint like any other."""
    received = await receive(meter, event(api_version=version))

    assert received.outcome is Intake.STORED


async def test_a_thin_event_leads_to_what_it_links_to(meter: AsyncMeter) -> None:
    """A thin event leads to what it links to."""
    await receive(meter, thin())

    kept = await meter.webhooks.find("evt_2")
    assert (kept.event.type, kept.event.subject) == (
        "charge.succeeded",
        Subject(SubjectKind.CHARGE, "ch_1"),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b"\xff\xfe",
        "é".encode("latin-1"),
        json.dumps(event()).encode("utf-16"),
        json.dumps(event(id=None)).encode(),
        json.dumps(event(id="evt 1")).encode(),
        json.dumps(event(id="\ud800")).encode(),
        json.dumps(event(type=7)).encode(),
        json.dumps(event(created=True)).encode(),
        json.dumps(event(created=10**30)).encode(),
        json.dumps(event(livemode="no")).encode(),
        json.dumps(event(data=[])).encode(),
        json.dumps(event(data={"object": "ch_1"})).encode(),
        json.dumps(event(amount=float("nan"))).encode(),
        json.dumps(event(object="charge")).encode(),
        b'{"object": "event", "id": ' + b"9" * 5_000 + b"}",
        b'{"object": "event", "x": ' + b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1) + b"}",
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_what_is_signed_and_no_event_is_refused_and_not_kept(body: bytes, meter: AsyncMeter) -> None:
    """What is signed and no event is refused and not kept."""
    with pytest.raises(EventInvalidError):
        await receive(meter, body)

    assert await meter.webhooks.list() == ()


async def test_what_is_not_signed_is_not_even_looked_at(meter: AsyncMeter) -> None:
    """What is not signed is not even looked at."""
    for headers in ({}, {"Stripe-Signature": "t=1,v1=" + "0" * 64}):
        with pytest.raises(SignatureInvalidError):
            await meter.webhooks.receive(b"\xff", headers)
    with pytest.raises(SignatureInvalidError, match="2,097,152 bytes"):
        await meter.webhooks.receive(bytes(2 << 20), {})
    with pytest.raises(InvalidArgumentError, match="str"):
        await meter.webhooks.receive("{}", {})  # pyright: ignore[reportArgumentType]

    assert await meter.webhooks.list() == ()


async def test_each_of_several_endpoints_takes_what_is_its_own(opened: Opener) -> None:
    """Each of several endpoints takes what is its own."""
    endpoints = [
        Endpoint(secrets=[SECRET, "whsec_old"], livemode=False),
        Endpoint(secrets="whsec_live", livemode=True),
    ]
    sent = [
        ("evt_a", SECRET, event(), Intake.STORED),
        ("evt_b", "whsec_old", event(), Intake.STORED),
        ("evt_c", "whsec_live", event(livemode=True), Intake.STORED),
        ("evt_d", "whsec_live", event(), Intake.PARKED),
        ("evt_e", "whsec_live", event(livemode=True, account="acct_1"), Intake.PARKED),
    ]
    async with opened(stripe=Stripe(endpoints=endpoints)) as meter:
        for name, secret, document, outcome in sent:
            body = json.dumps(document | {"id": name}).encode()
            header = signature(body, secret, int(datetime.now(UTC).timestamp()))
            received = await meter.webhooks.receive(body, {"Stripe-Signature": header})
            assert (name, received.outcome) == (name, outcome)


async def test_a_meter_without_an_endpoint_or_a_key_says_so(opened: Opener, fake: FakeStripe) -> None:
    """A meter without an endpoint or a key says so."""
    async with opened() as meter:
        with pytest.raises(ConfigurationError, match="endpoint"):
            await receive(meter, event())
    without_key = Stripe(endpoints=Endpoint(secrets=SECRET, livemode=False))
    async with opened(stripe=without_key) as meter:
        await receive(meter, event())
        for _ in range(10):
            with pytest.raises(ConfigurationError, match="key"):
                await meter.webhooks.work()
        payment = Subject(SubjectKind.PAYMENT, "pi_1")
        assert await read(meter, lambda books: books.inbox.lock(payment)) is None  # so no attempt is gone


# --- every type there is --------------------------------------------------------------------------


def wrapped() -> list[tuple[str, dict[str, Any]]]:
    """An object for every type of event that Stripe's library knows, where its fixtures have one."""
    if not FIXTURES.exists():
        return []
    resources = json.loads(FIXTURES.read_text())["resources"]
    kinds: list[str] = sorted(get_args(stripe.Event.__annotations__.get("type")) or _types())
    found: list[tuple[str, dict[str, Any]]] = []
    for kind in kinds:
        words = kind.split(".")[:-1]
        names = [".".join(words[start:]) for start in range(len(words))] + ["_".join(words), words[0]]
        name = next((each for each in names if each in resources), None)
        if name:
            found.append((kind, resources[name]))
    return found


def _types() -> list[str]:
    """The types as the library's source says them: its annotations are text."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(stripe.Event))
    return [
        each.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "type"
        for each in ast.walk(node.annotation)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and "." in each.value
    ]


@pytest.mark.skipif(not FIXTURES.exists(), reason=f"Stripe's fixtures are not at {FIXTURES}")
async def test_an_event_of_every_type_is_taken_in(meter: AsyncMeter) -> None:
    """Whatever its type: it is kept, in line if there is something to look up, parked if not, and never refused."""
    every = wrapped()
    assert len(every) > 200
    outcomes = {
        kind: (await receive(meter, event(kind, id=f"evt_{number}", data={"object": about}))).outcome
        for number, (kind, about) in enumerate(every)
    }

    assert set(outcomes.values()) == {Intake.STORED, Intake.PARKED}
    looked_up = {kind for kind, outcome in outcomes.items() if outcome is Intake.STORED}
    assert {"invoice.paid", "charge.dispute.funds_withdrawn", "refund.failed", "payout.paid"} <= looked_up
    assert (await meter.webhooks.backlog()).counts.keys() == {EventState.WAITING, EventState.PARKED}


# --- dead letters ---------------------------------------------------------------------------------


async def test_a_dead_letter_is_shown_retried_or_resolved(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A dead letter is shown retried or resolved."""
    await receive(meter, event())

    worked = await meter.webhooks.work()

    assert worked.dead == 1  # there is no such payment at this Stripe
    dead = await meter.webhooks.find("evt_1")
    assert dead.state is EventState.DEAD
    assert "resource_missing" in dead.problem
    assert (await meter.webhooks.backlog()).oldest_dead == dead.received_at
    assert await meter.webhooks.list(state="dead") == (dead,)
    with pytest.raises(InvalidArgumentError, match="waiting, applied, parked, dead, resolved"):
        await meter.webhooks.list(state="deceased")
    assert (await meter.webhooks.retry("evt_1")).state is EventState.WAITING
    assert (await meter.webhooks.work()).dead == 1
    for actor, reason in (("", "x"), ("ann", " ")):
        with pytest.raises(InvalidArgumentError):
            await meter.webhooks.resolve("evt_1", actor=actor, reason=reason)
    resolved = await meter.webhooks.resolve("evt_1", actor="ann", reason="refunded by hand")
    assert (resolved.state, resolved.resolver, resolved.problem) == (
        EventState.RESOLVED,
        "ann",
        "refunded by hand",
    )
    with pytest.raises(ConflictError):
        await meter.webhooks.resolve("evt_1", actor="ann", reason="again")


async def test_who_asks_for_what_did_not_come_is_told(meter: AsyncMeter) -> None:
    """Who asks for what did not come is told."""
    for verb in (meter.webhooks.find, meter.webhooks.retry):
        with pytest.raises(EventNotFoundError):
            await verb("evt_9")
    await receive(meter, event(type="a.b", data={"object": {"object": "novelty"}}))
    with pytest.raises(InvalidArgumentError, match="nothing"):
        await meter.webhooks.retry("evt_1")
    for limit in (0, -1):
        with pytest.raises(InvalidArgumentError):
            await meter.webhooks.list(limit=limit)
    for since in (timedelta(0), timedelta(days=31)):
        with pytest.raises(InvalidArgumentError, match="30 days"):
            await meter.webhooks.catch_up(since=since)


async def test_what_stripe_cannot_say_now_is_tried_again_and_in_the_end_dead(
    opened: Opener, fake: FakeStripe, clock: Any
) -> None:
    """What Stripe cannot say now is tried again and in the end dead."""
    fake.outage()
    async with opened(stripe=set_up(fake), clock=clock) as meter:
        await receive(meter, event(), at=clock())
        for attempt in range(1, 9):
            worked = await meter.webhooks.work(jitter=lambda: 0.0)
            assert (worked.failed, worked.dead) == ((1, 0) if attempt < 8 else (0, 1)), attempt
            assert (await meter.webhooks.work()).failed == 0  # it waits
            clock.turn(timedelta(seconds=5) * 2 ** (attempt - 1))
        assert (await meter.webhooks.find("evt_1")).state is EventState.DEAD
