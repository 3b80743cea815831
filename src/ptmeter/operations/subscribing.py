"""Subscriptions: begin, change, cancel and renew them, with the PT that each of these gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

from ..domain import renewals
from ..domain.commands import Grant
from ..domain.keys import fingerprint, transfer_id, transfer_ids
from ..domain.ledger import Kind, wallet_id
from ..domain.pt import PT
from ..domain.receipts import Granted
from ..domain.roll_over import shared, unused
from ..domain.selling import divide
from ..domain.subscriptions import Status, Subscribed
from ..errors import (
    IdempotencyConflictError,
    PaidThroughStripeError,
    PtmeterError,
    SubscriptionExistsError,
    SubscriptionNotFoundError,
    TrialUsedError,
)
from .funding import grant
from .posting import post_one
from .recounting import lock_path, recount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from ..domain.admission import Rules
    from ..domain.ledger import Lot, Posted, Transfer, Wallet
    from ..domain.plans import Plan
    from ..domain.renewals import Due
    from ..domain.roll_over import Rest
    from ..domain.subscriptions import Discount, Interval, Subscription, When
    from ..ports import Books, Posting

ALLOWANCE_PRIORITY: Final = 20
"""An allowance burns before top-ups, which outlive it."""

ROLL_OVER_PRIORITY: Final = 19
"""What came over from the cycle before burns first: it does not go on a second time."""

PAGE: Final = 1_000


def assign(
    books: Books, account: str, rules: Rules, plan: Plan, *, until: datetime | None, key: str
) -> Posting[Granted | PtmeterError]:
    """Put *account* on *plan* and grant its allowance once, for the price of a month; it lapses at *until*."""
    amounts = {unit: amount.micro for unit, amount in plan.allowance.items() if amount}
    if not amounts:
        books.accounts.set_plan(account, plan.name)
        return Granted(account=account, key=key, amounts={}, available={})
    granted = yield from grant(
        books,
        account,
        amounts,
        source=f"plan {plan.name}",
        key=key,
        priority=ALLOWANCE_PRIORITY,
        expires_at=until,
        paid=_divided(renewals.in_dollars(plan.price_per_month), amounts, rules),
    )
    if isinstance(granted, Granted) and not granted.replayed:
        books.accounts.set_plan(account, plan.name)
    return granted


def subscribe(
    books: Books,
    account: str,
    rules: Rules,
    plan: Plan,
    *,
    interval: Interval,
    anchor: datetime | None,
    zone: str,
    trial: bool,
    discount: Discount | None,
    key: str,
    paid_until: datetime | None = None,
    trial_end: datetime | None = None,
) -> Posting[Subscribed | PtmeterError]:
    """Begin a subscription, and grant the cycle that holds now or the trial."""
    books.subscriptions.open(wallet_id(account, "").account)
    earlier = books.subscriptions.lock(account)
    begins = anchor and anchor.astimezone(UTC).isoformat()
    less = (discount.share, discount.until.astimezone(UTC).isoformat()) if discount else ()
    asked = fingerprint(account, "subscribe", key, plan.name, str(interval), begins, zone, trial, *less)
    if known := _replayed(books, account, "subscribe", key, asked):
        return known
    at = books.ledger.now()
    if earlier and replace(earlier, at=at).status is not Status.ENDED:
        return SubscriptionExistsError(account, earlier.plan)
    if trial and earlier and earlier.trial_end:
        return TrialUsedError(account)
    begun = renewals.begin(
        account,
        plan,
        interval=interval,
        anchor=anchor,
        zone=zone,
        trial=trial,
        trial_end=trial_end,
        discount=discount,
        paid_until=paid_until,
        at=at,
    )
    if earlier and earlier.trial_end and not trial:  # it was had, and is not had again
        begun = replace(begun, trial_end=min(earlier.trial_end, at))
    given = Subscribed(subscription=begun)
    if trial and plan.trial:
        amounts = {unit: amount.micro for unit, amount in plan.trial.allowance.items() if amount}
        source, name = f"trial of plan {plan.name}", f"trial:{key}"
        lots = _lots(account, source, name, amounts, begun.trial_end, paid=dict.fromkeys(amounts, 0))
        tried = yield from _give(books, given, lots, key)
        if isinstance(tried, PtmeterError):
            return tried
        given = tried
    return (yield from _finish(books, given, rules, "subscribe", key, asked))


def change(
    books: Books,
    account: str,
    rules: Rules,
    plan: Plan,
    *,
    interval: Interval | None,
    when: When | None,
    key: str,
) -> Posting[Subscribed | PtmeterError]:
    """Go on with another plan or interval, now or when what is paid for ends; see `renewals.change`."""
    found = books.subscriptions.lock(account)
    asked = fingerprint(account, "change", key, plan.name, interval and str(interval), when and str(when))
    if known := _replayed(books, account, "change", key, asked):
        return known
    current = yield from _brought_up(books, account, found, rules)
    if isinstance(current, PtmeterError):
        return current
    changed, amounts, paid = renewals.change(
        current.subscription, rules.plans, plan, interval=interval, when=when
    )
    given = replace(current, subscription=changed)
    if amounts:
        name, until = f"change:{key}", changed.granted_until
        divided = _divided(paid, amounts, rules)
        lots = _lots(account, f"plan {plan.name}", name, amounts, until, paid=divided)
        more = yield from _give(books, given, lots, key)
        if isinstance(more, PtmeterError):
            return more
        given = replace(more, subscription=replace(changed, grants=(*changed.grants, name)))
    return (yield from _finish(books, given, rules, "change", key, asked))


def cancel(
    books: Books, account: str, rules: Rules, *, when: When, key: str
) -> Posting[Subscribed | PtmeterError]:
    """End a subscription, now or when what is paid for ends; see `renewals.cancel`."""
    found = books.subscriptions.lock(account)
    asked = fingerprint(account, "cancel", key, str(when))
    if known := _replayed(books, account, "cancel", key, asked):
        return known
    current = yield from _brought_up(books, account, found, rules)
    if isinstance(current, PtmeterError):
        return current
    given = replace(current, subscription=renewals.cancel(current.subscription, when))
    return (yield from _finish(books, given, rules, "cancel", key, asked))


def by_hand(
    books: Books, account: str, work: Callable[[Books], Posting[Subscribed | PtmeterError]]
) -> Posting[Subscribed | PtmeterError]:
    """Do something to a subscription that is not paid through Stripe, which would not hear of it."""
    found = books.subscriptions.lock(account)
    if found and found.seen_at and replace(found, at=books.ledger.now()).status is not Status.ENDED:
        return PaidThroughStripeError(account)
    return (yield from work(books))


def renew(books: Books, account: str, rules: Rules) -> Posting[Subscribed | PtmeterError]:
    """Grant every cycle that has begun and was not granted yet; carry out the end, if it has come."""
    found = books.subscriptions.lock(account)
    if found is None:
        return SubscriptionNotFoundError(account)
    given = Subscribed(subscription=replace(found, at=books.ledger.now()))
    return (yield from _finish(books, given, rules))


def find(books: Books, account: str) -> Subscription:
    """
    The subscription of *account*, as it stands now; ended, if it was.

    Raises:
        SubscriptionNotFoundError: It never had one.
    """
    found = books.subscriptions.find(account)
    if found is None:
        raise SubscriptionNotFoundError(account)
    return replace(found, at=books.ledger.now())


def granted(books: Books, account: str, name: str) -> list[Posted]:
    """What a subscription gave under that name, in the unit of each of the account's wallets."""
    units = sorted(wallet.id.unit for wallet in books.ledger.wallets(account, live=True))
    ids = [transfer_id(account, "subscription", name)]
    ids += [transfer_id(account, "subscription", name, unit) for unit in units]
    return books.ledger.posted(account, ids)


