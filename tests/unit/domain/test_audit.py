"""Whatever is done to a journal or to what is derived from it, the audit says where it was done first."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.naive import Terms
from tests.unit.domain.shelf import CHAIN_KEY, Shelf
from tests.unit.domain.strategies import PRICE, START, USAGE

from ptmeter.domain import chain
from ptmeter.domain.audit import Finding, Report, WalletAudit
from ptmeter.domain.commands import (
    Adjust,
    Debit,
    Expire,
    Freeze,
    Grant,
    Hold,
    Reverse,
    Settle,
    Unfreeze,
    Void,
)
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import (
    SETS_ASIDE,
    Allocation,
    Kind,
    Lot,
    OpenHold,
    Overage,
    Transfer,
    UsageEvent,
    WalletId,
)
from ptmeter.domain.prices import Processing
from ptmeter.domain.pt import Money
from ptmeter.domain.rates import Complexity, Content, Workload
from ptmeter.domain.usage import TOKEN_CLASSES, Quality, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ptmeter.domain.commands import Command
    from ptmeter.domain.ledger import Wallet

WALLET = WalletId("acme", "pt")
ANOTHER = WalletId("zeta", "pt")
INSTANT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


# --- a journal with a row of every kind ---------------------------------------------------------


class Story(NamedTuple):
    """A wallet's journal, and what is derived from it."""

    rows: tuple[Transfer, ...]
    wallet: Wallet
    holds: tuple[OpenHold, ...]


def named(key: str) -> bytes:
    return digest((key,))


@cache
def story() -> Story:
    shelf, at = Shelf(), START
    shelf.open(WALLET, START - MINUTE)
    shelf.set_terms(WALLET, Terms(START, credit_limit=20))
    asked = {
        name: {"id": named(name), "wallet": WALLET, "fingerprint": named(f"{name}?")} for name in NAMES
    }
    told: list[tuple[timedelta, Command]] = [
        (
            0 * MINUTE,
            Grant(**asked["g1"], amount=100, priority=10, expires_at=START + HOUR, note="promotion"),
        ),
        (0 * MINUTE, Grant(**asked["g2"], amount=50)),
        (0 * MINUTE, Hold(**asked["h1"], amount=30, ttl=MINUTE)),
        (0 * MINUTE, Hold(**asked["h2"], amount=20, ttl=MINUTE)),
        (0 * MINUTE, Settle(**asked["s1"], hold_id=named("h1"), amount=45, usage=USAGE)),
        (0 * MINUTE, Hold(**asked["h3"], amount=60, ttl=MINUTE)),
        (0 * MINUTE, Settle(**asked["s3"], hold_id=named("h3"), amount=45)),
        (0 * MINUTE, Hold(**asked["h4"], amount=10, ttl=MINUTE)),
        (0 * MINUTE, Void(**asked["v4"], hold_id=named("h4"))),
        (0 * MINUTE, Adjust(**asked["up"], amount=7, note="a correction")),
        (0 * MINUTE, Adjust(**asked["down"], amount=-3, note="and back")),
        (2 * MINUTE, Expire(**asked["e2"], hold_id=named("h2"))),
        (0 * MINUTE, Settle(**asked["s2"], hold_id=named("h2"), amount=4, usage=USAGE)),
        (1 * HOUR, Debit(**asked["d1"], amount=60, overage=Overage.ALLOW, usage=USAGE)),
        (0 * MINUTE, Grant(**asked["g3"], amount=100)),
        (0 * MINUTE, Hold(**asked["h5"], amount=5, ttl=HOUR, extends=1)),
        (0 * MINUTE, Freeze(**asked["f1"], lot=18, amount=20, note="a dispute")),
        (0 * MINUTE, Unfreeze(**asked["u1"], lot=18, amount=5, note="won")),
        (0 * MINUTE, Reverse(**asked["r1"], lot=18, amount=100, note="lost", frozen=8)),
        (0 * MINUTE, Grant(**asked["g4"], amount=1)),
    ]
    for passed, command in told:
        at += passed
        shelf.post([(command,)], at)
    return Story(tuple(shelf.journal[WALLET]), shelf.full_wallet(WALLET), tuple(shelf.open_holds(WALLET)))


