"""Prices and rate cards, kept word for word under the hash of their content, never changed."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import exists, func, select

from ..domain.audit import Finding
from ..domain.instants import moment
from ..domain.ledger import Kind
from ..domain.prices import Price, PriceUse
from ..domain.rollups import sells_at
from ..errors import InvariantError
from .columns import version_from, version_row
from .rows import names_its_row
from .tables import price, rate_card, transfer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Row

    from ..domain.pt import Money
    from ..domain.rates import RateCard
    from .statements import Statements

_CORRECTIONS: Final = (int(Kind.ADJUST_UP), int(Kind.ADJUST_DOWN))


class Versions:
    """
    Prices and card versions this store has *seen in the database*, so that it need not look again.

    Only what a query returned is added: a row written by a transaction that later rolled back is not.
    """

    def __init__(self) -> None:
        self.prices: dict[str, Price] = {}
        self.cards: set[str] = set()
        self.selling: dict[str, Mapping[str, Money]] = {}

    def apart(self) -> Versions:
        """What is known, for a transaction that may be rolled back behind our back: what it sees stays there."""
        copy = Versions()
        copy.prices, copy.cards = dict(self.prices), set(self.cards)
        copy.selling = dict(self.selling)
        return copy


class PriceShelf:
    """The prices that debits were rated by; see `ports.Prices`."""

    def __init__(self, connection: Connection, statements: Statements, seen: Versions) -> None:
        self._connection = connection
        self._sql = statements
        self._seen = seen
        self._written: set[str] = set()

    def keep(self, prices: Iterable[Price]) -> None:
        """Write down those that are not there yet."""
        new = {p.version: p for p in prices if p.version not in self._seen.prices}
        if not new:
            return
        there = self.find(new)
        for version, kept in new.items():
            if version not in there:
                row = {"version": version_row(version), "provider": kept.provider, "model": kept.model}
                self._connection.execute(self._sql.keep_price, {**row, "body": kept.as_json()})
                self._written.add(version)

    def find(self, versions: Iterable[str]) -> dict[str, Price]:
        """The prices of these versions, as far as they are known."""
        wanted = set(versions)
        known = {v: self._seen.prices[v] for v in wanted if v in self._seen.prices}
        if missing := wanted - known.keys():
            query = select(price.c.version, price.c.body).where(
                price.c.version.in_([version_row(version) for version in missing])
            )
            found = [_price_from(row) for row in self._connection.execute(query)]
            known |= {kept.version: kept for kept in found}
        self._seen.prices |= {v: p for v, p in known.items() if v not in self._written}
        return known

    def uses(self) -> list[PriceUse]:
        """See `ports.Prices.uses`."""
        rated = transfer.c.price_version
        query = (
            select(rated, func.count().label("calls"), func.max(transfer.c.booked_at).label("last_at"))
            .where(rated.is_not(None), transfer.c.kind.not_in(_CORRECTIONS))
            .group_by(rated)
        )
        found = self._connection.execute(query).all()
        prices = self.find(version_from(row.price_version) for row in found)
        return [
            PriceUse(prices[version_from(row.price_version)], row.calls, moment(row.last_at))
            for row in found
        ]


@names_its_row("ptm_price", "version")
def _price_from(row: Row[Any]) -> Price:
    version, kept = version_from(row.version), Price.from_json(row.body)
    if kept.version != version:
        msg = f"price {version} of {kept.model} is not what it was: its content gives {kept.version}"
        raise InvariantError(msg)
    return kept


class SqlCards:
    """The rate cards that debits were rated by."""

    def __init__(self, connection: Connection, statements: Statements, seen: Versions) -> None:
        self._connection = connection
        self._sql = statements
        self._seen = seen
        self._written: set[str] = set()

    def keep(self, card: RateCard) -> None:
        """See `ports.Cards.keep`."""
        if card.version in self._seen.cards or card.version in self._written:
            return
        if self.find(card.version) is None:
            self._connection.execute(
                self._sql.keep_card, {"version": version_row(card.version), "body": card.as_json()}
            )
            self._written.add(card.version)
        else:
            self._seen.cards.add(card.version)

    def find(self, version: str) -> str | None:
        """See `ports.Cards.find`."""
        query = select(rate_card.c.body).where(rate_card.c.version == version_row(version))
        return self._connection.execute(query).scalar_one_or_none()

    def selling(self, version: str) -> Mapping[str, Money]:
        """See `ports.Cards.selling`; a version is the hash of what it says, so that can be remembered."""
        known = self._seen.selling.get(version)
        if known is None:
            body = self.find(version)
            known = sells_at(body or "")
            if body is not None and _hash(body) == version:
                self._seen.selling[version] = known
        return known

    def altered(self) -> list[Finding]:
        """See `ports.Cards.altered`; what the store has seen before does not count."""
        found: list[Finding] = []
        for row in self._connection.execute(select(price)):
            version = version_from(row.version)
            if _hash(row.body) != version:
                found.append(Finding("ptm_price", version, "row", "its body is not what it was"))
            elif (row.provider, row.model) != _named(Price.from_json(row.body)):
                found.append(Finding("ptm_price", version, "row", "it is named otherwise than in its body"))
        for row in self._connection.execute(select(rate_card)):
            version = version_from(row.version)
            if _hash(row.body) != version:
                found.append(Finding("ptm_rate_card", version, "row", "its body is not what it was"))
        return found

    def missing(self) -> list[Finding]:
        """See `ports.Cards.missing`."""
        used = transfer.c.card_version
        unknown = ~exists().where(rate_card.c.version == used)
        query = select(used).distinct().where(used.is_not(None), unknown).order_by(used)
        return [
            Finding("ptm_rate_card", version_from(version), "row", "it was used and is missing")
            for version in self._connection.execute(query).scalars()
        ]


def _hash(body: str) -> str:
    return blake2b(body.encode(), digest_size=8).hexdigest()


def _named(kept: Price) -> tuple[str, str]:
    return kept.provider, kept.model
