"""What is asked of Stripe, without a Stripe: the requests as values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ptmeter import (
    PT,
    ConfigurationError,
    Interval,
    InvalidArgumentError,
    Money,
    Plan,
    Plans,
    StripeRefusedError,
    TopUp,
)
from ptmeter.domain.payments import PaymentRecord
from ptmeter.domain.top_up_sales import ANY, quote
from ptmeter.stripe import (
    Invoices,
    Metered,
    Stripe,
    Tax,
    billing,
    catalogue,
    charges,
    checkout,
    customers,
    metering,
    refunds,
    requests,
)
from ptmeter.stripe.client import translated
from ptmeter.stripe.customers import TaxId
from ptmeter.stripe.refunds import CreditReason, CreditTo, RefundReason

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
PRICES = {"core": Money.usd("0.01"), "advanced": Money.usd("0.035")}
PAGES: Any = {"success_url": "https://example.com/paid", "cancel_url": "https://example.com/"}
PRO = Plan(
    name="pro",
    price_per_month=Money.usd(49),
    price_per_year=Money.usd(499),
    allowance={},
    units=frozenset({"core"}),
)
TAXED = Stripe(automatic_tax=True, tax=Tax(code="txcd_10103000", behavior="inclusive"))


def top_up(stripe: Stripe, **more: Any) -> Any:
    amounts = {"core": 150_000_000, "advanced": 100_500_000}
    asked = quote(amounts, PRICES, ANY)
    return checkout.top_up("acme", "cus_1", amounts, asked, stripe, **PAGES, key="k", **more)


# --- keys ---------------------------------------------------------------------------------------


def test_the_same_operation_has_the_same_key_and_no_other_has_it() -> None:
    """However its parts are cut."""
    first = requests.idempotency_key("refund", "pi_1", "a")

    assert first == requests.idempotency_key("refund", "pi_1", "a")
    assert 4 == len(
        {
            first,
            *(requests.idempotency_key(*parts) for parts in (("refund", "pi_1a", ""), ("r", "a"), ("x",))),
        }
    )
    assert len(first) < 255


def test_a_setting_is_known_by_what_it_says_and_when() -> None:
    """Told again later it is another request, for something else may have been told meanwhile."""
    request = requests.StripeRequest("customers/cus_1", {"email": "a@example.com"})
    first = requests.setting_key(request, AT)

    assert first == requests.setting_key(request, AT)
    assert first != requests.setting_key(request, AT + timedelta(seconds=1))
    assert first != requests.setting_key(requests.StripeRequest("customers/cus_1", {}), AT)


# --- customers ----------------------------------------------------------------------------------


def test_a_customer_is_created_the_same_by_everybody() -> None:
    """So that of two requests at once Stripe carries out one."""
    assert {"metadata": {"ptmeter_account": "acme"}} == customers.create("acme").params


def test_only_what_is_known_is_told() -> None:
    """An empty text would unset it at Stripe."""
    request = customers.update("cus_1", email="a@example.com", name="", address={"country": "DE"})

    assert request is not None
    assert {"email": "a@example.com", "address": {"country": "DE"}} == request.params
    assert None is customers.update("cus_1")
    assert None is customers.update("cus_1", invoices=Invoices())


def test_a_tax_number_is_the_same_however_it_is_spaced() -> None:
    """And in whatever case; of another country it is another."""
    known = [{"type": "eu_vat", "value": "DE123456789"}]

    assert customers.has_tax_id(known, TaxId("eu_vat", "de 123 456 789"))
    assert not customers.has_tax_id(known, TaxId("gb_vat", "DE123456789"))


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"invoice_settings": {"default_payment_method": "pm_1"}}, "pm_1"),
        ({"invoice_settings": {"default_payment_method": {"id": "pm_1"}}}, "pm_1"),
        ({"invoice_settings": {"default_payment_method": None}, "default_source": "card_1"}, "card_1"),
        ({}, ""),
    ],
)
def test_what_a_customer_pays_with(settings: dict[str, Any], method: str) -> None:
    """What is set for invoices, else the source of old; either may come whole."""
    assert method == customers.default_payment_method(settings)


# --- Checkout -----------------------------------------------------------------------------------


def test_a_payment_says_who_pays_for_what() -> None:
    """On the session and on the payment, for either may be all that is seen later."""
    params = top_up(Stripe()).params
    said = {
        "ptmeter_account": "acme",
        "ptmeter_core": "150",
        "ptmeter_advanced": "100.5",
        "ptmeter_key": "k",
    }

    assert said == params["metadata"] == params["payment_intent_data"]["metadata"]
    assert [150, 352] == [line["price_data"]["unit_amount"] for line in params["line_items"]]
    assert "setup_future_usage" not in params["payment_intent_data"]
    assert not {"automatic_tax", "invoice_creation", "tax_id_collection"} & set(params)


def test_a_card_is_kept_if_that_is_asked() -> None:
    """For payments that nobody is there for."""
    assert (
        "off_session"
        == top_up(Stripe(), save_card=True).params["payment_intent_data"]["setup_future_usage"]
    )


def test_tax_takes_an_address_and_the_behavior_of_prices() -> None:
    """Checkout asks for the address, and keeps it on the customer."""
    params = top_up(TAXED).params
    (first, _) = [line["price_data"] for line in params["line_items"]]

    assert ("inclusive", "txcd_10103000") == (first["tax_behavior"], first["product_data"]["tax_code"])
    assert {"enabled": True} == params["automatic_tax"] == params["tax_id_collection"]
    assert ({"address": "auto", "name": "auto"}, "required") == (
        params["customer_update"],
        params["billing_address_collection"],
    )


@pytest.mark.parametrize("url", ["/paid", "javascript:alert(1)", ""])
def test_customers_come_back_to_an_address(url: str) -> None:
    """One that a browser can open, and that is no script."""
    with pytest.raises(InvalidArgumentError, match="absolute address"):
        checkout.subscription(
            "acme",
            "cus_1",
            "price_1",
            Stripe(),
            plan="pro",
            interval=Interval.MONTH,
            success_url=url,
            cancel_url="https://example.com",
            key="k",
        )


def test_a_subscription_says_which_plan_it_is_for() -> None:
    """In the metadata of the subscription itself, beside its trial and coupon."""
    request = checkout.subscription(
        "acme",
        "cus_1",
        "price_1",
        Stripe(),
        plan="pro",
        interval=Interval.YEAR,
        **PAGES,
        key="k",
        trial_days=14,
        coupon="c",
    )
    data = request.params["subscription_data"]

    said = {"ptmeter_account": "acme", "ptmeter_plan": "pro", "ptmeter_interval": "year"}
    assert (said, 14) == (data["metadata"], data["trial_period_days"])
    assert [{"coupon": "c"}] == request.params["discounts"]


def test_invoices_take_what_stripe_takes() -> None:
    """So do meters: what Stripe would refuse later is refused at the start."""
    long = {"n": "v" * 141}
    for fields in (long, {"": "v"}, {str(n): "v" for n in range(5)}):
        with pytest.raises(ConfigurationError):
            Invoices(fields=fields)
    with pytest.raises(ConfigurationError):
        Metered(event="with space", since=date(2026, 1, 1))


# --- prices -------------------------------------------------------------------------------------


def test_each_interval_that_costs_something_has_a_price() -> None:
    """A plan that costs nothing has none."""
    free = Plan(name="free", price_per_month=Money(0), price_per_year=None, allowance={}, units=frozenset())
    found = list(catalogue.prices_of(Plans({"free": free, "pro": PRO})))

    assert ["pro/month", "pro/year"] == [each.name for each in found]
    assert "ptmeter:pro:month" == found[0].lookup_key
    assert None is catalogue.price_of(free, Interval.MONTH)


def test_a_price_is_the_same_if_all_is_that_is_paid_by() -> None:
    """The amount, the currency, the interval, and how it is taxed where it is."""
    wanted = catalogue.price_of(PRO, Interval.MONTH)
    assert wanted
    there = {
        "unit_amount": 4900,
        "currency": "usd",
        "recurring": {"interval": "month", "interval_count": 1},
        "tax_behavior": "unspecified",
    }

    assert catalogue.is_same(wanted, there, Stripe())
    assert not catalogue.is_same(wanted, there, TAXED)
    for field, value in (
        ("unit_amount", 4901),
        ("currency", "eur"),
        ("recurring", {"interval": "month", "interval_count": 3}),
    ):
        assert not catalogue.is_same(wanted, {**there, field: value}, Stripe())


def test_a_product_is_found_by_an_id_that_stripe_takes() -> None:
    """Plans may be called what product ids may not."""
    assert "ptmeter_plan_pro" == catalogue.product_id("pro")
    assert catalogue.product_id("Größe 1").isascii()
    assert catalogue.product_id("Größe 1") != catalogue.product_id("Größe 2")


# --- subscriptions ------------------------------------------------------------------------------


def subscription(**fields: Any) -> Any:
    item = {
        "id": "si_1",
        "current_period_end": 1_780_000_000,
        "price": {"id": "price_1", "recurring": {"interval": "month"}, "metadata": {}},
    }
    return {
        "id": "sub_1",
        "customer": "cus_1",
        "created": 1,
        "status": "active",
        "metadata": {"ptmeter_account": "acme", "ptmeter_plan": "pro", "ptmeter_interval": "month"},
        "items": {"data": [item]},
        "cancel_at_period_end": False,
    } | fields


def test_the_latest_that_goes_on_is_the_accounts() -> None:
    """One that somebody began by himself is not; nor is one that is over."""
    own = {"metadata": {}, "created": 9}
    found = billing.current(
        [
            subscription(id="sub_1"),
            subscription(id="sub_2", created=2),
            subscription(id="sub_3", created=3, status="canceled"),
            subscription(id="sub_4", **own),
        ],
        "acme",
    )

    assert found
    assert "sub_2" == found["id"]
    assert None is billing.current([subscription()], "other")


def test_a_plan_that_was_changed_in_the_portal_is_that_of_its_price() -> None:
    """The metadata of the subscription still says the old one."""
    document = subscription()
    document["items"]["data"][0]["price"]["metadata"] = {"ptmeter_plan": "business"}

    assert "business" == billing.subscription(document).plan
    assert "pro" == billing.subscription(subscription()).plan


def test_without_proration_there_is_no_second_to_it() -> None:
    """Stripe refuses one then; a change always takes a cancellation back."""
    for proration, at in ((billing.Proration.NONE, None), (billing.Proration.AT_ONCE, 5)):
        params = billing.change(
            subscription(), "price_2", plan="b", interval=Interval.MONTH, proration=proration, at=5
        ).params
        assert at == params.get("proration_date")
        assert params["cancel_at_period_end"] is False


# --- giving back --------------------------------------------------------------------------------


def record(**granted: int) -> PaymentRecord:
    return PaymentRecord(
        id="pi_1",
        account="acme",
        amount=950,
        tax=0,
        currency="usd",
        at=AT,
        granted={unit: micro * 10**6 for unit, micro in granted.items()},
        lots={},
    )


def test_pt_are_worth_what_they_cost_rounded_down() -> None:
    """A thousand for 9.50: one alone is worth 0.95 cents, which no coin is."""
    assert 950 == refunds.worth(record(core=1000), {"core": 10**9})
    assert 9 == refunds.worth(record(core=1000), {"core": 10**7})
    with pytest.raises(InvalidArgumentError, match="smallest coin"):
        refunds.worth(record(core=1000), {"core": 10**6})
    with pytest.raises(InvalidArgumentError, match="several units"):
        refunds.worth(record(core=1, advanced=1), {"core": 1})


def test_a_refund_says_by_which_key() -> None:
    """By which it is found again, however long ago it was made."""
    params = refunds.create("pi_1", None, reason=RefundReason.REQUESTED, key="r").params

    assert {"payment_intent", "reason", "metadata"} == set(params)
    assert params["metadata"] == {"ptmeter_key": "r"}
    made = [{"id": "re_1", "metadata": {"ptmeter_key": "r"}}, {"id": "re_2", "metadata": None}]
    assert made[0] == refunds.made_before(made, "r")
    assert None is refunds.made_before(made, "other")


def invoice(**fields: Any) -> dict[str, Any]:
    return {"id": "in_1", "status": "paid", "total": 4900, "currency": "usd"} | fields


@pytest.mark.parametrize(
    ("document", "to", "sent"),
    [
        (invoice(), CreditTo.REFUND, {"amount": 4900, "refund_amount": 4900}),
        (invoice(), CreditTo.BALANCE, {"amount": 4900, "credit_amount": 4900}),
        (invoice(status="open"), CreditTo.REFUND, {"amount": 4900}),
        (
            invoice(post_payment_credit_notes_amount=900),
            CreditTo.OUTSIDE,
            {"amount": 4000, "out_of_band_amount": 4000},
        ),
    ],
)
def test_a_credit_note_of_a_paid_invoice_says_where_the_money_goes(
    document: dict[str, Any], to: CreditTo, sent: dict[str, int]
) -> None:
    """All that was not credited yet; an open one is just owed less."""
    request = refunds.credit(document, amount=None, to=to, reason=None, memo="", key="c")

    assert {"invoice": "in_1", "metadata": {"ptmeter_key": "c"}, **sent} == request.params
    assert ("credit_notes/preview", request.params) == (
        (shown := refunds.credit_preview(request)).path,
        shown.params,
    )


@pytest.mark.parametrize("document", [invoice(status="draft"), invoice(status="void")])
def test_what_was_never_owed_is_not_credited(document: dict[str, Any]) -> None:
    """A draft can be changed, and a void one is owed no more."""
    with pytest.raises(InvalidArgumentError, match="credit note is for"):
        refunds.credit(
            document, amount=1, to=CreditTo.REFUND, reason=CreditReason.DUPLICATE, memo="", key="c"
        )


# --- charges and usage --------------------------------------------------------------------------


ASKED = TopUp(
    id="ab" * 8,
    account="acme",
    unit="core",
    amount=PT.of(50),
    price=Money.usd("0.505"),
    requested_at=AT,
    cool_down=timedelta(hours=1),
)


def test_a_top_up_is_charged_in_whole_cents_and_says_which_it_is() -> None:
    """Half a cent is rounded up."""
    params = charges.create(ASKED, "cus_1", "pm_1").params

    assert (51, "usd", True, True) == (
        params["amount"],
        params["currency"],
        params["off_session"],
        params["confirm"],
    )
    assert {"ptmeter_account": "acme", "ptmeter_top_up": ASKED.id} == params["metadata"]


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        ({"status": "succeeded"}, None),
        ({"status": "processing"}, None),
        ({"status": "requires_payment_method", "last_payment_error": {"message": "No."}}, "No."),
        ({"status": "requires_action"}, "requires_action"),
        ({"status": "canceled", "cancellation_reason": "abandoned"}, "abandoned"),
    ],
)
def test_why_a_payment_will_not_be_made(intent: dict[str, Any], reason: str | None) -> None:
    """One that is made, or may yet be, has no reason."""
    assert reason == charges.failure(intent)


def test_an_event_that_stripe_has_is_told_by_what_it_says() -> None:
    """Stripe gives no code for it in its first API, and one in its second."""
    taken = StripeRefusedError(
        400, "An event already exists with identifier 12.", reason="invalid_request_error"
    )

    assert metering.is_taken(taken)
    assert metering.is_taken(StripeRefusedError(400, "No.", reason="duplicate_meter_event"))
    assert not metering.is_taken(StripeRefusedError(400, "No such meter."))


def test_a_place_that_stripe_tax_cannot_tell_is_named() -> None:
    """Its own code is the reason, and the parameter that it minds the field."""
    from stripe import InvalidRequestError

    said = {
        "message": "The customer's location isn't recognized.",
        "code": "customer_tax_location_invalid",
        "param": "automatic_tax[enabled]",
        "type": "invalid_request_error",
    }
    with pytest.raises(StripeRefusedError) as refused, translated():
        raise InvalidRequestError(
            said["message"], said["param"], code=said["code"], http_status=400, json_body={"error": said}
        )

    found = refused.value
    assert (400, said["code"], said["param"]) == (found.status, found.reason, found.field)
    assert not found.retryable