NAMES = (
    "g1",
    "g2",
    "h1",
    "h2",
    "s1",
    "h3",
    "s3",
    "h4",
    "v4",
    "up",
    "down",
    "e2",
    "s2",
    "d1",
    "g3",
    "h5",
    "g4",
    "f1",
    "u1",
    "r1",
)


def rows_of_every_kind() -> list[Transfer]:
    """One row of each kind, and besides those with what the first of a kind may lack."""
    chosen = {row.kind: row for row in reversed(story().rows)}
    chosen_seqs = {row.seq for row in chosen.values()}
    others = [row for row in story().rows if row.usage or row.completes or len(row.allocations) > 1]
    return [*chosen.values(), *(row for row in others if row.seq not in chosen_seqs)]


def read(rows: Sequence[Transfer], *, wallet: WalletId = WALLET, key: bytes = CHAIN_KEY) -> Finding | None:
    return WalletAudit(wallet, key).read(rows)


def compare(wallet: Wallet, holds: Sequence[OpenHold]) -> list[Finding]:
    audit = WalletAudit(WALLET, CHAIN_KEY)
    assert None is audit.read(story().rows)
    return audit.compare(wallet, holds)


def sealed(rows: Sequence[Transfer], key: bytes, *, after: bytes = b"") -> list[Transfer]:
    """The rows with their hashes computed anew, as somebody would who can write to the database."""
    whole = after or chain.genesis(WALLET, key)
    anew: list[Transfer] = []
    for row in rows:
        whole = chain.successor(row, whole, key)
        anew.append(replace(row, link=chain.link(whole)))
    return anew


def head(rows: Sequence[Transfer]) -> bytes:
    """The whole hash of the last of these rows."""
    whole = chain.genesis(WALLET, CHAIN_KEY)
    for row in rows:
        whole = chain.successor(row, whole, CHAIN_KEY)
    return whole


def test_the_story_has_every_kind_and_is_clean() -> None:
    """The journal that is tampered with below has a row of every kind, and the audit agrees with it."""
    rows, wallet, holds = story()

    assert set(Kind) == {row.kind for row in rows}
    assert None is read(rows)
    assert [] == compare(wallet, holds)


def test_reading_in_pages_is_reading_at_once() -> None:
    """An audit goes on where it stopped, so a journal of any length fits in little memory."""
    rows, wallet, holds = story()
    audit = WalletAudit(WALLET, CHAIN_KEY)

    for row in rows:
        assert None is audit.read([row])

    assert [] == audit.compare(wallet, holds)


# --- one column at a time -----------------------------------------------------------------------


def flipped(value: bytes, at: int = 0) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def _moments(value: datetime | None) -> list[datetime | None]:
    return [START] if value is None else [value + INSTANT, value - INSTANT, value + HOUR]


def _numbers(value: int | None) -> list[int | None]:
    return [1] if value is None else [value + 1, value - 1, -value, value + 2**32]


def _kinds(kind: Kind) -> list[Kind]:
    return [other for other in Kind if other is not kind]


def _allocations(parts: tuple[Allocation, ...]) -> list[tuple[Allocation, ...]]:
    if not parts:
        return [(Allocation(1, 1),)]
    (lot, part), *others = parts
    return [
        (),
        tuple(others),
        (Allocation(lot, part + 1), *others),
        (Allocation(lot + 1, part), *others),
        (*parts, Allocation(lot, 1)),
        (Allocation(lot, 1), Allocation(lot, part - 1), *others) if part > 1 else (),
    ]


