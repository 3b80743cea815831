"""
Random histories of accounts with limits, played with the ledger and with an oracle that knows no tallies.

The oracle keeps a list of all that happened and counts it anew for every request. The ledger is asked the same,
and must say the same: admitted at which multiple, or refused by which limit of whom, and when to try again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from ptmeter.domain.accounts import Account, path, payer
from ptmeter.domain.admission import Admission, Limit, Limited, Rules
from ptmeter.domain.commands import Debit, Expire, Grant, Hold, Settle, Void
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import Kind, Overage, Posted, WalletId
from ptmeter.domain.limits import Burn, BurnStep, Cap, Limits, Pace, Share, SpendCap
from ptmeter.domain.plans import Plan, Plans
from ptmeter.domain.pt import PT, Money
from ptmeter.domain.windows import Every, window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome

START = datetime(2026, 3, 28, 12, tzinfo=UTC)  # the night after, clocks are put forward in Europe
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
UNITS = ("core", "advanced")
STEPS = (timedelta(seconds=1), timedelta(seconds=20), MINUTE, 7 * MINUTE, HOUR, 5 * HOUR)
SELLS_AT = {"core": 10_000_000, "advanced": 35_000_000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = 1_000_000


def plan(random: Random, name: str) -> Plan:
    """Any plan, with limits that are reached now and then."""
    steps = (BurnStep(2_000, 30 * MINUTE), BurnStep(5_000, 2 * HOUR))
    limits = Limits(
        paces=tuple(
            Pace(per, random.randint(2, 12)) for per in (MINUTE, HOUR, DAY) if random.random() < 0.5
        ),
        concurrent=random.choice([None, 2, 5]),
        caps=(
            tuple(
                Cap(random.choice(UNITS), every, random.randint(20, 200) * MICRO)
                for every in Every
                if random.random() < 0.3
            )
        ),
        spend=(SpendCap(Every.MONTH, Money(random.randint(1, 9) * 10**9)),)
        if random.random() < 0.3
        else (),
        shares={
            "advanced": Share(unit="advanced", soft=1_000, hard=2_500, overflow=random.choice([None, 2]))
        }
        if random.random() < 0.5
        else {},
        burn=Burn(warn=1_000, steps=steps, repeats=3) if random.random() < 0.5 else None,
    )
    return Plan(
        name=name,
        price_per_month=Money(0),
        price_per_year=None,
        allowance={"core": PT(random.randint(50, 500) * MICRO), "advanced": PT(50 * MICRO)},
        units=frozenset(UNITS if random.random() < 0.8 else UNITS[:1]),
        limits=limits,
    )


def tree(random: Random, plans: Sequence[str]) -> dict[str, Account]:
    """Any tree of up to eight accounts."""
    accounts: dict[str, Account] = {}
    for number in range(random.randint(1, 8)):
        parent = random.choice([None, *accounts])
        terms = Limits(caps=(Cap("core", Every.DAY, random.randint(10, 90) * MICRO),))
        accounts[f"a{number}"] = Account(
            name=f"a{number}",
            parent=parent,
            pooled=parent is not None and random.random() < 0.7,
            plan=random.choice([None, *plans]),
            anchor=random.choice([None, datetime(2026, 1, 31, 23, 30, tzinfo=UTC)]),
            zone=random.choice([None, "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
            overflow=random.random() < 0.5,
            terms=terms if random.random() < 0.4 else Limits(),
        )
    return accounts


@dataclass
class Happened:
    """Something that was held, and what became of it."""

    member: str
    unit: str
    amount: int
    at: datetime
    expires_at: datetime
    multiple: int = 1
    extends: bool = False
    over: bool = False


@dataclass
class Oracle:
    """All that happened, in two lists."""

    accounts: dict[str, Account]
    rules: Rules
    holds: list[Happened] = field(default_factory=list[Happened])
    uses: list[tuple[str, str, int, datetime]] = field(default_factory=list[tuple[str, str, int, datetime]])
    waits: dict[str, tuple[datetime, datetime, int]] = field(
        default_factory=dict[str, tuple[datetime, datetime, int]]
    )

    def below(self, scope: str, member: str) -> bool:
        """Whether what *member* does counts for *scope*."""
        return any(each.name == scope for each in path(member, self.accounts))

    def window(self, scope: str, every: Every, at: datetime) -> tuple[datetime, datetime]:
        """The window of an account, by its own anchor and zone or those of the nearest above."""
        above = path(scope, self.accounts)
        zone = next((ZoneInfo(a.zone) for a in above if a.zone), UTC)
        anchor = next((a.anchor for a in above if a.anchor), datetime(1970, 1, 1, tzinfo=zone))
        return window(at, every=every, anchor=anchor, zone=zone)

    def live(self, scope: str, at: datetime) -> list[Happened]:
        """Holds that count: open, and their last minute is not over."""
        return [
            h
            for h in self.holds
            if self.below(scope, h.member)
            and not h.over
            and (h.expires_at - EPOCH) // MINUTE + 1 > (at - EPOCH) // MINUTE
        ]

    def taken(self, scope: str, unit: str, every: Every, at: datetime) -> int:
        """What was used in the window and is held now."""
        start, end = self.window(scope, every, at)
        used = sum(
            amount
            for member, of, amount, when in self.uses
            if of == unit and start <= when < end and self.below(scope, member)
        )
        return used + sum(h.amount for h in self.live(scope, at) if h.unit == unit)

    def burnt(self, scope: str, at: datetime, uses: Sequence[tuple[str, str, int, datetime]]) -> int:
        """What was used in the last 72 hours, to the hour."""
        first = (at - EPOCH) // HOUR - 72
        return sum(
            a for member, _, a, when in uses if (when - EPOCH) // HOUR > first and self.below(scope, member)
        )

    def use(self, member: str, unit: str, amount: int, at: datetime) -> None:
        """Something was used: waits begin where a burn rate is gone over."""
        before = list(self.uses)
        self.uses.append((member, unit, amount, at))
        for scope in path(member, self.accounts):
            name, given = scope.plan, 0
            burn = self.rules.plans.find(name).limits.burn if name else None
            given = self.rules.allowance(scope)
            if burn is None or not given:
                continue
            had, has = self.burnt(scope.name, at, before), self.burnt(scope.name, at, self.uses)
            over = [s for s in burn.steps if had * 10_000 <= given * s.share < has * 10_000]
            if over:
                cycle, _ = self.window(scope.name, Every.MONTH, at)
                until, since, count = self.waits.get(scope.name, (EPOCH, EPOCH, 0))
                count = count + 1 if since == cycle else 1
                ends = at + over[-1].wait * min(count, burn.repeats)
                if ends.microsecond:
                    ends = ends.replace(microsecond=0) + timedelta(seconds=1)
                until = max(until, ends)
                self.waits[scope.name] = until, cycle, count

    def decide(
        self, member: str, model: str, unit: str, amount: int, at: datetime
    ) -> int | tuple[object, ...]:
        """At which multiple a hold is admitted, or which limit of whom refuses it, and until when."""
        above = path(member, self.accounts)
        on = next((a.plan for a in above if a.plan), None)
        if on and unit not in self.rules.plans.find(on).units:
            return Limit.MODEL, member, None
        multiple = 1
        for scope in above:
            own = [self.rules.plans.find(scope.plan).limits] if scope.plan else []
            for limits in (*own, scope.terms):
                if refused := self._refused(scope.name, limits, unit, amount * multiple, at):
                    return refused
                share = limits.shares.get(unit)
                if share and share.hard is not None:
                    most = self.rules.allowance(scope) * share.hard // 10_000
                    if self.taken(scope.name, unit, Every.MONTH, at) + amount > most:
                        if not (scope.overflow and share.overflow):
                            end = self.window(scope.name, Every.MONTH, at)[1]
                            return Limit.SHARE, scope.name, end if amount <= most else None
                        multiple = max(multiple, share.overflow)
        return multiple

    def decide_more(self, call: Happened, amount: int, at: datetime) -> int | tuple[object, ...]:
        """Whether *amount* more may be held for a call: asked for PT and money only, at the multiple it began at."""
        more, unit = amount * call.multiple, call.unit
        for scope in path(call.member, self.accounts):
            own = [self.rules.plans.find(scope.plan).limits] if scope.plan else []
            for limits in (*own, scope.terms):
                if refused := self._refused_amounts(scope.name, limits, unit, more, at):
                    return refused
                share = limits.shares.get(unit)
                if share is None or share.hard is None:
                    continue
                agreed = scope.overflow and share.overflow and call.multiple >= share.overflow
                most = self.rules.allowance(scope) * share.hard // 10_000
                if not agreed and self.taken(scope.name, unit, Every.MONTH, at) + more > most:
                    end = self.window(scope.name, Every.MONTH, at)[1]
                    return Limit.SHARE, scope.name, end if more <= most else None
        return call.multiple

    def _refused(
        self, scope: str, limits: Limits, unit: str, amount: int, at: datetime
    ) -> tuple[object, ...] | None:
        until = self.waits.get(scope, (EPOCH, EPOCH, 0))[0]
        if limits.burn and at < until:
            return Limit.WAIT, scope, until
        for pace in limits.paces:
            length = pace.per / 60
            steps = sorted(
                (h.at - EPOCH) // length
                for h in self.holds
                if not h.extends
                and self.below(scope, h.member)
                and (h.at - EPOCH) // length > (at - EPOCH) // length - 60
            )
            if len(steps) >= pace.requests:
                return Limit.PACE, scope, EPOCH + (steps[len(steps) - pace.requests] + 60) * length
        live = [h for h in self.live(scope, at) if not h.extends]
        if limits.concurrent is not None and len(live) >= limits.concurrent:
            first = min((h.expires_at - EPOCH) // MINUTE + 1 for h in live)
            return Limit.CONCURRENT, scope, EPOCH + first * MINUTE
        return self._refused_amounts(scope, limits, unit, amount, at)

    def _refused_amounts(
        self, scope: str, limits: Limits, unit: str, amount: int, at: datetime
    ) -> tuple[object, ...] | None:
        for cap in limits.caps:
            if cap.unit == unit and self.taken(scope, unit, cap.every, at) + amount > cap.amount:
                end = self.window(scope, cap.every, at)[1]
                return Limit.CAP, scope, end if amount <= cap.amount else None
        for spend in limits.spend:
            worth = sum(self.taken(scope, u, spend.every, at) * SELLS_AT[u] for u in UNITS) // MICRO
            more = amount * SELLS_AT[unit] // MICRO
            if worth + more > spend.amount.nano:
                end = self.window(scope, spend.every, at)[1]
                return Limit.SPEND, scope, end if more <= spend.amount.nano else None
        return None


def said(refused: Limited) -> tuple[object, ...]:
    """What a refusal says, as the oracle says it."""
    return refused.limit, refused.account, refused.retry_at


class Ledger(Protocol):
    """What a game is played with."""

    def begin(self, accounts: Mapping[str, Account]) -> None:
        """Have these accounts, and no others."""
        ...

    def open(self, name: WalletId, at: datetime) -> None:
        """Have this wallet."""
        ...

    def post(self, batch: Sequence[Linked], at: datetime) -> list[tuple[Outcome, ...]]:
        """Carry out a batch."""
        ...


class Game:
    """One random tree and one random history."""

    def __init__(self, seed: int, ledger: Ledger) -> None:
        self.random = Random(seed)
        plans = Plans({name: plan(self.random, name) for name in ("small", "large")})
        self.rules = Rules(plans=plans, sells_at=SELLS_AT)
        self.ledger = ledger
        self.accounts = tree(self.random, ["small", "large"])
        self.oracle = Oracle(self.accounts, self.rules)
        self.open: dict[bytes, tuple[Happened, WalletId]] = {}
        self.at = START
        self.refused: set[Limit] = set()
        self.refused_more: set[Limit] = set()
        ledger.begin(self.accounts)
        for account in self.accounts:
            for unit in UNITS:
                name = WalletId(account, unit)
                ledger.open(name, self.at)
                give = Grant(
                    wallet=name, id=self.id("grant", account, unit), fingerprint=bytes(8), amount=2**50
                )
                self.ledger.post([(give,)], self.at)

    def id(self, *parts: object) -> bytes:
        return digest(parts)

    def play(self, requests: int) -> None:
        for number in range(requests):
            self.at += self.random.choice(STEPS)
            if self.open and self.random.random() < 0.45:
                self.end()
            elif self.open and self.random.random() < 0.2:
                self.extend(number)
            elif self.random.random() < 0.1:
                self.record(number)
            else:
                self.ask(number)

    def ask(self, number: int) -> None:
        member, unit = self.random.choice([*self.accounts]), self.random.choice(UNITS)
        amount, ttl = self.random.randint(1, 40) * MICRO, self.random.choice([MINUTE, 15 * MINUTE, DAY])
        wallet = WalletId(payer(path(member, self.accounts)), unit)
        expected = self.oracle.decide(member, "model", unit, amount, self.at)
        hold = Hold(
            wallet=wallet,
            id=self.id("hold", number),
            fingerprint=bytes(8),
            amount=amount,
            ttl=ttl,
            admission=Admission(account=member, rules=self.rules, model="model"),
        )
        ((outcome,),) = self.ledger.post([(hold,)], self.at)
        if isinstance(outcome, Posted):
            assert expected == outcome.transfer.multiple
            placed = outcome.transfer
            assert placed.expires_at
            happened = Happened(
                member, unit, placed.amount, placed.booked_at, placed.expires_at, multiple=placed.multiple
            )
            self.oracle.holds.append(happened)
            self.open[hold.id] = happened, wallet
        else:
            assert outcome.limited is not None
            assert expected == said(outcome.limited)
            self.refused.add(outcome.limited.limit)

    def extend(self, number: int) -> None:
        """Hold more for a call that is under way: its hold may have expired meanwhile, as far as it counts."""
        call, wallet = self.open[self.random.choice([*self.open])]
        amount, ttl = self.random.randint(1, 40) * MICRO, self.random.choice([MINUTE, 15 * MINUTE, DAY])
        expected = self.oracle.decide_more(call, amount, self.at)
        hold = Hold(
            wallet=wallet,
            id=self.id("more", number),
            fingerprint=bytes(8),
            amount=amount,
            ttl=ttl,
            admission=Admission(account=call.member, rules=self.rules),
            extends=call.multiple,
        )
        ((outcome,),) = self.ledger.post([(hold,)], self.at)
        if isinstance(outcome, Posted):
            placed = outcome.transfer
            assert (expected, Kind.EXTEND) == (placed.multiple, placed.kind)
            assert placed.expires_at
            more = Happened(
                *(call.member, call.unit, placed.amount, placed.booked_at, placed.expires_at),
                multiple=placed.multiple,
                extends=True,
            )
            self.oracle.holds.append(more)
            self.open[hold.id] = more, wallet
        else:
            assert outcome.limited is not None
            assert expected == said(outcome.limited)
            self.refused_more.add(outcome.limited.limit)

    def end(self) -> None:
        """Settle, void or expire a hold, within what it holds or beyond."""
        name = self.random.choice([*self.open])
        happened, wallet = self.open.pop(name)
        asked: dict[str, Any] = {
            "wallet": wallet,
            "id": self.id("end", name),
            "fingerprint": bytes(8),
            "hold_id": name,
        }
        match self.random.choice(["settle", "settle", "beyond", "void", "expire"]):
            case "void":
                self.post(Void(**asked))
            case "expire" if self.at >= happened.expires_at:
                self.post(Expire(**asked))
            case "beyond":
                self.settle(happened, asked, happened.amount * 2)
            case _:
                self.settle(happened, asked, self.random.randint(1, happened.amount))
        happened.over = True

    def settle(self, happened: Happened, asked: dict[str, Any], amount: int) -> None:
        beyond = max(0, amount - happened.amount)
        posted = self.post(Settle(**asked, amount=amount, overage=Overage.ALLOW, rules=self.rules))
        at = posted.transfer.booked_at
        happened.over = True
        self.oracle.use(happened.member, happened.unit, amount - beyond, at)
        if beyond:
            self.oracle.use(happened.member, happened.unit, beyond, at + timedelta(microseconds=1))

    def record(self, number: int) -> None:
        """Charge without a hold: it counts, whatever the limits say."""
        member, unit = self.random.choice([*self.accounts]), self.random.choice(UNITS)
        amount = self.random.randint(1, 40) * MICRO
        debit = Debit(
            wallet=WalletId(payer(path(member, self.accounts)), unit),
            id=self.id("debit", number),
            fingerprint=bytes(8),
            amount=amount,
            admission=Admission(account=member, rules=self.rules),
        )
        posted = self.post(debit)
        self.oracle.use(member, unit, amount, posted.transfer.booked_at)

    def post(self, command: Settle | Void | Expire | Debit) -> Posted:
        ((outcome,),) = self.ledger.post([(command,)], self.at)
        assert isinstance(outcome, Posted)
        return outcome
