"""
Scripts for the ledger, and who reads them out.

A script says things like "hold exactly what is available, under a key used before, a microsecond before
the next expiry": what that is in figures is read off the naive ledger when the line comes up, so that
the edges are hit often.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hypothesis import strategies as st
from tests.naive import DECISIONS, NOBODY, NaiveLedger, Terms

from ptmeter.domain.commands import (
    Adjust,
    Debit,
    Expire,
    Freeze,
    Grant,
    Hold,
    Lapse,
    Reverse,
    Settle,
    Unfreeze,
    Void,
)
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Kind, Overage, Refused, UsageEvent, WalletId, WalletState
from ptmeter.domain.prices import Price
from ptmeter.domain.pt import LARGEST, Money
from ptmeter.domain.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptmeter.domain.commands import Command, Linked
    from ptmeter.domain.ledger import Outcome, Transfer

CHAIN_KEY = b"kept outside the database"
START = datetime(2030, 1, 1, tzinfo=UTC)

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


TEN = Amount("just", 10)


@dataclass(frozen=True)
class Draft:
    """A command whose figures are not known yet."""

    verb: str
    wallet: int = 0
    amount: Amount = TEN
    key: int | None = None
    """A key used before, perhaps; else a fresh one."""
    which: str = "open"
    """Which hold: an open or older one, the next that is due, one that ended or expired, another's, none; or lot."""
    seconds: int | None = None
    """A hold's time to live, or how far off a lot's expiry is."""
    priority: int = 50
    overage: Overage = Overage.ALLOW
    detailed: bool = False


@dataclass(frozen=True)
class Again:
    """A group that came before once more: as it was, altered, or only its beginning."""

    what: str = "any"
    """The last of them all, of the linked ones, or of those refused."""
    back: int = 1
    how: str = "same"


class Setting(NamedTuple):
    """Something the operator does to a wallet."""

    wallet: int
    what: str
    value: int = 0


@dataclass(frozen=True)
class Moment:
    """How much time has passed, and whether the operator turns a knob."""

    passes: timedelta | None = timedelta(0)
    """``None`` goes to the very moment of the next expiry."""
    off: int = 0
    """Microseconds more or less."""
    setting: Setting | None = None
    cuts: int = 0
    """Where what arrives is cut into batches: bit *n* cuts after group *n*."""


@dataclass(frozen=True)
class Step:
    """Time passes, then some groups arrive together."""

    groups: tuple[tuple[Draft, ...] | Again, ...]
    moment: Moment = Moment()


Script: TypeAlias = "tuple[Step, ...]"

_AMOUNTS = (
    *(Amount("just", n) for n in (10, 10, 1, 2, 3, 7, 10, 10, 20, 50, 100)),
    *(Amount("available", n) for n in (-1, 0, 0, 1, 5)),
    *(Amount("hold", n) for n in (-1, 0, 1, 5)),
    *(Amount("credit", n) for n in (0, 1)),
    *(Amount("owed", n) for n in (-1, 0, 1)),
)
_SETTLED = (
    *(Amount("hold", n) for n in (0, 0, -1, -1, -5, 1, 1, 5, 20)),
    *(Amount("just", n) for n in (0, 0, 1, 7, 50)),
    Amount("available", 1),
    Amount("credit", 1),
    Amount("large"),
    Amount("room", 0),
)
_KEYS = (None,) * 20 + (0, 1, 2)
_WALLETS = (0,) * 24 + (1,) * 12 + (2,) * 6 + (GHOST,)
_FUNDED = (0,) * 8 + (1,) * 5 + (2,) * 3
_WHICH = ("open",) * 8 + ("older",) * 4 + ("expired",) * 4 + ("ended", "due", "unknown", "foreign")
_OVERAGES = (Overage.ALLOW, Overage.ALLOW, Overage.WITHIN_CREDIT_LIMIT, Overage.REJECT)
_LOT_LIVES = (None,) * 5 + (30, 60, 60, 600, 3_600, 2 * 86_400, 0, -5)
_PRIORITIES = (50, 50, 10, 90, 999)


def _pool(size: int, **choices: Any) -> list[Draft]:
    """Drafts with every field chosen at random from *choices*: one draw for hypothesis, not eight."""
    random = Random(0)
    return [Draft(**{name: random.choice(some) for name, some in choices.items()}) for _ in range(size)]


