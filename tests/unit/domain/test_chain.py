"""
What a row's hash binds, and that it never changes by accident.

The bytes below are those of encoding version 1, on disk in every ledger there is: if a test here fails,
do not mend the test, write version 2.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain import chain, instants
from ptmeter.domain.ledger import Allocation, Kind, Transfer, UsageEvent, WalletId
from ptmeter.domain.prices import Price, Processing
from ptmeter.domain.pt import Money
from ptmeter.domain.rates import PLAIN as ORDINARY
from ptmeter.domain.rates import Complexity, Content, Workload
from ptmeter.domain.usage import Quality, Usage

WALLET = WalletId("acme", "pt")

# --- golden bytes -------------------------------------------------------------------------------

PLAIN = Transfer(
    id=bytes(range(8)),
    wallet=WALLET,
    seq=1,
    kind=Kind.GRANT,
    amount=5_000_000,
    available_after=5_000_000,
    held_after=0,
    fingerprint=bytes(range(16, 24)),
    effective_at=datetime(2026, 1, 1, tzinfo=UTC),
    booked_at=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    priority=50,
)
PLAIN_BYTES = (
    "0101"                                  # version, kind
    "0001020304050607"                         # id
    "010000000000000001"                    # seq
    "0100000000004c4b40"                    # amount
    "0100000000004c4b40"                    # available after
    "010000000000000000"                    # held after
    "1011121314151617"                         # fingerprint
    "010006474846204000"                    # effective at
    "010006474846204001"                    # booked at
    "00"                                       # completes
    "00"                                       # expires at
    "010000000000000032"                    # priority
    "00000000"                                 # note
    "010000000000000000"                    # allocations
    "00"                                       # usage
    "00000000"                                 # member
    "010000000000000001"                       # multiple
    "00000000"                                 # plan
    "00"                                       # paid
    "010000000000000000"                       # frozen after
)  # fmt: skip

FULL = Transfer(
    id=bytes(range(8)),
    wallet=WALLET,
    seq=258,
    kind=Kind.DEBIT,
    amount=2**62 - 1,
    available_after=1,
    held_after=2,
    fingerprint=bytes(range(16, 24)),
    effective_at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    booked_at=datetime(2026, 1, 1, tzinfo=UTC),
    allocations=(Allocation(3, 4), Allocation(5, 6)),
    completes=257,
    expires_at=datetime(2026, 1, 2, tzinfo=UTC),
    priority=1_000,
    note="Gruß",
    member="alice",
    multiple=2,
    plan="pro",
    paid=17,
    frozen_after=18,
    usage=UsageEvent(
        usage=Usage(
            input_uncached=1,
            input_cache_read=2,
            input_cache_read_audio=14,
            input_cache_read_image=15,
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
FULL_BYTES = (
    "0106"                                  # version, kind
    "0001020304050607"                         # id
    "010000000000000102"                    # seq
    "013fffffffffffffff"                    # amount
    "010000000000000001"                    # available after
    "010000000000000002"                    # held after
    "1011121314151617"                         # fingerprint
    "01ffffffffffffffff"                    # effective at: a microsecond before 1970
    "010006474846204000"                    # booked at
    "010000000000000101"                    # completes
    "010006475c63f7a000"                    # expires at
    "0100000000000003e8"                    # priority
    "00000005477275c39f"                    # note
    "010000000000000002"                    # allocations
    "010000000000000003010000000000000004"
    "010000000000000005010000000000000006"
    "01"                                       # usage
    "0000001030386131643463666662323664646531"  # price version
    "0000001030313233343536373839616263646566"  # card version
    "01000000000000000e00000003455552"    # cost
    "01000000000000000101000000000000000201000000000000000e01000000000000000f"
    "010000000000000003010000000000000004"
    "010000000000000005010000000000000006010000000000000007010000000000000008"
    "01000000000000000901000000000000000a"
    "01000000000000000b"                    # requests
    "000000117061727469616c5f657374696d61746564"  # quality
    "010000000000000002"                    # tools, by name
    "00000004636f646501000000000000000d"
    "0000000a7765625f73656172636801000000000000000c"
    "00000005616c696365"                       # member
    "010000000000000002"                       # multiple
    "0000000370726f"                           # plan
    "010000000000000011"                       # paid
    "010000000000000012"                       # frozen after
)  # fmt: skip

KEY = b"kept outside the database"


assert FULL.usage
HARD = replace(
    FULL,
    usage=replace(
        FULL.usage,
        workload=Workload(
            complexity=Complexity.COMPLEX, content=Content.MIXED, retry_rate=700, tool_calls=3
        ),
    ),
)
HARD_BYTES = FULL_BYTES.replace(
    "010000001030386131643463666662323664646531",
    "02"                                       # usage with a workload
    "00000007636f6d706c6578"                   # complexity
    "000000056d69786564"                       # content
    "0100000000000002bc"                       # retry rate
    "010000000000000003"                       # tool calls
    "0000001030386131643463666662323664646531",
)  # fmt: skip

assert HARD.usage
BATCHED = replace(
    HARD,
    usage=replace(HARD.usage, workload=replace(HARD.usage.workload, processing=Processing.BATCH)),
)
BATCHED_BYTES = HARD_BYTES.replace(
    "0200000007636f6d706c6578",
    "0300000007636f6d706c6578",                # usage with a workload that was not processed as usual
).replace(
    "0100000000000002bc010000000000000003",
    "0100000000000002bc010000000000000003"
    "000000056261746368",                      # processing
)  # fmt: skip


@pytest.mark.parametrize(
    ("row", "golden"),
    [(PLAIN, PLAIN_BYTES), (FULL, FULL_BYTES), (HARD, HARD_BYTES), (BATCHED, BATCHED_BYTES)],
    ids=["a grant", "a debit with everything", "a debit of a call that was not plain", "one of a batch"],
)
def test_the_bytes_of_a_row_are_what_they_always_were(row: Transfer, golden: str) -> None:
    """Version 1 of the encoding, byte for byte: every hash ever written depends on it."""
    assert golden == chain.canonical(row).hex()


@pytest.mark.parametrize(
    ("key", "golden"),
    [
        (
            b"",
            (
                "015ea7d36e9d4a57d71f3c8c6338a906ce32903d8756297a0601c8e5f728955223",
                "01bc7c993a6255c4d561f5f35829e2ae792fb2730919aa5920548af6abffe42666",
                "01127156235458176fa026db95d01c094109047ebaff1f27392e1ddc952971f158",
            ),
        ),
        (
            KEY,
            (
                "012b75dbdf4dc4f736b6e5266b42b8164688745189fbda7f151fbbfaf6a95d9b70",
                "01afd010a98e7b893775e66e202646dd7ecf7fc699df9703f4b8dd921d9c194fef",
                "0159713a466bcde1247314ff12c5b7da936da49c3bbd4fd021444a8efc7d1f97d9",
            ),
        ),
    ],
    ids=["no key", "with a key"],
)
def test_the_hashes_of_a_journal_are_what_they_always_were(
    key: bytes, golden: tuple[str, str, str]
) -> None:
    """The chain of two rows, from the wallet's name on, with and without a key."""
    start = chain.genesis(WALLET, key)
    first = chain.successor(PLAIN, start, key)
    second = chain.successor(FULL, first, key)

    assert golden == (start.hex(), first.hex(), second.hex())


