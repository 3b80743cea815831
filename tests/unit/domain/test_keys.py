"""Ids are the same for ever, and what they leave to chance a fingerprint settles."""

from __future__ import annotations

import pytest

from ptmeter.domain import keys
from ptmeter.domain.keys import digest, fingerprint, transfer_id, transfer_ids, wallet_number
from ptmeter.errors import InvalidArgumentError


def test_ids_are_what_they_always_were() -> None:
    """Every row in every ledger is found by these: if this fails, do not mend the test."""
    assert "82da61e1f40278ea" == transfer_id("acme", "hold", "r1").hex()
    assert "ce5c8c0fb2b639cd" == fingerprint("acme", "hold", "r1", 60.0, ("core", 3)).hex()
    assert 1241073143791464371 == wallet_number("acme", "core")
    assert -7287371869305850165 == wallet_number("zeta", "core")
    assert "80cc9421f752314c" == digest(("a", b"b", 3, None)).hex()


def test_names_are_framed() -> None:
    """Names that run together the same have other ids, and bytes are not the text that shows them."""
    assert transfer_id("a", "hold", "bc") != transfer_id("a", "holdb", "c")
    assert wallet_number("ab", "c") != wallet_number("a", "bc")
    assert len({digest(("1",)), digest((1,)), digest((b"1",)), digest(("'1'",))}) == 4


def test_a_fingerprint_covers_the_key() -> None:
    """The same arguments under another key, verb or account have another fingerprint."""
    asked = [("a", "hold", "k"), ("a", "hold", "k2"), ("a", "settle", "k"), ("b", "hold", "k")]

    assert len(asked) == len({fingerprint(*each, 1) for each in asked})


def test_an_id_fits_a_signed_column() -> None:
    """Ids, fingerprints and wallet numbers have 64 bits."""
    assert {8} == {keys.SIZE, len(transfer_id("a", "hold", "k")), len(fingerprint("a", "hold", "k"))}
    assert -(2**63) <= wallet_number("acme", "core") < 2**63


def test_any_text_is_a_key() -> None:
    """What is no valid Unicode has an id too; what is empty, or no text, has none."""
    assert transfer_id("a", "hold", "\udc80") != transfer_id("a", "hold", "\udc81")
    for bad in ("", 7, None):
        with pytest.raises(InvalidArgumentError):
            transfer_id("a", "hold", bad)  # type: ignore[arg-type]


def test_units_share_a_key() -> None:
    """The first unit has the key's own id, so a key used for another unit is recognised."""
    ids = transfer_ids("a", "hold", "k", ["core", "advanced"])

    assert transfer_id("a", "hold", "k") == ids["advanced"]
    assert ids["core"] != ids["advanced"]
