"""How the fake Stripe answers: keys, pages, expansions, errors, faults and webhooks."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter.testing import Clock
from ptmeter.testing.stripe import DROP, FakeStripe, Settings

from .receiving import receiving

stripe = pytest.importorskip("stripe")

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe() as running:
        yield running


# --- forms ---


def test_hashes_lists_and_numbers_arrive_as_what_they_are(fake: FakeStripe) -> None:
    """Brackets become hashes and lists, numbers and booleans are typed; what is in metadata stays text."""
    customer = fake.client().v1.customers.create(
        {
            "address": {"country": "DE", "postal_code": "01067"},
            "metadata": {"1": "2", "flag": "true"},
            "preferred_locales": ["de", "en"],
        }
    )

    assert customer.address is not None
    assert ("DE", "01067") == (customer.address.country, customer.address.postal_code)
    assert customer.metadata is not None
    assert {"1": "2", "flag": "true"} == customer.metadata.to_dict()
    assert ["de", "en"] == customer.preferred_locales
    assert 0 == customer.balance


def test_an_empty_string_unsets(fake: FakeStripe) -> None:
    """An empty string takes a field, a key of metadata, or all metadata away."""
    customers = fake.client().v1.customers
    made = customers.create({"name": "A", "metadata": {"a": "1", "b": "2"}})

    assert customers.update(made.id, {"name": ""}).name is None
    assert {"b": "2"} == customers.update(made.id, {"metadata": {"a": ""}}).to_dict()["metadata"]
    assert {} == customers.update(made.id, {"metadata": ""}).to_dict()["metadata"]


def test_what_is_no_number_is_refused(fake: FakeStripe) -> None:
    """A word where an integer is expected is answered with 400, and the parameter's name."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        fake.client().v1.payment_intents.create({"amount": "ten", "currency": "usd"})  # pyright: ignore[reportArgumentType]

    assert ("parameter_invalid_integer", "amount", 400) == (
        refused.value.code,
        refused.value.param,
        refused.value.http_status,
    )


# --- errors ---


def test_what_is_missing_is_404_in_the_path_and_400_in_a_parameter(fake: FakeStripe) -> None:
    """``resource_missing`` names the parameter; the path's own id is answered with 404."""
    client = fake.client()
    with pytest.raises(stripe.InvalidRequestError) as path:
        client.v1.customers.retrieve("cus_none")
    with pytest.raises(stripe.InvalidRequestError) as parameter:
        client.v1.payment_intents.create({"amount": 100, "currency": "usd", "customer": "cus_none"})

    assert ("resource_missing", "id", 404) == (path.value.code, path.value.param, path.value.http_status)
    assert ("resource_missing", "customer", 400) == (
        parameter.value.code,
        parameter.value.param,
        parameter.value.http_status,
    )
    assert "No such customer: 'cus_none'" == path.value.user_message


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("tok_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_declined_card_leaves_a_failed_charge(
    fake: FakeStripe, card: str, code: str, decline_code: str | None
) -> None:
    """A decline is a 402 with the intent in it, which can be paid with another card."""
    client = fake.client()
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create(CARD | {"payment_method": card})  # pyright: ignore[reportArgumentType]

    error = declined.value.error
    assert error is not None
    assert error.payment_intent is not None
    assert (code, decline_code, 402) == (
        declined.value.code,
        error.get("decline_code") if hasattr(error, "get") else getattr(error, "decline_code", None),
        declined.value.http_status,
    )
    assert "requires_payment_method" == error.payment_intent.status
    assert ["failed"] == [charge["status"] for charge in fake.objects("charge")]
    assert [] == fake.objects("balance_transaction")

    again = client.v1.payment_intents.confirm(error.payment_intent.id, {"payment_method": "pm_card_visa"})

    assert ("succeeded", None) == (again.status, again.last_payment_error)


