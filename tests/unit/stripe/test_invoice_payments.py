"""What each payment of an invoice is for, without a Stripe."""

from __future__ import annotations

from typing import Any

import pytest

from ptmeter.stripe.subscriptions import paid_on

START = 1_767_225_600


def invoice(total: int, tax: int) -> dict[str, Any]:
    lines = {"data": [{"period": {"start": START}}]}
    taxes = [{"amount": tax}]
    return {"status": "paid", "total": total, "total_taxes": taxes, "lines": lines, "period_start": START}


def payments(*amounts: int) -> list[dict[str, Any]]:
    """Payments in the order in which they were made."""
    return [
        {
            "id": f"inpay_{number}",
            "created": START + number,
            "amount_paid": amount,
            "payment": {"payment_intent": f"pi_{number}"},
        }
        for number, amount in enumerate(amounts)
    ]


@pytest.mark.parametrize(
    ("amounts", "total", "shares"),
    [
        ((500, 1_500), 2_000, [25, 75]),
        ((333, 333, 334), 1_000, [33, 33, 34]),
        ((1_000, 0), 1_000, [100, 0]),
        ((1_200,), 1_000, [100]),  # more than was asked for
        ((400,), 1_000, [100]),  # a balance at Stripe paid the rest
        ((0,), 0, [0]),
        ((0, 0), -500, [0, 0]),
    ],
    ids=str,
)
def test_payments_share_what_they_paid_for(amounts: tuple[int, ...], total: int, shares: list[int]) -> None:
    """In proportion to their money; of nothing, each has nothing."""
    found = paid_on(invoice(total, tax=0), payments(*amounts), account="acme")
    assert shares == [each.portion.of(100) for each in found.values()]


@pytest.mark.parametrize(
    ("amounts", "total", "taxes"),
    [
        ((500, 1_500), 2_000, [50, 150]),
        ((400,), 1_000, [80]),
        ((1_200,), 1_000, [200]),
        ((0,), 0, [0]),
    ],
    ids=str,
)
def test_payments_share_the_tax_of_all_of_the_invoice(
    amounts: tuple[int, ...], total: int, taxes: list[int]
) -> None:
    """Of which a customer's balance may have paid some, and a payment more than was asked for."""
    found = paid_on(invoice(total, tax=200 if total else 0), payments(*amounts), account="acme")
    assert taxes == [each.tax for each in found.values()]
