"""
What clients were told against what the journal says, when everything has come to rest.

An answer that never came leaves the client in doubt: the request was carried out or it was not. Which of the
two it was is counted before anybody asks again; asked again under its key, it must end well either way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.integration.jobs import command_for
from tests.integration.wiring import query
from tests.soak.client import ACCOUNTS, CHARGED, HELD, POOR, settles

from ptmeter import PT, InsufficientFundsError, Meter, Policy
from ptmeter.domain.keys import transfer_id
from ptmeter.domain.ledger import Kind, Posted
from ptmeter.storage.rows import id_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ptmeter.domain.ledger import Outcome

FUNDS = 10_000_000
FUNDS_OF_THE_POOR = 4
IN_DOUBT = ([], ["failed IndeterminateError"])
"""How a request ends that may have been carried out: without an answer, or with the one that says so."""


class Asked(NamedTuple):
    """One request: what, for whom, under which key."""

    verb: str
    account: str
    key: str

    @property
    def id(self) -> bytes:
        """What its row is called."""
        return transfer_id(self.account, self.verb, self.key)


@dataclass
class Notes:
    """The lines of clients, request by request."""

    ends: dict[Asked, list[str]] = field(default_factory=dict[Asked, list[str]])
    batches: list[list[Asked]] = field(default_factory=list[list[Asked]])
    broken: list[str] = field(default_factory=list[str])

    def with_end(self, *names: str) -> list[Asked]:
        """The requests that ended like this; ``failed`` is followed by the error's name."""
        return [asked for asked, ends in self.ends.items() if any(end.startswith(names) for end in ends)]

    def in_doubt(self) -> list[Asked]:
        """The requests that nobody was told the end of."""
        return [asked for asked, ends in self.ends.items() if not {"told", "refused"} & {*ends}]


def read_notes(files: Iterable[Path]) -> Notes:
    """All lines of all files; the last one of a killed client may be cut off, and then never was said."""
    notes = Notes()
    for path in files:
        for line in path.read_text().split("\n")[:-1]:
            end, verb, account, keys, more = line.split("\t")
            if end == "broken":
                notes.broken.append(line)
                continue
            batch = [Asked(verb, account, key) for key in keys.split(",")]
            if end == "asked" and len(batch) > 1:
                notes.batches.append(batch)
            for asked in batch:
                ends = notes.ends.setdefault(asked, [])
                if end != "asked":
                    ends.append(f"{end} {more}".strip())
    return notes


@dataclass
class Finding:
    """What became of all that was asked for; the first five are to be empty."""

    lost: list[Asked]
    """Told, and not there."""
    phantom: list[bytes]
    """There, and not asked for, or refused."""
    double: list[bytes]
    """There twice, or a hold that was resolved twice."""
    torn: list[list[Asked]]
    """Batches of which only a part is there."""
    denied: list[Asked]
    """There, though the caller was told that nothing had happened."""
    committed: list[Asked]
    """In doubt, and there."""
    not_committed: list[Asked]
    """In doubt, and not there."""
    failed: int
    """Told that nothing happened: mostly that there is no server."""
    rows: int

    @property
    def faults(self) -> int:
        """How many of them should not be."""
        return sum(map(len, (self.lost, self.phantom, self.double, self.torn, self.denied)))

    def __str__(self) -> str:
        return (
            f"{self.rows} operations in the journal; {len(self.lost)} lost, {len(self.phantom)} phantom, "
            f"{len(self.double)} double, {len(self.torn)} batches torn; in doubt: "
            f"{len(self.committed)} carried out, {len(self.not_committed)} not; "
            f"{len(self.denied)} of {self.failed} carried out that failed outright"
        )


