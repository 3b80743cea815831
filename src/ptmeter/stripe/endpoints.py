"""How a platform is set up at Stripe: its key, and the endpoints that webhooks arrive at."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..domain.arguments import check_fields
from ..errors import ConfigurationError, SignatureInvalidError
from .settings import Invoices, Metered, Tax
from .signature import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

API_VERSION: Final = "2026-10-28.endive"
"""The version of Stripe's API that ptmeter reads and writes; it is sent with every request."""

_log: Final = logging.getLogger("ptmeter.stripe")

_NO_SECRET: Final = (
    "an endpoint needs the secret that Stripe shows for it, a text (whsec_…): without one anybody could pay. "
    "Is the variable set that it comes from?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    A webhook endpoint, as it was created at Stripe.

    Create it with ``api_version`` `API_VERSION`, which cannot be changed afterwards.

    Raises:
        ConfigurationError: There is no secret, one is blank, or a bound is not positive.
    """

    secrets: str | Sequence[str] = field(repr=False)
    """What its events are signed with (``whsec_…``): one, or several while one is being rolled."""
    livemode: bool
    """Whether it receives live events; events of the other mode are parked."""
    tolerance: timedelta = timedelta(minutes=5)
    """How far the time of a signature may be from now, before or after."""
    largest_body: int = 1 << 20
    """Bytes of an event at most."""

    def __post_init__(self) -> None:
        if self.secrets is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError(_NO_SECRET)
        check_fields(self)
        if not self.keys:
            raise ConfigurationError(_NO_SECRET)
        if self.tolerance <= timedelta(0) or self.largest_body < 1:
            msg = "an endpoint takes a tolerance and a largest body that are more than nothing"
            raise ConfigurationError(msg)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The secrets as keys."""
        return tuple(_keys([self.secrets] if isinstance(self.secrets, str) else self.secrets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """
    How a platform is set up at Stripe.

    Raises:
        ConfigurationError: A key or a bound cannot be.
    """

    key: str = field(default="", repr=False)
    """The secret or restricted key (``sk_…``, ``rk_…``); without one webhooks are kept and nothing is fetched."""
    endpoints: Endpoint | Sequence[Endpoint] = ()
    """Where its webhooks arrive. An event is good if it is for one of them."""
    timeout: timedelta = timedelta(seconds=10)
    """How long one attempt of a request may take."""
    attempts: int = 4
    """How often a request is tried in all: after lost connections, 409, 429 and 5xx."""
    url: str = ""
    """Another base address than Stripe's, for tests."""
    prices: Mapping[str, str] = field(default_factory=dict[str, str])
    """The price of a plan at Stripe (``{"pro/month": "price_…"}``), where it is not one that `sync_plans` made."""
    automatic_tax: bool = False
    """Whether Stripe Tax computes the tax of what is bought by Checkout, and of subscriptions."""
    tax: Tax = field(default_factory=Tax)
    invoices: Invoices = field(default_factory=Invoices)
    metered: Mapping[str, Metered] = field(default_factory=dict[str, "Metered"])
    """Units of PT that are billed afterwards, through a billing meter."""

    def __post_init__(self) -> None:
        if not isinstance(self.key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = "the key for Stripe is a text (sk_… or rk_…), or left out: is the variable set that it comes from?"
            raise ConfigurationError(msg)
        check_fields(self, Endpoint, Tax, Invoices)
        given = (*self.receiving, *self.metered.values())
        if not all(isinstance(each, Endpoint | Metered) for each in given):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = "endpoints are of Endpoint(...), one or several, and metered has a Metered(...) for each unit"
            raise ConfigurationError(msg)
        if self.key != self.key.strip() or self.timeout <= timedelta(0) or self.attempts < 1:
            msg = "Stripe takes a key without white space around it, a timeout, and at least one attempt"
            raise ConfigurationError(msg)

    @property
    def receiving(self) -> tuple[Endpoint, ...]:
        """The endpoints, however many."""
        return (self.endpoints,) if isinstance(self.endpoints, Endpoint) else tuple(self.endpoints)

    @property
    def livemodes(self) -> frozenset[bool]:
        """Of which modes events are followed: those of the endpoints; where there are none, the key's own."""
        return frozenset(each.livemode for each in self.receiving) or frozenset({"_live_" in self.key})


def verified(
    body: bytes, header: str | None, endpoints: Iterable[Endpoint], *, at: datetime
) -> Sequence[Endpoint]:
    """
    The endpoints with whose secrets *body* was signed: one of those there are, or several that share a secret.

    Raises:
        SignatureInvalidError: It was signed with none.
    """
    signed: list[Endpoint] = []
    failure: SignatureInvalidError | None = None
    for endpoint in endpoints:
        try:
            verify(body, header, endpoint.keys, at=at, tolerance=endpoint.tolerance)
            signed.append(endpoint)
        except SignatureInvalidError as problem:
            failure = problem
    if failure and not signed:
        raise failure
    return signed


def _keys(secrets: Iterable[str]) -> Iterable[bytes]:
    for secret in secrets:
        if not isinstance(secret, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(_NO_SECRET)
        stripped = secret.strip()
        if not stripped:
            msg = "a secret of a webhook endpoint is blank"
            raise ConfigurationError(msg)
        if stripped != secret:
            _log.warning("a webhook secret has white space around it, which was taken off")
        yield stripped.encode()
