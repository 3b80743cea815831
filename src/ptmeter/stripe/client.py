"""The SDK's client, and what its errors mean; the SDK is imported here and only here, when it is first needed."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tenacity.wait import wait_random_exponential

from ..errors import ConfigurationError, StripeRefusedError, StripeUnavailableError
from .endpoints import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from tenacity import RetryCallState

    from .endpoints import Stripe

_LONGEST_WAIT: Final = 60.0
"""Seconds to wait between two attempts at most, whatever Stripe asks for."""


class Connection(NamedTuple):
    """The SDK's client, and what it sends with, to be closed."""

    client: Any
    http: Any


def connect(stripe: Stripe) -> Connection:
    """
    A client that sends one request at a time; it tries nothing again by itself.

    Raises:
        ConfigurationError: The meter has no key for Stripe.
    """
    _check_key(stripe)
    import requests
    import stripe as sdk

    session = requests.Session()  # one for all threads, so that it can be closed
    return _client(sdk, stripe, sdk.RequestsClient(timeout=stripe.timeout.total_seconds(), session=session))


def connect_async(stripe: Stripe) -> Connection:
    """
    The same, awaited: it takes ``ptmeter[async]``, which brings httpx.

    Raises:
        ConfigurationError: The meter has no key for Stripe, or httpx is not installed.
    """
    _check_key(stripe)
    import stripe as sdk

    try:
        client = sdk.HTTPXClient(timeout=stripe.timeout.total_seconds())
    except ImportError as error:
        msg = "awaiting Stripe takes httpx: pip install 'ptmeter[async]'"
        raise ConfigurationError(msg) from error
    asks: Any = client
    asks._get_request_args_kwargs = _as_content(asks._get_request_args_kwargs)  # noqa: SLF001
    return _client(sdk, stripe, client)


def answer(body: str) -> Mapping[str, Any]:
    """
    What was answered.

    Raises:
        StripeUnavailableError: It is no JSON, so something between here and Stripe answered instead.
    """
    try:
        found: Mapping[str, Any] = json.loads(body)
    except ValueError as error:
        msg = "its answer is no JSON"
        raise StripeUnavailableError(msg) from error
    return found


@contextmanager
def translated() -> Generator[None]:
    """The SDK's errors as ours, with what Stripe said."""
    import stripe as sdk

    try:
        yield
    except sdk.APIConnectionError as error:
        msg = f"there was no answer: {error}"
        raise StripeUnavailableError(msg) from error
    except sdk.StripeError as error:
        headers = {name.lower(): str(value) for name, value in (error.headers or {}).items()}
        status = error.http_status or 0
        if _is_worth_a_retry(status, headers.get("stripe-should-retry", "")):
            msg = f"it answered {status or 'nothing that can be read'}"
            raise StripeUnavailableError(msg, retry_after=_seconds(headers)) from error
        raise _refusal(error, status) from error


def wait(state: RetryCallState) -> float:
    """How many seconds to wait before the next attempt: as many as Stripe asks for, else more each time."""
    error = state.outcome and state.outcome.exception()
    asked = error.retry_after if isinstance(error, StripeUnavailableError) else None
    return _backoff(state) if asked is None else asked


_backoff: Final = wait_random_exponential(multiplier=0.5, max=8)


def _as_content(arguments: Callable[..., Any]) -> Callable[..., Any]:
    """The SDK's arguments for httpx, with the body where httpx wants it: it warns of where the SDK puts it."""

    def found(*args: Any) -> Any:
        positional, named = arguments(*args)
        return positional, {**named, "content": named["data"] or None, "data": None}

    return found


def _check_key(stripe: Stripe) -> None:
    if not stripe.key:
        msg = "the meter has no key for Stripe: open it with stripe=Stripe(key=...)"
        raise ConfigurationError(msg)


def _client(sdk: Any, stripe: Stripe, http: Any) -> Connection:
    addresses = {"api": stripe.url.rstrip("/")} if stripe.url else {}
    client = sdk.StripeClient(
        stripe.key,
        stripe_version=API_VERSION,
        base_addresses=addresses,
        max_network_retries=0,
        http_client=http,
    )
    return Connection(client, http)


def place() -> object:
    """Where a connection can be used: anywhere."""
    return None


def place_async() -> object:
    """Where an awaited connection can be used: on the event loop that it was made on."""
    return asyncio.get_running_loop()


def _is_worth_a_retry(status: int, asked: str) -> bool:
    """Stripe's own word if it gives one (``Stripe-Should-Retry``), else by the status."""
    if asked in ("true", "false"):
        return asked == "true"
    return status in (0, 409, 429) or status >= 500  # noqa: PLR2004 - HTTP's own numbers


def _refusal(error: Any, status: int) -> StripeRefusedError:
    body: Any = error.json_body
    said: Mapping[str, str] = cast("Any", body).get("error", {}) if isinstance(body, dict) else {}
    return StripeRefusedError(
        status,
        str(said.get("message") or error),
        reason=said.get("code") or said.get("type") or "",
        field=said.get("param") or "",
        decline=said.get("decline_code") or "",
        request_id=error.request_id or "",
    )


def _seconds(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else None
