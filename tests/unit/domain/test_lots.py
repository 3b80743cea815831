"""Which PT burn first, and that what comes back comes back where it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.ledger import Allocation, Lot
from ptmeter.domain.lots import burn_order, has_lapsed, pick, shift, split
from ptmeter.errors import InvariantError

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)

expiries = st.none() | st.sampled_from([NOON - INSTANT, NOON, NOON + INSTANT, NOON + timedelta(days=30)])
few = st.integers(0, 4) | st.integers(0, 2**61)


@st.composite
def wallets(draw: st.DrawFn) -> tuple[Lot, ...]:
    """Lots of one wallet: numbered in the order they came, which is not the order they burn in."""
    numbers = sorted(draw(st.sets(st.integers(1, 50), max_size=8)))
    return tuple(
        Lot(
            number,
            granted=2**62,
            remaining=draw(few),
            held=draw(few),
            priority=draw(st.sampled_from([10, 50, 90])),
            expires_at=draw(expiries),
        )
        for number in numbers
    )


@st.composite
def allocations(draw: st.DrawFn) -> tuple[tuple[Allocation, ...], int]:
    """Parts of different lots, and an amount of at most their sum, often exactly at an edge of one."""
    numbers = draw(st.lists(st.integers(1, 50), unique=True, max_size=6))
    parts = tuple(Allocation(number, draw(st.integers(1, 2**61))) for number in numbers)
    edges = [sum(part for _, part in parts[:n]) for n in range(len(parts) + 1)]
    return parts, draw(st.sampled_from(edges) | st.integers(0, edges[-1]))


def total(parts: tuple[Allocation, ...]) -> int:
    return sum(part for _, part in parts)


# --- the order ---


def test_lots_burn_by_priority_then_expiry_then_age() -> None:
    """A lower priority number burns first; then what expires sooner, never last; then what is older."""
    soon, later = NOON, NOON + INSTANT
    in_order = [
        Lot(9, 1, 1, priority=10),
        Lot(8, 1, 1, priority=50, expires_at=soon),
        Lot(2, 1, 1, priority=50, expires_at=later),
        Lot(7, 1, 1, priority=50, expires_at=later),
        Lot(1, 1, 1, priority=50),
        Lot(3, 1, 1, priority=50),
        Lot(0, 1, 1, priority=51, expires_at=soon),
    ]

    assert in_order == sorted(set(in_order), key=burn_order)


@pytest.mark.parametrize(
    ("expires_at", "lapsed"),
    [(None, False), (NOON + INSTANT, False), (NOON, True), (NOON - INSTANT, True)],
)
def test_a_lot_has_lapsed_from_its_expiry_on(expires_at: datetime | None, lapsed: bool) -> None:
    """At the very moment of its expiry a lot is over; one without is never."""
    assert lapsed is has_lapsed(Lot(1, 1, 1, expires_at=expires_at), NOON)


# --- pick ---


@given(wallets(), st.data())
def test_picking_takes_the_first_in_burn_order_and_no_more(
    lots: tuple[Lot, ...], data: st.DataObject
) -> None:
    """Micro by micro, what is picked is what a queue of single micro-PT in burn order would give."""
    queue = sorted((lot for lot in lots if lot.remaining), key=burn_order)
    free = [lot.remaining for lot in queue]
    edges = [sum(free[:n]) for n in range(len(free) + 1)]
    amount = data.draw(st.sampled_from(edges) | st.integers(0, edges[-1]))

    picked = pick(lots, amount)

    spent = dict(picked)
    assert amount == total(picked)
    assert len(spent) == len(picked)
    assert all(part > 0 for _, part in picked)
    assert [lot.number for lot in queue[: len(picked)]] == [number for number, _ in picked]
    assert free[: max(0, len(picked) - 1)] == [part for _, part in picked[:-1]]
    assert all(part <= lot.remaining for lot, (_, part) in zip(queue, picked, strict=False))


@given(wallets(), st.randoms(use_true_random=False))
def test_picking_does_not_depend_on_the_order_lots_come_in(lots: tuple[Lot, ...], random: object) -> None:
    """However the store returns the lots, the same ones burn."""
    shuffled = list(lots)
    random.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue]
    amount = sum(lot.remaining for lot in lots) // 2

    assert pick(lots, amount) == pick(shuffled, amount)


@given(wallets(), st.integers(1, 5))
def test_more_than_there_is_cannot_be_picked(lots: tuple[Lot, ...], beyond: int) -> None:
    """What is held does not count as free, and a shortage is an error of ours, not a smaller pick."""
    free = sum(lot.remaining for lot in lots)

    with pytest.raises(InvariantError):
        pick(lots, free + beyond)


# --- split ---


@given(allocations())
def test_splitting_loses_nothing(parts_and_amount: tuple[tuple[Allocation, ...], int]) -> None:
    """The two halves are the amount and the rest, and lot by lot they are what was split."""
    parts, amount = parts_and_amount

    used, rest = split(parts, amount)

    both = {number: 0 for number, _ in parts}
    for number, part in (*used, *rest):
        both[number] += part
    assert (amount, total(parts) - amount) == (total(used), total(rest))
    assert dict(parts) == both
    assert all(part > 0 for _, part in (*used, *rest))


@given(allocations())
def test_splitting_uses_the_first_parts_first(parts_and_amount: tuple[tuple[Allocation, ...], int]) -> None:
    """In the order they were allocated: at most one lot is in both halves, and it is where they meet."""
    parts, amount = parts_and_amount

    used, rest = split(parts, amount)

    numbers = [number for number, _ in used] + [number for number, _ in rest]
    in_both = {number for number, _ in used} & {number for number, _ in rest}
    met = [number for number, _ in used][-1:] if in_both else []
    assert sorted(in_both) == met
    assert [number for number, _ in parts] == [n for i, n in enumerate(numbers) if n not in numbers[:i]]


# --- shift ---


@given(wallets(), st.data())
def test_what_is_held_and_given_back_leaves_every_lot_as_it_was(
    lots: tuple[Lot, ...], data: st.DataObject
) -> None:
    """Holding moves from free to held in the lots picked and in no other; giving back undoes it exactly."""
    amount = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    picked = pick(lots, amount)

    held = shift(lots, picked, remaining=-1, held=1)

    taken = dict(picked)
    expected = [
        (lot.remaining - taken.get(lot.number, 0), lot.held + taken.get(lot.number, 0)) for lot in lots
    ]
    assert expected == [(lot.remaining, lot.held) for lot in held]
    assert lots == shift(held, picked, remaining=1, held=-1)
    assert all(
        before is after for before, after in zip(lots, held, strict=True) if before.number not in taken
    )


@given(wallets(), st.data())
def test_what_is_frozen_and_given_back_leaves_every_lot_as_it_was(
    lots: tuple[Lot, ...], data: st.DataObject
) -> None:
    """Freezing moves from free to frozen in the lots named, and leaves what is held of them; giving back undoes it."""
    amount = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    picked = pick(lots, amount)

    frozen = shift(lots, picked, remaining=-1, frozen=1)

    assert [lot.held for lot in lots] == [lot.held for lot in frozen]
    assert dict(picked) == {lot.number: lot.frozen for lot in frozen if lot.frozen}
    assert amount == sum(lot.frozen for lot in frozen)
    assert lots == shift(frozen, picked, remaining=1, frozen=-1)


@given(wallets(), st.data())
def test_using_a_part_and_giving_back_the_rest_spends_exactly_the_part(
    lots: tuple[Lot, ...], data: st.DataObject
) -> None:
    """A settle's two shifts together take what was used from the lots it was held in, and nothing else."""
    amount = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    picked = pick(lots, amount)
    used, rest = split(picked, data.draw(st.integers(0, amount)))

    held = shift(lots, picked, remaining=-1, held=1)
    settled = shift(shift(held, used, held=-1), rest, remaining=1, held=-1)

    assert shift(lots, used, remaining=-1) == settled