def test_without_a_key_nothing_is_done(fake: FakeStripe) -> None:
    """A request without an API key is 401."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    with pytest.raises(HTTPError) as refused:
        urlopen(f"{fake.url}/v1/customers", timeout=10)
    refused.value.close()

    assert 401 == refused.value.code


# --- idempotency ---


def test_the_same_key_has_the_same_answer(fake: FakeStripe) -> None:
    """A key that is used again is answered as before, says so, and nothing is done twice."""
    client = fake.client()
    first = client.v1.customers.create({"name": "A"}, {"idempotency_key": "k"})
    second = client.v1.customers.create({"name": "A"}, {"idempotency_key": "k"})

    assert first.id == second.id
    assert 1 == len(fake.objects("customer"))
    assert second.last_response is not None
    assert "true" == second.last_response.headers["idempotent-replayed"]
    assert first.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers


def test_a_decline_is_replayed_too(fake: FakeStripe) -> None:
    """A key keeps its error: the card is not tried again."""
    client = fake.client()
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            client.v1.payment_intents.create(
                CARD | {"payment_method": "pm_card_chargeDeclined"},  # pyright: ignore[reportArgumentType]
                {"idempotency_key": "k"},
            )

    assert 1 == len(fake.objects("charge"))


def test_a_key_for_another_request_is_refused(fake: FakeStripe) -> None:
    """A key with other parameters is a 400 of its own type."""
    client = fake.client()
    client.v1.customers.create({"name": "A"}, {"idempotency_key": "k"})

    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "B"}, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError):
        client.v1.products.create({"name": "A"}, {"idempotency_key": "k"})

    assert 1 == len(fake.objects("customer"))


def test_a_key_in_flight_is_a_conflict(fake: FakeStripe) -> None:
    """While the first request with a key is on its way, the second is answered with 409; afterwards replayed."""
    fake.fail(status=None, latency=0.6, prefix="/v1/customers", times=1)
    client = fake.client(max_network_retries=0)

    def create(_: int) -> object:
        try:
            return client.v1.customers.create({"name": "A"}, {"idempotency_key": "k"}).id
        except stripe.StripeError as error:
            return error.http_status

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(create, range(2)))

    [made] = fake.objects("customer")
    assert {made["id"], 409} == set(answers)
    assert made["id"] == create(0)


def test_a_key_is_forgotten_after_a_day() -> None:
    """A key protects a retry, not a run of next week: after 24 hours it creates anew."""
    clock = Clock()
    with FakeStripe(clock=clock) as fake:
        client = fake.client()
        client.v1.customers.create({}, {"idempotency_key": "k"})
        clock.turn(timedelta(hours=23, minutes=59))
        client.v1.customers.create({}, {"idempotency_key": "k"})

        assert 1 == len(fake.objects("customer"))

        clock.turn(timedelta(minutes=1))
        client.v1.customers.create({}, {"idempotency_key": "k"})

        assert 2 == len(fake.objects("customer"))


# --- lists ---


def test_pages_go_newest_first_and_miss_nothing(fake: FakeStripe) -> None:
    """25 objects in pages of 10 are three requests, newest first; the other way round is the same."""
    client = fake.client()
    made = [client.v1.customers.create({"name": str(number)}).id for number in range(25)]
    before = len(fake.requests)
    forth = [each.id for each in client.v1.customers.list({"limit": 10}).auto_paging_iter()]

    assert made[::-1] == forth
    assert 3 == len(fake.requests) - before

    back = client.v1.customers.list({"limit": 10, "ending_before": made[0]}).auto_paging_iter()

    assert made[1:] == [each.id for each in back]


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 101},
        {"starting_after": "cus_none"},
        {"starting_after": "a", "ending_before": "b"},
    ],
)
def test_a_page_that_cannot_be_is_refused(fake: FakeStripe, params: dict[str, object]) -> None:
    """Limits beyond 1 to 100, and cursors that are not in the list, are 400."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        fake.client().v1.customers.list(params)  # pyright: ignore[reportArgumentType]

    assert 400 == refused.value.http_status


def test_lists_are_cut_by_time() -> None:
    """``created[gte]`` and ``created[lt]`` bound a list; a time alone has to be met."""
    clock = Clock()
    with FakeStripe(clock=clock) as fake:
        client = fake.client()
        times = []
        for _ in range(5):
            times.append(client.v1.customers.create({}).created)
            clock.turn(timedelta(hours=1))
        ranged = client.v1.customers.list({"created": {"gte": times[1], "lt": times[3]}})
        exact = client.v1.customers.list({"created": times[4]})

        assert [times[2], times[1]] == [each.created for each in ranged.data]
        assert [times[4]] == [each.created for each in exact.data]


