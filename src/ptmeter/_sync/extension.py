# Generated from src/ptmeter/_async/extension.py by scripts/unasync.py: edit that file, then run `make format`.
"""Holding more for an answer that outruns its hold, while it is still being written."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from ..domain.policy import OutOfFunds
from ..domain.pt import PT
from ..errors import InsufficientFundsError, LimitError, RefusedError, StorageError
from ..operations import holding

if TYPE_CHECKING:
    from ..domain.receipts import Hold
    from ..providers.usage import UsageStream
    from ..reaching import Reach
    from .platform import Platform

_log: Final = logging.getLogger("ptmeter")


class Extension:
    """
    What is held for a stream beyond its first hold.

    Each extension is a hold of its own, which is given back when the call is charged: what was used is charged in
    one piece. It counts as no request and no call of its own, but it asks what limits how much may be used, and counts
    there for whoever asks next: caps in PT and in money, and the hard cap on a unit's share, of the account and of all
    above it.
    """

    def __init__(self, platform: Platform, hold: Hold, unit: str, reach: Reach) -> None:
        self._platform = platform
        self._hold = hold
        self._unit = unit
        self._multiple = hold.multiples.get(unit, 1)
        self._reach = reach
        self._ended = False
        self.holds: list[Hold] = []

    def keep_up(self, stream: UsageStream) -> None:
        """
        Hold more if the text has come as far as what is held suffices.

        Raises:
            InsufficientFundsError: There is no more, and the policy cuts such answers off.
            LimitError: A cap allows no more, and the policy cuts such answers off.
            AccountFrozenError: The wallet was frozen meanwhile, and the policy cuts such answers off.
        """
        if self._ended or not self._reach.is_outrun(stream):
            return
        double, least = self._reach.steps
        try:
            self._hold_one(double, least)
        except StorageError as problem:
            self._ended = True
            _log.warning("no more could be held for call %r: %s", self._hold.key, problem)
        except RefusedError:
            self._ended = True
            if self._platform.policy.out_of_funds is OutOfFunds.CUT_OFF:
                raise

    def _hold_one(self, most: int, least: int) -> None:
        """Hold *most* micro-PT at the call's own rate, or as much of it as there is, if that is *least*."""
        try:
            self._place(most)
        except InsufficientFundsError as short:
            left = PT.of(short.available).micro // self._multiple
            if left < least:
                raise
            self._place(min(left, most))
        except LimitError:
            if most <= least:
                raise
            self._place(least)

    def _place(self, amount: int) -> None:
        key = f"{self._hold.key}#more{len(self.holds) + 1}:{amount}"
        place = partial(
            holding.hold,
            account=self._hold.account,
            amounts={self._unit: amount},
            key=key,
            ttl=self._platform.policy.hold_ttl,
            rules=self._platform.rules,
            extends=self._multiple,
        )
        self.holds.append(placed := self._platform.post(self._hold.payer, key, place))
        self._reach.extend(amount)
        self._ended = (
            placed.replayed
        )  # the call was sent before: what was held then may be given back by now