@pytest.mark.parametrize(
    ("allocation", "directions"),
    [
        (Allocation(1, 6), {"remaining": -1}),
        (Allocation(1, 4), {"held": -1}),
        (Allocation(1, 4), {"remaining": 1, "held": -1}),
        (Allocation(1, 3), {"remaining": 1, "frozen": -1}),
        (Allocation(2, 1), {"remaining": -1}),
        (Allocation(2, 1), {"remaining": 1}),
    ],
    ids=[
        "more than is free",
        "more than is held",
        "more back than is held",
        "more back than is frozen",
        "no such lot",
        "back to no lot",
    ],
)
def test_no_lot_goes_below_zero(allocation: Allocation, directions: dict[str, int]) -> None:
    """A shift that would take more than a lot has, or name one that is not there, is refused as our error."""
    lots = (Lot(1, 10, 5, 3, frozen=2),)

    with pytest.raises(InvariantError):
        shift(lots, (allocation,), **directions)


def test_a_lot_named_twice_does_not_lose_a_part() -> None:
    """Two allocations of one lot (a store gone wrong) are both shifted or refused, never one of them."""
    lots = (Lot(1, 10, 10),)

    with pytest.raises(InvariantError):
        shift(lots, (Allocation(1, 2), Allocation(1, 3)), remaining=-1)