WORKLOAD: dict[str, Any] = {
    "complexity": Complexity.MODERATE,
    "content": Content.CODE,
    "retry_rate": 1,
    "tool_calls": 1,
    "processing": Processing.FLEX,
    "routed": "gpt-4o: too thin",
}
"""What a call was not, of each thing a workload says."""


def _events(event: UsageEvent | None) -> list[UsageEvent | None]:
    if event is None:
        return [USAGE]
    counted: list[Usage] = [
        *(replace(event.usage, **{name: getattr(event.usage, name) + 1}) for name in TOKEN_CLASSES),
        replace(event.usage, requests=event.usage.requests + 1),
        replace(event.usage, quality=Quality.PARTIAL_ESTIMATED),
        replace(event.usage, tool_calls={}),
        replace(event.usage, tool_calls={"web_search": 3}),
        replace(event.usage, tool_calls={"web_fetch": 2}),
        replace(event.usage, tool_calls={"web_search": 2, "web_fetch": 0}),
    ]
    return [
        None,
        *(replace(event, usage=usage) for usage in counted),
        replace(event, price=replace(PRICE, rates={"input_uncached": 1})),
        replace(event, card_version="c2"),
        replace(event, cost=Money(event.cost.nano + 1)),
        replace(event, cost=Money(event.cost.nano, "EUR")),
        *(
            replace(event, workload=replace(event.workload, **{name: value}))
            for name, value in WORKLOAD.items()
        ),
    ]


OTHER: dict[str, Callable[[Any], list[Any]]] = {
    "id": lambda value: [flipped(value), flipped(value, -1), bytes(8)],
    "seq": lambda value: [value + 1, value - 1],
    "kind": _kinds,
    "amount": _numbers,
    "available_after": _numbers,
    "held_after": _numbers,
    "fingerprint": lambda value: [flipped(value), flipped(value, -1)],
    "effective_at": _moments,
    "booked_at": _moments,
    "allocations": _allocations,
    "completes": _numbers,
    "expires_at": lambda value: [*_moments(value), *([None] if value else [])],
    "priority": _numbers,
    "note": lambda value: [value + " ", "", "other"] if value else ["other"],
    "usage": _events,
    "member": lambda value: ["bob", "" if value else "alice"],
    "multiple": lambda value: [value + 1, 1 if value > 1 else 7],
    "plan": lambda value: ["team", "" if value else "pro"],
    "paid": lambda value: [7, 0, *([] if value is None else [None, value + 1])],
    "frozen_after": _numbers,
    "link": lambda value: [flipped(value), flipped(value, -1), value[:-1], b""],
}
"""What somebody may write into each column instead of what is there."""


def tamperings(row: Transfer) -> list[tuple[str, Transfer]]:
    return [
        (name, replace(row, **{name: value}))
        for name, others in OTHER.items()
        for value in others(getattr(row, name))
        if value != getattr(row, name)
    ]


def test_no_column_is_left_out() -> None:
    """Every column of a row, and every field of a usage event, is tampered with below."""
    event = {field.name for field in fields(UsageEvent)} | {field.name for field in fields(Usage)}

    assert {field.name for field in fields(Transfer)} - {"wallet"} == OTHER.keys()
    assert {
        "usage",
        "price",
        "card_version",
        "cost",
        "requests",
        "tool_calls",
        "quality",
        "workload",
        *TOKEN_CLASSES,
    } == event
    assert {field.name for field in fields(Workload)} == WORKLOAD.keys()


