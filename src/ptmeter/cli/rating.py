"""From the rows of a trace to calls: whose each is, what is held before it, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from ..domain.checks import check_amount
from ..domain.estimates import Count, Method
from ..domain.keys import digest
from ..domain.ledger import WalletId, wallet_id
from ..domain.usage import Usage
from ..errors import ConfigurationError, InvalidArgumentError, UnknownModelError
from .traces import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from ..domain.rates import Charge
    from ..pricing import Pricing, Request
    from .traces import Row, Trace


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a trace, rated. *key* names it for ever: the same trace has the same keys again."""

    key: str
    wallet: WalletId
    hold: int
    charge: Charge
    usage: Usage
    at: datetime | None


Rated: TypeAlias = "Call | Malformed"


class KnownCounts:
    """Counts the tokens of a request that consists of nothing but their number, which a trace knows."""

    def count_text(self, model: str, text: str) -> Count:  # noqa: ARG002 - the port's words
        """A trace has no text."""
        return Count(0, 0, Method.EXACT)

    def count_request(self, model: str, request: Request) -> Count:  # noqa: ARG002
        """The number itself."""
        tokens = int(request["tokens"]) if isinstance(request, dict) else 0
        return Count(tokens, tokens, Method.EXACT)


class Rating:
    """
    Rates the rows of a trace, the same each time it is asked.

    What makes a run of a trace that run is its *key*: by default the trace's content, the model and the
    number of accounts. The rate card is no part of it, so a run that was interrupted can be finished with
    a new one, and no call is charged by both.
    """

    def __init__(
        self, trace: Trace, pricing: Pricing, *, model: str | None, accounts: int, key: str | None = None
    ) -> None:
        self.trace = trace
        self.key = key or f"replay:{digest((trace.digest, model, accounts), size=8).hex()}"
        self.pricing = pricing
        self._model = model
        self._accounts = accounts
        self._hold = lru_cache(maxsize=100_000)(self._estimated)
        self._charge = lru_cache(maxsize=100_000)(self._rated)

    def calls(self, limit: int | None = None) -> Iterator[Rated]:
        """Rate the trace's rows, at most *limit* that can be read."""
        rated = 0
        for row in self.trace.rows():
            if limit is not None and rated >= limit:
                return
            call = row if isinstance(row, Malformed) else self._call(row)
            rated += not isinstance(call, Malformed)
            yield call

    def check(self) -> None:
        """
        Make sure that the model which was chosen for all rows can be rated.

        Raises:
            UnknownModelError: No price or no rate is known for it.
        """
        if self._model:
            self._estimated(self._model, 1)

    def _call(self, row: Row) -> Rated:
        model = self._model or row.model
        if model is None:
            msg = f"{self.trace.name} does not name the models of its calls: choose one with --model"
            raise ConfigurationError(msg)
        usage = row.usage
        try:
            charge = self._charge(
                model,
                usage.input_uncached,
                usage.input_cache_read,
                usage.output_text,
                usage.output_reasoning,
            )
            hold = self._hold(model, usage.input_total)
            check_amount(hold, "a hold", least=1)
            account = row.account or f"replay-{(row.line - 1) % self._accounts + 1}"
            wallet = wallet_id(account, charge.unit)
        except (InvalidArgumentError, UnknownModelError) as problem:
            return Malformed(row.line, str(problem))
        return Call(f"{self.key}:{row.line}", wallet, hold, charge, usage, row.at)

    def _estimated(self, model: str, tokens: int) -> int:
        request: Mapping[str, int] = {"tokens": tokens}
        return self.pricing.estimate(model, request).hold.micro

    def _rated(self, model: str, uncached: int, cached: int, text: int, reasoning: int) -> Charge:
        usage = Usage(
            input_uncached=uncached, input_cache_read=cached, output_text=text, output_reasoning=reasoning
        )
        return self.pricing.charge(model, usage)
