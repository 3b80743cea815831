"""`meter.payments`, as people type it, in both colours, against a Stripe that answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    PT,
    ConfigurationError,
    Discount,
    IdempotencyConflictError,
    InvalidArgumentError,
    Money,
    SubscriptionExistsError,
    SubscriptionNotFoundError,
    TopUpState,
    TrialUsedError,
    UnknownUnitError,
    read_plans,
    reference_card,
)
from ptmeter.domain.messages import Backoff
from ptmeter.domain.metered_usage import TOPIC
from ptmeter.domain.money import Side
from ptmeter.errors import PaymentNotFoundError, StripeRefusedError, StripeUnavailableError
from ptmeter.stripe import Invoices, Metered, Stripe, Tax
from ptmeter.stripe.billing import Proration
from ptmeter.stripe.customers import TaxId
from ptmeter.stripe.refunds import CreditTo
from ptmeter.testing.stripe import DROP, FakeStripe, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

PLANS = read_plans(
    {
        "top_ups": {
            "minimum": 100,
            "maximum": 10_000,
            "discounts": [
                {"at_least": 50, "share": "5%"},
                {"at_least": 200, "share": "12%"},
                {"at_least": 500, "share": "20%"},
            ],
        },
        "plans": {
            "free": {"price_per_month": 0, "allowance": {"core": 100}, "units": ["core"]},
            "pro": {
                "price_per_month": 49,
                "price_per_year": 499,
                "allowance": {"core": 1000},
                "units": ["core"],
                "trial": {"days": 14, "allowance": {"core": 50}},
            },
            "business": {"price_per_month": 159, "allowance": {"core": 3500}, "units": ["core"]},
        },
    }
)
PAGES: Any = {"success_url": "https://example.com/paid", "cancel_url": "https://example.com/"}
NO_JITTER: Any = {"jitter": lambda: 0.0}
ADDRESS = {
    "line1": "1 Main St",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
}
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeStripe]:
    """A Stripe that goes by the same clock, and sends nothing by itself."""
    with FakeStripe(clock=clock, background=False) as fake:
        yield fake


@pytest.fixture
def opening(opened: Opener, fake: FakeStripe, clock: Clock) -> Callable[..., AsyncMeter]:
    """Opens a meter that is set up at that Stripe."""

    def opening(**settings: Any) -> AsyncMeter:
        stripe = Stripe(key="sk_test_1", url=fake.url, attempts=1, **settings)
        return opened(plans=PLANS, clock=clock, stripe=stripe)

    return opening


@pytest.fixture
async def meter(opening: Callable[..., AsyncMeter]) -> AsyncIterator[AsyncMeter]:
    """A meter on an empty ledger."""
    async with opening() as meter:
        yield meter


async def bought(
    meter: AsyncMeter, fake: FakeStripe, *, core: int = 1000, card: str = "pm_card_visa", **more: Any
) -> str:
    """A top-up by Checkout, paid for and looked up; returns the payment."""
    session = await meter.payments.checkout("acme", key=f"buy {core}", core=core, **PAGES, **more)
    intent = fake.complete_checkout(session.id, card)["payment_intent"]
    await meter.payments.refresh(intent)
    return intent


async def subscribed(meter: AsyncMeter, fake: FakeStripe, plan: str = "pro") -> str:
    """A subscription begun by Checkout; returns its id."""
    await meter.payments.sync_plans()
    session = await meter.payments.subscribe("acme", plan, key=f"subscribe {plan}", **PAGES)
    return fake.complete_checkout(session.id)["subscription"]


async def use(meter: AsyncMeter, key: str, **amounts: Any) -> None:
    hold = await meter.hold("acme", key=key, **amounts)
    await meter.settle(hold, key=key, **amounts)


def posts(fake: FakeStripe, path: str) -> list[dict[str, Any]]:
    """What was asked for, request after request."""
    return [params for method, asked, params in fake.requests if (method, asked) == ("POST", path)]


# --- customers ----------------------------------------------------------------------------------


async def test_an_account_is_one_customer(meter: AsyncMeter, fake: FakeStripe) -> None:
    """It is created once, says whose it is, and is told what is told later."""
    first = await meter.payments.customer("acme", email="a@example.com")
    second = await meter.payments.customer("acme", name="Acme", address=ADDRESS)

    (customer,) = fake.objects("customer")
    assert first == second == customer["id"]
    assert {"ptmeter_account": "acme"} == customer["metadata"]
    assert ("a@example.com", "Acme") == (customer["email"], customer["name"])
    assert "62701" == customer["address"]["postal_code"]


async def test_what_was_told_before_can_be_told_again(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """From one address to another and back, within the day that Stripe remembers requests for."""
    for email in ("a@example.com", "b@example.com", "a@example.com"):
        await meter.payments.customer("acme", email=email)
        assert email == fake.objects("customer")[0]["email"]
        clock.turn(SECOND)


async def test_a_tax_number_is_told_once(meter: AsyncMeter, fake: FakeStripe) -> None:
    """However it is spaced."""
    customer = await meter.payments.customer("acme", tax_id=TaxId("eu_vat", "DE123456789"))
    await meter.payments.customer("acme", tax_id=TaxId("eu_vat", "DE 123 456 789"))

    assert 1 == len(posts(fake, f"/v1/customers/{customer}/tax_ids"))


async def test_two_at_once_make_one_customer(
    meter: AsyncMeter, opening: Callable[..., AsyncMeter], fake: FakeStripe
) -> None:
    """Another process that has not heard of it asks Stripe the same, and is answered the same."""
    async with opening() as other:
        first = await meter.payments.customer("acme", email="a@example.com")
        second = await other.payments.customer("acme", name="Acme")

    assert first == second
    assert 1 == len(fake.objects("customer"))


async def test_a_lost_answer_makes_no_second_customer(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Stripe created it, the connection broke, and the next one who asks gets that one."""
    fake.fail(status=DROP, before=False, method="POST")
    with pytest.raises(StripeUnavailableError):
        await meter.payments.customer("acme")
    found = await meter.payments.customer("acme")

    assert [found] == [each["id"] for each in fake.objects("customer")]


