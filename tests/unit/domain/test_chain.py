"""
What a row's hash binds, and that it never changes by accident.

The bytes below are those of encoding version 1, on disk in every ledger there is: if a test here fails,
do not mend the test, write version 2.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain import chain
from ptmeter.domain.ledger import Allocation, Kind, Transfer, UsageEvent, WalletId
from ptmeter.domain.prices import Price
from ptmeter.domain.pt import Money
from ptmeter.domain.usage import Quality, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

WALLET = WalletId("acme", "pt")

# --- golden bytes -------------------------------------------------------------------------------

PLAIN = Transfer(
    id=bytes(range(16)),
    wallet=WALLET,
    seq=1,
    kind=Kind.GRANT,
    amount=5_000_000,
    available_after=5_000_000,
    held_after=0,
    fingerprint=bytes(range(16, 32)),
    effective_at=datetime(2026, 1, 1, tzinfo=UTC),
    booked_at=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    priority=50,
)
PLAIN_BYTES = (
    "01" "01"                                  # version, kind
    "000102030405060708090a0b0c0d0e0f"         # id
    "01" "0000000000000001"                    # seq
    "01" "00000000004c4b40"                    # amount
    "01" "00000000004c4b40"                    # available after
    "01" "0000000000000000"                    # held after
    "101112131415161718191a1b1c1d1e1f"         # fingerprint
    "01" "0006474d36ad0000"                    # effective at
    "01" "0006474d36ad0001"                    # booked at
    "00"                                       # completes
    "00"                                       # expires at
    "01" "0000000000000032"                    # priority
    "00000000"                                 # note
    "01" "0000000000000000"                    # allocations
    "00"                                       # usage
)  # fmt: skip

FULL = Transfer(
    id=bytes(range(16)),
    wallet=WALLET,
    seq=258,
    kind=Kind.DEBIT,
    amount=2**62 - 1,
    available_after=1,
    held_after=2,
    fingerprint=bytes(range(16, 32)),
    effective_at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    booked_at=datetime(2026, 1, 1, tzinfo=UTC),
    allocations=(Allocation(3, 4), Allocation(5, 6)),
    completes=257,
    expires_at=datetime(2026, 1, 2, tzinfo=UTC),
    priority=1_000,
    note="Gruß",
    usage=UsageEvent(
        usage=Usage(
            input_uncached=1,
            input_cache_read=2,
            input_cache_write_5m=3,
            input_cache_write_1h=4,
            input_audio=5,
            input_image=6,
            output_text=7,
            output_reasoning=8,
            output_audio=9,
            output_image=10,
            requests=11,
            tool_calls={"web_search": 12, "code": 13},
            quality=Quality.PARTIAL_ESTIMATED,
        ),
        price=Price(provider="p", model="m", source="s", rates={"input_uncached": 150_000}),
        card_version="0123456789abcdef",
        cost=Money(14, "EUR"),
    ),
)
