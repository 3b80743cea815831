"""The steps a claim about one lot is made of: a wallet with lots of certain amounts, and commands on them."""

from __future__ import annotations

from typing import Any

from tests.unit.domain.shelf import Shelf
from tests.unit.domain.strategies import START, WALLETS

from ptmeter.domain.commands import Grant
from ptmeter.domain.keys import digest

WALLET = WALLETS[0]


def asked(key: str) -> dict[str, Any]:
    return {"wallet": WALLET, "id": digest((key,)), "fingerprint": digest((f"{key}?",))}


def of_lot(verb: Any, key: str, amount: int, *, lot: int = 1, **more: Any) -> Any:
    return verb(**asked(key), lot=lot, amount=amount, note="case 7", **more)


def shelf_with(*lots: int, expires_at: Any = None) -> Shelf:
    """A wallet with so many lots, numbered from 1, of these amounts."""
    shelf = Shelf()
    shelf.open(WALLET, START)
    for number, amount in enumerate(lots, 1):
        shelf.post([(Grant(**asked(f"grant {number}"), amount=amount, expires_at=expires_at),)], START)
    return shelf


def do(shelf: Shelf, *commands: Any, at: Any = START) -> Any:
    """Post a group; returns what its last command came to."""
    [outcomes] = shelf.post([commands], at)
    return outcomes[-1]
