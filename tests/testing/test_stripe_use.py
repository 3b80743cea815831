"""The fake as it is used: from a shell, from a browser, from asyncio, from many threads."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest

from ptmeter.testing.stripe import FakeStripe, signature

from .receiving import receiving

stripe = pytest.importorskip("stripe")

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = {
    "price_data": {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "<PT>"}},
    "quantity": 2,
}


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe() as running:
        yield running


@pytest.fixture
def v1(fake: FakeStripe) -> Any:
    return fake.client().v1


def test_the_import_loads_no_sdk() -> None:
    """``import ptmeter.testing.stripe`` loads neither stripe-python nor anything beside the standard library."""
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, ptmeter.testing.stripe; print({'stripe', 'requests', 'sqlalchemy.orm'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "set()" == said.stdout.strip()


def test_a_shell_has_one_too() -> None:
    """``python -m ptmeter.testing.stripe`` says where it listens, and sends webhooks where it is told."""
    with receiving() as receiver:
        command = [sys.executable, "-m", "ptmeter.testing.stripe", "--port", "0", "--webhook", receiver.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                url = server.stdout.readline().strip()
                client = stripe.StripeClient("sk_test_1", base_addresses={"api": url})
                made = client.v1.customers.create({})
                [(body, signed)] = receiver.wait_for(1)
            finally:
                server.terminate()

    assert made.id == stripe.Webhook.construct_event(body, signed, "whsec_fake").data.object["id"]


def test_nothing_answers_once_it_is_stopped() -> None:
    """A fake that was stopped answers nobody, not even on a connection that was kept alive."""
    with FakeStripe() as fake:
        client = fake.client(max_network_retries=0)
        client.v1.customers.create({})

    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({})
    with pytest.raises(RuntimeError, match="not running"):
        _ = fake.url
    assert 1 == len(fake.objects("customer"))


# --- a browser ---


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def submit(url: str, card: str) -> tuple[int, str]:
    form = Request(url, data=urlencode({"payment_method": card}).encode(), method="POST")
    try:
        build_opener(_Stay).open(form, timeout=10).close()
    except HTTPError as answered:
        with answered:
            return answered.code, answered.headers.get("Location") or answered.read().decode()
    return 200, ""


def test_a_browser_pays(fake: FakeStripe, v1: Any) -> None:
    """The session's page shows what is due, refuses a declined card, and leads back once it is paid."""
    success = "https://example.com/thanks?session={CHECKOUT_SESSION_ID}"
    session = v1.checkout.sessions.create({"mode": "payment", "line_items": [LINE], "success_url": success})
    with urlopen(session.url, timeout=10) as page:
        shown = page.read().decode()

    assert "30.00 USD" in shown
    assert "&lt;PT&gt;" in shown
    status, told = submit(session.url, "pm_card_chargeDeclined")
    assert 402 == status
    assert "declined" in told
    assert (303, f"https://example.com/thanks?session={session.id}") == submit(session.url, "pm_card_visa")
    assert "paid" == v1.checkout.sessions.retrieve(session.id).payment_status
    assert 1 == len(fake.events("checkout.session.completed"))
    assert 400 == submit(session.url, "pm_card_visa")[0]


# --- what a client meets ---


@pytest.mark.parametrize("key", ["pk_test_1", "whatever"])
def test_a_key_that_is_none_is_refused(fake: FakeStripe, key: str) -> None:
    """Only a secret or restricted key is let in."""
    with pytest.raises(stripe.AuthenticationError):
        fake.client(key).v1.customers.list()


def test_an_unknown_path_is_told(fake: FakeStripe) -> None:
    """What is not faked is a 404 that names the path, never a made-up success."""
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        fake.client().v1.issuing.cards.list()


def test_what_the_fake_cannot_do_it_says(fake: FakeStripe, caplog: pytest.LogCaptureFixture) -> None:
    """A request that the fake itself stumbles over is a 500 with the reason, and is logged."""
    with pytest.raises(stripe.APIError, match="The fake could not do that"):
        fake.client().v1.checkout.sessions.create({"mode": "payment", "line_items": "none"})  # pyright: ignore[reportArgumentType]

    assert "POST /v1/checkout/sessions" in caplog.text


def test_a_500_of_an_execution_stays_with_its_key(fake: FakeStripe) -> None:
    """As at Stripe, a 500 that is kept is given again to the same key, and only a new key gets on."""
    fake.fail(kept=True)
    client = fake.client(max_network_retries=2)
    with pytest.raises(stripe.APIError):
        client.v1.customers.create({}, {"idempotency_key": "k"})
    with pytest.raises(stripe.APIError):
        client.v1.customers.create({}, {"idempotency_key": "k"})

    assert [] == fake.objects("customer")
    assert client.v1.customers.create({}, {"idempotency_key": "l"}).id