def test_ids_expand_to_what_they_stand_for(fake: FakeStripe) -> None:
    """``expand`` goes through objects and lists, and refuses what is not there."""
    client = fake.client()
    client.v1.payment_intents.create(CARD)  # pyright: ignore[reportArgumentType]
    page = client.v1.payment_intents.list(
        {"expand": ["data.latest_charge.balance_transaction", "data.customer"]}
    )

    charge: Any = page.data[0].latest_charge
    moved = charge.balance_transaction
    assert (1000, 59, 941) == (moved.amount, moved.fee, moved.net)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.payment_intents.list({"expand": ["data.nonsense"]})


# --- faults ---


def test_a_fault_before_is_retried_into_one_object(fake: FakeStripe) -> None:
    """A 500 that comes before anything was done is retried by the client with the same key."""
    fake.fail(times=2)
    fake.client(max_network_retries=2).v1.customers.create({})

    assert 1 == len(fake.objects("customer"))
    assert 1 == len(fake.requests)


@pytest.mark.parametrize("status", [DROP, 500])
def test_a_lost_answer_is_no_second_object(fake: FakeStripe, status: int) -> None:
    """What was executed before the connection was lost is replayed to the retry, and is there once."""
    fault = fake.fail(before=False, status=status)
    made = fake.client(max_network_retries=2).v1.customers.create({"name": "A"})

    assert 1 == fault.met
    assert 2 == len(fake.requests)
    assert [made.id] == [each["id"] for each in fake.objects("customer")]


def test_a_rate_limit_is_told_with_its_header(fake: FakeStripe) -> None:
    """A 429 is for those whose path it names, and carries the headers it was given."""
    fake.fail(status=429, headers={"Retry-After": "1"}, prefix="/v1/refunds", times=1)
    client = fake.client(max_network_retries=2)
    client.v1.customers.create({})
    with pytest.raises(stripe.RateLimitError) as limited:
        client.v1.refunds.list()

    assert limited.value.headers is not None
    assert "1" == limited.value.headers["retry-after"]
    assert [] == client.v1.refunds.list().data


def test_a_share_of_faults_comes_from_the_seed() -> None:
    """The same seed lets the same requests fail; another seed others."""

    def failed(seed: int) -> list[int]:
        with FakeStripe(seed=seed) as fake:
            client = fake.client(max_network_retries=0)
            fake.fail(times=None, share=0.3)
            struck = []
            for number in range(30):
                try:
                    client.v1.customers.list()
                except stripe.StripeError:
                    struck.append(number)
            return struck

    assert failed(1) == failed(1)
    assert failed(1) != failed(2)
    assert 3 <= len(failed(1)) <= 18


def test_an_outage_lasts_until_it_is_over(fake: FakeStripe) -> None:
    """During an outage everything is 503."""
    client = fake.client(max_network_retries=0)
    fake.outage()
    for _ in range(3):
        with pytest.raises(stripe.APIError) as failed:
            client.v1.customers.list()

        assert 503 == failed.value.http_status
    fake.recover()

    assert [] == client.v1.customers.list().data


# --- webhooks ---


def test_webhooks_verify_and_come_in_order() -> None:
    """What is sent verifies with stripe-python and is the event that the list has."""
    with FakeStripe(background=False) as fake, receiving() as receiver:
        fake.listen(receiver.url, secret="whsec_1", api_version="2025-03-31.basil")
        client = fake.client()
        client.v1.payment_intents.create(CARD)  # pyright: ignore[reportArgumentType]
        fake.deliver()
        events = [
            stripe.Webhook.construct_event(body, signed, "whsec_1") for body, signed in receiver.received
        ]

        kinds = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
        assert kinds == [event.type for event in events]
        assert kinds[::-1] == [event.type for event in client.v1.events.list().data]
        assert {"2025-03-31.basil"} == {event.api_version for event in events}
        assert events[0].request is not None
        assert str(events[0].request.id).startswith("req_")
        assert events[0].request.idempotency_key
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(*receiver.received[0], "whsec_2")


def test_an_update_says_what_was_before(fake: FakeStripe) -> None:
    """``previous_attributes`` holds the old values of what changed; no change, no event."""
    customers = fake.client().v1.customers
    made = customers.create({"name": "A", "metadata": {"plan": "pro"}})
    customers.update(made.id, {"name": "B", "metadata": {"plan": "business"}})
    customers.update(made.id, {"name": "B"})

    [event] = fake.events("customer.updated")
    assert {"name": "A", "metadata": {"plan": "pro"}} == event["data"]["previous_attributes"]
    assert "B" == event["data"]["object"]["name"]