def due(books: Books, *, after: str, limit: int) -> list[str]:
    """Accounts whose subscriptions have something to be done for them, by name, beginning after *after*."""
    return books.subscriptions.due(books.ledger.now(), after=after, limit=limit)


# --- bringing up to date ------------------------------------------------------------------------


def _brought_up(
    books: Books, account: str, found: Subscription | None, rules: Rules
) -> Posting[Subscribed | PtmeterError]:
    """A subscription that has not ended, with every cycle granted that has begun."""
    at = books.ledger.now()
    if found is None or replace(found, at=at).status is Status.ENDED:
        return SubscriptionNotFoundError(account)
    return (yield from _renewed(books, Subscribed(subscription=replace(found, at=at)), rules))


def _renewed(books: Books, given: Subscribed, rules: Rules) -> Posting[Subscribed | PtmeterError]:
    while due := renewals.renewal(given.subscription, rules.plans):
        after = due.subscription
        paid = _divided(after.paid, due.amounts, rules)
        lots = _lots(after.account, f"plan {after.plan}", due.key, due.amounts, due.cycle.end, paid=paid)
        if rolled := _rolled(books, given.subscription, due):
            begun = f"{given.subscription.granted_until:%Y-%m-%d}"
            lots |= _lots(
                after.account,
                f"unused before {begun}",
                f"roll-over:{due.key}",
                {unit: rest.amount for unit, rest in rolled.items()},
                due.cycle.end,
                priority=ROLL_OVER_PRIORITY,
                paid={unit: rest.paid for unit, rest in rolled.items() if rest.paid is not None},
            )
        granted = yield from _give(books, replace(given, subscription=after), lots, due.key)
        if isinstance(granted, PtmeterError):
            return granted
        given = granted
    return given


