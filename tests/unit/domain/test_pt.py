"""PT and money: what is read is exact, what cannot be exact is refused, and nothing is lost in a split."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.pt import (
    LARGEST,
    MICRO,
    NANO,
    PT,
    Money,
    allocate,
    ceil_div,
    plain,
    round_up,
    scaled,
    unit_name,
)
from ptmeter.errors import InvalidArgumentError

amounts = st.integers(min_value=1 - LARGEST, max_value=LARGEST - 1)
weights = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=12).filter(any)


def written(value: int, scale: int) -> str:
    return plain(value, scale).replace(",", "")


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "micro"),
    [
        (10, 10_000_000),
        (-3, -3_000_000),
        ("7.25", 7_250_000),
        ("0.000001", 1),
        ("1e3", 1_000_000_000),
        (Decimal("0.10"), 100_000),
        (Decimal("-0"), 0),
        ("0e-999999999", 0),
        (PT(5), 5),
    ],
)
def test_amounts_are_read_exactly(amount: Any, micro: int) -> None:
    """Whole numbers, text and decimals are read as whole PT, exactly."""
    assert PT(micro) == PT.of(amount)


@given(amounts)
def test_what_is_written_reads_back(micro: int) -> None:
    """An amount written as text, or taken as a decimal, reads back as itself."""
    amount = PT(micro)

    assert amount == PT.of(str(amount).removesuffix(" PT").replace(",", ""))
    assert amount == PT.of(amount.whole)
    assert amount == PT.of(str(amount.whole))


@given(amounts)
def test_money_that_is_written_reads_back(nano: int) -> None:
    """US dollars written as text read back as themselves."""
    assert Money(nano) == Money.usd(written(nano, NANO))


@pytest.mark.parametrize("amount", [7.25, 0.1, float("nan"), True, False, None, b"1", Fraction(1, 2)])
@pytest.mark.parametrize("read", [PT.of, Money.usd, PT, Money])
def test_floats_and_booleans_are_refused(amount: Any, read: Any) -> None:
    """No way of making an amount takes a float, a boolean, or anything else that is no amount."""
    with pytest.raises(TypeError):
        read(amount)


@pytest.mark.parametrize("amount", ["1e-7", "0.0000001", Decimal("1e-7"), "1.0000005", "1e-999999999"])
def test_what_is_finer_than_a_micro_pt_is_refused(amount: Any) -> None:
    """An amount that a whole number of micro-PT cannot hold is refused, not rounded."""
    with pytest.raises(InvalidArgumentError, match=r"in steps of 0.000001"):
        PT.of(amount)


@given(amounts, st.integers(min_value=7, max_value=60), st.integers(min_value=1, max_value=9))
def test_a_last_digit_too_many_is_refused(micro: int, place: int, digit: int) -> None:
    """However far behind the point a digit stands that does not fit, it is noticed."""
    whole, _, rest = written(micro, MICRO).partition(".")
    text = f"{whole}.{rest:0<{place - 1}}{digit}"

    with pytest.raises(InvalidArgumentError, match="in steps of"):
        PT.of(text)


@pytest.mark.parametrize(
    "amount", ["", "1,000", "ten", "nan", "sNaN", "inf", "-Infinity", Decimal("NaN"), "1 PT"]
)
def test_what_is_no_number_is_refused(amount: Any) -> None:
    """Text that is no plain number is refused."""
    with pytest.raises(InvalidArgumentError, match="is no number of PT"):
        PT.of(amount)


@pytest.mark.parametrize(
    "amount",
    [
        LARGEST,
        -LARGEST,
        pytest.param(10**6_000, id="10**6000"),
        str(LARGEST // MICRO + 1),
        "1e30",
        "-1e31",
        "1e999999999",
    ],
)
def test_what_the_ledger_cannot_count_is_refused(amount: Any) -> None:
    """An amount beyond 62 bits is refused at once, however large it is."""
    with pytest.raises(InvalidArgumentError, match="more than the ledger can count"):
        PT.of(amount)


@given(amounts, st.integers(min_value=1, max_value=40))
def test_the_decimal_context_changes_nothing(micro: int, precision: int) -> None:
    """An application that has set another precision for its decimals still gets exact amounts."""
    with decimal.localcontext(prec=precision):
        assert PT(micro) == PT.of(written(micro, MICRO)) == PT.of(PT(micro).whole)
        assert Money(micro) == Money.usd(Decimal(written(micro, NANO)))


def test_a_context_that_traps_nothing_changes_nothing() -> None:
    """Text that is no number is refused even where the decimal module would let it pass."""
    with decimal.localcontext(decimal.ExtendedContext), pytest.raises(InvalidArgumentError):
        PT.of("ten")


def test_other_scales() -> None:
    """The same reading serves amounts of any scale."""
    assert 150_000 == scaled("0.15", 10**6, "dollars")
    assert -2 == scaled(-2, 1, "things")


# --- arithmetic and text ----------------------------------------------------------------------


def test_pt_add_up() -> None:
    """PT add, subtract, negate and compare as the numbers they are."""
    assert PT.of("1.5") + PT.of(2) == PT.of("3.5")
    assert PT.of(1) - PT.of(2) == -PT.of(1)
    assert PT(1) < PT(2)
    assert PT(1)
    assert not PT(0)


def test_currencies_do_not_mix() -> None:
    """Money adds up within a currency and is refused across two."""
    assert Money.usd("0.3") == Money.usd("0.1") + Money.usd("0.2")
    assert Money(-1, "EUR") == Money(1, "EUR") - Money(2, "EUR")
    with pytest.raises(InvalidArgumentError, match="USD and EUR do not add up"):
        _ = Money(1, "EUR") + Money(1)


def test_amounts_are_written_plainly() -> None:
    """Amounts are written exactly, with no trailing zeros and no exponent."""
    assert "1,234.5 PT" == str(PT.of("1234.50"))
    assert "-0.000001 PT" == str(PT(-1))
    assert "10" == str(PT.of(10).whole)
    assert "US$0.001" == str(Money.usd("0.001"))
    assert "-US$1" == str(Money.usd(-1))
    assert "EUR 2" == str(Money(2 * NANO, "EUR"))


@given(st.integers(), st.integers(min_value=1))
def test_rounding_up_is_exact(value: int, step: int) -> None:
    """Rounded up is the first multiple of the step that is not below the value."""
    up = round_up(value, step)

    assert up % step == 0
    assert up - step < value <= up
    assert up == ceil_div(value, step) * step


# --- splitting --------------------------------------------------------------------------------


@given(amounts, weights)
def test_a_split_loses_nothing(total: int, weights: list[int]) -> None:
    """The parts of a split sum to the whole, each within one of its exact share, none to a weight of zero."""
    parts = allocate(total, weights)

    assert total == sum(parts)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or not part


def test_what_is_left_goes_to_the_largest_remainders() -> None:
    """What a split leaves over goes to the largest remainders, and to the earlier of equal ones."""
    assert (34, 33, 33) == allocate(100, [1, 1, 1])
    assert (1, 4, 0) == allocate(5, [1, 3, 0])
    assert (0, 1) == allocate(1, [1, 2])


@pytest.mark.parametrize("weights", [[], [0, 0], [2, -1]])
def test_a_split_needs_weights(weights: list[int]) -> None:
    """Nothing can be split by no weights, by zeros or by negative ones."""
    with pytest.raises(InvalidArgumentError, match="weights must be"):
        allocate(1, weights)


# --- names of units ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["core", "advanced", "a", "gpu_2", "x" * 32])
def test_units_are_named_like_keywords(name: str) -> None:
    """A unit is named by lower-case letters, digits and underscores."""
    assert name == unit_name(name)


@pytest.mark.parametrize("name", ["", "Core", "2x", "_x", "co-re", "x" * 33, "core\n", "é", "key", "plan"])
def test_other_names_of_units_are_refused(name: str) -> None:
    """A name that could not be a keyword argument is refused."""
    with pytest.raises(InvalidArgumentError, match="cannot name a unit"):
        unit_name(name)