async def test_only_what_can_name_an_account_is_a_customer(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Before Stripe is asked for anything."""
    with pytest.raises(InvalidArgumentError, match="cannot name an account"):
        await meter.payments.customer(" acme")

    assert [] == fake.requests


# --- top-ups by Checkout ------------------------------------------------------------------------


async def test_what_is_paid_for_by_checkout_is_granted(meter: AsyncMeter, fake: FakeStripe) -> None:
    """For the list price, by who it says; the payment alone tells all of it."""
    session = await meter.payments.checkout("acme", core=1000, key="order-1", **PAGES)
    intent = fake.complete_checkout(session.id)["payment_intent"]
    report = await meter.payments.refresh(intent)

    assert (Money.usd(10), Money.usd(0)) == (session.amount, session.discount)
    assert session.id in session.url
    assert {"core": PT.of(1000)} == report.granted
    assert Money.usd(10) == report.amount
    assert PT.of(1000) == (await meter.balance("acme")).core.available
    assert report == await meter.payments.find(intent)
    assert (await meter.verify()).clean


@pytest.mark.parametrize(
    ("core", "listed", "paid"), [(4999, "49.99", "49.99"), (5000, "50", "47.5"), (10_000, "100", "95")]
)
async def test_a_large_top_up_costs_less(
    meter: AsyncMeter, fake: FakeStripe, core: int, listed: str, paid: str
) -> None:
    """By the step that its list price reaches."""
    session = await meter.payments.checkout("acme", core=core, key="k", **PAGES)

    assert (Money.usd(paid), Money.usd(listed)) == (session.amount, session.amount + session.discount)
    (found,) = fake.objects("checkout.session")
    assert found["amount_total"] == int(Money.usd(paid).nano / 10**7)


async def test_several_units_are_bought_at_once(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Each has its line, and the discount goes by all of them together."""
    session = await meter.payments.checkout("acme", core=1500, advanced=1000, key="k", **PAGES)
    report = await meter.payments.refresh(fake.complete_checkout(session.id)["payment_intent"])

    assert (Money.usd("47.5"), Money.usd("2.5")) == (session.amount, session.discount)
    assert {"core": PT.of(1500), "advanced": PT.of(1000)} == report.granted
    (asked,) = posts(fake, "/v1/checkout/sessions")
    names = [line["price_data"]["product_data"]["name"] for line in asked["line_items"]]
    assert ["1,500 core PT", "1,000 advanced PT"] == names


@pytest.mark.parametrize(
    ("amounts", "problem"),
    [
        ({"core": 99}, "at least 100 PT of a unit are bought at once, not 99 PT core"),
        ({"core": 10_001}, "at most 10,000 PT of a unit are bought at once, not 10,001 PT core"),
        ({}, "say how many PT of which unit"),
    ],
)
async def test_what_is_not_sold_is_refused(
    meter: AsyncMeter, fake: FakeStripe, amounts: dict[str, Any], problem: str
) -> None:
    """Before Stripe is asked for anything."""
    with pytest.raises(InvalidArgumentError, match=problem):
        await meter.payments.checkout("acme", key="k", **PAGES, **amounts)
    with pytest.raises(UnknownUnitError):
        await meter.payments.checkout("acme", key="k", **PAGES, gold=100)

    assert [] == fake.requests


async def test_the_same_purchase_opens_the_same_page(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Though the answer to the first request was lost; another purchase opens another."""
    await meter.payments.customer("acme")
    fake.fail(status=DROP, before=False, method="POST")
    with pytest.raises(StripeUnavailableError):
        await meter.payments.checkout("acme", core=100, key="order-1", **PAGES)
    one = await meter.payments.checkout("acme", core=100, key="order-1", **PAGES)
    two = await meter.payments.checkout("acme", core=100, key="order-2", **PAGES)

    assert one.id != two.id
    assert [one.id, two.id] == [each["id"] for each in fake.objects("checkout.session")]


async def test_tax_is_computed_where_that_is_set(opened: Opener, clock: Clock) -> None:
    """By the address that the customer gives; of what was paid it is no revenue."""
    settings = Settings(tax_percent=Decimal(8))
    with FakeStripe(clock=clock, background=False, settings=settings) as fake:
        stripe = Stripe(
            key="sk_test_1", url=fake.url, automatic_tax=True, tax=Tax(code="txcd_10103000"), attempts=1
        )
        async with opened(plans=PLANS, clock=clock, stripe=stripe) as meter:
            session = await meter.payments.checkout("acme", core=1000, key="k", **PAGES)
            paid = fake.complete_checkout(session.id, address=ADDRESS)
            report = await meter.payments.refresh(paid["payment_intent"])
            (asked,) = posts(fake, "/v1/checkout/sessions")

    assert (Money.usd("10.8"), Money.usd("0.8")) == (report.amount, report.tax)
    assert {"address": "auto", "name": "auto"} == asked["customer_update"]
    assert asked["tax_id_collection"]["enabled"]
    assert "txcd_10103000" == asked["line_items"][0]["price_data"]["product_data"]["tax_code"]


async def test_invoices_say_what_they_are_to_say(
    opening: Callable[..., AsyncMeter], fake: FakeStripe
) -> None:
    """The customer's own, of subscriptions, and those of top-ups where there are to be any."""
    invoices = Invoices(footer="Thank you.", fields={"PO": "77"}, for_top_ups=True)
    async with opening(invoices=invoices) as meter:
        await meter.payments.checkout("acme", core=100, key="k", **PAGES)

    (customer,) = fake.objects("customer")
    assert "Thank you." == customer["invoice_settings"]["footer"]
    (asked,) = posts(fake, "/v1/checkout/sessions")
    assert [{"name": "PO", "value": "77"}] == asked["invoice_creation"]["invoice_data"]["custom_fields"]


async def test_what_stripe_refuses_says_which_field(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Stripe's own code and parameter, on the error."""
    with pytest.raises(StripeRefusedError) as refused:
        await meter.payments.refresh("pi_none")

    assert (404, "resource_missing") == (refused.value.status, refused.value.reason)


async def test_nothing_is_asked_inside_a_transaction(opened: Opener) -> None:
    """Of anybody's: a request may take seconds, and a wallet would be locked as long."""
    if opened.url == "memory://":
        pytest.skip("memory has no transactions to join")
    from tests.facade.colours import transaction

    async with opened(stripe=Stripe(key="sk_test_1", url="http://127.0.0.1:9")) as meter:
        await meter.sweep()
        async with transaction(opened.url, asynchronous=opened.asynchronous) as ours:
            with pytest.raises(InvalidArgumentError, match="outside of a transaction"):
                await meter.joined(ours.connection).payments.customer("acme")


async def test_without_a_key_nothing_is_asked(opened: Opener) -> None:
    """The error says what to open the meter with."""
    async with opened() as meter:
        with pytest.raises(ConfigurationError, match="no key for Stripe"):
            await meter.payments.customer("acme")


async def test_the_portal_is_the_customers(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Its session is opened for the customer that the account is."""
    url = await meter.payments.portal("acme", return_url="https://example.com/settings")

    (session,) = posts(fake, "/v1/billing_portal/sessions")
    assert url.startswith("https://")
    assert fake.objects("customer")[0]["id"] == session["customer"]


# --- plans --------------------------------------------------------------------------------------


async def test_plans_have_prices_at_stripe(meter: AsyncMeter, fake: FakeStripe) -> None:
    """One for each interval that costs something; run again, nothing is made."""
    first = await meter.payments.sync_plans()
    again = await meter.payments.sync_plans()

    assert {"pro/month", "pro/year", "business/month"} == set(first.prices)
    assert sorted(first.prices) == sorted(first.created)
    assert ((), first.prices) == (again.created, again.prices)
    assert [4900, 49900, 15900] == [each["unit_amount"] for each in fake.objects("price")]
    assert {"pro", "business"} == {each["name"] for each in fake.objects("product")}


async def test_a_price_that_changed_is_made_anew(
    meter: AsyncMeter, opened: Opener, fake: FakeStripe, clock: Clock
) -> None:
    """There and back within a day; who pays the old one goes on paying it, and the key leads to the new one."""
    before = await meter.payments.sync_plans()
    pro = {"price_per_month": 59, "allowance": {"core": 1000}, "units": ["core"]}
    dearer = read_plans({"plans": {"pro": pro}})
    stripe = Stripe(key="sk_test_1", url=fake.url, attempts=1)
    async with opened(plans=dearer, clock=clock, stripe=stripe) as other:
        raised = await other.payments.sync_plans()
    back = await meter.payments.sync_plans()

    assert (("pro/month",), ("pro/month",)) == (raised.created, back.created)
    assert 3 == len({each.prices["pro/month"] for each in (before, raised, back)})
    assert () == (await meter.payments.sync_plans()).created


async def test_a_subscription_is_begun_by_checkout(meter: AsyncMeter, fake: FakeStripe) -> None:
    """What Stripe knows of it is which plan it is for, and whose it is."""
    await meter.payments.sync_plans()
    session = await meter.payments.subscribe("acme", "pro", "year", key="k", **PAGES)
    fake.complete_checkout(session.id)
    found = await meter.payments.subscription("acme")

    assert Money.usd(499) == session.amount
    assert ("acme", "pro", "year", "active") == (found.account, found.plan, found.interval, found.status)
    assert not found.ends_at_period_end
    with pytest.raises(SubscriptionExistsError):  # though no webhook has told the books
        await meter.payments.subscribe("acme", "pro", key="k2", **PAGES)


async def test_a_founding_member_pays_less_until_a_day(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """For every month that begins before it; a discount that is over is none."""
    await meter.payments.sync_plans()
    discount = Discount(2_000, clock() + 100 * DAY)
    session = await meter.payments.subscribe("acme", "pro", key="k", discount=discount, **PAGES)
    late = Discount(2_000, clock())
    full = await meter.payments.subscribe("other", "pro", key="k", discount=late, **PAGES)

    (coupon,) = fake.objects("coupon")
    assert (20, 4) == (float(coupon["percent_off"]), coupon["duration_in_months"])
    assert (Money.usd("39.2"), Money.usd("9.8")) == (session.amount, session.discount)
    assert (Money.usd(49), Money.usd(0)) == (full.amount, full.discount)


async def test_a_trial_is_had_once(meter: AsyncMeter, fake: FakeStripe) -> None:
    """And only of a plan that has one, by who has no subscription that goes on."""
    await meter.payments.sync_plans()
    await meter.payments.subscribe("acme", "pro", key="k", trial=True, **PAGES)
    (asked,) = posts(fake, "/v1/checkout/sessions")
    assert 14 == asked["subscription_data"]["trial_period_days"]
    with pytest.raises(InvalidArgumentError, match="has no trial"):
        await meter.payments.subscribe("acme", "business", key="k", trial=True, **PAGES)

    await meter.plans.subscribe("acme", "pro", key="s", trial=True)
    with pytest.raises(SubscriptionExistsError):
        await meter.payments.subscribe("acme", "pro", key="k2", **PAGES)
    await meter.plans.cancel("acme", key="c", when="now")
    with pytest.raises(TrialUsedError):
        await meter.payments.subscribe("acme", "pro", key="k3", trial=True, **PAGES)


async def test_a_plan_without_a_price_is_not_sold(
    meter: AsyncMeter, opening: Callable[..., AsyncMeter]
) -> None:
    """Each error says what to do; a price of one's own needs no sync."""
    with pytest.raises(ConfigurationError, match=r"run meter.payments.sync_plans\(\)"):
        await meter.payments.subscribe("acme", "pro", key="k", **PAGES)
    with pytest.raises(ConfigurationError, match="costs nothing"):
        await meter.payments.subscribe("acme", "free", key="k", **PAGES)
    made = await meter.payments.sync_plans()
    async with opening(prices={"pro/month": made.prices["pro/month"]}) as other:
        assert "" != (await other.payments.subscribe("acme", "pro", key="k", **PAGES)).url


@pytest.mark.parametrize("proration", [*Proration])
async def test_a_change_costs_what_its_preview_says(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock, proration: Proration
) -> None:
    """Half-way through the month, half of the difference, or nothing."""
    await subscribed(meter, fake)
    clock.turn(15 * DAY + timedelta(hours=12))
    seen = await meter.payments.preview_change("acme", "business", proration=proration)
    assert "pro" == (await meter.payments.subscription("acme")).plan
    changed = await meter.payments.change("acme", "business", key="up", proration=proration, at=seen.at)

    half = Money.usd(55)  # half of 159 - 49
    prorated = sum((line.amount.nano for line in seen.lines if line.is_proration), 0)
    assert (0 if proration is Proration.NONE else half.nano) == prorated
    assert "business" == changed.plan
    paid = [each["amount_paid"] for each in fake.objects("invoice") if each["status"] == "paid"]
    assert ([4900, 5500] if proration is Proration.AT_ONCE else [4900]) == paid


async def test_a_change_that_is_not_paid_is_refused(meter: AsyncMeter, fake: FakeStripe) -> None:
    """The card is declined by now; Stripe is asked to leave everything as it was then."""
    name = await subscribed(meter, fake)
    method = fake.client().v1.payment_methods.attach(
        "pm_card_chargeCustomerFail", {"customer": fake.objects("customer")[0]["id"]}
    )
    fake.client().v1.subscriptions.update(name, {"default_payment_method": method.id})

    with pytest.raises(StripeRefusedError) as refused:
        await meter.payments.change("acme", "business", key="up", proration="always_invoice")

    assert 402 == refused.value.status
    assert "error_if_incomplete" == posts(fake, f"/v1/subscriptions/{name}")[-1]["payment_behavior"]


async def test_a_subscription_ends_and_goes_on(meter: AsyncMeter, fake: FakeStripe) -> None:
    """With what is paid for, or at once; once it is over there is none."""
    await subscribed(meter, fake)
    ending = await meter.payments.cancel("acme", key="c1")
    going_on = await meter.payments.resume("acme", key="r1")
    ended = await meter.payments.cancel("acme", key="c2", when="now")

    assert (True, False) == (ending.ends_at_period_end, going_on.ends_at_period_end)
    assert "canceled" == ended.status
    with pytest.raises(SubscriptionNotFoundError):
        await meter.payments.resume("acme", key="r2")
    with pytest.raises(SubscriptionNotFoundError):
        await meter.payments.subscription("nobody")


# --- giving back --------------------------------------------------------------------------------


async def test_a_payment_is_given_back_whole(meter: AsyncMeter, fake: FakeStripe) -> None:
    """The PT go with the money, as soon as it is looked up."""
    payment = await bought(meter, fake)
    refund = await meter.payments.refund(payment, key="r")
    assert PT.of(1000) == (await meter.balance("acme")).core.available
    report = await meter.payments.refresh(payment)

    assert Money.usd(10) == refund.amount == report.refunded
    assert {"core": PT.of(1000)} == report.taken
    assert PT.of(0) == (await meter.balance("acme")).core.available
    (claim,) = report.claims
    assert (refund.id, "refund", "made") == (claim.id, claim.kind, claim.stage)


async def test_a_payment_is_given_back_in_parts(meter: AsyncMeter, fake: FakeStripe) -> None:
    """In money or in PT; what was used up by then is owed."""
    payment = await bought(meter, fake)
    await use(meter, "u", core=900)
    by_money = await meter.payments.refund(payment, amount="2.50", key="r1")
    by_pt = await meter.payments.refund(payment, core=100, key="r2", reason="duplicate")
    report = await meter.payments.refresh(payment)

    assert (Money.usd("2.5"), Money.usd(1)) == (by_money.amount, by_pt.amount)
    assert Money.usd("3.5") == report.refunded
    assert {"core": PT.of(350)} == report.taken
    assert PT.of(250) == report.owed == (await meter.balance("acme")).core.owed
    assert (await meter.verify()).clean


async def test_the_same_refund_is_made_once_for_ever(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """Two days later, when Stripe has forgotten the request; another amount under that key is refused."""
    payment = await bought(meter, fake)
    first = await meter.payments.refund(payment, amount=1, key="r")
    clock.turn(2 * DAY)
    again = await meter.payments.refund(payment, amount=1, key="r")
    with pytest.raises(IdempotencyConflictError):
        await meter.payments.refund(payment, amount=2, key="r")

    assert first == again
    assert [100] == [each["amount"] for each in fake.objects("refund")]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"amount": "0.001"}, "no amount of USD"),
        ({"amount": 0}, "no amount of USD"),
        ({"core": 1001}, "brought 1,000 PT core"),
        ({"advanced": 1}, "brought 0 PT advanced"),
        ({"core": "0.5"}, "worth less than the smallest coin"),
        ({"core": 1, "amount": 1}, "in one way"),
        ({"core": 1, "reason": "because"}, "is none of"),
    ],
)
async def test_what_cannot_be_given_back_is_refused(
    meter: AsyncMeter, fake: FakeStripe, asked: dict[str, Any], problem: str
) -> None:
    """Before Stripe makes any refund."""
    payment = await bought(meter, fake)

    with pytest.raises(InvalidArgumentError, match=problem):
        await meter.payments.refund(payment, key="r", **asked)

    assert [] == fake.objects("refund")


async def test_more_than_is_left_is_stripes_to_refuse(meter: AsyncMeter, fake: FakeStripe) -> None:
    """For only Stripe knows; what the books do not have is refused here."""
    payment = await bought(meter, fake)

    with pytest.raises(StripeRefusedError):
        await meter.payments.refund(payment, amount=11, key="r")
    with pytest.raises(PaymentNotFoundError):
        await meter.payments.refund("pi_none", key="r")


async def test_a_paid_invoice_is_credited(meter: AsyncMeter, fake: FakeStripe, clock: Clock) -> None:
    """Once for ever under a key; the rest of it afterwards."""
    await subscribed(meter, fake)
    (invoice,) = [each["id"] for each in fake.objects("invoice")]
    note = await meter.payments.credit_note(
        invoice, amount=9, key="c", memo="Sorry.", reason="order_change"
    )
    clock.turn(2 * DAY)
    again = await meter.payments.credit_note(
        invoice, amount=9, key="c", memo="Sorry.", reason="order_change"
    )
    rest = await meter.payments.credit_note(invoice, key="c2", to=CreditTo.BALANCE)

    assert Money.usd(9) == note.amount
    assert note == again
    assert note.id.startswith("cn_")
    assert Money.usd(40) == rest.amount
    assert [900] == [each["amount"] for each in fake.objects("refund")]
    with pytest.raises(InvalidArgumentError, match="nothing of invoice"):
        await meter.payments.credit_note(invoice, key="c3")


# --- what the books say -------------------------------------------------------------------------


async def test_payments_are_listed_with_what_became_of_them(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A dispute freezes what is left, and its money is held."""
    first = await bought(meter, fake, core=100)
    second = await bought(meter, fake, core=200)
    charge = next(each for each in fake.objects("charge") if each["payment_intent"] == second)
    fake.dispute(charge["id"])
    report = await meter.payments.refresh(second)

    assert {first, second} == {each.id for each in await meter.payments.list(account="acme")}
    assert () == await meter.payments.list(account="other")
    assert ({"core": PT.of(200)}, Money.usd(2)) == (report.frozen, report.disputed)
    sides = await meter.payments.balances()
    at_stripe = sum(each["net"] for each in fake.objects("balance_transaction"))
    assert at_stripe == sides["usd", Side.CLEARING].net
    assert 200 == sides["usd", Side.DISPUTE_HOLD].net
    with pytest.raises(InvalidArgumentError):
        await meter.payments.list(limit=0)


async def test_a_key_that_stood_for_another_purchase_is_a_conflict(meter: AsyncMeter) -> None:
    """It names the key that the caller gave, and not the one that Stripe was given."""
    await meter.payments.checkout("acme", core=100, key="order-1", **PAGES)
    with pytest.raises(IdempotencyConflictError, match="'order-1' of account 'acme'"):
        await meter.payments.checkout("acme", core=200, key="order-1", **PAGES)


async def test_what_is_not_paid_is_no_payment(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Nor is what Stripe would not know by such a name."""
    session = await meter.payments.checkout("acme", core=100, key="k", **PAGES)
    intent = fake.complete_checkout(session.id, "pm_usBankAccount_processing")["payment_intent"]

    with pytest.raises(PaymentNotFoundError):
        await meter.payments.refresh(intent)
    for name, problem in (("cs_test_1", "payment_intent"), ("pi_/../customers", "no id of Stripe's")):
        with pytest.raises(InvalidArgumentError, match=problem):
            await meter.payments.refresh(name)


# --- automatic top-ups --------------------------------------------------------------------------


@pytest.fixture
async def asked_for(meter: AsyncMeter, fake: FakeStripe, clock: Clock) -> None:
    """Acme has saved a card, tops itself up, and has just used too much."""
    await bought(meter, fake, core=100, save_card=True)
    await meter.top_ups.set("acme", unit="core", below=50, amount=100, per_month=20)
    await use(meter, "u", core=60)
    clock.turn(SECOND)


async def deliver(meter: AsyncMeter, **named: Any) -> Any:
    """Hand over what is due."""
    return await meter.outbox.deliver(meter.payments.handlers, **NO_JITTER, **named)


@pytest.mark.usefixtures("asked_for")
async def test_a_saved_card_is_charged(meter: AsyncMeter, fake: FakeStripe) -> None:
    """While nobody is there; what is paid is granted at once."""
    delivered = await deliver(meter)

    assert 1 == delivered.delivered
    (top_up,) = await meter.top_ups.list()
    assert TopUpState.PAID is top_up.state
    assert PT.of(140) == (await meter.balance("acme")).core.available
    intent = fake.objects("payment_intent")[-1]
    assert (100, top_up.id) == (intent["amount"], intent["metadata"]["ptmeter_top_up"])
    assert (await meter.verify()).clean


@pytest.mark.usefixtures("asked_for")
async def test_a_top_up_is_charged_once_however_it_goes(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """The answer is lost, and the message comes again two days later: Stripe is asked what there is first."""
    fake.fail(status=DROP, before=False, method="POST", prefix="/v1/payment_intents")
    first = await deliver(meter)
    clock.turn(2 * DAY)
    second = await deliver(meter)

    assert (1, 1) == (first.failed, second.delivered)
    assert 2 == len(fake.objects("payment_intent"))
    assert PT.of(140) == (await meter.balance("acme")).core.available


@pytest.mark.usefixtures("asked_for")
async def test_an_outage_leaves_a_top_up_open(meter: AsyncMeter, fake: FakeStripe, clock: Clock) -> None:
    """It is nobody's fault that Stripe does not answer: the outbox tries again."""
    fake.outage()
    await deliver(meter)
    assert TopUpState.OPEN is (await meter.top_ups.list())[0].state
    fake.recover()
    clock.turn(timedelta(minutes=10))
    await deliver(meter)

    assert TopUpState.PAID is (await meter.top_ups.list())[0].state


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        ("pm_card_chargeCustomerFail", "card was declined"),
        ("pm_card_authenticationRequired", "authentication"),
    ],
)
@pytest.mark.usefixtures("asked_for")
async def test_a_card_that_is_declined_makes_a_top_up_fail(
    meter: AsyncMeter, fake: FakeStripe, card: str, problem: str
) -> None:
    """It pauses, and is not tried again by the outbox."""
    customer = fake.objects("customer")[0]["id"]
    attached = fake.client().v1.payment_methods.attach(card, {"customer": customer})
    settings: Any = {"invoice_settings": {"default_payment_method": attached.id}}
    fake.client().v1.customers.update(customer, settings)
    delivered = await deliver(meter)

    assert 1 == delivered.delivered
    (top_up,) = await meter.top_ups.list()
    assert TopUpState.FAILED is top_up.state
    assert problem in top_up.problem


async def test_an_account_without_a_card_cannot_top_up(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """Nor one that Stripe does not know at all; what was paid by hand meanwhile is not charged."""
    await meter.funds.grant("acme", core=100, source="trial", key="g")
    await meter.top_ups.set("acme", unit="core", below=50, amount=100, per_month=20)
    await use(meter, "u", core=60)
    clock.turn(SECOND)
    await deliver(meter)

    (top_up,) = await meter.top_ups.list()
    assert "no payment method" in top_up.problem
    await meter.top_ups.paid(top_up.id, key="by hand")
    await meter.payments.charge(top_up)
    assert [] == fake.objects("payment_intent")


# --- usage that is billed afterwards ------------------------------------------------------------


def metered(clock: Clock) -> dict[str, Any]:
    return {"metered": {"advanced": Metered(event="ptmeter_advanced", since=clock().date())}}


def meter_at(fake: FakeStripe) -> None:
    """A billing meter, as one makes it once."""
    fake.client().v1.billing.meters.create(
        {
            "display_name": "Advanced PT",
            "event_name": "ptmeter_advanced",
            "default_aggregation": {"formula": "sum"},
        }
    )


def billed(fake: FakeStripe) -> int:
    """What the meter has in sum."""
    return sum(int(each["payload"]["value"]) for each in fake.objects("billing.meter_event"))


async def test_usage_is_reported_once(
    opening: Callable[..., AsyncMeter], fake: FakeStripe, clock: Clock
) -> None:
    """What was charged since the report before it, as often as that is asked."""
    meter_at(fake)
    async with opening(**metered(clock)) as meter:
        await meter.funds.grant("acme", core=100, advanced=100, source="credit", key="g")
        await meter.payments.customer("acme")
        await use(meter, "a", advanced=7, core=3)
        first = await meter.payments.report_usage()
        again = await meter.payments.report_usage()
        clock.turn(DAY)
        await use(meter, "b", advanced=5)
        second = await meter.payments.report_usage()
        await deliver(meter)
        reported = fake.objects("billing.meter_event")

        assert (1, 7_000_000) == (first.reports, first.micro)
        assert (0, 0) == (again.reports, again.micro)
        assert (1, 5_000_000) == (second.reports, second.micro)
        assert 12_000_000 == billed(fake)
        assert DAY.total_seconds() == reported[1]["timestamp"] - reported[0]["timestamp"]


async def test_what_came_before_and_whom_stripe_does_not_know_is_not_reported(
    opening: Callable[..., AsyncMeter], fake: FakeStripe, clock: Clock
) -> None:
    """Once it knows him it is, back to the day that was set."""
    meter_at(fake)
    async with opening() as before:
        with pytest.raises(ConfigurationError, match="no unit is billed afterwards"):
            await before.payments.report_usage()
    since: Any = {"metered": {"advanced": Metered(event="ptmeter_advanced", since=clock().date() + DAY)}}
    async with opening(**since) as meter:
        await meter.funds.grant("acme", advanced=100, source="credit", key="g")
        await use(meter, "a", advanced=7)
        assert 0 == (await meter.payments.report_usage()).reports
        clock.turn(DAY)
        await use(meter, "b", advanced=5)
        unknown = await meter.payments.report_usage()
        await meter.payments.customer("acme")
        known = await meter.payments.report_usage()

    assert (0, 1) == (unknown.reports, unknown.without_customer)
    assert (1, 5_000_000) == (known.reports, known.micro)


async def test_an_outage_loses_nothing_and_counts_nothing_twice(
    opening: Callable[..., AsyncMeter], fake: FakeStripe, clock: Clock
) -> None:
    """Five minutes without an answer, before and after which three in ten requests fail, or only seem to."""
    meter_at(fake)
    async with opening(**metered(clock)) as meter:
        await meter.funds.grant("acme", advanced=1_000, source="credit", key="g")
        await meter.payments.customer("acme")
        begun = clock()
        down = False
        for minute in range(30):
            fake.recover()
            down = 10 <= minute < 15
            if down:
                fake.outage()
            elif minute < 25:
                fake.fail(times=None, status=500, share=0.15, prefix="/v1/billing")
                fake.fail(times=None, status=DROP, before=False, share=0.15, prefix="/v1/billing")
            await use(meter, f"u{minute}", advanced=minute + 1)
            await meter.payments.report_usage()
            await deliver(meter, backoff=Backoff(first=timedelta(seconds=30), longest=timedelta(minutes=2)))
            clock.turn(timedelta(minutes=1))
        fake.recover()
        for _ in range(5):
            clock.turn(timedelta(minutes=3))
            await deliver(meter)

        spent = (await meter.balance("acme")).advanced.spent
        assert spent.micro == billed(fake) == 465_000_000
        assert clock() - begun < DAY
        waiting = [each for each in await meter.outbox.list(topic=TOPIC) if not each.delivered_at]
        assert [] == waiting


async def test_a_report_that_nobody_can_be_sure_of_waits_for_a_person(
    opening: Callable[..., AsyncMeter], fake: FakeStripe, clock: Clock
) -> None:
    """Stripe has forgotten its identifier, and may have it: it is not sent again until somebody says so."""
    meter_at(fake)
    async with opening(**metered(clock)) as meter:
        await meter.funds.grant("acme", advanced=100, source="credit", key="g")
        await meter.payments.customer("acme")
        await use(meter, "a", advanced=7)
        await meter.payments.report_usage()
        fake.fail(status=DROP, before=False, prefix="/v1/billing/meter_events")
        await deliver(meter)
        clock.turn(2 * DAY)
        await deliver(meter)
        (message,) = await meter.outbox.list(topic=TOPIC)

        assert "see whether the meter has it" in message.problem
        assert 7_000_000 == billed(fake)


async def test_a_credit_note_is_previewed(meter: AsyncMeter, fake: FakeStripe) -> None:
    """It comes to what the credit note then is, and nothing is made."""
    await subscribed(meter, fake)
    (invoice,) = [each["id"] for each in fake.objects("invoice")]
    seen = await meter.payments.preview_credit_note(invoice, amount=9)
    note = await meter.payments.credit_note(invoice, amount=9, key="c")

    assert ("", Money.usd(9)) == (seen.id, seen.amount)
    assert seen.amount == note.amount


async def test_a_report_that_stripe_has_is_delivered(
    opening: Callable[..., AsyncMeter], fake: FakeStripe, clock: Clock
) -> None:
    """It says so when it is asked again, and that is all there is to know."""
    meter_at(fake)
    async with opening(**metered(clock)) as meter:
        await meter.funds.grant("acme", advanced=100, source="credit", key="g")
        await meter.payments.customer("acme")
        await use(meter, "a", advanced=7)
        await meter.payments.report_usage()
        fake.fail(status=DROP, before=False, prefix="/v1/billing/meter_events")
        first = await deliver(meter)
        clock.turn(timedelta(minutes=5))
        second = await deliver(meter)

        assert (1, 1) == (first.failed, second.delivered)
        assert 7_000_000 == billed(fake)


def test_the_bundled_card_and_plans_sell_top_ups() -> None:
    """As the product says: 100 to 10,000 PT, and three steps."""
    from ptmeter import reference_plans

    sales = reference_plans().top_ups
    assert (PT.of(100), PT.of(10_000)) == (sales.minimum, sales.maximum)
    assert [500, 1_200, 2_000] == [each.share for each in sales.discounts]
    assert Money.usd("0.01") == reference_card().unit("core").sells_at