def test_a_refused_webhook_comes_again() -> None:
    """An endpoint that fails is sent the event again, with the same body, until it takes it."""
    settings = Settings(delivery_delays=(0.01, 0.01, 0.01))
    with FakeStripe(settings=settings) as fake, receiving(500, 404) as receiver:
        fake.listen(receiver.url)
        client = fake.client()
        client.v1.customers.create({})
        bodies = {json.loads(body)["id"] for body, _ in receiver.wait_for(3)}

        [event] = fake.events()
        assert {event["id"]} == bodies


def test_the_undelivered_can_be_asked_for() -> None:
    """``delivery_success=false`` lists what is pending or has failed, whatever was taken meanwhile."""
    settings = Settings(delivery_delays=())
    with FakeStripe(settings=settings, background=False) as fake, receiving(200, 500, 200) as receiver:
        fake.listen(receiver.url, events=["customer.created", "customer.updated"])
        client = fake.client()
        made = [client.v1.customers.create({"name": str(number)}).id for number in range(3)]
        client.v1.products.create({"name": "nobody listens"})
        fake.deliver()
        missed = client.v1.events.list({"delivery_success": False})
        taken = client.v1.events.list({"delivery_success": True})

        assert [made[1]] == [event.data.object["id"] for event in missed.data]
        assert 3 == len(taken.data)
        assert 1 == missed.data[0].pending_webhooks

        client.v1.customers.update(made[0], {"name": "later"})

        assert 2 == len(client.v1.events.list({"delivery_success": False}).data)
        types = ["customer.created"]
        assert 1 == len(client.v1.events.list({"delivery_success": False, "types": types}).data)


def test_events_can_come_twice_and_out_of_order() -> None:
    """Deliveries can be doubled and shuffled, the same way with the same seed."""

    def order(seed: int) -> list[str]:
        with FakeStripe(seed=seed, background=False) as fake, receiving() as receiver:
            fake.listen(receiver.url)
            for _ in range(4):
                fake.client().v1.customers.create({})
            fake.deliver(times=2, shuffled=True)
            return [json.loads(body)["id"][-2:] for body, _ in receiver.received]

    assert order(3) == order(3)
    assert 8 == len(order(3))
    assert sorted(order(3)) != order(3)


def test_thin_events_lead_to_their_objects() -> None:
    """A thin event verifies, says which object it is about, and is fetched like any other."""
    with FakeStripe(background=False) as fake, receiving() as receiver:
        fake.listen(receiver.url, thin=True)
        client = fake.client()
        client.v1.customers.create({"name": "A"})
        fake.deliver()
        [(body, signed)] = receiver.received
        told = client.parse_event_notification(body, signed, "whsec_fake")

        assert "v1.customer.created" == told.type
        assert "A" == told.fetch_related_object().name  # pyright: ignore[reportAttributeAccessIssue]
        assert told.id == told.fetch_event().id


def test_an_endpoint_of_the_api_has_a_secret_of_its_own(fake: FakeStripe) -> None:
    """The secret is shown when an endpoint is created and never again; disabled, it is sent nothing."""
    with receiving() as receiver:
        client = fake.client()
        made = client.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["customer.created"], "api_version": "2025-03-31.basil"}
        )
        client.v1.products.create({"name": "A"})
        client.v1.customers.create({})
        [(body, signed)] = receiver.wait_for(1)

        assert made.secret is not None
        assert "customer.created" == stripe.Webhook.construct_event(body, signed, made.secret).type
        assert "secret" not in client.v1.webhook_endpoints.retrieve(made.id).to_dict()

        client.v1.webhook_endpoints.update(made.id, {"disabled": True})
        client.v1.customers.create({})

        assert [] == fake.deliver()


def test_times_go_by_the_clock() -> None:
    """Objects, events and signatures are stamped with the fake's clock."""
    clock = Clock(datetime(2031, 5, 6, tzinfo=UTC))
    with FakeStripe(clock=clock) as fake:
        fake.client().v1.customers.create({})
        [event] = fake.events()

        assert int(clock().timestamp()) == event["created"] == event["data"]["object"]["created"]
        assert fake.fat(event["id"]).signature.startswith(f"t={event['created']},")
