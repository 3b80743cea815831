"""
Scripts for the ledger and the store they are played on.

A script says things like "hold exactly what is available, under a key used before, a microsecond before
the next expiry": what that is in figures is read off the naive ledger when the line comes up, so that
the edges are hit often. `Shelf` keeps what a plan writes the way the SQL store does, constraints
included, and gives the planner no more to see than the SQL store would.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from ptmeter.domain import chain
from ptmeter.domain.ledger import (
    Adjust,
    Debit,
    Expire,
    Grant,
    Hold,
    Kind,
    Lapse,
    Overage,
    Posted,
    Settle,
    UsageEvent,
    Void,
    Wallet,
    WalletId,
    WalletState,
    digest,
    transfer_id,
)
from ptmeter.domain.moves import Resolved
from ptmeter.domain.planner import Decided, Plan, State, plan
from ptmeter.domain.prices import Price
from ptmeter.domain.pt import LARGEST, Money
from ptmeter.domain.usage import Usage
from tests.naive import NOBODY, NaiveLedger, Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptmeter.domain.ledger import Command, Linked, Lot, OpenHold, Outcome, Transfer

START = datetime(2030, 1, 1, tzinfo=UTC)
CHAIN_KEY = b"kept outside the database"

WALLETS = (WalletId("acme", "pt"), WalletId("acme", "gpu"), WalletId("zeta", "pt"), WalletId("ghost", "pt"))
"""Two of one account, one of another, and one that nobody ever gives anything."""
GHOST = 3

PRICE = Price(provider="p", model="m", source="test", rates={"input_uncached": 150_000})
USED = Usage(input_uncached=1_000, tool_calls={"web_search": 2})
USAGE = UsageEvent(usage=USED, price=PRICE, card_version="c1", cost=Money(150_000))


# --- what a script says -------------------------------------------------------------------------


class Amount(NamedTuple):
    """So much more than something that is looked up."""

    base: str
    plus: int = 0


@dataclass(frozen=True)
class Draft:
    """A command whose figures are not known yet."""

    verb: str
    wallet: int = 0
    amount: Amount = Amount("just", 10)
    key: int | None = None
    """A key used before, perhaps; else a fresh one."""
    which: int = 0
    """Which of the wallet's holds, counted from the latest; -1 names one that never was, -2 another's."""
    seconds: int | None = None
    """A hold's time to live, or how far off a lot's expiry is."""
    priority: int = 50
    overage: Overage = Overage.ALLOW
    detailed: bool = False


@dataclass(frozen=True)
class Again:
    """The group that came *back* groups ago once more: as it was, altered, or only its beginning."""

    back: int
    how: str = "same"


class Setting(NamedTuple):
    """Something the operator does to a wallet."""

    wallet: int
    what: str
    value: int = 0


@dataclass(frozen=True)
class Step:
    """Time passes, the operator may turn a knob, then some groups arrive together."""

    groups: tuple[tuple[Draft, ...] | Again, ...]
    passes: timedelta | None = timedelta(0)
    """``None`` goes to the very moment of the next expiry."""
    off: int = 0
    """Microseconds more or less."""
    setting: Setting | None = None
    cuts: int = 0
    """Where the arrivals are cut into batches: bit *n* cuts after group *n*."""


Script: TypeAlias = "tuple[Step, ...]"

_SMALL = (1, 2, 3, 7, 10, 10, 10, 50, 100)

amounts = st.one_of(
    st.builds(Amount, st.just("just"), st.sampled_from(_SMALL)),
    st.builds(Amount, st.just("just"), st.sampled_from(_SMALL)),
    st.builds(
        Amount,
        st.sampled_from(("available", "available", "credit", "hold", "hold", "owed")),
        st.sampled_from((-1, 0, 0, 1, 1, 5)),
    ),
    st.just(Amount("large")),
)
keys = st.sampled_from((None,) * 12 + (0, 1, 2))
wallets = st.sampled_from((0,) * 8 + (1,) * 5 + (2,) * 3 + (GHOST,))
funded = st.sampled_from((0,) * 8 + (1,) * 5 + (2,) * 2)
overages = st.sampled_from((Overage.ALLOW, Overage.ALLOW, Overage.WITHIN_CREDIT_LIMIT, Overage.REJECT))
priorities = st.sampled_from((50, 50, 10, 90, 2_000))
holds = st.sampled_from((0,) * 8 + (1,) * 4 + (2, 3, -1, -2))
lot_lives = st.sampled_from((None, None, None, 30, 60, 60, 3_600, 2 * 86_400, 0, -5))
ttls = st.sampled_from((30, 60, 60, 600, 3_600))

_GRANT = st.builds(
    Draft, st.just("grant"), funded, amounts, keys,
    seconds=lot_lives, priority=priorities, detailed=st.booleans(),
)  # fmt: skip
_ADJUST = st.builds(
    Draft, st.sampled_from(("adjust up", "adjust down")), funded, amounts, keys,
    seconds=lot_lives, priority=priorities,
)  # fmt: skip
_HOLD = st.builds(Draft, st.just("hold"), wallets, amounts, keys, seconds=ttls)
_SETTLE = st.builds(
    Draft, st.just("settle"), wallets, amounts | st.just(Amount("just", 0)), keys, holds,
    overage=overages, detailed=st.booleans(),
)  # fmt: skip
_GIVE_BACK = st.builds(Draft, st.sampled_from(("void", "void", "expire")), wallets, key=keys, which=holds)
_DEBIT = st.builds(
    Draft, st.just("debit"), wallets, amounts, keys, overage=overages, detailed=st.booleans()
)
_LAPSE = st.builds(Draft, st.just("lapse"), wallets)

_SINGLE = st.sampled_from(
    (_GRANT,) * 4 + (_HOLD,) * 6 + (_SETTLE,) * 5 + (_GIVE_BACK,) * 3 + (_DEBIT,) * 3 + (_ADJUST, _LAPSE)
).flatmap(lambda chosen: st.tuples(chosen))
_LINKED = st.lists(
    st.sampled_from((_GRANT, _HOLD, _HOLD, _HOLD, _SETTLE, _SETTLE, _GIVE_BACK, _DEBIT, _ADJUST)).flatmap(
        lambda chosen: chosen
    ),
    min_size=2,
    max_size=3,
).map(tuple)
_AGAIN = st.builds(
    Again, st.integers(1, 6), st.sampled_from(("same", "same", "same", "altered", "beginning"))
)
groups = st.sampled_from((_SINGLE,) * 8 + (_LINKED, _LINKED, _AGAIN, _AGAIN)).flatmap(lambda chosen: chosen)

_passes = st.sampled_from(
    (
        *(timedelta(seconds=s) for s in (0, 0, 0, 1, 1, 30, 60, 3_600, 25 * 3_600)),
        None,
        None,
        None,
        timedelta(seconds=-1),
        timedelta(hours=-1),
        timedelta(days=-3),
    )
)
_settings = st.builds(
    Setting,
    funded,
    st.sampled_from(("credit", "credit", "credit", "freeze", "close", "open", "open")),
    st.sampled_from((0, 5, 10, 100)),
)
steps = st.builds(
    Step,
    groups=st.lists(groups, min_size=1, max_size=4).map(tuple),
    passes=_passes,
    off=st.sampled_from((0, 0, 0, 0, -1, 1)),
    setting=st.sampled_from((None,) * 5 + (_settings,)).flatmap(lambda s: st.none() if s is None else s),
    cuts=st.integers(0, 7),
)

_opening = st.builds(
    Step,
    groups=st.lists(st.tuples(_GRANT), min_size=1, max_size=3).map(tuple),
    setting=st.builds(Setting, st.just(0), st.just("credit"), st.sampled_from((0, 0, 10))),
)


def scripts(longest: int = 14) -> st.SearchStrategy[Script]:
    """Scripts that begin with a grant or three, and then anything."""
    rest = st.lists(steps, min_size=1, max_size=longest)
    return st.builds(lambda opening, rest: (opening, *rest), _opening, rest)


# --- from drafts to commands --------------------------------------------------------------------


@dataclass
class Director:
    """Reads a script to a naive ledger, line by line, and finds the figures for what it says."""

    ledger: NaiveLedger = field(default_factory=NaiveLedger)
    at: datetime = START
    arrived: list[Linked] = field(default_factory=list["Linked"])

    def begin(self, step: Step) -> None:
        """Let time pass, and do what the operator does."""
        self.at = max(START, self._time_after(step) + timedelta(microseconds=step.off))
        if step.setting:
            wallet = WALLETS[step.setting.wallet]
            self.ledger.open(wallet, self.at)
            self.ledger.terms[wallet] = _with(self.ledger.terms[wallet], step.setting)

    def group(self, drafted: tuple[Draft, ...] | Again) -> Linked:
        """The commands of one group; none of them has the id of another."""
        if isinstance(drafted, Again):
            found = self._again(drafted)
        else:
            commands = [self._command(draft, number) for number, draft in enumerate(drafted)]
            found = tuple({command.id: command for command in commands}.values())
        self.arrived.append(found)
        return found

    def _again(self, again: Again) -> Linked:
        if not self.arrived:
            return (self._command(Draft("grant"), 0),)
        earlier = self.arrived[-min(again.back, len(self.arrived))]
        if again.how == "altered":
            return (*earlier[:-1], replace(earlier[-1], fingerprint=digest((earlier[-1].fingerprint,))))
        return earlier[:1] if again.how == "beginning" else earlier

    def _time_after(self, step: Step) -> datetime:
        if step.passes is not None:
            return self.at + step.passes
        ends = [lot.expires_at for w in WALLETS for lot in self.ledger.lots(w) if lot.free or lot.held]
        ends += [hold.expires_at for w in WALLETS for hold in self.ledger.open_holds(w)]
        return min((end for end in ends if end and end > self.at), default=self.at + timedelta(hours=1))

    def _command(self, draft: Draft, place: int) -> Command:
        verb, _, direction = draft.verb.partition(" ")
        wallet = WALLETS[draft.wallet]
        hold_id = self._hold_id(wallet, draft.which)
        amount = self._amount(draft, wallet, hold_id)
        key = f"{len(self.arrived)}.{place}" if draft.key is None else f"k{draft.key}"
        later = None if draft.seconds is None else self.at + timedelta(seconds=draft.seconds)
        facts: dict[str, Any] = {
            "grant": {"amount": amount, "priority": draft.priority, "expires_at": later},
            "adjust": {
                "amount": -amount if direction == "down" else amount,
                "note": "a correction",
                "priority": draft.priority,
                "expires_at": later,
            },
            "hold": {"amount": amount, "ttl": timedelta(seconds=draft.seconds or 0)},
            "settle": {"hold_id": hold_id, "amount": amount, "overage": draft.overage},
            "void": {"hold_id": hold_id},
            "expire": {"hold_id": hold_id},
            "debit": {"amount": amount, "overage": draft.overage},
            "lapse": {},
        }[verb]
        if draft.detailed:
            facts["effective_at"] = self.at - timedelta(hours=2)
            facts |= {"note": "gift"} if verb == "grant" else {"usage": USAGE}
        asked = digest((wallet, repr(facts)))
        name = transfer_id(wallet.account, verb, key)
        if verb == "expire":
            name, asked = transfer_id(wallet.account, "expire", hold_id.hex()), NOBODY
        if verb == "lapse":
            name, asked = transfer_id(wallet.account, "lapse", wallet.unit), NOBODY
        return _COMMANDS[verb](wallet=wallet, id=name, fingerprint=asked, **facts)

    def _hold_id(self, wallet: WalletId, which: int) -> bytes:
        holds = self.ledger.holds(wallet)
        if which == -2:
            holds = [hold for w in WALLETS if w != wallet for hold in self.ledger.holds(w)]
        if which == -1 or not holds:
            return digest(("nobody's", which))
        return holds[-1 - max(0, which) % len(holds)].id

    def _amount(self, draft: Draft, wallet: WalletId, hold_id: bytes) -> int:
        if draft.amount.base == "just":
            return draft.amount.plus
        least = 0 if draft.verb == "settle" else 1
        return max(least, self._base(draft.amount.base, wallet, hold_id) + draft.amount.plus)

    def _base(self, base: str, wallet: WalletId, hold_id: bytes) -> int:
        lots = self.ledger.lots(wallet)
        available = sum(lot.free for lot in lots if not lot.is_over(self.at))
        if base == "available":
            return available
        if base == "credit":
            limit = self.ledger.terms[wallet].credit_limit if wallet in self.ledger.terms else 0
            return available + max(0, limit - self.ledger.owed(wallet))
        if base == "owed":
            return self.ledger.owed(wallet)
        if base == "hold":
            return next((h.amount for h in self.ledger.holds(wallet) if h.id == hold_id), 10)
        moved = sum(row.amount for row in self.ledger.of(wallet))
        return LARGEST // 2 if moved < LARGEST // 2 else 10  # what 64 bits cannot hold, no caller sends


_COMMANDS: dict[str, Any] = {
    "grant": Grant,
    "adjust": Adjust,
    "hold": Hold,
    "settle": Settle,
    "void": Void,
    "expire": Expire,
    "debit": Debit,
    "lapse": Lapse,
}


def _with(terms: Terms, setting: Setting) -> Terms:
    match setting.what:
        case "credit":
            return replace(terms, credit_limit=setting.value)
        case "freeze":
            return replace(terms, state=WalletState.FROZEN)
        case "close":
            return replace(terms, state=WalletState.CLOSED)
        case _:
            return replace(terms, state=WalletState.OPEN)


# --- what is kept -------------------------------------------------------------------------------


@dataclass
class Shelf:
    """The tables, in memory. Whatever the database would refuse to store is refused here."""

    wallets: dict["WalletId", Wallet] = field(default_factory=dict["WalletId", Wallet])
    lots: dict["WalletId", dict[int, Lot]] = field(default_factory=dict["WalletId", "dict[int, Lot]"])
    journal: dict["WalletId", list[Transfer]] = field(
        default_factory=dict["WalletId", "list[Transfer]"]
    )
    holds: dict[bytes, OpenHold] = field(default_factory=dict[bytes, "OpenHold"])
    rejections: dict[bytes, Decided] = field(default_factory=dict[bytes, Decided])
    transfers: dict[bytes, Transfer] = field(default_factory=dict[bytes, "Transfer"])
    first_outcomes: dict[bytes, Decided] = field(default_factory=dict[bytes, Decided])

    def open(self, name: WalletId, at: datetime) -> None:
        """What the store does when PT are first given."""
        if name not in self.wallets:
            head = chain.genesis(name, CHAIN_KEY)
            number = len(self.wallets) + 1
            self.wallets[name] = Wallet(id=name, number=number, booked_at=at, head=head)
            self.lots[name], self.journal[name] = {}, []

    def set_terms(self, name: WalletId, terms: Terms) -> None:
        """What the operator does."""
        self.wallets[name] = replace(
            self.wallets[name], credit_limit=terms.credit_limit, state=terms.state
        )

    def post(self, batch: Sequence[Linked], at: datetime) -> list[tuple[Outcome, ...]]:
        """Read, plan, write."""
        planned = plan(self.lock(batch, at), batch, chain_key=CHAIN_KEY)
        self.write(planned)
        self._remember(batch, planned, at)
        return planned.outcomes

    def full_wallet(self, name: WalletId) -> Wallet:
        """A wallet with all its lots, the used up ones too, as an audit wants it."""
        return replace(self.wallets[name], lots=tuple(self.lots[name].values()))

    def open_holds(self, name: WalletId) -> list[OpenHold]:
        """The wallet's holds that nobody has resolved."""
        return [hold for hold in self.holds.values() if hold.wallet == name]

    def lock(self, batch: Sequence[Linked], at: datetime) -> State:
        """What the SQL store reads: live lots, the holds that are named or due, how others ended."""
        commands = [command for group in batch for command in group]
        named = [c.hold_id for c in commands if isinstance(c, Settle | Void | Expire)]
        wallets = {
            c.wallet: replace(self.wallets[c.wallet], lots=self._live_lots(c.wallet))
            for c in commands
            if c.wallet in self.wallets
        }
        holds = {
            hold.id: hold
            for hold in self.holds.values()
            if hold.wallet in wallets and (hold.id in named or hold.expires_at <= at)
        }
        decided = {c.id: d for c in commands if (d := self._decided(c.id))}
        resolved = {name: r for name in named if name not in holds and (r := self._resolved(name))}
        return State(at, wallets, decided, holds, resolved)

    def write(self, planned: Plan) -> None:
        """What the SQL store writes, under the constraints of its tables."""
        for row in planned.transfers:
            self._insert(row)
        for wallet in planned.wallets:
            _check_wallet(wallet)
            self.wallets[wallet.id] = replace(wallet, lots=())
            for lot in wallet.lots:
                _check(lot.remaining >= 0 and lot.held >= 0, lot)
                _check(lot.remaining + lot.held <= lot.granted, lot)
                self.lots[wallet.id][lot.number] = lot
        for hold_id in planned.closed:
            del self.holds[hold_id]
        for hold in planned.opened:
            _check(hold.id not in self.holds and hold.amount > 0, hold)
            self.holds[hold.id] = hold
        for rejection in planned.rejections:
            _check(rejection.wallet in self.wallets, rejection)
        names = [rejection.id for rejection in planned.rejections]
        _check(len(set(names)) == len(names), names)
        self.rejections |= {rejection.id: rejection.decided for rejection in planned.rejections}

    def facts(self) -> str:
        """Everything but the memory of refusals, to the letter."""
        return repr((self.wallets, self.lots, self.journal, self.holds))

    def _insert(self, row: Transfer) -> None:
        rows = self.journal[row.wallet]
        _check(row.id not in self.transfers, row)
        _check(row.seq == len(rows) + 1, row)
        _check(0 < row.amount < 2**63 and 0 <= row.available_after < 2**63, row)
        _check(0 <= row.held_after < 2**63, row)
        completed = {earlier.completes for earlier in rows} - {None}
        _check(row.completes not in completed, row)
        self.transfers[row.id] = row
        rows.append(row)

    def _live_lots(self, name: WalletId) -> tuple[Lot, ...]:
        return tuple(lot for lot in self.lots[name].values() if lot.remaining or lot.held)

    def _decided(self, name: bytes) -> Decided | None:
        row = self.transfers.get(name)
        if row is None:
            return self.rejections.get(name)
        unasked = Posted(transfer=row, charged=0, available=row.available_after, held=row.held_after)
        return self.first_outcomes.get(name) or Decided(row.fingerprint, unasked, row.booked_at)

    def _resolved(self, hold_id: bytes) -> Resolved | None:
        hold = self.transfers.get(hold_id)
        if hold is None or hold.kind is not Kind.HOLD:
            return None
        rows = self.journal[hold.wallet]
        resolution = next((row for row in rows if row.completes == hold.seq), None)
        if resolution is None:
            return None
        late = any(row.completes == resolution.seq for row in rows)
        return Resolved(resolution.kind, resolution.seq, late)

    def _remember(self, batch: Sequence[Linked], planned: Plan, at: datetime) -> None:
        for group, outcomes in zip(batch, planned.outcomes, strict=True):
            for command, outcome in zip(group, outcomes, strict=True):
                fresh = isinstance(outcome, Posted) and not outcome.replayed
                if fresh and outcome.transfer.id == command.id:
                    self.first_outcomes[command.id] = Decided(command.fingerprint, outcome, at)


def _check_wallet(wallet: Wallet) -> None:
    _check(min(wallet.available, wallet.held, wallet.spent, wallet.owed) >= 0, wallet)
    _check(max(wallet.available, wallet.held, wallet.spent, wallet.owed) < 2**63, wallet)
    _check(not wallet.owed or not wallet.available, wallet)


def _check(holds: bool, what: object) -> None:
    assert holds, f"a database would not store {what}"


Seen: TypeAlias = "Counter[str]"