@pytest.mark.parametrize("row", rows_of_every_kind(), ids=lambda row: f"{row.seq}-{row.kind.name.lower()}")
def test_a_changed_column_is_found_in_its_row(row: Transfer) -> None:
    """Whichever column of whichever kind of row is changed, to whatever: that row is named, no later one."""
    before, after = story().rows[: row.seq - 1], story().rows[row.seq :]

    found = [(name, bad, read([*before, bad, *after])) for name, bad in tamperings(row)]

    place = f"transfer {row.seq} ({row.kind.name.lower()})"
    wrong = [
        (name, finding)
        for name, bad, finding in found
        if not finding or (finding.row != place and name not in {"seq", "kind"})
    ]
    assert [] == wrong
    assert {"acme"} == {finding.account for _, _, finding in found if finding}
    assert all(
        finding.row == f"transfer {bad.seq} ({bad.kind.name.lower()})"
        for name, bad, finding in found
        if finding and name in {"seq", "kind"}
    )


def test_a_journal_cannot_be_another_wallets() -> None:
    """The rows of one wallet, copied into another's journal to the letter, are found out at the first."""
    moved = [replace(row, wallet=ANOTHER) for row in story().rows]

    finding = read(moved, wallet=ANOTHER)

    assert finding
    assert ("zeta", "pt", "transfer 1 (grant)") == finding[:3]


# --- whole rows ---------------------------------------------------------------------------------

EVERY_PLACE = range(1, len(story().rows) + 1)


@pytest.mark.parametrize("seq", EVERY_PLACE[:-1])
def test_a_deleted_row_is_missed_at_the_next(seq: int) -> None:
    """The row after the gap says how many are missing."""
    rows = list(story().rows)
    following = rows[seq]
    del rows[seq - 1]

    finding = read(rows)

    assert finding
    assert f"transfer {seq + 1} ({following.kind.name.lower()})" == finding.row
    assert "1 rows are missing" in finding.problem


@pytest.mark.parametrize("seq", EVERY_PLACE)
def test_a_journal_cut_short_disagrees_with_what_is_derived(seq: int) -> None:
    """Rows gone from the end leave a clean chain: the wallet gives them away."""
    audit = WalletAudit(WALLET, CHAIN_KEY)

    assert None is audit.read(story().rows[: seq - 1])
    assert "wallet" in {finding.row for finding in audit.compare(story().wallet, story().holds)}


@pytest.mark.parametrize("seq", EVERY_PLACE)
def test_a_row_written_twice_is_found_at_the_second(seq: int) -> None:
    """A row inserted once more, right behind itself, is out of place."""
    rows = list(story().rows)
    rows.insert(seq, rows[seq - 1])

    finding = read(rows)

    assert finding
    assert f"transfer {seq} ({rows[seq].kind.name.lower()})" == finding.row


@pytest.mark.parametrize("seq", EVERY_PLACE[:-1])
def test_swapped_rows_are_found_at_the_first_of_them(seq: int) -> None:
    """Two neighbours in the wrong order are out of place, renumbered or not."""
    rows = list(story().rows)
    first, second = rows[seq - 1 : seq + 1]
    renumbered = [replace(second, seq=first.seq), replace(first, seq=second.seq)]

    plain = read([*rows[: seq - 1], second, first, *rows[seq + 1 :]])
    hidden = read([*rows[: seq - 1], *renumbered, *rows[seq + 1 :]])

    assert plain
    assert hidden
    assert f"transfer {seq + 1} ({second.kind.name.lower()})" == plain.row
    assert f"transfer {seq} ({second.kind.name.lower()})" == hidden.row


@pytest.mark.parametrize("seq", EVERY_PLACE)
def test_an_invented_row_is_found(seq: int) -> None:
    """A row slipped in behind another, with everything after it renumbered, is named itself."""
    rows = story().rows
    head = rows[seq - 1]
    gift = replace(
        head,
        seq=seq + 1,
        id=named("gift"),
        kind=Kind.ADJUST_UP,
        amount=1_000,
        available_after=head.available_after + 1_000,
        booked_at=head.booked_at + INSTANT,
        allocations=(),
        completes=None,
        priority=50,
        usage=None,
    )
    after = [replace(row, seq=row.seq + 1) for row in rows[seq:]]

    finding = read([*rows[:seq], gift, *after])

    assert finding
    assert f"transfer {seq + 1} (adjust_up)" == finding.row


