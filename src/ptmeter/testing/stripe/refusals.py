"""What the fake refuses, in the words and codes of Stripe's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .values import Obj


class RefusedError(Exception):
    """A request that is answered with an error: its HTTP status and the fields of Stripe's ``error`` object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: Obj = {"type": kind, "message": message}
        self.error |= {
            name: value for name, value in {"code": code, "param": param, **more}.items() if value
        }


def missing(param: str) -> RefusedError:
    """Return the refusal of a request that lacks *param*."""
    return RefusedError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(noun: str, identity: str, param: str = "id", *, status: int = 404) -> RefusedError:
    """Return the refusal for a *noun* that is not there; Stripe answers 400 if a parameter named it."""
    return RefusedError(
        f"No such {noun}: '{identity}'", status=status, code="resource_missing", param=param
    )


def declined(code: str, decline_code: str | None, **more: Any) -> RefusedError:
    """Return the card error of a payment that was declined, with the objects it left behind."""
    message = DECLINES.get(decline_code or code, "Your card was declined.")
    return RefusedError(
        message, status=402, kind="card_error", code=code, decline_code=decline_code, **more
    )


DECLINES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "invoice_payment_intent_requires_action": (
        "This payment requires additional user action before it can be completed successfully."
    ),
}
