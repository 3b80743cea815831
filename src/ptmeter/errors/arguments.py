"""What was asked for cannot be, or names what does not exist."""

from __future__ import annotations

from .base import PtmeterError


class InvalidArgumentError(PtmeterError, ValueError):
    """An argument is outside what the call accepts; the message says what it takes."""

    code = "invalid_argument"


class UnknownModelError(InvalidArgumentError):
    """No price or no rate is known for the model: add one, or allow it at a ceiling rate."""

    code = "unknown_model"

    def __init__(
        self,
        model: str,
        missing: str,
        remedy: str = "add it to a price file and the rate card, or set Policy.unpriced",
    ) -> None:
        """*remedy* is what to do about it, where more is known than that there is no price."""
        self.model = model
        self.missing = missing
        super().__init__(
            f"no {missing} is known for model {model!r}, so a call to it would be free: {remedy}"
        )


class UnknownTierError(InvalidArgumentError):
    """
    A service tier that is not known, so neither is what a call costs at it: say that, or settle by hand.

    After a call ``payload`` is what the provider sent; nothing was charged then, the hold stays, and the call waits
    in quarantine until somebody says how it was processed.
    """

    code = "unknown_tier"

    def __init__(self, model: str, tier: str, payload: object = None) -> None:
        self.model, self.tier, self.payload = model, tier, payload
        way = (
            "settle by hand and say its processing"
            if payload is not None
            else "say Workload(processing=...)"
        )
        super().__init__(
            f"no price is known for service tier {tier!r} of {model!r}: {way}, or set Policy.unpriced"
        )


class UnknownUnitError(InvalidArgumentError):
    """The platform has no such unit of PT; units are named by the rate card."""

    code = "unknown_unit"


class ConfigurationError(InvalidArgumentError):
    """A rate card, plan file or policy does not hold together; the message names the place."""

    code = "configuration"


class CheckpointInvalidError(InvalidArgumentError):
    """
    A file of signed checkpoints cannot be relied on; the message names the line and what is wrong with it.

    It may be another file, be damaged or cut short, or be signed with another key than the one given.
    """

    code = "checkpoint_invalid"

    def __init__(self, file: str, line: int, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        where = f"{file}, line {line}" if line else file
        super().__init__(f"the checkpoints in {where} cannot be relied on: {problem}")


class NotFoundError(PtmeterError, LookupError):
    """The thing named does not exist."""

    code = "not_found"


class AccountNotFoundError(NotFoundError):
    """No such account: an account comes into being with its first grant."""

    code = "account_not_found"

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(f"there is no account {account!r}: grant it PT first (meter.funds.grant)")


class HoldNotFoundError(NotFoundError):
    """No hold was ever placed under this account and key."""

    code = "hold_not_found"

    def __init__(self, account: str, key: str) -> None:
        self.account, self.key = account, key
        super().__init__(f"account {account!r} has no hold under key {key!r}")


class LotNotFoundError(NotFoundError):
    """The wallet has no lot of that number: it is that of the transfer that brought the PT, as in a statement."""

    code = "lot_not_found"

    def __init__(self, account: str, unit: str, lot: int) -> None:
        self.account, self.unit, self.lot = account, unit, lot
        super().__init__(f"the {unit} wallet of account {account!r} has no lot {lot}")


class SubscriptionNotFoundError(NotFoundError):
    """The account has no subscription, or it has ended: begin one (``meter.plans.subscribe``)."""

    code = "subscription_not_found"

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(f"account {account!r} has no subscription that goes on: begin one first")


class MessageNotFoundError(NotFoundError):
    """The account has no message of that id in the outbox: ``ptmeter outbox list`` shows those there are."""

    code = "message_not_found"

    def __init__(self, account: str, message_id: str) -> None:
        self.account, self.message_id = account, message_id
        super().__init__(f"account {account!r} has no message {message_id!r} in the outbox")


class EventNotFoundError(NotFoundError):
    """No webhook event of that id came in: ``ptmeter webhooks list`` shows those that did."""

    code = "event_not_found"

    def __init__(self, event: str) -> None:
        self.event = event
        super().__init__(f"no webhook event {event!r} has come in")


class PaymentNotFoundError(NotFoundError):
    """The books have no payment of that id: look it up at Stripe with ``meter.payments.refresh(payment)``."""

    code = "payment_not_found"

    def __init__(self, payment: str) -> None:
        self.payment = payment
        super().__init__(
            f"the books have no payment {payment!r}: if it was paid just now, meter.payments.refresh(...) looks it up"
        )


class MitigationNotFoundError(NotFoundError):
    """There is no mitigation of that id: ``ptmeter mitigations list`` shows those there are."""

    code = "mitigation_not_found"

    def __init__(self, mitigation: str) -> None:
        self.mitigation = mitigation
        super().__init__(f"there is no mitigation {mitigation!r}")


class TopUpNotFoundError(NotFoundError):
    """Nobody asked for a top-up of that id: it is the one in the message ``top_up.requested``."""

    code = "top_up_not_found"

    def __init__(self, top_up: str) -> None:
        self.top_up = top_up
        super().__init__(f"there is no top-up {top_up!r}")
