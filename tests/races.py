"""
Everybody at one hold at once: settle, void, expire, and lots and holds that fall due meanwhile.

Each round has an account of its own with one hold on all it has. In some rounds the hold is due, in some its
lot has expired, in some both. However it goes, the hold ends once, and everybody is told how.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from tests.history import journals

from ptmeter import AsyncMeter, Meter
from ptmeter.domain.commands import Debit, Expire, Grant, Hold, Lapse, Settle, Void
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Kind, Posted, Refusal, wallet_id
from ptmeter.domain.moves import NO_REQUEST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome, Transfer, WalletId
    from ptmeter.testing import Clock

SOON, LATER = timedelta(minutes=1), timedelta(hours=1)
FUNDS, CHARGED = 10, 7
AT_ONCE: Final = 50
"""Rounds that are prepared in one transaction."""
ENDS: Final = (Kind.SETTLE, Kind.VOID, Kind.EXPIRE)
IN: Final = (Kind.GRANT, Kind.ADVANCE)
OUT: Final = (Kind.SETTLE, Kind.DEBIT, Kind.LAPSE, Kind.REPAY)


@dataclass(frozen=True)
class Round:
    """One race: whose hold it is, what has fallen due by then, and what everybody was told."""

    wallet: WalletId
    hold_due: bool
    lot_expired: bool
    told: dict[str, Outcome]


def prepared(number: int, at: datetime) -> tuple[WalletId, Linked]:
    """An account with all it has held; by turns, the hold or the lot or both will be due soon."""
    wallet = wallet_id(f"racer{number}", "core")
    facts = {"wallet": wallet, "fingerprint": digest((number,))}
    lot_ends = at + (SOON if number & 2 else LATER)
    grant = Grant(**facts, id=_name(wallet, "grant"), amount=FUNDS, expires_at=lot_ends)
    hold = Hold(**facts, id=_name(wallet, "hold"), amount=FUNDS, ttl=SOON if number & 1 else LATER)
    return wallet, (grant, hold)


def contestants(wallet: WalletId, random: Random) -> dict[str, Linked]:
    """What is asked for at once, in any order."""
    hold_id = _name(wallet, "hold")
    asked = digest((wallet,))
    expiry = transfer_id(wallet.account, "expire", hold_id.hex())
    lapse = transfer_id(wallet.account, "lapse", wallet.unit)
    everybody: list[tuple[str, Linked]] = [
        (
            "settle",
            (
                Settle(
                    wallet=wallet,
                    id=_name(wallet, "settle"),
                    fingerprint=asked,
                    hold_id=hold_id,
                    amount=CHARGED,
                ),
            ),
        ),
        ("void", (Void(wallet=wallet, id=_name(wallet, "void"), fingerprint=asked, hold_id=hold_id),)),
        ("expire", (Expire(wallet=wallet, id=expiry, fingerprint=NO_REQUEST, hold_id=hold_id),)),
        ("lapse", (Lapse(wallet=wallet, id=lapse, fingerprint=NO_REQUEST),)),
        ("debit", (Debit(wallet=wallet, id=_name(wallet, "debit"), fingerprint=asked, amount=1),)),
    ]
    random.shuffle(everybody)
    return dict(everybody)


def run(url: str, clock: Clock, *, rounds: int, asynchronous: bool) -> list[Round]:
    """So many races, by threads of a synchronous meter or tasks of an asynchronous one."""
    raced: list[Round] = []
    for first in range(0, rounds, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, rounds))
        ready = [prepared(number, clock()) for number in numbers]
        with Meter.open(url, clock=clock) as meter:
            meter.post([group for _, group in ready])
        clock.turn(2 * SOON)
        fields = [
            contestants(wallet, Random(number)) for number, (wallet, _) in zip(numbers, ready, strict=True)
        ]
        outcomes = (
            asyncio.run(_by_tasks(url, clock, fields)) if asynchronous else _by_threads(url, clock, fields)
        )
        raced += [
            Round(wallet, bool(number & 1), bool(number & 2), told)
            for number, (wallet, _), told in zip(numbers, ready, outcomes, strict=True)
        ]
    return raced


def _by_threads(url: str, clock: Clock, fields: Sequence[dict[str, Linked]]) -> list[dict[str, Outcome]]:
    with Meter.open(url, clock=clock) as meter, ThreadPoolExecutor(len(fields[0])) as pool:
        return [
            dict(zip(field, pool.map(lambda group: meter.post([group])[0][0], field.values()), strict=True))
            for field in fields
        ]


async def _by_tasks(
    url: str, clock: Clock, fields: Sequence[dict[str, Linked]]
) -> list[dict[str, Outcome]]:
    async with AsyncMeter.open(url, clock=clock) as meter:
        return [
            {
                name: answered[0][0]
                for name, answered in zip(
                    field, await asyncio.gather(*(meter.post([g]) for g in field.values())), strict=True
                )
            }
            for field in fields
        ]


def check(url: str, raced: Sequence[Round]) -> Counter[Kind]:
    """Every hold ended once and everybody was told so; returns how often each end came first."""
    with Meter.open(url) as meter:
        journal = meter._platform.store.read(_all_journals)
        report = meter.verify()
    won = Counter(check_round(each, journal[each.wallet]) for each in raced)

    assert report.clean, report.findings[:3]
    return won


def _all_journals(books: object) -> dict[WalletId, list[Transfer]]:
    return journals(books)  # type: ignore[arg-type]


def check_round(each: Round, rows: Sequence[Transfer]) -> Kind:
    """How the one hold ended."""
    [hold] = [row for row in rows if row.kind is Kind.HOLD]
    [end] = [row for row in rows if row.completes == hold.seq]
    late = [row for row in rows if row.completes == end.seq]
    told = {name: outcome for name, outcome in each.told.items() if name in {"settle", "void", "expire"}}
    posted = {name: outcome.transfer for name, outcome in told.items() if isinstance(outcome, Posted)}
    refused = {name: outcome.reason for name, outcome in told.items() if not isinstance(outcome, Posted)}

    assert end.kind in ENDS
    assert each.hold_due or end.kind is not Kind.EXPIRE
    assert {*posted.values()} <= {end, *late}, f"somebody was told of another end than {end}"
    assert end.kind is Kind.EXPIRE or {end} == {*posted.values()}
    assert len(late) == (end.kind is Kind.EXPIRE)  # the call was answered, so it is charged, once
    assert {Refusal.HOLD_NOT_PENDING, Refusal.NOT_DUE} >= {*refused.values()}
    came_in = sum(row.amount for row in rows if row.kind in IN)
    went_out = sum(row.amount for row in rows if row.kind in OUT)
    assert came_in - went_out == rows[-1].available_after
    assert 0 == rows[-1].held_after
    return end.kind


def _name(wallet: WalletId, verb: str) -> bytes:
    return transfer_id(wallet.account, verb, "race")
