"""What a command, and the name of an account, must be; and the numbers by which a database knows their words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ptmeter.domain.commands import Adjust, Debit, Freeze, Grant, Hold, Reverse, Settle, Unfreeze
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import (
    REMEMBERED,
    SIDES,
    Kind,
    Lot,
    Overage,
    Posted,
    Refusal,
    Refused,
    Side,
    Transfer,
    Wallet,
    WalletId,
    WalletState,
    wallet_id,
)
from ptmeter.domain.pt import PT
from ptmeter.errors import InvalidArgumentError

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MOST = 2**62 - 1
WORDS: dict[str, Any] = {
    "wallet": WalletId("acme", "core"),
    "id": digest(("key",)),
    "fingerprint": digest(("asked",)),
}
MINIMAL: dict[Any, dict[str, Any]] = {
    Grant: {"amount": 1},
    Hold: {"amount": 1, "ttl": timedelta(seconds=1)},
    Settle: {"amount": 0, "hold_id": digest(("hold",))},
    Debit: {"amount": 1},
    Adjust: {"amount": 1, "note": "mended"},
    Freeze: {"amount": 1, "note": "disputed", "lot": 1},
    Unfreeze: {"amount": 1, "note": "won", "lot": 1},
    Reverse: {"amount": 1, "note": "refunded", "lot": 1},
}


def command(verb: Any, **facts: Any) -> Any:
    return verb(**WORDS | MINIMAL[verb] | facts)


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(
    ("verb", "what", "least"),
    [
        (Grant, "a grant", 1),
        (Hold, "a hold", 1),
        (Settle, "a settle", 0),
        (Debit, "a debit", 1),
        (Adjust, "an adjustment", -MOST),
        (Freeze, "a freeze", 1),
        (Unfreeze, "an unfreeze", 1),
        (Reverse, "a reversal", 1),
    ],
    ids=name_of,
)
def test_an_amount_is_a_whole_number_that_the_ledger_can_count(verb: Any, what: str, least: int) -> None:
    """From the least that means something to the most that fits; and never a float, nor True for one."""
    assert [least, MOST] == [command(verb, amount=each).amount for each in (least, MOST)]
    for bad in (least - 1, MOST + 1):
        with pytest.raises(InvalidArgumentError, match=f"^{what} takes .* PT.*, not .*{PT(bad).whole:,f}$"):
            command(verb, amount=bad)
    for bad in (1.0, True, None):
        with pytest.raises(
            InvalidArgumentError, match=f"^{what} is counted in whole micro-PT, not as {bad}"
        ):
            command(verb, amount=bad)


@pytest.mark.parametrize(
    ("verb", "takes"), [(Hold, "more than 0 PT"), (Settle, "0 PT or more")], ids=name_of
)
def test_an_amount_that_is_refused_is_called_by_its_unit(verb: Any, takes: str) -> None:
    """As it was typed, in PT and not in what the ledger counts in."""
    with pytest.raises(InvalidArgumentError, match=f"takes {takes}, not core=-3$"):
        command(verb, amount=-3_000_000)


def test_a_correction_of_nothing_is_none() -> None:
    """Upwards or downwards by a micro-PT is the least."""
    assert [1, -1] == [command(Adjust, amount=each).amount for each in (1, -1)]
    with pytest.raises(InvalidArgumentError, match="nothing"):
        command(Adjust, amount=0)


@pytest.mark.parametrize("verb", [Adjust, Freeze, Unfreeze, Reverse], ids=name_of)
def test_a_correction_has_a_reason(verb: Any) -> None:
    """Without one nobody could say later why the balance was another; nor why PT of a payment were frozen."""
    with pytest.raises(InvalidArgumentError, match="needs a reason"):
        command(verb, note="")


def test_no_more_of_a_reversal_is_frozen_than_it_takes_back() -> None:
    """From nothing of it to all of it, in whole micro-PT."""
    assert [0, 1, 7] == [command(Reverse, amount=7, frozen=each).frozen for each in (0, 1, 7)]
    assert 0 == command(Reverse).frozen
    for bad in (-1, 8, 1.0, True, None):
        with pytest.raises(InvalidArgumentError, match="of a reversal of 7 micro-PT"):
            command(Reverse, amount=7, frozen=bad)


def test_only_what_is_taken_is_bound_to_a_lot() -> None:
    """PT that come in are a lot of their own, so there is none to name."""
    assert 3 == command(Adjust, amount=-1, lot=3).lot
    with pytest.raises(InvalidArgumentError, match="a lot of their own"):
        command(Adjust, amount=1, lot=3)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(microseconds=-1)])
def test_a_hold_has_time(ttl: timedelta) -> None:
    """A hold that is over when it begins would hold nothing; a microsecond is enough."""
    assert timedelta(microseconds=1) == command(Hold, ttl=timedelta(microseconds=1)).ttl
    with pytest.raises(InvalidArgumentError, match="ttl must be positive"):
        command(Hold, ttl=ttl)


@pytest.mark.parametrize("verb", [Grant, Adjust], ids=name_of)
def test_a_lot_has_a_place_in_the_burn_order(verb: Any) -> None:
    """Priorities from 0 to 999, before credit; and an expiry that is a moment, whatever the time zone of the server."""
    assert [0, 999] == [command(verb, priority=each).priority for each in (0, 999)]
    assert NOON == command(verb, expires_at=NOON).expires_at
    for bad in ({"priority": -1}, {"priority": 1_000}, {"priority": True}, {"priority": 1.0}):
        with pytest.raises(InvalidArgumentError, match="priority"):
            command(verb, **bad)
    with pytest.raises(InvalidArgumentError, match="time zone"):
        command(verb, expires_at=NOON.replace(tzinfo=None))


@pytest.mark.parametrize("verb", [Grant, Debit, Adjust, Freeze, Unfreeze, Reverse], ids=name_of)
def test_a_note_can_be_written_down(verb: Any) -> None:
    """Any text but what PostgreSQL or the encoding of a column refuses: NUL and half of a surrogate pair."""
    assert "Gruß 🙂 ?" == command(verb, note="Gruß 🙂 ?").note
    for bad in ("a\0b", "\ud800"):
        with pytest.raises(InvalidArgumentError, match="cannot be written down"):
            command(verb, note=bad)


@pytest.mark.parametrize("name", ["a", "a" * 200, "user:7/éà 🙂", "a b"])
def test_a_name_is_an_account(name: str) -> None:
    """Up to 200 printable characters."""
    assert WalletId(name, "core") == wallet_id(name, "core")


@pytest.mark.parametrize("name", ["", "a" * 201, " a", "a ", "\ta", "a\nb", "a\0"])
def test_a_name_that_a_database_could_mistake_is_none(name: str) -> None:
    """Empty, too long, padded, or with control characters."""
    with pytest.raises(InvalidArgumentError, match="cannot name an account"):
        wallet_id(name, "core")


def test_what_is_not_said() -> None:
    """Lots burn at 50 and never expire; a settle is charged whatever it is, a debit only if there is enough."""
    grant, adjust = command(Grant), command(Adjust)

    assert [("", 50, None, None)] == [(grant.note, grant.priority, grant.expires_at, grant.effective_at)]
    assert (50, None) == (adjust.priority, adjust.expires_at)
    assert (Overage.ALLOW, None, None) == (
        command(Settle).overage,
        command(Settle).usage,
        command(Settle).effective_at,
    )
    assert (Overage.REJECT, "", None) == (
        command(Debit).overage,
        command(Debit).note,
        command(Debit).effective_at,
    )


def test_what_a_new_wallet_has() -> None:
    """Nothing, and nothing of it is owed; it is open, and no month of it is closed."""
    wallet = Wallet(id=WalletId("acme", "core"), number=1, booked_at=NOON)

    assert (0, 0, 0, 0, 0, 0) == (
        *(wallet.available, wallet.held, wallet.spent),
        *(wallet.owed, wallet.credit_limit, wallet.seq),
    )
    assert (b"", WalletState.OPEN, None, ()) == (
        wallet.head,
        wallet.state,
        wallet.closed_until,
        wallet.lots,
    )
    assert Lot(1, 2, 3, 0, 50, None, None, 0) == Lot(1, 2, 3)
    assert 0 == wallet.frozen


def test_what_an_outcome_does_not_say() -> None:
    """It is the first answer, and a refusal that is not about funds has none to tell of."""
    row = Transfer(
        id=b"", wallet=WalletId("a", "core"), seq=1, kind=Kind.GRANT, amount=1, available_after=1,
        held_after=0, fingerprint=b"", effective_at=NOON, booked_at=NOON,
    )  # fmt: skip

    assert Refused(reason=Refusal.LINKED, available=0, required=0, replayed=False) == Refused(
        reason=Refusal.LINKED
    )
    assert not Posted(transfer=row, charged=0, available=1, held=0).replayed
    assert ("", b"", 0) == (row.note, row.link, row.frozen_after)


def test_the_numbers_of_words_are_what_they_always_were() -> None:
    """Every database has them in its rows: if this fails, do not mend the test."""
    sides = ["AVAILABLE", "HELD", "SPENT", "ISSUANCE", "BREAKAGE", "RECEIVABLE", "ADJUSTMENT", "FROZEN"]
    kinds = ["GRANT", "HOLD", "SETTLE", "VOID", "EXPIRE", "DEBIT", "LAPSE", "ADVANCE", "REPAY"]
    reasons = ["INSUFFICIENT_FUNDS", "NOT_OPEN", "OVER_HOLD", "LINKED", "NO_WALLET", "HOLD_NOT_FOUND"]

    assert sides == by_number(Side)
    assert [*kinds, "ADJUST_UP", "ADJUST_DOWN", "FREEZE", "UNFREEZE", "REVERSE", "EXTEND"] == by_number(
        Kind
    )
    assert [
        *reasons,
        "HOLD_NOT_PENDING",
        "NOT_DUE",
        "KEY_REUSED",
        "TOO_LARGE",
        "LIMITED",
        "NOT_PAYER",
        "NOT_FROZEN",
        "LOT_NOT_FOUND",
    ] == by_number(Refusal)
    assert (0, 1, 2) == (WalletState.OPEN, WalletState.FROZEN, WalletState.CLOSED)
    assert ["allow", "within_credit_limit", "reject"] == [*Overage]


def by_number(words: Any) -> list[str]:
    """The words numbered from 1 on."""
    return [words(number).name for number in range(1, len(words) + 1)]


def test_every_kind_moves_from_one_side_to_another() -> None:
    """Where PT come from and where they go, for each kind: what the trial balance is made of."""
    assert {
        "GRANT": ("ISSUANCE", "AVAILABLE"),
        "HOLD": ("AVAILABLE", "HELD"),
        "SETTLE": ("HELD", "SPENT"),
        "VOID": ("HELD", "AVAILABLE"),
        "EXPIRE": ("HELD", "AVAILABLE"),
        "DEBIT": ("AVAILABLE", "SPENT"),
        "LAPSE": ("AVAILABLE", "BREAKAGE"),
        "ADVANCE": ("RECEIVABLE", "AVAILABLE"),
        "REPAY": ("AVAILABLE", "RECEIVABLE"),
        "ADJUST_UP": ("ADJUSTMENT", "AVAILABLE"),
        "ADJUST_DOWN": ("AVAILABLE", "ADJUSTMENT"),
        "FREEZE": ("AVAILABLE", "FROZEN"),
        "UNFREEZE": ("FROZEN", "AVAILABLE"),
        "REVERSE": ("AVAILABLE", "ISSUANCE"),
        "EXTEND": ("AVAILABLE", "HELD"),
    } == {kind.name: (debit.name, credit.name) for kind, (debit, credit) in SIDES.items()}


def test_decisions_are_remembered_and_facts_are_not() -> None:
    """What was decided on funds or on the state of a wallet is replayed; what was not there may be there by now."""
    assert {"INSUFFICIENT_FUNDS", "NOT_OPEN", "OVER_HOLD", "LINKED"} == {each.name for each in REMEMBERED}
