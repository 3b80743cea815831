"""
The same event in the forms that Stripe's API versions gave it: it leads to the same look-up, or is parked.

What moved is as Stripe's changelog and webhooks in the wild have it: charges had their refunds inside until 2022-11-15,
and a subscription had its period, an invoice its subscription, charge and payment intent at the top until the version
called basil (2025-03-31).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ptmeter.domain.inbox import Subject, SubjectKind, parking
from ptmeter.stripe.endpoints import API_VERSION
from ptmeter.stripe.events import read_event

TEST = frozenset({False})
CREATED = 1_711_724_294

DISPUTE = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "amount": 4516}
WITHDRAWN = {"id": "txn_1", "object": "balance_transaction", "amount": -4516, "fee": 2000, "net": -6516}
CHARGE = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount_refunded": 500}
REFUND = {"id": "re_1", "object": "refund", "charge": "ch_1", "payment_intent": "pi_1"}
INTENT = {"id": "pi_1", "object": "payment_intent", "amount": 4516, "status": "succeeded"}
INVOICE = {"id": "in_1", "object": "invoice", "amount_paid": 4516, "status": "paid"}
SUBSCRIPTION = {"id": "sub_1", "object": "subscription", "status": "active"}
PERIOD = {"current_period_start": CREATED, "current_period_end": CREATED + 2_592_000}
BELONGS = {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}}

FORMS: dict[str, tuple[Subject, dict[str, dict[str, Any]]]] = {
    "charge.dispute.created": (
        Subject(SubjectKind.PAYMENT, "pi_1"),
        {
            "2020-08-27": {**DISPUTE, "balance_transaction": "txn_1", "balance_transactions": [WITHDRAWN]},
            "2024-09-30.acacia": {**DISPUTE, "balance_transaction": None, "balance_transactions": []},
            "2025-04-30.basil": {**DISPUTE, "balance_transactions": [], "enhanced_eligibility_types": []},
        },
    ),
    "charge.refunded": (
        Subject(SubjectKind.PAYMENT, "pi_1"),
        {
            "2020-08-27": {**CHARGE, "refunds": {"object": "list", "data": [REFUND]}, "invoice": "in_1"},
            "2024-09-30.acacia": {**CHARGE, "invoice": "in_1"},
            "2025-04-30.basil": CHARGE,
        },
    ),
    "payment_intent.succeeded": (
        Subject(SubjectKind.PAYMENT, "pi_1"),
        {
            "2020-08-27": {**INTENT, "charges": {"object": "list", "data": [CHARGE]}, "invoice": "in_1"},
            "2024-09-30.acacia": {**INTENT, "latest_charge": "ch_1", "invoice": "in_1"},
            "2025-04-30.basil": {**INTENT, "latest_charge": "ch_1"},
        },
    ),
    "invoice.paid": (
        Subject(SubjectKind.INVOICE, "in_1"),
        {
            "2020-08-27": {
                **INVOICE,
                "subscription": "sub_1",
                "charge": "ch_1",
                "payment_intent": "pi_1",
                "paid": True,
            },
            "2024-09-30.acacia": {**INVOICE, "subscription": "sub_1", "payment_intent": "pi_1"},
            "2025-04-30.basil": {**INVOICE, "parent": BELONGS},
        },
    ),
    "customer.subscription.updated": (
        Subject(SubjectKind.SUBSCRIPTION, "sub_1"),
        {
            "2020-08-27": {**SUBSCRIPTION, **PERIOD, "plan": {"id": "plan_1"}},
            "2024-09-30.acacia": {**SUBSCRIPTION, **PERIOD, "items": {"data": [{"id": "si_1"}]}},
            "2025-04-30.basil": {**SUBSCRIPTION, "items": {"data": [{"id": "si_1", **PERIOD}]}},
        },
    ),
}


def sent(kind: str, version: str | None, about: dict[str, Any]) -> bytes:
    """An event as an endpoint of that API version gets it."""
    document = {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "api_version": version,
        "created": CREATED,
        "livemode": False,
        "data": {"object": about},
    }
    return json.dumps(document).encode()


@pytest.mark.parametrize("kind", FORMS)
def test_every_older_form_leads_to_the_same_look_up(kind: str) -> None:
    """Of an event only names are taken, which no version has moved, so it says the same in all of them."""
    subject, forms = FORMS[kind]
    read = [read_event(sent(kind, version, about)) for version, about in forms.items()]

    assert [each.api_version for each in read] == list(forms)
    alike = {replace(each, api_version="", body=b"", digest=b"") for each in read}
    assert len(alike) == 1
    assert {each.subject for each in read} == {subject}
    assert [parking(each, livemodes=TEST, newest=API_VERSION) for each in read] == ["", "", ""]


@pytest.mark.parametrize(
    "version", ["2026-10-29.endive", "2026-11-30.fennel", "2031-01-01", "9999-12-31.z"]
)
@pytest.mark.parametrize("kind", FORMS)
def test_a_newer_form_is_parked_and_says_which_version_it_has(kind: str, version: str) -> None:
    """What a version means that is newer than what is read here nobody here knows, however familiar it looks."""
    _, forms = FORMS[kind]
    for about in forms.values():
        problem = parking(read_event(sent(kind, version, about)), livemodes=TEST, newest=API_VERSION)
        assert version in problem
        assert API_VERSION in problem


@pytest.mark.parametrize("version", [API_VERSION, "2026-10-28", None])
def test_the_version_that_is_read_here_is_looked_up(version: str | None) -> None:
    """So is one that says no version, as the thin events of the first version of the API do."""
    _, forms = FORMS["invoice.paid"]
    event = read_event(sent("invoice.paid", version, forms["2025-04-30.basil"]))
    assert not parking(event, livemodes=TEST, newest=API_VERSION)