def test_a_hash_begins_with_the_version_of_its_encoding() -> None:
    """A reader sees which encoding a row was hashed in before he tries it, and that it is this long."""
    hashes = [
        chain.genesis(WALLET),
        chain.genesis(WALLET, KEY),
        chain.successor(FULL, chain.genesis(WALLET)),
    ]

    assert [chain.VERSION] * 3 == [found[0] for found in hashes]
    assert [chain.SIZE] * 3 == [len(found) for found in hashes]
    assert 1 == chain.VERSION


def test_a_link_is_the_beginning_of_a_hash() -> None:
    """What a row keeps says the version too, and fits a column of eight bytes."""
    whole = chain.successor(FULL, chain.genesis(WALLET))

    assert (8, chain.VERSION) == (len(chain.link(whole)), chain.link(whole)[0])
    assert whole.startswith(chain.link(whole))


# --- no two rows have the same bytes ------------------------------------------------------------

numbers = st.integers(0, 3) | st.sampled_from([255, 256, 2**32, 2**62 - 1])
signed = numbers | st.integers(-3, -1)
ids = st.binary(min_size=8, max_size=8) | st.sampled_from([bytes(8), b"\1" * 8])
names = st.text(max_size=3) | st.sampled_from(["\0", "\0\0\0\1", "a", "aa", "\1", "ä", "a\u0308"])
moments = st.integers(-3, 3).map(instants.moment) | st.integers(0, 2**52).map(instants.moment)
prices = st.sampled_from(
    [
        Price(provider="p", model=model, source="s", rates={"output_text": rate})
        for model in "ab"
        for rate in (1, 2)
    ]
)
usages = st.builds(
    Usage,
    input_uncached=numbers,
    input_cache_read=numbers,
    input_cache_read_audio=numbers,
    input_cache_read_image=numbers,
    input_cache_write_5m=numbers,
    input_cache_write_1h=numbers,
    input_audio=numbers,
    input_image=numbers,
    output_text=numbers,
    output_reasoning=numbers,
    output_audio=numbers,
    output_image=numbers,
    requests=numbers,
    tool_calls=st.dictionaries(names, numbers, max_size=2),
    quality=st.sampled_from(Quality),
)
events = st.builds(
    UsageEvent,
    usage=usages,
    price=prices,
    card_version=names,
    cost=st.builds(Money, signed, st.sampled_from(["USD", "EUR"])),
    workload=st.just(ORDINARY)
    | st.builds(
        Workload,
        complexity=st.sampled_from(Complexity),
        content=st.sampled_from(Content),
        retry_rate=numbers,
        tool_calls=numbers,
        processing=st.sampled_from(Processing),
        routed=names,
    ),
)

COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "seq": numbers,
    "kind": st.sampled_from(Kind),
    "amount": numbers,
    "available_after": numbers,
    "held_after": numbers,
    "fingerprint": ids,
    "effective_at": moments,
    "booked_at": moments,
    "allocations": st.lists(st.builds(Allocation, numbers, numbers), max_size=3).map(tuple),
    "completes": st.none() | numbers,
    "expires_at": st.none() | moments,
    "priority": st.none() | signed,
    "note": names,
    "usage": st.none() | events,
    "member": names,
    "multiple": numbers,
    "plan": names,
    "paid": st.none() | numbers,
    "frozen_after": numbers,
}
transfers = st.builds(Transfer, wallet=st.just(WALLET), **COLUMNS)


def test_every_column_is_drawn() -> None:
    """A column that is added to a row is added to its bytes, and to the strategies here."""
    assert {field.name for field in fields(Transfer)} - {"wallet", "link"} == COLUMNS.keys()


@given(transfers, transfers)
def test_different_rows_have_different_bytes(one: Transfer, other: Transfer) -> None:
    """Two rows have the same bytes only if they say the same; and none is the beginning of another."""
    bytes_of_one, bytes_of_other = chain.canonical(one), chain.canonical(other)

    assert (one == other) is (bytes_of_one == bytes_of_other)
    assert one == other or not bytes_of_one.startswith(bytes_of_other)


@given(transfers, st.sampled_from(sorted(COLUMNS)), st.data())
def test_changing_one_column_changes_the_bytes(row: Transfer, column: str, data: st.DataObject) -> None:
    """Whichever column is changed, to whatever it is changed: the bytes are others."""
    value = data.draw(COLUMNS[column])
    changed = replace(row, **{column: value})

    assert (value == getattr(row, column)) is (chain.canonical(row) == chain.canonical(changed))


