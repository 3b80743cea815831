"""What Stripe sends or answers, or somebody in its name, that is not as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import PtmeterError

if TYPE_CHECKING:
    from datetime import timedelta


class StripeError(PtmeterError):
    """Something that came from Stripe, or is said to, cannot be used."""

    code = "stripe"


class SignatureInvalidError(StripeError):
    """
    Nobody can say that Stripe sent this: answer 400, and keep nothing of it.

    If Stripe did, the secret is not the endpoint's, the body was changed on the way (pass on the raw bytes), or the
    clock of one side is wrong.
    """

    code = "signature_invalid"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the webhook is not known to be from Stripe: {problem}")


class EventInvalidError(StripeError):
    """What was signed is no event as Stripe sends them: answer 400, and look at who has the secret."""

    code = "event_invalid"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the webhook is signed and cannot be read: {problem}")


class StripeUnavailableError(StripeError):
    """Stripe did not answer, or asks to try later: nothing is known to be done, and a retry does nothing twice."""

    code = "stripe_unavailable"
    retryable = True

    def __init__(self, problem: str, *, retry_after: float | None = None) -> None:
        self.problem = problem
        self.retry_after = retry_after
        """Seconds, if Stripe said how many."""
        super().__init__(f"Stripe cannot be asked now: {problem}")


class StripeRefusedError(StripeError):
    """
    Stripe answered that it will not: ``reason`` is its own code for why, ``field`` the parameter it minds.

    A declined card is one, with ``decline`` saying why; another one may be asked for.
    """

    code = "stripe_refused"

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        decline: str = "",
        request_id: str = "",
    ) -> None:
        self.status, self.reason, self.field, self.decline = status, reason, field, decline
        self.request_id = request_id
        """What to name to Stripe's support."""
        said = f" ({reason})" if reason else ""
        super().__init__(f"Stripe refused with {status}{said}: {message}")


class ClockBehindError(StripeError):
    """Something at Stripe has not happened yet by the database's clock: it is looked up again; set the clock right."""

    code = "clock_behind"
    retryable = True

    def __init__(self, what: str, ahead: timedelta) -> None:
        self.what, self.ahead = what, ahead
        super().__init__(f"{what} begins {ahead} from now, by the clock of the database")


class OvertakenError(StripeError):
    """What was looked up later is in the books already, so this may be old by now: it is looked up again."""

    code = "overtaken"
    retryable = True

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} was looked up again before this was booked")


class UnknownPaymentError(StripeError):
    """
    Something was paid that nobody here can be given PT for: the payment says no account, or PT that there are not.

    It is a dead letter until somebody has looked at it: see ``ptmeter webhooks show``.
    """

    code = "unknown_payment"

    def __init__(self, payment: str, problem: str) -> None:
        self.payment, self.problem = payment, problem
        super().__init__(f"nobody can be given PT for {payment}: {problem}")


class UsageRefusedError(StripeError):
    """
    A billing meter could not count usage that was sent to it: ``messages`` are some of those that reported it.

    It is a dead letter. Mend the cause at Stripe, and have the messages sent again: ``ptmeter outbox retry``.
    """

    code = "usage_refused"

    def __init__(self, problem: str, messages: tuple[str, ...]) -> None:
        self.problem, self.messages = problem, messages
        named = f" (messages {', '.join(messages)})" if messages else ""
        super().__init__(f"a billing meter refused usage: {problem}{named}")


class ForeignPaymentError(StripeError):
    """
    Something was paid that is of no concern here: neither it nor what led to it says anything of ptmeter.

    Its events are parked, for one account at Stripe may sell other things too. If it was meant for PT, write the
    metadata at Stripe and have an event of it looked up again: ``ptmeter webhooks retry``.
    """

    code = "foreign_payment"

    def __init__(self, payment: str, problem: str) -> None:
        self.payment, self.problem = payment, problem
        super().__init__(f"{payment} is of no concern here: {problem}")