# --- the chain ----------------------------------------------------------------------------------


def test_a_row_sealed_anew_without_the_key_is_found() -> None:
    """Who can write to the database but lacks the key cannot hide: the first row he sealed is named."""
    rows = story().rows
    for row in rows_of_every_kind():
        before, after = rows[: row.seq - 1], rows[row.seq :]
        bad = replace(row, note="never happened")

        finding = read([*before, *sealed([bad, *after], b"", after=head(before))])

        assert finding
        assert f"transfer {row.seq} ({row.kind.name.lower()})" == finding.row
        assert "hash" in finding.problem


def test_a_journal_sealed_anew_without_a_key_passes_where_there_is_none() -> None:
    """Without a key the chain only proves that the rows belong together; that is what the key is for."""
    rows = list(sealed(story().rows, b""))
    rows[0] = replace(rows[0], note="never happened")

    assert None is not read(rows, key=b"")
    assert None is read(sealed(rows, b""), key=b"")
    assert None is not read(sealed(rows, b""), key=CHAIN_KEY)


def test_another_key_fits_no_row() -> None:
    """A journal read with the wrong key, or with none, is wrong from the first row on."""
    for key in (b"", b"another", CHAIN_KEY[:-1]):
        finding = read(story().rows, key=key)

        assert finding
        assert "transfer 1 (grant)" == finding.row


# --- what does not follow, though its hash is right ---------------------------------------------


@cache
def base() -> tuple[Transfer, ...]:
    """
    Holds in every state: open, settled with an overage, voided, expired, and charged late.

    Available are 90 of lot 1 and 2 of lot 4, which burns first and is over after an hour; of the open
    hold's 50 there are 40 of lot 2 and 10 of lot 1.
    """
    shelf = Shelf()
    shelf.open(WALLET, START - MINUTE)
    asked = {
        name: {"id": named(name), "wallet": WALLET, "fingerprint": named(f"{name}?")} for name in NAMES
    }
    told: list[tuple[timedelta, Command]] = [
        (0 * MINUTE, Grant(**asked["g1"], amount=100)),
        (0 * MINUTE, Grant(**asked["g2"], amount=40, priority=10, expires_at=START + HOUR)),
        (0 * MINUTE, Hold(**asked["h1"], amount=50, ttl=3 * HOUR)),
        (0 * MINUTE, Grant(**asked["g3"], amount=10, priority=10, expires_at=START + HOUR)),
        (0 * MINUTE, Hold(**asked["h2"], amount=5, ttl=MINUTE)),
        (0 * MINUTE, Settle(**asked["s2"], hold_id=named("h2"), amount=6)),
        (0 * MINUTE, Hold(**asked["h3"], amount=5, ttl=MINUTE)),
        (0 * MINUTE, Void(**asked["v4"], hold_id=named("h3"))),
        (0 * MINUTE, Hold(**asked["h4"], amount=5, ttl=MINUTE)),
        (MINUTE + 9 * INSTANT, Expire(**asked["e2"], hold_id=named("h4"))),
        (0 * MINUTE, Hold(**asked["h5"], amount=5, ttl=MINUTE)),
        (2 * MINUTE, Expire(**asked["s3"], hold_id=named("h5"))),
        (0 * MINUTE, Settle(**asked["s1"], hold_id=named("h5"), amount=2)),
    ]
    at = START
    for passed, command in told:
        at += passed
        shelf.post([(command,)], at)
    return tuple(shelf.journal[WALLET])


def place_of(key: str) -> int:
    return next(row.seq for row in base() if row.id == named(key))


