"""
The planner against a naive ledger that somebody else wrote, and against the laws of bookkeeping.

`PTMETER_SEQUENCES` sets how many scripts are played, 2,000 unless said otherwise; those 2,000 are the
same ones every time, more of them are other ones.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ptmeter.domain.audit import WalletAudit
from ptmeter.domain.ledger import Kind, Overage, Posted, Refusal, Refused, Settle, WalletState
from ptmeter.domain.lots import burn_order
from tests.naive import COMES_IN, DECISIONS, ENDS_A_HOLD, NO_ID, NOBODY
from tests.unit.domain.strategies import CHAIN_KEY, Director, Shelf, scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptmeter.domain.ledger import Command, Linked, Outcome, Transfer, WalletId
    from tests.unit.domain.strategies import Script, Step

SEQUENCES = int(os.environ.get("PTMETER_SEQUENCES", "2000"))

Seen: TypeAlias = "Counter[str]"

# --- one script, played to three ledgers --------------------------------------------------------


@dataclass
class Play:
    """A script on the naive ledger, on the planner in batches, and on the planner group by group."""

    seen: Seen
    director: Director = field(default_factory=Director)
    batched: Shelf = field(default_factory=Shelf)
    single: Shelf = field(default_factory=Shelf)
    audits: dict["WalletId", WalletAudit] = field(default_factory=dict["WalletId", WalletAudit])

    def step(self, step: Step) -> None:
        director, naive = self.director, self.director.ledger
        director.begin(step)
        for shelf in (self.batched, self.single):
            for name, terms in naive.terms.items():
                shelf.open(name, director.at)
                shelf.set_terms(name, terms)

        groups: list[Linked] = []
        expected: list[tuple[Outcome, ...]] = []
        for drafted in step.groups:
            group = director.group(drafted)
            groups.append(group)
            expected.append(naive.post(group, director.at))

        for group, outcomes in zip(groups, expected, strict=True):
            self._group(group, outcomes)
        assert [plainly(e) for e in expected] == [plainly(o) for o in self._in_batches(step, groups)]
        assert self.single.facts() == self.batched.facts()
        assert self.single.rejections == self.batched.rejections
        for wallet, rows in self.single.journal.items():
            assert [stripped(row) for row in naive.of(wallet)] == [stripped(row) for row in rows]

    def _group(self, group: Linked, expected: tuple[Outcome, ...]) -> None:
        before = self.single.facts()
        length = {wallet: len(rows) for wallet, rows in self.single.journal.items()}

        [actual] = self.single.post([group], self.director.at)

        assert plainly(expected) == plainly(actual), group
        if all(isinstance(outcome, Refused) or outcome.replayed for outcome in actual):
            assert before == self.single.facts()
        for wallet, rows in self.single.journal.items():
            self._keeps_the_laws(wallet, rows[length[wallet] :])
        new = [row for wallet, rows in self.single.journal.items() for row in rows[length[wallet] :]]
        self.seen.update(features(self.director, group, actual, new))

    def _in_batches(self, step: Step, groups: Sequence[Linked]) -> list[tuple[Outcome, ...]]:
        outcomes: list[tuple[Outcome, ...]] = []
        batch: list[Linked] = []
        for number, group in enumerate(groups):
            batch.append(group)
            if step.moment.cuts >> number & 1 or number == len(groups) - 1:
                outcomes += self.batched.post(batch, self.director.at)
                batch = []
        return outcomes

    def _keeps_the_laws(self, wallet: WalletId, new: Sequence[Transfer]) -> None:
        audit = self.audits.setdefault(wallet, WalletAudit(wallet, CHAIN_KEY))
        assert None is audit.read(new)
        assert [] == audit.compare(self.single.full_wallet(wallet), self.single.open_holds(wallet))
        if new:
            check_laws(self.single, wallet)
