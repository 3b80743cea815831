"""The steps a claim about a store is made of: give, hold, settle, void, and look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ..domain.commands import Debit
from ..domain.keys import fingerprint, transfer_id
from ..domain.ledger import Overage, wallet_id
from ..domain.pt import MICRO, PT
from ..domain.receipts import Granted, Hold, Receipt
from ..operations import funding, holding, metering, reading, verifying
from ..operations.posting import post

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ..domain.commands import Command
    from ..domain.ledger import Outcome
    from ..domain.receipts import UnitBalance
    from ..ports import Store

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def give(
    store: Store,
    amount: int,
    *,
    account: str = "acme",
    unit: str = "core",
    key: str = "g",
    priority: int = 50,
    expires_at: datetime | None = None,
) -> Granted:
    """Grant whole PT."""
    granted = store.post(
        account,
        partial(
            funding.grant,
            account=account,
            amounts={unit: amount * MICRO},
            source="test",
            key=key,
            priority=priority,
            expires_at=expires_at,
        ),
    )
    assert isinstance(granted, Granted), granted
    return granted


def hold(
    store: Store, amount: int, *, account: str = "acme", unit: str = "core", key: str = "h"
) -> Hold | Exception:
    """Try to hold whole PT for a minute."""
    amounts = {unit: amount * MICRO}
    return store.post(account, partial(holding.hold, account=account, amounts=amounts, key=key, ttl=MINUTE))


def held(store: Store, amount: int, *, key: str = "h") -> Hold:
    """Hold whole PT for a minute."""
    placed = hold(store, amount, key=key)
    assert isinstance(placed, Hold), placed
    return placed


def settle(
    store: Store, placed: Hold, amount: int, *, key: str = "s", overage: Overage = Overage.ALLOW
) -> Receipt | Exception:
    """Try to settle a hold for whole PT."""
    amounts = {"core": amount * MICRO}
    return store.post(
        placed.account,
        partial(metering.settle, held=placed, amounts=amounts, key=key, overage=overage),
    )


def void(store: Store, placed: Hold, *, key: str = "v") -> Receipt | Exception:
    """Try to void a hold."""
    return store.post(placed.account, partial(metering.void, held=placed, key=key))


def debit(account: str, amount: int, *, key: str = "") -> Debit:
    """The command that debits whole PT."""
    key = key or str(amount)
    return Debit(
        wallet=wallet_id(account, "core"),
        id=transfer_id(account, "debit", key),
        fingerprint=fingerprint(account, "debit", key, amount),
        amount=amount * MICRO,
    )


def elsewhere(command: Debit) -> Debit:
    """Another request under the command's key: for another unit."""
    wallet = wallet_id(command.wallet.account, "advanced")
    return replace(command, wallet=wallet, fingerprint=bytes(8))


def post_each(store: Store, commands: Iterable[Command]) -> list[Outcome]:
    """Post commands in one batch, each for itself."""
    outcomes = store.run(partial(post, batch=[(command,) for command in commands]))
    return [outcome for (outcome,) in outcomes]


def wallet(store: Store, unit: str = "core") -> Any:
    """The wallet as stored."""
    return next(w for w in store.read(lambda books: books.ledger.wallets("acme")) if w.id.unit == unit)


def balance(store: Store, unit: str = "core", account: str = "acme") -> UnitBalance:
    """One unit's balance."""
    return store.read(partial(reading.balance, account=account))[unit]


def figures(store: Store) -> tuple[PT, PT, PT]:
    """Available, held and spent."""
    now = balance(store)
    return now.available, now.held, now.spent


def statement(store: Store, *, account: str = "acme", limit: int = 100, after: str | None = None) -> Any:
    """A page of the statement."""
    read = partial(reading.statement, account=account, since=None, until=None, after=after, limit=limit)
    return store.read(read)


def assert_clean(store: Store) -> None:
    """Everything derived agrees with the journal."""
    report = store.survey(verifying.verify)
    assert report.clean, report