def forged(kind: Kind, amount: int, *parts: tuple[int, int], **facts: Any) -> Transfer:
    """One more row, in its place and with the balance it leads to, but not as the planner would have it."""
    last = base()[-1]
    hold = base()[facts["completes"] - 1] if kind in HOLD_ENDS and facts.get("completes") else None
    held = -hold.amount if hold else amount if kind in SETS_ASIDE else 0
    used = amount if kind is Kind.SETTLE else 0
    available = -held - used
    if kind in {Kind.GRANT, Kind.ADVANCE, Kind.ADJUST_UP}:
        available = amount
    elif kind not in {*HOLD_ENDS, *SETS_ASIDE}:
        available = amount if kind is Kind.UNFREEZE else -amount
    frozen = {Kind.FREEZE: amount, Kind.UNFREEZE: -amount}.get(kind, 0)
    row = Transfer(
        id=named("forged"),
        wallet=WALLET,
        seq=last.seq + 1,
        kind=kind,
        amount=amount,
        available_after=last.available_after + available,
        held_after=last.held_after + held,
        frozen_after=last.frozen_after + frozen,
        fingerprint=bytes(8),
        effective_at=last.booked_at,
        booked_at=last.booked_at + INSTANT,
        allocations=tuple(Allocation(*part) for part in parts),
    )
    return replace(row, **facts)


HOLD_ENDS = (Kind.SETTLE, Kind.VOID, Kind.EXPIRE)

