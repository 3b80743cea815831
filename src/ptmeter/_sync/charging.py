# Generated from src/ptmeter/_async/charging.py by scripts/unasync.py: edit that file, then run `make format`.
"""Handlers of the outbox that ask Stripe: charging a card for an automatic top-up, and reporting metered usage."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ..domain.inbox import Subject, SubjectKind
from ..domain.messages import TOP_UP, Message
from ..domain.metered_usage import TOPIC
from ..domain.top_ups import TopUp, TopUpState
from ..errors import InvalidArgumentError, StripeRefusedError
from ..operations import paying, topping_up
from ..operations.posting import alone
from ..stripe import charges, customers, metering
from ..stripe.requests import StripeRequest, idempotency_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .gateway import Gateway
    from .lookups import Lookups

Json: TypeAlias = "Mapping[str, Any]"

_NO_CARD: Final = (
    "the account has no payment method at Stripe: let it save one, in Checkout or in the portal"
)


def charge(gateway: Gateway, lookups: Lookups, message: Message | TopUp) -> None:
    """See `Payments.charge`."""
    asked = message.facts if isinstance(message, Message) else message
    if not isinstance(asked, TopUp):
        msg = f"what is charged is a message {TOP_UP}, not {message}"
        raise InvalidArgumentError(msg)
    top_up = gateway.platform.read(partial(topping_up.find, top_up=asked.id))
    if top_up.state is not TopUpState.OPEN:
        return
    try:
        intent = _intent(gateway, top_up)
    except StripeRefusedError as error:
        if error.status != charges.CARD_ERROR:
            raise
        _failed(gateway, top_up, str(error))
        return
    problem = _NO_CARD if intent is None else charges.failure(intent)
    if intent is None or problem:
        _failed(gateway, top_up, problem or _NO_CARD)
    elif intent["status"] == "succeeded":
        settle = lookups.look_up_now(Subject(SubjectKind.PAYMENT, intent["id"]))
        gateway.platform.run(partial(alone, work=settle))


def _intent(gateway: Gateway, top_up: TopUp) -> Json | None:
    """The payment of a top-up: the one that was begun before, or a new one; none without a card."""
    customer = (gateway.known(top_up.account)).customer
    if customer is None:
        return None
    earlier = charges.begun_before(gateway.every(charges.since(customer, top_up)), top_up)
    if earlier is not None:
        return earlier
    method = _method(gateway, customer)
    if not method:
        return None
    name = idempotency_key("top_up", top_up.id)
    return gateway.send(charges.create(top_up, customer, method), key=name)


def _method(gateway: Gateway, customer: str) -> str:
    """What a customer pays with: what it has said, or what it has saved last."""
    found = customers.default_payment_method(gateway.get(StripeRequest(f"customers/{customer}")))
    if found:
        return found
    saved = gateway.get(StripeRequest(f"customers/{customer}/payment_methods", {"limit": 1}))
    return next((each["id"] for each in saved["data"]), "")


def _failed(gateway: Gateway, top_up: TopUp, reason: str) -> None:
    note = partial(paying.top_up_failed, top_up=top_up.id, reason=reason)
    gateway.platform.run(partial(alone, work=note))


def send_usage(gateway: Gateway, message: Message) -> None:
    """See `Payments.send_usage`."""
    if message.topic != TOPIC:
        msg = f"what is sent is a message {TOPIC}, not {message.topic}"
        raise InvalidArgumentError(msg)
    customer, at = gateway.known(message.account)
    if customer is None:
        msg = f"{message.account!r} is no customer at Stripe any more"
        raise InvalidArgumentError(msg)
    if message.attempts > 1 and at - message.noted_at >= metering.REMEMBERED:
        msg = (
            "it was tried before, longer ago than Stripe knows its identifier: see whether the meter has it, and "
            "retry the message only if not"
        )
        raise InvalidArgumentError(msg)
    request = metering.event(message.id, customer, cast("Json", message.facts))
    name = idempotency_key("meter_event", message.id, str(message.attempts))
    try:
        gateway.send(request, key=name)
    except StripeRefusedError as error:
        if not metering.is_taken(error):
            raise
