"""
The planner against a naive ledger that somebody else wrote, and against the laws of bookkeeping.

`PTMETER_SEQUENCES` sets how many scripts are played (2,000 unless said otherwise); in CI they are the
same ones every time.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings

from ptmeter.domain.audit import WalletAudit
from ptmeter.domain.ledger import Kind, Posted, Refused
from tests.naive import NO_ID, NOBODY, FAR
from tests.unit.domain.strategies import CHAIN_KEY, WALLETS, Director, Shelf, scripts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ptmeter.domain.ledger import Linked, Outcome, Transfer, WalletId
    from tests.unit.domain.strategies import Script, Seen, Step

SEQUENCES = int(os.environ.get("PTMETER_SEQUENCES", "2000"))

def plainly(row: Transfer) -> Transfer:
    """The row without its hash, and without the id of one that nobody asked for."""
    own = row.fingerprint != NOBODY or row.kind is Kind.EXPIRE
    return replace(row, hash=b"", id=row.id if own else NO_ID)

def told(outcomes) :
    return tuple(
        replace(o, transfer=plainly(o.transfer)) if isinstance(o, Posted) else o for o in outcomes
    )

class Play:
    def __init__(self) -> None:
        self.director = Director()
        self.batched, self.single = Shelf(), Shelf()
        self.audits = {}

    def step(self, step: Step) -> None:
        d = self.director
        d.begin(step)
        names = []
        groups = []
        expected = []
        # open
        for drafted in step.groups:
            group = d.group(drafted)
            for c in group:
                from ptmeter.domain.ledger import Grant, Adjust
                if isinstance(c, (Grant, Adjust)):
                    d.ledger.open(c.wallet, d.at)
            groups.append(group)
            expected.append(d.ledger.post(group, d.at))
        for shelf in (self.batched, self.single):
            for name, terms in d.ledger.terms.items():
                shelf.open(name, d.at)
                shelf.set_terms(name, terms)
        actual = []
        batch = []
        for n, g in enumerate(groups):
            batch.append(g)
            if step.cuts >> n & 1:
                actual += self.batched.post(batch, d.at); batch = []
        if batch:
            actual += self.batched.post(batch, d.at)
        one = []
        for g, e in zip(groups, expected):
            [o] = self.single.post([g], d.at)
            one.append(o)
            assert told(e) == told(o), g
        assert [told(e) for e in expected] == [told(a) for a in actual]
        assert self.single.facts() == self.batched.facts()
        assert self.single.rejections == self.batched.rejections
        for w, rows in self.single.journal.items():
            assert [*map(plainly, d.ledger.of(w))] == [*map(plainly, rows)]


def test_x() -> None:
    """x"""
    n = Counter()
    @settings(max_examples=SEQUENCES, deadline=None, derandomize=True, database=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
    @given(scripts())
    def run(script: Script) -> None:
        p = Play()
        for s in script:
            p.step(s)
        n["scripts"] += 1
        n["groups"] += sum(len(s.groups) for s in script)
        for w in p.director.ledger.terms:
            for r in p.director.ledger.of(w): n[r.kind.name] += 1
    try:
        run()
    finally:
        print(n)
