# Generated from src/ptmeter/_async/gateway.py by scripts/unasync.py: edit that file, then run `make format`.
"""What all that asks Stripe for something shares: sending, looking first, and who an account is there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import IdempotencyConflictError, InvalidArgumentError, StripeRefusedError
from ..operations import purchasing
from ..stripe import customers
from ..stripe.requests import idempotency_key, setting_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..operations.purchasing import Known
    from ..stripe.requests import StripeRequest
    from .platform import Platform
    from .stripe_api import StripeApi

Json: TypeAlias = "Mapping[str, Any]"

_OTHER_ARGUMENTS: Final = "idempotency_error"
"""What Stripe says of a key that comes again with other parameters (docs.stripe.com/api/idempotent_requests)."""


class Gateway:
    """Sends requests, each outside of any transaction; raises what `StripeApi` raises."""

    def __init__(self, platform: Platform, api: StripeApi) -> None:
        self.platform = platform
        self.stripe = api.settings
        self._api = api

    def send(self, request: StripeRequest, *, key: str) -> Json:
        """Write something, once a day for that idempotency key."""
        self._check()
        return self._api.post(request.path, key=key, **request.params)

    def once(self, request: StripeRequest, verb: str, account: str, key: str) -> Json:
        """
        Write what was asked for under a key of the caller's own.

        Raises:
            IdempotencyConflictError: It was asked for something else under that key, within a day.
        """
        try:
            return self.send(request, key=idempotency_key(verb, account, key))
        except StripeRefusedError as refused:
            if refused.reason != _OTHER_ARGUMENTS:
                raise
            raise IdempotencyConflictError(account, key) from refused

    def get(self, request: StripeRequest) -> Json:
        """Read something."""
        self._check()
        return self._api.get(request.path, **request.params)

    def every(self, request: StripeRequest) -> list[Json]:
        """Read a list to its end."""
        self._check()
        return self._api.every(request.path, **request.params)

    def with_schedule(self, subscription: Json) -> Json:
        """A subscription with the schedule that manages it whole, if one does."""
        self._check()
        return self._api.with_schedule(subscription)

    def delete(self, path: str) -> Json:
        """Delete something."""
        self._check()
        return self._api.delete(path)

    def known(self, account: str) -> Known:
        """What the books know of an account at Stripe, and the time there."""
        return self.platform.read(partial(purchasing.known, account=account))

    def customer(self, account: str) -> str:
        """
        Who an account is at Stripe: found in the books, or created and remembered there.

        Two at once create one customer, for the request is the same; if they did not, the first remembered is it.
        """
        known = self.known(account)
        if known.customer:
            return known.customer
        made = self.send(customers.create(account), key=idempotency_key("customer", account))
        note = partial(purchasing.remember, account=account, customer=made["id"])
        found = self.platform.run(note)
        if request := customers.update(found, invoices=self.stripe.invoices):
            self.send(request, key=setting_key(request, known.at))
        return found

    def _check(self) -> None:
        if self.platform.joined:
            msg = "ask Stripe outside of a transaction: with the meter, not with meter.joined(...)"
            raise InvalidArgumentError(msg)