def examine(url: str, notes: Notes) -> Finding:
    """Compare before anybody asks again."""
    rows = query(
        url,
        "SELECT t.transfer_id, t.kind, w.account, t.completes, t.seq FROM ptm_transfer t "
        "JOIN ptm_wallet w ON w.wallet_id = t.wallet_id",
    )
    there = Counter(id_from(name) for name, kind, *_ in rows if kind != Kind.GRANT)
    resolved = Counter((account, number) for _, _, account, number, _ in rows if number)
    name_of = {(account, seq): id_from(name) for name, _, account, _, seq in rows}
    asked = {request.id for request in notes.ends}
    no = {request.id for request in notes.with_end("refused")}
    failed = [request for request in notes.in_doubt() if notes.ends[request] not in IN_DOUBT]
    doubt = [request for request in notes.in_doubt() if notes.ends[request] in IN_DOUBT]
    return Finding(
        lost=[request for request in notes.with_end("told") if request.id not in there],
        phantom=[name for name in there if name not in asked or name in no],
        double=[name for name, times in there.items() if times > 1]
        + [name_of[hold] for hold, times in resolved.items() if times > 1],
        torn=[batch for batch in notes.batches if len({request.id in there for request in batch}) > 1],
        denied=[request for request in failed if request.id in there],
        committed=[request for request in doubt if request.id in there],
        not_committed=[request for request in doubt if request.id not in there],
        failed=len(failed),
        rows=there.total(),
    )


def fund(url: str, policy: Policy | None = None) -> None:
    """Give the accounts what they are to spend."""
    with Meter.open(url, migrate=True, policy=policy) as meter:
        for account in ACCOUNTS:
            meter.funds.grant(account, source="soak", key="g", core=FUNDS)
        meter.funds.grant(POOR, source="soak", key="g", core=FUNDS_OF_THE_POOR)


def converge(url: str, notes: Notes) -> int:
    """Ask again for all that did not come to its end; returns how many had been carried out already."""
    batched = {request for batch in notes.batches for request in batch}
    told = {*notes.with_end("told")}
    calls: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for request in notes.ends.keys() - batched:
        if request in told:
            calls[request.account, request.key].add(request.verb)
    begun = {(r.account, r.key) for r in notes.ends.keys() - batched}
    unfinished = sorted(call for call in begun if not calls[call] & {"settle", "void"})
    replayed = 0
    with Meter.open(url) as meter:
        for batch in notes.batches:
            if not told.issuperset(batch):
                replayed += sum(_again(meter, batch))
        for account, key in unfinished:
            replayed += _finish(meter, account, key, known="hold" in calls[account, key])
    return replayed


def _again(meter: Meter, batch: Sequence[Asked]) -> list[bool]:
    groups = [(command_for("hold", request.account, request.key, HELD),) for request in batch]
    outcomes: list[Outcome] = [outcome for group in meter.post(groups) for outcome in group]
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    return [outcome.replayed for outcome in outcomes]


def _finish(meter: Meter, account: str, key: str, *, known: bool) -> int:
    """The hold and what resolves it; of those whose end was not known, how many were replayed."""
    try:
        placed = meter.hold(account, key=key, core=HELD)
    except InsufficientFundsError:
        assert account == POOR
        return 0
    if settles(key) and account != POOR:
        receipt = meter.settle(placed, key=key, core=CHARGED)
    else:
        receipt = meter.void(placed, key=key)
    return (placed.replayed and not known) + receipt.replayed


def check_balances(url: str, notes: Notes) -> None:
    """Every call is charged once, nothing else is, and a meter that remembers nothing finds all in order."""
    batched = Counter(request.account for batch in notes.batches for request in batch)
    in_batches = {request for batch in notes.batches for request in batch}
    charged = Counter(
        account
        for account, key in {(r.account, r.key) for r in notes.ends.keys() - in_batches}
        if settles(key) and account != POOR
    )
    with Meter.open(url) as meter:
        for account in (*ACCOUNTS, POOR):
            core = meter.balance(account).core
            spent, held = CHARGED * charged[account], HELD * batched[account]
            funds = FUNDS_OF_THE_POOR if account == POOR else FUNDS

            assert (PT.of(spent), PT.of(held)) == (core.spent, core.held), account
            assert PT.of(funds - spent - held) == core.available, account
        report = meter.verify()
    assert report.clean, report.findings[:3]


def check_at_rest(url: str, notes: Notes) -> Finding:
    """Nothing lost, made up, done twice or by half; what was in doubt ends well when asked again."""
    finding = examine(url, notes)

    assert [] == notes.broken[:3]
    assert 0 == finding.faults, str(finding)
    assert len(finding.committed) == converge(url, notes)
    check_balances(url, notes)
    return finding