_LARGE = (*_AMOUNTS, *_AMOUNTS, Amount("large"), Amount("room", -1), Amount("room", 0))
_grants = _pool(
    2_000,
    verb=("grant",), wallet=_FUNDED, amount=_LARGE, key=_KEYS, seconds=_LOT_LIVES,
    priority=_PRIORITIES, detailed=(False, True),
)  # fmt: skip
_holds = _pool(
    3_000,
    verb=("hold", "hold", "hold more"), wallet=_WALLETS, amount=_AMOUNTS, key=_KEYS, seconds=(30, 60, 60, 600, 3_600),
)  # fmt: skip
_settles = _pool(
    3_000,
    verb=("settle",), wallet=_WALLETS, amount=_SETTLED, key=_KEYS, which=_WHICH, overage=_OVERAGES,
    detailed=(False, True),
)  # fmt: skip
_voids = _pool(1_000, verb=("void",), wallet=_WALLETS, key=_KEYS, which=_WHICH)
_expiries = _pool(1_000, verb=("expire",), wallet=_WALLETS, which=(*_WHICH, *("due",) * 20))
_debits = _pool(
    1_500,
    verb=("debit",), wallet=_WALLETS, amount=_LARGE, key=_KEYS, overage=_OVERAGES[1:],
    detailed=(False, True),
)  # fmt: skip
_adjustments = _pool(
    1_000,
    verb=("adjust up", "adjust down", "adjust lot"), wallet=_FUNDED, amount=_AMOUNTS, key=_KEYS, seconds=_LOT_LIVES,
    priority=_PRIORITIES,
)  # fmt: skip
_FROZEN = (*(Amount("frozen", n) for n in (0, 0, 0, -1, 1, 5)), *_AMOUNTS)
_OF_LOTS = (*("any",) * 8, *("full",) * 6, *("frozen",) * 6, "unknown")
_freezes = _pool(
    700,
    verb=("freeze",), wallet=_WALLETS, amount=_AMOUNTS, key=_KEYS, which=_OF_LOTS, priority=_PRIORITIES,
)  # fmt: skip
_thaws = _pool(
    1_000,
    verb=("unfreeze", "reverse frozen"), wallet=_WALLETS, amount=_FROZEN, key=_KEYS,
    which=(*_OF_LOTS, *("frozen",) * 20), priority=_PRIORITIES,
)  # fmt: skip
_reversals = _pool(
    500,
    verb=("reverse",), wallet=_WALLETS, amount=(*_FROZEN, Amount("room", 0)), key=_KEYS, which=_OF_LOTS,
    priority=_PRIORITIES,
)  # fmt: skip
_disputes = _freezes + _thaws + _reversals
_lapses = _pool(300, verb=("lapse",), wallet=_WALLETS)
_linkable = _holds + _settles + _voids + _expiries + _debits + _grants[:1_000] + _adjustments + _disputes

_AGAIN = [
    Again(what, back, how)
    for what in ("any", "linked", "refused", "refused")
    for back in (1, 1, 2, 3)
    for how in ("same", "same", "same", "altered", "beginning")
]


def _groups(singles: int, linked: int, again: int) -> list[tuple[Draft, ...] | Again]:
    random = Random(0)
    drafts = random.choices(_linkable + _grants[1_000:] + _lapses, k=singles)
    groups = [tuple(random.choices(_linkable, k=random.choice((2, 2, 3)))) for _ in range(linked)]
    return [*((draft,) for draft in drafts), *groups, *random.choices(_AGAIN, k=again)]


_group = st.sampled_from(_groups(singles=12_000, linked=2_000, again=2_000))

_SECONDS = (0, 0, 0, 0, 0, 1, 1, 10, 30, 60, 3_600, 25 * 3_600, -1, -3_600, -3 * 86_400)
_SETTINGS = (
    *(Setting(wallet, "credit", limit) for wallet in (0, 1) for limit in (0, 5, 10, 100)),
    *(Setting(wallet, what) for wallet in (0, 1) for what in ("freeze", "close", *["open"] * 5)),
)


def _moments(size: int) -> list[Moment]:
    random = Random(0)
    passes = (*(timedelta(seconds=s) for s in _SECONDS), None, None, None)
    return [
        Moment(
            random.choice(passes),
            random.choice((0, 0, 0, 0, -1, 1)),
            random.choice((*[None] * 40, *_SETTINGS)),
            random.randrange(8),
        )
        for _ in range(size)
    ]