def test_a_key_does_not_keep_what_was_never_begun(v1: Any) -> None:
    """A request that lacked a parameter was not executed: its key is free for the right one."""
    with pytest.raises(stripe.InvalidRequestError):
        v1.products.create({}, {"idempotency_key": "k"})

    assert "A" == v1.products.create({"name": "A"}, {"idempotency_key": "k"}).name


def test_small_amounts_are_not_charged(fake: FakeStripe, v1: Any) -> None:
    """A payment below the least is refused; an invoice below it goes to the customer's balance."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.payment_intents.create({"amount": 49, "currency": "usd"})
    assert "amount_too_small" == refused.value.code

    who = v1.customers.create({}).id
    v1.invoice_items.create({"customer": who, "amount": 49, "currency": "usd"})
    made = v1.invoices.create({"customer": who, "pending_invoice_items_behavior": "include"})

    assert ("paid", 0, 49) == (
        v1.invoices.finalize_invoice(made.id).status,
        v1.invoices.retrieve(made.id).amount_paid,
        v1.customers.retrieve(who).balance,
    )
    assert [] == fake.objects("charge")


def test_an_invoice_shows_ten_lines_and_lists_them_all(v1: Any) -> None:
    """A long invoice has to be paged through: what it shows is not all of it."""
    who = v1.customers.create({}).id
    for _ in range(23):
        v1.invoice_items.create({"customer": who, "amount": 100, "currency": "usd"})
    made = v1.invoices.create({"customer": who, "pending_invoice_items_behavior": "include"})

    assert (10, True, 2300) == (len(made.lines.data), made.lines.has_more, made.total)
    assert 23 == len({line.id for line in v1.invoices.line_items.list(made.id).auto_paging_iter()})


# --- many at once ---


def test_threads_do_not_get_in_each_others_way() -> None:
    """Eight threads pay and refund at once; each thing is there once, and every event was delivered once."""
    with FakeStripe() as fake, receiving() as receiver:
        fake.listen(receiver.url)
        client = fake.client()

        def pay(number: int) -> str:
            wanted: Any = {
                "amount": 1000,
                "currency": "usd",
                "payment_method": "pm_card_visa",
                "confirm": True,
            }
            intent = client.v1.payment_intents.create(wanted, {"idempotency_key": f"pay-{number // 2}"})
            return intent.id

        with ThreadPoolExecutor(8) as pool:
            paid = list(pool.map(lambda number: _retried(lambda: pay(number)), range(40)))
        charges = [str(charge["id"]) for charge in fake.objects("charge")]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda charge: client.v1.refunds.create({"charge": charge}), charges))
        got = [json.loads(body)["id"] for body, _ in receiver.wait_for(len(fake.events()))]

        assert 20 == len(set(paid)) == len(charges)
        assert sorted(got) == sorted(event["id"] for event in fake.events())
        assert 20 * -59 == sum(row["net"] for row in fake.objects("balance_transaction"))


def _retried(act: Any) -> Any:
    """A second request with a key that is in flight is a conflict, which is there to be retried."""
    while True:
        try:
            return act()
        except stripe.StripeError as refused:
            assert 409 == refused.http_status  # noqa: PT017 - and tried again


@pytest.mark.skipif(
    importlib.util.find_spec("httpx") is None, reason="stripe-python's async client needs httpx"
)
def test_asyncio_talks_to_it(fake: FakeStripe) -> None:
    """stripe-python's async methods work as the others do."""

    async def run() -> list[str]:
        http = stripe.HTTPXClient()
        client = fake.client(http_client=http)
        try:
            made = await asyncio.gather(*(client.v1.customers.create_async({}) for _ in range(10)))
            page = await client.v1.customers.list_async({"limit": 3})
            listed = [each.id async for each in page.auto_paging_iter()]
        finally:
            await http.close_async()
        assert listed == [each["id"] for each in fake.objects("customer")][::-1]
        return [each.id for each in made]

    assert 10 == len(set(asyncio.run(run())))


def test_the_signature_is_stripes() -> None:
    """What is signed here is what stripe-python signs."""
    expected = stripe.WebhookSignature._compute_signature("1767268800.{}", "whsec_1")

    assert f"t=1767268800,v1={expected}" == signature(b"{}", "whsec_1", 1_767_268_800)
    assert re.fullmatch(r"t=\d+,v1=[0-9a-f]{64}", signature(b"", "", 0))


def test_a_receiver_that_is_away_is_no_error() -> None:
    """Nobody at the endpoint's address: the event stays undelivered, and can be delivered later."""
    with receiving() as receiver:
        url = receiver.url
    with FakeStripe(background=False) as fake:
        fake.listen(url)
        fake.client().v1.customers.create({})
        [tried] = fake.deliver()

        assert (1, "pending", None) == (tried.attempts, tried.state, tried.status)
        with pytest.raises(URLError):
            urlopen(url, timeout=5)
