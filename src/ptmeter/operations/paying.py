"""
Paying: bring the books in line with what Stripe says of a payment, in one transaction.

What a payment brought is a lot of its own, and whatever is claimed back is taken from that lot first: see
`domain.payments`. Every movement of PT and of money has a business key, so none is made twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.commands import Freeze, Reverse, Unfreeze
from ..domain.keys import transfer_ids
from ..domain.movements import closing, known, moved, receivable, to_bank
from ..domain.payment_notices import of_claims
from ..domain.payments import (
    DisputeStage,
    Do,
    PaymentRecord,
    claims_of,
    first_taken,
    gone,
    is_old,
    is_older,
    less_lapsed,
    on_record,
    spare,
    steps,
)
from ..domain.receipts import Moved
from ..errors import InsufficientFundsError, PtmeterError, TopUpNotOpenError
from . import lapsing, subscribing, topping_up
from .freezing import move
from .funding import grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from ..domain.ledger import Posted
    from ..domain.money import Movement
    from ..domain.movements import Outstanding
    from ..domain.payment_notices import PaymentNotice
    from ..domain.payments import Amounts, Claim, Dispute, Payment, Refund, Step
    from ..ports import Books, Posting


def settle(books: Books, payment: Payment, *, paid: Amounts) -> Posting[PaymentRecord]:
    """
    Do what is missing in the books of a payment that succeeded; run alone, for it decides by a row of its own.

    What was seen before something that the books know changes nothing: two who look at once may write in either order.
    *paid* is what the PT of each unit sold for, in nano-units of the platform's money, where that can be said.
    """
    books.payments.open(payment.id)
    record = books.payments.lock(payment.id)
    if record is None:
        record = yield from _receive(books, payment, paid)
    elif is_older(payment, known(books.payments.entries(reference=payment.id))):
        return record
    record = _linked(books, record, payment)
    tell(books, of_claims(record, payment))
    away, lapsed = gone(record, payment), record.lapsed
    for each in claims_of(payment):
        record = yield from _claim(books, record, each, away)
    record = yield from _let_off(books, record, lapsed)
    books.payments.enter([entry for each in payment.movements for entry in moved(each, record)])
    for dispute in payment.disputes:
        record = _close(books, record, dispute, payment)
    books.payments.save(record)
    return record


def _receive(books: Books, payment: Payment, paid: Amounts) -> Posting[PaymentRecord]:
    """Give the PT that were paid for."""
    key = f"payment:{payment.id}"
    account, offer = payment.account, payment.offer
    granted = None
    if payment.top_up:
        asked = topping_up.find(books, payment.top_up)
        account, offer = asked.account, {asked.unit: asked.amount.micro}
        granted = yield from topping_up.paid(books, asked, key=key)
        if isinstance(granted, TopUpNotOpenError):
            granted = None  # paid twice: the money is there, so it is a purchase like any other
    if granted is None and offer:
        granted = yield from grant(
            books, account, offer, source=f"payment {payment.id}", key=key, paid=paid
        )
    if isinstance(granted, PtmeterError):
        raise granted
    ids = transfer_ids(account, "grant", key, offer) if offer else {}
    posted = books.ledger.posted(account, list(ids.values()))
    return PaymentRecord(
        id=payment.id,
        account=account,
        amount=payment.amount,
        tax=payment.tax,
        currency=payment.currency,
        at=payment.at,
        granted=offer,
        lots={each.transfer.wallet.unit: each.transfer.seq for each in posted},
    )


def _linked(books: Books, record: PaymentRecord, payment: Payment) -> PaymentRecord:
    """The record with what the cycle gave that was paid for; that may be granted after the payment was seen first."""
    if payment.cycle is None or record.lots:
        return record
    given = [each.transfer for each in _given(books, record.account, payment.cycle)]
    return replace(
        record,
        granted={each.wallet.unit: payment.portion.of(each.amount) for each in given},
        lots={each.wallet.unit: each.seq for each in given},
        portion=payment.portion,
    )


def _given(books: Books, account: str, cycle: datetime) -> list[Posted]:
    """What the cycle gave that begins then; if none does, the change of plan that was made last within one."""
    ours = books.subscriptions.find(account)
    found = subscribing.granted(books, account, f"cycle:{cycle.isoformat()}")
    if found or ours is None or not ours.grants or not ours.grants[-1].startswith("change:"):
        return found
    now = replace(ours, at=cycle).cycle.end == ours.granted_until
    return subscribing.granted(books, account, ours.grants[-1]) if now else found


def _claim(
    books: Books, record: PaymentRecord, said: Refund | Dispute, away: Amounts
) -> Posting[PaymentRecord]:
    claim = on_record(record, said)
    if is_old(claim, said):
        return record
    for step in steps(record, said, away):
        claim = yield from _carry_out(books, record, said.id, claim, step)
    return record.with_claim(said.id, replace(claim, stage=said.stage, amount=said.amount))


def _close(books: Books, record: PaymentRecord, dispute: Dispute, payment: Payment) -> PaymentRecord:
    """Book what a bank keeps, or no longer keeps, once a dispute is decided."""
    claim = record.claims[dispute.id]
    theirs = [each for each in payment.movements if each.source == dispute.id]
    kept = -sum(each.amount for each in theirs) if claim.stage == DisputeStage.LOST else 0
    if not kept and not claim.closed:
        return record
    turn, name = claim.turns + 1, f"{dispute.id}:closed:"
    booked = [e for e in books.payments.entries(reference=record.id) if e.key.startswith(name)]
    currency = theirs[0].currency if theirs else record.currency
    missing = closing(dispute, record, kept, booked, currency=currency, key=f"{name}{turn}")
    if not missing:
        return record
    books.payments.enter(missing)
    return record.with_claim(dispute.id, replace(claim, closed=kept, turns=turn))


def one_by_one(books: Books, works: Sequence[Callable[[Books], Posting[object]]]) -> Posting[None]:
    """Do several things one after the other, all or none."""
    for work in works:
        yield from work(books)


def tell(books: Books, notices: Iterable[PaymentNotice]) -> None:
    """Write down what somebody should be told; the same is told once."""
    books.outbox.add([each.message(books.ledger.now()) for each in notices])


def told(books: Books, *, notice: PaymentNotice) -> Posting[None]:
    """Write down one thing that somebody should be told, and do nothing else."""
    tell(books, [notice])
    return
    yield


def nothing(_books: Books) -> Posting[None]:
    """What is to be done about something that moves nothing."""
    return
    yield


def top_up_failed(books: Books, *, top_up: str, reason: str) -> Posting[None]:
    """Note that an automatic top-up was not paid, unless it was by now."""
    found = topping_up.failed(books, top_up, reason=reason)
    if isinstance(found, PtmeterError) and not isinstance(found, TopUpNotOpenError):
        raise found
    return
    yield


def invoiced(books: Books, *, invoice: Outstanding) -> Posting[None]:
    """Book what of an invoice is still to be paid, as it is now."""
    books.payments.open(invoice.invoice)
    books.payments.lock(invoice.invoice)
    books.payments.enter(receivable(invoice, books.payments.entries(reference=invoice.invoice)))
    return
    yield


def paid_out(books: Books, *, payout: str, movements: Sequence[Movement]) -> Posting[None]:
    """Book what went to the bank, and what came back."""
    books.payments.open(payout)
    books.payments.lock(payout)
    books.payments.enter([entry for each in movements for entry in to_bank(each, payout)])
    return
    yield


# --- what is done to the lots -------------------------------------------------------------------


def _carry_out(books: Books, record: PaymentRecord, name: str, claim: Claim, step: Step) -> Posting[Claim]:
    turn = claim.turns + 1
    key = f"{name}:{turn}"
    claim = replace(claim, turns=turn)
    match step.do:
        case Do.FREEZE:
            frozen = yield from _move(books, Freeze, record, key, step)
            return replace(claim, frozen={unit: each.amount.micro for unit, each in frozen.items()})
        case Do.UNFREEZE:
            yield from _move(books, Unfreeze, record, key, step)
            return replace(claim, frozen=_sum(claim.frozen, step.amounts, -1))
        case Do.TAKE:
            amounts, lapsed = less_lapsed(step, lapsing.uncounted(books, record))
            taken = yield from _move(books, Reverse, record, key, step._replace(amounts=amounts))
            used = {unit: micro - taken[unit].of_lot.micro for unit, micro in amounts.items()}
            there = sum(amounts.values()) - sum(used.values())
            claim = claim.took(there, sum(used.values()), sum(lapsed.values()))
            return replace(
                claim,
                taken=_sum(claim.taken, amounts, 1),
                used=_sum(claim.used, used, 1),
                lapsed=_sum(claim.lapsed, lapsed, 1),
                frozen=_sum(claim.frozen, step.frozen, -1),
            )
        case Do.GIVE_BACK:
            amounts, lapsed = first_taken(step, claim.taken)
            return (yield from _give_back(books, record, name, claim, amounts, lapsed))


def _give_back(
    books: Books, record: PaymentRecord, name: str, claim: Claim, amounts: Amounts, lapsed: Amounts
) -> Posting[Claim]:
    """Give back what a claim took, of what is owed first, and count so much less of what has *lapsed* for it."""
    if amounts:
        source, key = f"given back: {name}", f"{name}:{claim.turns}"
        given = yield from grant(books, record.account, amounts, source=source, key=key)
        if isinstance(given, PtmeterError):
            raise given
    repaid = {unit: min(micro, claim.used.get(unit, 0)) for unit, micro in amounts.items()}
    return replace(
        claim.gave_back(sum(amounts.values()), sum(lapsed.values())),
        taken=_sum(claim.taken, amounts, -1),
        used=_sum(claim.used, repaid, -1),
        lapsed=_sum(claim.lapsed, lapsed, -1),
    )


def _let_off(books: Books, record: PaymentRecord, before: Amounts) -> Posting[PaymentRecord]:
    """
    Have claims owe nothing for what has lapsed, where one that it was counted for is undone.

    *before* is how much of the lots was counted as lapsed before that.
    """
    for name, claim in record.claims.items():
        left = _sum(before, record.lapsed, -1)
        if spared := spare(claim, left):
            turned = replace(claim, turns=claim.turns + 1)
            less = {unit: -micro for unit, micro in spared.items()}
            given = yield from _give_back(books, record, name, turned, spared, less)
            record = record.with_claim(name, given)
    return record


def _move(
    books: Books,
    kind: type[Freeze | Unfreeze | Reverse],
    record: PaymentRecord,
    key: str,
    step: Step,
) -> Posting[dict[str, Moved]]:
    """Move what a step says of the payment's lots; nothing is frozen where all is used, and all else has to be done."""
    if not step.amounts:
        return {}
    reason = lapsing.reason(record, key)
    outcomes = yield from move(
        books, kind, record.account, record.lots, step.amounts, reason=reason, key=key, frozen=step.frozen
    )
    done: dict[str, Moved] = {}
    for unit, outcome in outcomes.items():
        if isinstance(outcome, Moved):
            done[unit] = outcome
        elif kind is not Freeze or not isinstance(outcome, InsufficientFundsError):
            raise outcome
    return done


def _sum(amounts: Amounts, more: Amounts, sign: int) -> Amounts:
    total = {u: amounts.get(u, 0) + sign * more.get(u, 0) for u in sorted({*amounts, *more})}
    return {unit: micro for unit, micro in total.items() if micro}
