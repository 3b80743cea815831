"""
Between the lines of a checkpoint file and the domain's values, one JSON object a line.

    {"checkpoint": 1, "format": 1, "at": "2026-08-01T00:00:00+00:00", "ledger_began": "…", "previous": ""}
    {"period": "2026-07", "event": 1, "digest": "01…"}
    {"account": "acme", "unit": "core", "seq": 6, "head": "01…", "available": 9, "held": 0, "spent": 1, "owed": 0}
    {"seal": 1, "wallets": 1, "hash": "01…", "key": "…", "signature": "…"}

A line is taken only if it is, byte for byte, what ptmeter writes: anything else in it would not be signed.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ..domain.checkpoints import VERSION, Opening, PeriodMark, WalletMark
from ..domain.ledger import WalletId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..domain.checkpoints import Checkpoint


class Seal(NamedTuple):
    """How a checkpoint ends: its number and count of wallets again, its hash, who signed it, and the signature."""

    number: int
    wallets: int
    hash: str
    key: str
    signature: bytes


Line: TypeAlias = Opening | PeriodMark | WalletMark | Seal


class LineError(Exception):
    """What is wrong with a line; whoever knows which line it is says so to the user."""


def written(line: Line) -> bytes:
    """The line in the file."""
    match line:
        case Opening():
            fields: dict[str, object] = {
                "checkpoint": line.number,
                "format": VERSION,
                "at": line.at.isoformat(),
                "ledger_began": None if line.began is None else line.began.isoformat(),
                "previous": line.previous.hex(),
            }
        case PeriodMark():
            fields = {"period": line.period, "event": line.event, "digest": line.digest.hex()}
        case WalletMark():
            names = {"account": line.wallet.account, "unit": line.wallet.unit}
            fields = {**names, **line._asdict(), "head": line.head.hex()}
            del fields["wallet"]
        case Seal():
            fields = {**line._asdict(), "signature": line.signature.hex()}
            fields = {"seal": fields.pop("number"), **fields}
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def sealed(checkpoint: Checkpoint, key: str, signature: bytes) -> Seal:
    """The last line of *checkpoint*."""
    return Seal(checkpoint.number, checkpoint.wallets, checkpoint.hash, key, signature)


def read(line: bytes) -> Line:
    """
    What a line says.

    Raises:
        LineError: It is none that ptmeter writes.
    """
    if not line.endswith(b"\n"):
        msg = "it breaks off"
        raise LineError(msg)
    try:
        found: dict[str, object] = json.loads(line)
        fields, make = _KINDS[next(iter(found))]
        if [*found] != [*fields] or any(type(found[name]) not in fields[name] for name in fields):
            raise LineError(_NO_LINE)
        value = make(found)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, OverflowError) as problem:
        raise LineError(_NO_LINE) from problem
    if written(value) != line:
        raise LineError(_NO_LINE)
    return value


_NO_LINE: Final = "it is not a line that ptmeter writes"


def _opening(found: Mapping[str, Any]) -> Opening:
    if found["format"] != VERSION:
        msg = f"it is in format {found['format']}, which this ptmeter does not know"
        raise LineError(msg)
    began = found["ledger_began"]
    return Opening(
        number=found["checkpoint"],
        at=_moment(found["at"]),
        began=None if began is None else _moment(began),
        previous=bytes.fromhex(found["previous"]),
    )


def _period(found: Mapping[str, Any]) -> PeriodMark:
    return PeriodMark(found["period"], found["event"], bytes.fromhex(found["digest"]))


def _wallet(found: Mapping[str, Any]) -> WalletMark:
    return WalletMark(
        WalletId(found["account"], found["unit"]),
        found["seq"],
        bytes.fromhex(found["head"]),
        found["available"],
        found["held"],
        found["spent"],
        found["owed"],
    )


def _seal(found: Mapping[str, Any]) -> Seal:
    signature = bytes.fromhex(found["signature"])
    return Seal(found["seal"], found["wallets"], found["hash"], found["key"], signature)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = "a time has no zone"
        raise ValueError(msg)
    return found


_KINDS: Final[Mapping[str, tuple[Mapping[str, tuple[type, ...]], Callable[[Mapping[str, Any]], Line]]]] = {
    "checkpoint": (
        {
            "checkpoint": (int,),
            "format": (int,),
            "at": (str,),
            "ledger_began": (str, type(None)),
            "previous": (str,),
        },
        _opening,
    ),
    "period": ({"period": (str,), "event": (int,), "digest": (str,)}, _period),
    "account": (
        {"account": (str,), "unit": (str,), "seq": (int,), "head": (str,)}
        | dict.fromkeys(("available", "held", "spent", "owed"), (int,)),
        _wallet,
    ),
    "seal": (
        {"seal": (int,), "wallets": (int,), "hash": (str,), "key": (str,), "signature": (str,)},
        _seal,
    ),
}
"""The fields of each kind of line with their types, by its first field, and what makes a value of them."""