def _finish(
    books: Books,
    given: Subscribed,
    rules: Rules,
    verb: str = "",
    key: str = "",
    asked: bytes = b"",
) -> Posting[Subscribed | PtmeterError]:
    """Bring it up to date, write how it stands, and note the request that led there."""
    renewed = yield from _renewed(books, given, rules)
    if isinstance(renewed, PtmeterError):
        return renewed
    standing = renewed.subscription
    over = standing.status is Status.ENDED
    standing = replace(standing, closed=over)
    books.subscriptions.save(standing)
    _place(books, standing, None if over else standing.plan)
    done = replace(renewed, subscription=standing)
    if verb:
        books.subscriptions.note(standing.account, transfer_id(standing.account, verb, key), asked, done)
    return done


def _place(books: Books, standing: Subscription, plan: str | None) -> None:
    """Put the account on the plan: its windows are the cycles, so that limits go by what is granted."""
    name = standing.account
    books.accounts.open(name)
    locked = lock_path(books, name)
    account = locked[name]
    placed = replace(account, plan=plan, anchor=standing.anchor, zone=standing.zone)
    if placed != account:
        books.accounts.save(placed)
    if account.tally.used and (account.anchor, account.zone) != (placed.anchor, placed.zone):
        recount(books, name, {**locked, name: placed})


def _replayed(
    books: Books, account: str, verb: str, key: str, asked: bytes
) -> Subscribed | PtmeterError | None:
    known = books.subscriptions.noted(account, transfer_id(account, verb, key))
    if known is None:
        return None
    was, done = known
    return replace(done, replayed=True) if was == asked else IdempotencyConflictError(account, key)


# --- PT -----------------------------------------------------------------------------------------


def _lots(
    account: str,
    source: str,
    name: str,
    amounts: Mapping[str, int],
    expires_at: datetime | None,
    *,
    priority: int = ALLOWANCE_PRIORITY,
    paid: Mapping[str, int],
) -> dict[bytes, Grant]:
    """
    Grants under a business key, by id: the same cycle is granted once, whoever does it however often.

    Neither the plan's price nor how the rate card divides it is what tells one from another.
    """
    ids = transfer_ids(account, "subscription", name, amounts) if amounts else {}
    return {
        ids[unit]: Grant(
            wallet=wallet_id(account, unit),
            id=ids[unit],
            fingerprint=fingerprint(account, "subscription", name),
            amount=amounts[unit],
            note=source,
            priority=priority,
            expires_at=expires_at,
            paid=paid.get(unit),
        )
        for unit in ids
    }


def _give(
    books: Books, given: Subscribed, lots: Mapping[bytes, Grant], key: str
) -> Posting[Subscribed | PtmeterError]:
    if not lots:
        return given
    posted = yield from post_one(books, tuple(lots.values()), key)
    if isinstance(posted, PtmeterError):
        return posted
    amounts, available = dict(given.amounts), dict(given.available)
    for each in posted:
        unit = each.transfer.wallet.unit
        if not each.replayed:
            amounts[unit] = amounts.get(unit, PT(0)) + PT(each.transfer.amount)
        available[unit] = PT(each.available)
    return replace(given, amounts=amounts, available=available)


def _divided(paid: int | None, amounts: Mapping[str, int], rules: Rules) -> Mapping[str, int]:
    """What was paid for PT of each unit; nothing where it is not known what was paid."""
    return {} if paid is None else divide(paid, amounts, rules.sells_at)


def _rolled(books: Books, before: Subscription, due: Due) -> dict[str, Rest]:
    """The share of what the cycle before left unused, by unit."""
    rolled: dict[str, Rest] = {}
    for wallet in books.ledger.wallets(before.account) if due.rolls_over else ():
        share = due.rolls_over.get(wallet.id.unit, 0)
        if share and (rest := shared(_unused(books, wallet, before, due.cycle.start), share)).amount:
            rolled[wallet.id.unit] = rest
    return rolled


def _unused(books: Books, wallet: Wallet, before: Subscription, end: datetime) -> list[tuple[Lot, int]]:
    """The wallet's lots of the cycle before, with what each had left when it ended."""
    ids = [transfer_id(before.account, "subscription", name) for name in before.grants]
    ids += [transfer_id(before.account, "subscription", name, wallet.id.unit) for name in before.grants]
    granted = books.ledger.posted(before.account, ids)
    mine = {posted.transfer.seq for posted in granted if posted.transfer.wallet == wallet.id}
    since = list(_since(books, wallet, end))
    settled = {row.completes for row in since if row.kind is Kind.SETTLE and row.completes}
    holds = {number: books.ledger.journal(wallet, after=number - 1, limit=1)[0] for number in settled}
    return [(lot, unused(lot, since, holds)) for lot in wallet.lots if lot.number in mine]


def _since(books: Books, wallet: Wallet, end: datetime) -> Iterator[Transfer]:
    after = 0
    while rows := books.ledger.journal(wallet, after=after, limit=PAGE, since=end):
        yield from rows
        after = rows[-1].seq
