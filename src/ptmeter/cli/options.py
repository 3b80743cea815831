"""The options that several commands have, and what is opened with them."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..domain.policy import Durability, HoldSize, Policy
from ..errors import ConfigurationError, InvalidArgumentError, StorageError

if TYPE_CHECKING:
    from .._sync import Meter
    from ..domain.plans import Plans
    from ..domain.rates import RateCard
    from ..pricing import Catalogue, Pricing, Tokens

Database = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="URL",
        envvar="PTMETER_DB",
        help="The database: sqlite:///pt.db, postgresql://user@host/name, mysql://…",
    ),
]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Your own name for who is billed.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
CardFile = Annotated[
    Path | None,
    typer.Option("--card", metavar="FILE", help="The rate card; the bundled reference card if left out."),
]
PlansFile = Annotated[
    Path | None,
    typer.Option("--plans", metavar="FILE", help="The plans; the bundled reference plans if left out."),
]
PricesFile = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="Prices that come before those of the catalogue."),
]
StripeKey = Annotated[
    str,
    typer.Option(
        "--stripe-key",
        metavar="KEY",
        envvar="PTMETER_STRIPE_KEY",
        help="The secret or restricted key of Stripe (sk_…, rk_…); rather by PTMETER_STRIPE_KEY.",
        show_default=False,
    ),
]
Survival = Annotated[
    Durability,
    typer.Option(
        "--durability",
        envvar="PTMETER_DURABILITY",
        help="What a commit must survive: strict refuses a server that can lose acknowledged ones.",
    ),
]

CHAIN_KEY: Final = "PTMETER_CHAIN_KEY"
"""The environment variable with the key of the hash chain, in hexadecimal. It has no option on purpose:
what is on a command line is read by every user of the machine."""


def policy(durability: Durability = Durability.STRICT, hold: HoldSize = HoldSize.AT_MOST) -> Policy:
    """
    The policy a command works by.

    Raises:
        ConfigurationError: The chain key is not hexadecimal, or too long.
    """
    try:
        key = bytes.fromhex(os.environ.get(CHAIN_KEY, ""))
    except ValueError:
        msg = f"{CHAIN_KEY} must be written in hexadecimal digits, two for each byte"
        raise ConfigurationError(msg) from None
    return Policy(durability=durability, hold=hold, chain_key=key)


def rate_card(file: Path | None) -> RateCard:
    """The rate card in *file*, or the bundled one."""
    from .. import configuration

    return configuration.read_rate_card(file) if file else configuration.reference_card()


def catalogue(prices: Path | None) -> Catalogue:
    """The price catalogue, with the overrides in the file *prices* before it."""
    from ..configuration import read_prices
    from ..providers.prices import GenaiPrices

    return GenaiPrices(read_prices(prices) if prices else None)


def pricing(
    card: Path | None, prices: Path | None, chosen: Policy, tokens: Tokens | None = None
) -> Pricing:
    """What rates calls, without a database."""
    from ..pricing import Pricing
    from ..providers.tokens import Tokenizers

    return Pricing([rate_card(card)], chosen, catalogue=catalogue(prices), tokens=tokens or Tokenizers())


def plan_file(file: Path | None) -> Plans:
    """The plans in *file*, or the bundled ones."""
    from .. import configuration

    return configuration.read_plans(file) if file else configuration.reference_plans()


def open_meter(
    db: str, card: RateCard, chosen: Policy, prices: Path | None = None, plans: Plans | None = None
) -> Meter:
    """A meter for a command; the card says which units there are, *prices* what comes before the catalogue."""
    from .._sync import Meter

    listed = catalogue(prices) if prices else None
    return Meter.open(db, card=card, policy=chosen, catalogue=listed, plans=plans)


def open_stripe(
    db: str, chosen: Policy, key: str, *, card: Path | None = None, plans: Path | None = None
) -> Meter:
    """A meter that can ask Stripe, at PTMETER_STRIPE_URL if that is set, as for a fake one."""
    from .._sync import Meter
    from ..stripe import Stripe

    known = plan_file(plans) if plans else None
    stripe = Stripe(key=key, url=os.environ.get("PTMETER_STRIPE_URL", ""))
    return Meter.open(db, card=rate_card(card), policy=chosen, plans=known, stripe=stripe)


def must_exist(db: str) -> None:
    """
    Refuse an SQLite file that is not there: opening it would make an empty ledger and call that clean.

    Raises:
        StorageError: There is no such file.
    """
    from ..storage.engine import resolve
    from ..storage.opening import MEMORY

    if db == MEMORY:
        return
    url = resolve(db, asynchronous=False)
    name = url.database or ""
    if url.get_backend_name() == "sqlite" and not name.startswith("file:") and not Path(name).exists():
        msg = f"there is no database {name}: correct --db, or set one up with ptmeter migrate --db {db}"
        raise StorageError(msg)


def moment(text: str, option: str) -> datetime:
    """
    The time that *text* names: a date, which begins at midnight UTC, or a time with its offset.

    Raises:
        InvalidArgumentError: It is neither.
    """
    try:
        if len(text) <= len("2026-11-22"):
            return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        msg = f"{option} {text!r} is no time: write 2026-11-22, or 2026-11-22T18:30+00:00 with the offset"
        raise InvalidArgumentError(msg)
    return found.astimezone(UTC)