_DUE, _EXPIRED = Draft("expire", which="due"), Draft("settle", which="expired")
_ALL = Amount("available")
_scenes: list[Script] = [
    *((Step(((_DUE,), (_DUE,)), Moment(None, off)),) for off in (-1, 0, 1)),
    *((Step(((replace(_DUE, wallet=wallet),),), Moment(None, -1)),) for wallet in (0, 1, 2)),
    *(
        (Step(((replace(_EXPIRED, wallet=wallet, overage=overage),), (_EXPIRED,), Again())),)
        for wallet in (0, 1)
        for overage in Overage
    ),
    *(
        (
            Step(((Draft("grant", 0),), (Draft("hold", 0, seconds=30),))),
            Step(((replace(_DUE, wallet=0),), (late,), (late,)), Moment(timedelta(seconds=31), cuts=cuts)),
        )
        for late in (replace(_EXPIRED, wallet=0), replace(_EXPIRED, wallet=0, amount=Amount("credit", 1)))
        for cuts in (0, 1, 7)
    ),
    *(
        (
            Step(((Draft("hold", 0, Amount("available", 1), seconds=60),),)),
            Step((Again("refused"),), Moment(timedelta(days=1), off)),
        )
        for off in (-1, 0, 1)
    ),
    *(
        (
            Step(
                (
                    (Draft("grant", 0, seconds=60, priority=10),),
                    (Draft("hold", 0, _ALL, seconds=3_600),),
                    (Draft("debit", 0, Amount("just", 7)),),
                )
            ),
            Step(((back,),), Moment(timedelta(seconds=61))),
        )
        for back in (
            Draft("void", 0),
            Draft("settle", 0, Amount("just", 3)),
            Draft("settle", 0, Amount("hold", -1)),
        )
    ),
    *(
        (
            Step(
                ((Draft("settle", 0, Amount("hold", 1), overage=Overage.REJECT),), Again("refused")), moment
            ),
        )
        for moment in (Moment(), Moment(cuts=7))
    ),
    *(
        (Step(((Draft("grant", 0, Amount("just", 1_000)),), Again("refused"), Again("linked")), moment),)
        for moment in (Moment(timedelta(hours=25)), Moment(timedelta(hours=24)), Moment(), Moment(cuts=7))
    ),
    *(
        (
            Step(
                (
                    (Draft("grant", 1),),
                    (Draft("hold", 0, amount, seconds=60), Draft("hold", 1, seconds=60)),
                    (Draft("debit", 0, key=0), Draft("debit", 0, key=0)),
                    (Draft("settle", 0, Amount("hold", plus)), Draft("settle", 1, Amount("just", 3))),
                    Again("linked", back),
                ),
                Moment(cuts=cuts),
            ),
        )
        for amount in (Amount("just", 3), _ALL, Amount("available", 1))
        for plus in (-1, 0, 1)
        for back in (1, 2)
        for cuts in (0, 7)
    ),
    *(
        (
            Step(((Draft("hold", 0, seconds=30),), (Draft("hold", 0, _ALL, seconds=3_600),))),
            Step(((last,), (replace(_DUE, wallet=0),))[:groups], Moment(timedelta(seconds=30), 50)),
        )
        for last in (
            Draft("settle", 0, Amount("hold", 5)),
            Draft("settle", 0, Amount("hold", 50), overage=Overage.WITHIN_CREDIT_LIMIT),
            Draft("debit", 0, Amount("just", 1)),
            Draft("hold", 0, Amount("just", 10), seconds=60),
            Draft("adjust down", 0, Amount("just", 10)),
        )
        for groups in (1, 2)
    ),
]
"""What comes about too seldom by chance."""

_any_step = st.builds(
    Step, st.lists(_group, min_size=1, max_size=4).map(tuple), st.sampled_from([Moment(), *_moments(2_000)])
)
_chunk = st.sampled_from((*[_any_step.map(lambda step: (step,))] * 7, st.sampled_from(_scenes))).flatmap(
    lambda chosen: chosen
)
_plain = [
    Draft("grant", wallet, Amount("just", amount), seconds=seconds, priority=priority)
    for wallet in (0, 1, 0, 2)
    for amount in (100, 20, 1_000)
    for seconds in (None, None, 60, 3_600)
    for priority in (50, 10)
]
_opening = st.builds(
    Step,
    st.lists(st.tuples(st.sampled_from(_plain)), min_size=1, max_size=3).map(
        lambda groups: ((_plain[0],), *groups)
    ),
    st.sampled_from([Moment(setting=Setting(0, "credit", limit)) for limit in (0, 0, 10)]),
)