FORGERIES: dict[str, Callable[[], Transfer]] = {
    "amount of nothing": lambda: forged(Kind.DEBIT, 0),
    "negative amount": lambda: forged(Kind.DEBIT, -1, (1, -1)),
    "booked with the row before": lambda: forged(Kind.DEBIT, 1, (4, 1), booked_at=base()[-1].booked_at),
    "grant without a priority": lambda: forged(Kind.GRANT, 1),
    "hold of more than its parts": lambda: forged(Kind.HOLD, 2, (4, 1), expires_at=START + HOUR),
    "debit of more than a lot has": lambda: forged(Kind.DEBIT, 11, (4, 11)),
    "debit from no lot": lambda: forged(Kind.DEBIT, 1, (3, 1)),
    "debit from a lot that burns later": lambda: forged(Kind.DEBIT, 1, (1, 1)),
    "debit that completes an open hold": lambda: forged(Kind.DEBIT, 1, (4, 1), completes=place_of("h1")),
    "debit that completes nothing there is": lambda: forged(Kind.DEBIT, 1, (4, 1), completes=99),
    "debit that completes the row before the first": lambda: forged(Kind.DEBIT, 1, (4, 1), completes=0),
    "second overage of one settle": lambda: forged(Kind.DEBIT, 1, (4, 1), completes=place_of("s2")),
    "late charge after a void": lambda: forged(Kind.DEBIT, 1, (4, 1), completes=place_of("v4")),
    "second late charge": lambda: forged(Kind.DEBIT, 1, (4, 1), completes=place_of("s3")),
    "settle of more than the hold": lambda: forged(
        Kind.SETTLE, 51, (2, 40), (1, 11), completes=place_of("h1")
    ),
    "settle from other lots than the hold": lambda: forged(
        Kind.SETTLE, 5, (1, 5), completes=place_of("h1")
    ),
    "settle of a settled hold": lambda: forged(Kind.SETTLE, 5, (4, 5), completes=place_of("h2")),
    "void of an expired hold": lambda: forged(Kind.VOID, 5, (4, 5), completes=place_of("h4")),
    "void of a part": lambda: forged(Kind.VOID, 40, (2, 40), completes=place_of("h1")),
    "void to other lots": lambda: forged(Kind.VOID, 50, (2, 10), (1, 40), completes=place_of("h1")),
    "void of no hold": lambda: forged(Kind.VOID, 5, (4, 5), held_after=45),
    "expiry before its time": lambda: forged(Kind.EXPIRE, 50, (2, 40), (1, 10), completes=place_of("h1")),
    "lapse of a lot that is not over": lambda: forged(Kind.LAPSE, 1, (4, 1)),
    "lapse of a lot that never is": lambda: forged(Kind.LAPSE, 1, (1, 1)),
    "lapse that completes something": lambda: forged(
        Kind.LAPSE, 2, (4, 2), completes=place_of("s2"), booked_at=START + 2 * HOUR
    ),
    "repay of what is not owed": lambda: forged(Kind.REPAY, 1, (4, 1)),
    "freeze of a lot that has less": lambda: forged(Kind.FREEZE, 3, (4, 3)),
    "freeze of two lots": lambda: forged(Kind.FREEZE, 3, (4, 2), (1, 1)),
    "freeze that completes something": lambda: forged(Kind.FREEZE, 1, (4, 1), completes=place_of("s2")),
    "freeze that is not in its balance": lambda: forged(Kind.FREEZE, 1, (4, 1), frozen_after=0),
    "unfreeze of what is not frozen": lambda: forged(Kind.UNFREEZE, 1, (4, 1)),
    "reversal of more than a lot has": lambda: forged(Kind.REVERSE, 3, (4, 3)),
    "reversal from two lots": lambda: forged(Kind.REVERSE, 3, (4, 2), (1, 1)),
    "reversal of no lot": lambda: forged(Kind.REVERSE, 1),
    "reversal that completes something": lambda: forged(Kind.REVERSE, 1, (4, 1), completes=place_of("s2")),
    "balance that is off": lambda: forged(
        Kind.DEBIT, 1, (4, 1), available_after=base()[-1].available_after
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_row_that_does_not_follow_is_found_whoever_sealed_it(name: str) -> None:
    """Sealed with the right key, as a fault in the planner would be, a row that cannot be is still named."""
    row = FORGERIES[name]()
    rows = [*base(), *sealed([row], CHAIN_KEY, after=head(base()))]
    assert None is read(base())

    finding = read(rows)

    assert finding
    assert f"transfer {row.seq} ({row.kind.name.lower()})" == finding.row
    assert "hash" not in finding.problem


LENT = 0
"""Stands for the lot that is lent just before."""


@pytest.mark.parametrize(
    ("parts", "follows"),
    [
        (((4, 2), (LENT, 5)), True),
        (((LENT, 5),), True),
        (((4, 1), (LENT, 5)), False),
        (((4, 2), (LENT, 4)), False),
        (((LENT, 4),), False),
        (((4, 2), (1, 1), (LENT, 5)), False),
        (((LENT, 5), (4, 2)), False),
    ],
)
def test_what_is_lent_for_a_reversal_is_what_its_lot_lacks(
    parts: tuple[tuple[int, int], ...], follows: bool
) -> None:
    """All that was lent in the row before is taken, and nothing is lent while something is free in the lot."""
    lent = replace(forged(Kind.ADVANCE, 5), priority=1_000)
    parts = tuple((lent.seq if lot == LENT else lot, part) for lot, part in parts)
    amount = sum(part for _, part in parts)
    taken = forged(
        Kind.REVERSE,
        amount,
        *parts,
        seq=lent.seq + 1,
        booked_at=lent.booked_at + INSTANT,
        available_after=lent.available_after - amount,
    )

    finding = read([*base(), *sealed([lent, taken], CHAIN_KEY, after=head(base()))])

    assert follows is (finding is None)
    assert follows or (finding and f"transfer {taken.seq} (reverse)" == finding.row)


def test_nothing_completes_what_came_before_the_first_row() -> None:
    """Where nothing was settled yet there is nothing for a debit to complete, a transfer 0 least of all."""
    grant, *_ = base()
    debit = replace(
        forged(Kind.DEBIT, 1, (1, 1), completes=0),
        seq=2,
        available_after=grant.amount - 1,
        held_after=0,
    )

    finding = read(sealed([grant, debit], CHAIN_KEY))

    assert finding
    assert "transfer 2 (debit)" == finding.row


def test_the_same_row_made_rightly_passes() -> None:
    """What is forged above is wrong in what it says, not in how it is made: a plain debit passes."""
    rows = [*base(), *sealed([forged(Kind.DEBIT, 1, (4, 1))], CHAIN_KEY, after=head(base()))]

    assert None is read(rows)


# --- what is derived ----------------------------------------------------------------------------

WALLET_COLUMNS = ("available", "held", "spent", "owed", "seq", "head", "booked_at")
LOT_COLUMNS = ("granted", "remaining", "held", "frozen", "paid", "priority", "expires_at")
HOLD_COLUMNS = ("id", "number", "amount", "allocations", "expires_at", "extends")


def changed(value: Any) -> Any:
    match value:
        case int():
            return value + 1
        case bytes():
            return flipped(value)
        case datetime():
            return value + INSTANT
        case (Allocation(lot, part), *others):
            return (Allocation(lot, part + 1), *others)
        case _:
            return START


@pytest.mark.parametrize("column", WALLET_COLUMNS)
def test_a_changed_wallet_is_found(column: str) -> None:
    """Whatever of a wallet follows from its journal is compared with it."""
    wallet = replace(story().wallet, **{column: changed(getattr(story().wallet, column))})

    findings = compare(wallet, story().holds)

    assert [("acme", "pt", "wallet")] == [finding[:3] for finding in findings]


@pytest.mark.parametrize("column", LOT_COLUMNS)
def test_a_changed_lot_is_found(column: str) -> None:
    """Every column of every lot is compared, those that are used up included."""
    for place, lot in enumerate(story().wallet.lots):
        lots = list(story().wallet.lots)
        lots[place] = replace(lot, **{column: changed(getattr(lot, column))})

        findings = compare(replace(story().wallet, lots=tuple(lots)), story().holds)

        assert [f"lot {lot.number}"] == [finding.row for finding in findings]


def test_a_missing_or_invented_lot_is_found() -> None:
    """A lot that no row brought is as wrong as one that is gone."""
    lots = story().wallet.lots
    invented = (*lots, Lot(99, 5, 5))

    for lot in lots:
        others = tuple(other for other in lots if other is not lot)
        findings = compare(replace(story().wallet, lots=others), story().holds)
        assert [f"lot {lot.number}"] == [finding.row for finding in findings]
    assert ["lot 99"] == [f.row for f in compare(replace(story().wallet, lots=invented), story().holds)]


@pytest.mark.parametrize("column", HOLD_COLUMNS)
def test_a_changed_hold_is_found(column: str) -> None:
    """Every column of an open hold is compared; one that changed its number is missing and invented."""
    (hold,) = story().holds
    bad = replace(hold, **{column: changed(getattr(hold, column))})

    findings = compare(story().wallet, [bad])

    numbers = sorted({hold.number, bad.number})
    assert [f"open hold {number}" for number in numbers] == [finding.row for finding in findings]


def test_a_missing_or_invented_hold_is_found() -> None:
    """A hold that no row opened is as wrong as an open one that is gone."""
    (hold,) = story().holds
    invented = replace(hold, id=named("invented"), number=1)

    assert [f"open hold {hold.number}"] == [f.row for f in compare(story().wallet, [])]
    assert ["open hold 1"] == [f.row for f in compare(story().wallet, [hold, invented])]


# --- the report ---------------------------------------------------------------------------------


def test_a_report_with_gaps_is_not_clean() -> None:
    """Clean is what was checked whole and found right; a finding or a gap is not."""
    finding = Finding("acme", "pt", "wallet", "is off")

    assert Report(wallets=1, transfers=2, findings=()).clean
    assert not Report(wallets=1, transfers=2, findings=(finding,)).clean
    assert not Report(wallets=1, transfers=2, findings=(), uncovered=("a page could not be read",)).clean
    assert "acme/pt wallet: is off" == str(finding)