@given(events, events)
def test_different_usage_has_different_bytes(one: UsageEvent, other: UsageEvent) -> None:
    """What was charged for is bound as firmly as what was charged."""
    with_one, with_other = replace(PLAIN, usage=one), replace(PLAIN, usage=other)

    assert (one == other) is (chain.canonical(with_one) == chain.canonical(with_other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"completes": 5, "expires_at": None}, {"completes": None, "expires_at": instants.moment(5)}),
        ({"completes": 0}, {"completes": None}),
        ({"priority": 0}, {"priority": None}),
        ({"note": "", "allocations": (Allocation(1, 2),)}, {"note": "\0", "allocations": ()}),
        (
            {"allocations": (Allocation(1, 2), Allocation(3, 4))},
            {"allocations": (Allocation(3, 4), Allocation(1, 2))},
        ),
        ({"available_after": 1, "held_after": 2}, {"available_after": 2, "held_after": 1}),
        ({"id": b"\1" * 8, "fingerprint": bytes(8)}, {"id": bytes(8), "fingerprint": b"\1" * 8}),
    ],
)
def test_what_looks_alike_is_told_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Absent is not zero, order matters, and nothing slips from one column into the next."""
    assert chain.canonical(replace(PLAIN, **one)) != chain.canonical(replace(PLAIN, **other))


@given(transfers, st.integers(-12, 14))
def test_the_bytes_do_not_depend_on_a_time_zone(row: Transfer, hours: int) -> None:
    """The same moment is the same bytes, however it is written."""
    zone = timezone(timedelta(hours=hours))
    expires_at = row.expires_at.astimezone(zone) if row.expires_at else None
    elsewhere = replace(row, booked_at=row.booked_at.astimezone(zone), expires_at=expires_at)

    assert chain.canonical(row) == chain.canonical(elsewhere)


@given(moments)
def test_a_moment_survives_the_way_through_the_database(moment: datetime) -> None:
    """Microseconds since 1970 and back: nothing is lost, before 1970 neither."""
    assert moment == instants.moment(instants.microseconds(moment))


def test_a_moment_is_counted_from_1970() -> None:
    """In microseconds, in UTC."""
    assert datetime(1970, 1, 2, 0, 0, 0, 3, tzinfo=UTC) == instants.moment(86_400_000_003)


# --- what a hash binds --------------------------------------------------------------------------


@given(transfers, st.integers(0, chain.SIZE * 8 - 1))
def test_a_hash_binds_the_one_before(row: Transfer, bit: int) -> None:
    """Flip any bit of the hash before, and the row's own is another."""
    before = chain.genesis(WALLET)
    flipped = (int.from_bytes(before, "big") ^ (1 << bit)).to_bytes(chain.SIZE, "big")

    assert chain.successor(row, before) != chain.successor(row, flipped)


@given(transfers, st.binary(min_size=1, max_size=64))
def test_a_hash_binds_the_key(row: Transfer, key: bytes) -> None:
    """Without the key, or with another one, the hash cannot be computed."""
    before = chain.genesis(WALLET)
    another = key[:-1] + bytes([key[-1] ^ 1])

    hashes = [chain.successor(row, before, k) for k in (b"", key, another)]

    assert len(hashes) == len(set(hashes))


def test_no_key_is_the_empty_one() -> None:
    """Whoever leaves the key out hashes as one who has none."""
    start = chain.genesis(WALLET)

    assert chain.genesis(WALLET, b"") == start
    assert chain.successor(PLAIN, start, b"") == chain.successor(PLAIN, start)


@given(names, names, names, names)
def test_a_journal_begins_with_its_own_name(account: str, unit: str, account2: str, unit2: str) -> None:
    """Two wallets begin differently, also where their names run together the same."""
    one, other = WalletId(account, unit), WalletId(account2, unit2)

    assert (one == other) is (chain.genesis(one) == chain.genesis(other))
    assert chain.genesis(one) != chain.genesis(one, KEY)


def test_names_that_run_together_the_same_begin_differently() -> None:
    """The boundary between account and unit is bound too."""
    assert chain.genesis(WalletId("ab", "c")) != chain.genesis(WalletId("a", "bc"))