def scripts(*, longest: int = 48) -> st.SearchStrategy[Script]:
    """Scripts that begin with a grant or three, and go on with anything."""
    lengths = st.sampled_from([length for length in (4, 12, 24, 48) if length <= longest])
    rest = lengths.flatmap(lambda length: st.lists(_chunk, min_size=length // 2, max_size=length))
    return st.builds(
        lambda opening, rest: (opening, *(step for chunk in rest for step in chunk)), _opening, rest
    )


# --- from drafts to commands --------------------------------------------------------------------


@dataclass
class Director:
    """Reads a script to a naive ledger, line by line, and finds the figures for what it says."""

    ledger: NaiveLedger = field(default_factory=NaiveLedger)
    at: datetime = START
    arrived: list[tuple[Linked, tuple[Outcome, ...]]] = field(
        default_factory=list[tuple["Linked", "tuple[Outcome, ...]"]]
    )

    def begin(self, moment: Moment, groups: Iterable[tuple[Draft, ...] | Again]) -> None:
        """Let time pass, open the wallets that are given something, do what the operator does."""
        self.at = max(START, self._time_after(moment) + timedelta(microseconds=moment.off))
        drafts = [draft for group in groups if isinstance(group, tuple) for draft in group]
        given = [draft.wallet for draft in drafts if draft.verb.startswith(("grant", "adjust"))]
        for number in given if moment.setting is None else [*given, moment.setting.wallet]:
            self.ledger.open(WALLETS[number], self.at)
        if moment.setting:
            wallet = WALLETS[moment.setting.wallet]
            self.ledger.terms[wallet] = _with(self.ledger.terms[wallet], moment.setting)

    def post(self, drafted: tuple[Draft, ...] | Again) -> tuple[Linked, tuple[Outcome, ...]]:
        """The commands of one group, and what the naive ledger says to them."""
        if isinstance(drafted, Again):
            group = self._again(drafted)
        else:
            group = tuple(self._command(draft, number) for number, draft in enumerate(drafted))
        self.arrived.append((group, self.ledger.post(group, self.at)))
        return self.arrived[-1]

    def _again(self, again: Again) -> Linked:
        fitting = [group for group, outcomes in self.arrived if _fits(again.what, group, outcomes)]
        earlier = (fitting or [group for group, _ in self.arrived])[-again.back :][0]
        if again.how == "altered":
            *others, last = earlier
            return (*others, replace(last, fingerprint=digest((last.fingerprint,))))
        return earlier[:1] if again.how == "beginning" else earlier

    def _time_after(self, moment: Moment) -> datetime:
        if moment.passes is not None:
            return self.at + moment.passes
        ends = [
            lot.expires_at
            for w in WALLETS
            for lot in self.ledger.lots(w)
            if lot.free or lot.held or lot.frozen
        ]
        ends += [hold.expires_at for w in WALLETS for hold in self.ledger.open_holds(w)]
        return min((end for end in ends if end and end > self.at), default=self.at + timedelta(hours=1))

    def _command(self, draft: Draft, place: int) -> Command:
        if draft.verb in {"settle", "void"} and not any(map(self.ledger.holds, WALLETS)):
            draft = Draft("hold", draft.wallet, key=draft.key, seconds=60)
        wallet = self._wallet(draft)
        hold_id = self._hold_id(wallet, draft.which)
        amount = self._amount(draft, wallet, hold_id)
        verb, _, direction = draft.verb.partition(" ")
        key = f"{len(self.arrived)}.{place}" if draft.key is None else f"k{draft.key}"
        later = None if draft.seconds is None else self.at + timedelta(seconds=draft.seconds)
        facts: dict[str, Any] = {
            "grant": {"amount": amount, "priority": draft.priority, "expires_at": later},
            "adjust": {
                "amount": amount if direction == "up" else -amount,
                "note": "a correction",
                "priority": draft.priority,
                "expires_at": later,
                "lot": self._lot(wallet, draft) if direction == "lot" else None,
            },
            "hold": {
                "amount": amount,
                "ttl": timedelta(seconds=draft.seconds or 0),
                "extends": 1 if direction == "more" else None,
            },
            "settle": {"hold_id": hold_id, "amount": amount, "overage": draft.overage},
            "void": {"hold_id": hold_id},
            "expire": {"hold_id": hold_id},
            "debit": {"amount": amount, "overage": draft.overage},
            "lapse": {},
            "freeze": {"amount": amount, "lot": self._lot(wallet, draft), "note": "disputed"},
            "unfreeze": {"amount": amount, "lot": self._lot(wallet, draft), "note": "won"},
            "reverse": {
                "amount": amount,
                "lot": self._lot(wallet, draft),
                "note": "given back",
                "frozen": self._frozen_part(wallet, draft, amount) if direction == "frozen" else 0,
            },
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

    def _wallet(self, draft: Draft) -> WalletId:
        """The wallet that is meant, or one with something to do in it."""
        wallet = WALLETS[draft.wallet]
        if draft.wallet != GHOST and wallet not in self.ledger.terms:
            wallet = WALLETS[0]
        if draft.verb in {"settle", "void", "expire"} and not self._holds(wallet, draft.which):
            return next((w for w in WALLETS if self._holds(w, draft.which)), wallet)
        return wallet

    def _holds(self, wallet: WalletId, which: str) -> list[Transfer]:
        holds = self.ledger.holds(wallet)
        still_open = [hold for hold in holds if self.ledger.end_of(hold) is None]
        if which == "due":
            return sorted(still_open, key=lambda hold: hold.expires_at or self.at, reverse=True)
        if which in {"open", "older"}:
            return still_open[:1] if which == "older" else still_open
        ended = [(hold, end) for hold in holds if (end := self.ledger.end_of(hold))]
        return [hold for hold, end in ended if end.kind is Kind.EXPIRE or which != "expired"]

    def _hold_id(self, wallet: WalletId, which: str) -> bytes:
        if which == "foreign":
            theirs = [hold for w in WALLETS if w != wallet for hold in self.ledger.holds(w)]
            return theirs[-1].id if theirs else digest(("nobody's",))
        holds = self._holds(wallet, which) or self.ledger.holds(wallet)
        return holds[-1].id if holds and which != "unknown" else digest(("nobody's",))

    def _lot(self, wallet: WalletId, draft: Draft) -> int:
        """The number of one of the wallet's lots, used up or not; of none, if there never was one."""
        lots = self.ledger.lots(wallet) if draft.which != "unknown" else []
        kinds = {"frozen": [lot for lot in lots if lot.frozen], "full": [lot for lot in lots if lot.free]}
        numbers = [lot.number for lot in kinds.get(draft.which) or lots] or [0]
        return numbers[draft.priority % len(numbers)]

    def _frozen_part(self, wallet: WalletId, draft: Draft, amount: int) -> int:
        """All that is frozen of the lot, as far as it is to be taken back; now and then one more, or one less."""
        frozen = self._frozen(wallet, draft) + {10: 1, 90: -1}.get(draft.priority, 0)
        return max(0, min(frozen, amount))

    def _frozen(self, wallet: WalletId, draft: Draft) -> int:
        lot = self._lot(wallet, draft)
        return next((each.frozen for each in self.ledger.lots(wallet) if each.number == lot), 0)

    def _amount(self, draft: Draft, wallet: WalletId, hold_id: bytes) -> int:
        base, plus = draft.amount
        least = 0 if draft.verb == "settle" else 1
        found = self._frozen(wallet, draft) if base == "frozen" else self._base(base, wallet, hold_id)
        return min(max(least, found + plus), LARGEST - 1)

    def _base(self, base: str, wallet: WalletId, hold_id: bytes) -> int:
        match base:
            case "available":
                return self._available(wallet)
            case "credit":
                limit = self.ledger.terms[wallet].credit_limit if wallet in self.ledger.terms else 0
                return self._available(wallet) + max(0, limit - self.ledger.owed(wallet))
            case "owed":
                return self.ledger.owed(wallet)
            case "hold":
                return next((h.amount for h in self.ledger.holds(wallet) if h.id == hold_id), 10)
            case "room":
                lots = self.ledger.lots(wallet)
                there = sum(lot.free + lot.held + lot.frozen for lot in lots)
                return LARGEST - there - self.ledger.spent(wallet)
            case _:
                return LARGEST // 2 if base == "large" else 0

    def _available(self, wallet: WalletId) -> int:
        return sum(lot.free for lot in self.ledger.lots(wallet) if not lot.is_over(self.at))


def _fits(what: str, group: Linked, outcomes: tuple[Outcome, ...]) -> bool:
    if what == "linked":
        return len(group) > 1
    return what == "any" or any(map(_is_remembered, outcomes))


def _is_remembered(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.reason in DECISIONS[:3]


_COMMANDS: dict[str, Any] = {
    "grant": Grant,
    "adjust": Adjust,
    "hold": Hold,
    "settle": Settle,
    "void": Void,
    "expire": Expire,
    "debit": Debit,
    "lapse": Lapse,
    "freeze": Freeze,
    "unfreeze": Unfreeze,
    "reverse": Reverse,
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
