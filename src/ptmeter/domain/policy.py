"""What a platform decides for itself: one frozen value, each field with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .arguments import check_fields, check_rates
from .ledger import Overage
from .margin_mitigations import MitigationTerms
from .margins import MarginGoals
from .prices import UNPRICED, Price
from .sketches import Quantile
from .usage import TOKEN_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping


class HoldSize(StrEnum):
    """How much a call sets aside before it is sent."""

    AT_MOST = "at_most"
    """What it can cost at most, as far as an estimate can say: hardly ever does a call cost more."""
    EXPECTED = "expected"
    """What it is expected to cost: more calls fit in, some cost more than was held."""


class OutOfFunds(StrEnum):
    """What to do when a streamed answer outruns its hold and there is nothing left to hold more."""

    GO_ON = "go_on"
    """Let it be written to its end; what it cost beyond its hold is charged as ``overage`` says."""
    CUT_OFF = "cut_off"
    """End the stream with `InsufficientFundsError`, and charge what arrived."""


class Durability(StrEnum):
    """What a commit must survive."""

    STRICT = "strict"
    """A crash of the server: refuse to run where acknowledged charges can be lost."""
    RELAXED = "relaxed"
    """Charges of the last moments may be lost in a crash; the operator has accepted that."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """
    How models without a price are held and charged until one is known.

    ``rates`` are pico-dollars per token by class and must name every class; ``unit`` is what they are
    charged in: by their cost if the rate card says how that is done in the unit, for its bands go by tokens, and
    a dear model would be charged as a cheap one. Such debits are parked: their price's source is ``unpriced``.
    """

    unit: str
    rates: Mapping[str, int]

    def __post_init__(self) -> None:
        check_fields(self)
        check_rates(self.rates, "a ceiling")
        if missing := set(TOKEN_CLASSES) - set(self.rates):
            msg = f"a ceiling must name every token class; {', '.join(sorted(missing))} are missing"
            raise ConfigurationError(msg)

    def price(self, model: str) -> Price:
        """The stand-in price of *model*."""
        return Price(provider=UNPRICED, model=model, source=UNPRICED, rates=self.rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What `Meter.open` takes beside the URL. The defaults are safe: strict, and never free."""

    hold_ttl: timedelta = timedelta(minutes=15)
    """How long a hold waits for its settle; longer than the longest call, or it is settled late."""

    hold: HoldSize | Quantile = HoldSize.AT_MOST
    """How much a call sets aside: the most it can cost, what it is expected to, or what so many calls stay
    within, such as ``Quantile.of(99)``. While too few calls of its route are settled to know that (99 for
    99 %, 999 for 99.9 %), it is the most."""

    overage: Overage = Overage.ALLOW
    """What happens when a call cost more than was held for it."""

    out_of_funds: OutOfFunds = OutOfFunds.GO_ON
    """What happens when a streamed answer outruns its hold and nothing is left to hold more, or a cap allows no
    more. While there is something, more is held as the text comes."""

    expected_output_tokens: int = 400
    """Output tokens to expect of a call before anything is known about it. Two in three chat requests of
    the Azure 2023 conversation trace stay below it: at the start, estimates err high."""

    max_output_tokens: int = 4_096
    """Output tokens to allow for when the request does not say (``max_tokens``)."""

    max_tool_calls: int = 3
    """Calls of a provider's own tool, such as a search of the web, to allow for when the request turns the tool on
    and does not say how many it may make (``max_uses``, ``max_tool_calls``)."""

    unpriced: Ceiling | None = None
    """``None`` refuses models without a price; a ceiling lets them pass at its rates."""

    drain_for: timedelta = timedelta(seconds=10)
    """How long a stream is read on when its reader has left, for the usage at its end; zero turns it off.
    What is not there by then is counted from the text that came."""

    drain_chunks: int = 10_000
    """How many chunks of a stream are read on at most when its reader has left."""

    durability: Durability = Durability.STRICT
    """What a commit must survive."""

    margins: MarginGoals = field(default_factory=MarginGoals)
    """From where on margins are green or yellow, and what share of PT may be of the unit that costs most."""

    mitigations: MitigationTerms = field(default_factory=MitigationTerms)
    """Below which margins ``meter.mitigations.from_margins`` calls for what, and for how long."""

    chain_key: bytes = field(default=b"", repr=False)
    """Key of the hash chain (up to 64 bytes), kept outside the database: with one, nobody who can only
    write to the database can forge a row. It cannot be changed once there are rows."""

    referral_key: bytes = field(default=b"", repr=False)
    """Key of the hashes that are kept of cards and addresses where referrals are bound by them, kept outside the
    database. Without one they are not taken. Changed, those that were seen before are not known again."""

    attempts: int = 12
    """How often a transaction that the database aborts is tried before `ContentionError`."""

    patience: timedelta = timedelta(seconds=30)
    """How long a caller waits for the database, all attempts together: then `LedgerBusyError` if its turn
    has not come, else `IndeterminateError`, and the connection is given up."""

    queue: int = 10_000
    """How many calls may wait for a write lane before the next gets a `LedgerBusyError` at once."""

    batch: int = 500
    """How many calls share one transaction at most."""

    lanes: int = 2
    """How many batches a process has under way at once; requests of one account share a lane. SQLite,
    which has one writer, always has one."""

    def __post_init__(self) -> None:
        check_fields(
            self, HoldSize, Quantile, Overage, OutOfFunds, Durability, Ceiling, MarginGoals, MitigationTerms
        )
        for name in ("hold_ttl", "patience"):
            if getattr(self, name) <= timedelta(0):
                msg = f"{name} must be positive"
                raise ConfigurationError(msg)
        if self.drain_for < timedelta(0):
            msg = "drain_for cannot be negative: zero turns it off"
            raise ConfigurationError(msg)
        for name in ("queue", "batch", "lanes", "drain_chunks", "max_tool_calls"):
            if getattr(self, name) < 1:
                msg = f"{name} must be at least 1"
                raise ConfigurationError(msg)
        if len(self.chain_key) > blake2b.MAX_KEY_SIZE:
            msg = f"chain_key may have at most {blake2b.MAX_KEY_SIZE} bytes"
            raise ConfigurationError(msg)
