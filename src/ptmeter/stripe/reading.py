"""
What Stripe's objects say, as the domain's values: read at `API_VERSION`, as plain JSON, and nothing guessed.

What a payment is for is in its metadata, which ptmeter writes when it asks for one and anybody may who asks by
himself: ``ptmeter_account``, and ``ptmeter_core=100`` for each unit of PT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.checks import check_name
from ..domain.money import Movement
from ..domain.payments import ALL, Dispute, DisputeStage, Payment, Portion, Refund, RefundStage
from ..domain.pt import PT
from ..errors import InvalidArgumentError, UnknownPaymentError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..domain.payments import Amounts

Json: TypeAlias = "Mapping[str, Any]"

PREFIX: Final = "ptmeter_"
ACCOUNT: Final = PREFIX + "account"
TOP_UP: Final = PREFIX + "top_up"

_REFUNDS: Final = {
    "pending": RefundStage.MADE,  # the money leaves the balance when a refund is asked for
    "succeeded": RefundStage.MADE,
    "requires_action": RefundStage.ASKED,
    "failed": RefundStage.FAILED,
    "canceled": RefundStage.FAILED,
}
_DISPUTES: Final = {
    "warning_needs_response": DisputeStage.INQUIRY,
    "warning_under_review": DisputeStage.INQUIRY,
    "warning_closed": DisputeStage.INQUIRY,
    "needs_response": DisputeStage.OPEN,
    "under_review": DisputeStage.OPEN,
    "won": DisputeStage.WON,
    "prevented": DisputeStage.WON,
    "lost": DisputeStage.LOST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """What a payment is for: PT, an automatic top-up, or a cycle of a plan, or its *portion* of that."""

    account: str
    tax: int
    offer: Amounts = field(default_factory=dict[str, int])
    top_up: str = ""
    cycle: datetime | None = None
    portion: Portion = ALL


def bought(intent: Json, metadata: Json, *, tax: int, units: Collection[str]) -> Bought:
    """
    What a payment is for that says so itself, *tax* included.

    Raises:
        UnknownPaymentError: It does not say for whom, or for how many PT of what.
    """
    name = intent["id"]
    offer = offer_in(metadata, name, units)
    return Bought(
        account=account_in(metadata, name),
        tax=tax,
        offer=_received(offer, intent["amount_received"], intent["amount"]),
        top_up=metadata.get(TOP_UP, ""),
    )


def payment(
    intent: Json,
    bought: Bought,
    *,
    refunds: Iterable[Json],
    disputes: Sequence[Json],
) -> Payment:
    """
    A payment that succeeded, for what was bought with it, and with all that was claimed back of it.

    Raises:
        UnknownPaymentError: A refund or dispute is in a state that is not known here.
    """
    charge: Json = intent.get("latest_charge") or {}
    name: str = intent["id"]
    given = [refund(each) for each in refunds]
    contested = [dispute(each) for each in disputes]
    return Payment(
        id=name,
        account=bought.account,
        offer=bought.offer,
        cycle=bought.cycle,
        portion=bought.portion,
        amount=intent["amount_received"],
        tax=bought.tax,
        currency=intent["currency"],
        at=moment(charge.get("created", intent["created"])),
        top_up=bought.top_up,
        refunds=tuple(sorted((each for each, _ in given), key=lambda each: (each.at, each.id))),
        disputes=tuple(sorted((each for each, _ in contested), key=lambda each: (each.at, each.id))),
        movements=(
            *movements(charge.get("id", ""), charge.get("balance_transaction")),
            *(each for _, found in (*given, *contested) for each in found),
        ),
    )


def _received(offer: Mapping[str, int], received: int, asked: int) -> dict[str, int]:
    """What of the PT was paid for where only a part of an authorized amount was captured, rounded down."""
    if received >= asked:
        return dict(offer)
    parts = {unit: micro * received // asked for unit, micro in offer.items()}
    return {unit: micro for unit, micro in parts.items() if micro}


def is_free(session: Json) -> bool:
    """Whether a purchase by Checkout is complete and cost nothing, such as by a coupon: then there is no payment."""
    free = session.get("payment_status") == "no_payment_required"
    return free and session.get("mode") == "payment" and session.get("status") == "complete"


def free_payment(session: Json, *, units: Collection[str]) -> Payment:
    """
    What a purchase that cost nothing brings, under the session's id.

    Raises:
        UnknownPaymentError: It does not say for whom, or for how many PT of what.
    """
    name, metadata = session["id"], metadata_of(session)
    return Payment(
        id=name,
        account=account_in(metadata, name),
        offer=offer_in(metadata, name, units),
        amount=0,
        tax=0,
        currency=session["currency"],
        at=moment(session["created"]),
    )


def refund(document: Json) -> tuple[Refund, tuple[Movement, ...]]:
    """A refund, and the money that it has moved."""
    name = document["id"]
    found = Refund(
        id=name,
        amount=document["amount"],
        stage=_stage(_REFUNDS, document, name),
        at=moment(document["created"]),
        problem=document.get("failure_reason") or "",
    )
    fields = ("balance_transaction", "failure_balance_transaction")
    return found, movements(name, *(document.get(field) for field in fields))


def dispute(document: Json) -> tuple[Dispute, tuple[Movement, ...]]:
    """
    A dispute, and the money that it has moved.

    A lost one keeps what was withdrawn less what was reinstated: a bank may give a part back.
    """
    name, amount = document["id"], document["amount"]
    stage = _stage(_DISPUTES, document, name)
    moved = movements(name, *document.get("balance_transactions", ()))
    withdrawn = -sum(each.amount for each in moved if each.amount < 0)
    kept = -sum(each.amount for each in moved)
    if stage is DisputeStage.LOST and withdrawn:
        amount = amount * kept // withdrawn
    evidence: Json = document.get("evidence_details") or {}
    found = Dispute(
        id=name,
        amount=amount,
        stage=stage,
        at=moment(document["created"]),
        reason=document.get("reason") or "",
        respond_by=moment(evidence["due_by"]) if evidence.get("due_by") else None,
    )
    return found, moved


def movements(source: str, *transactions: Any) -> tuple[Movement, ...]:
    """Those balance transactions that are there already, and whole."""
    return tuple(
        Movement(
            id=each["id"],
            category=each["reporting_category"],
            amount=each["amount"],
            fee=each["fee"],
            currency=each["currency"],
            source=source,
            at=moment(each["created"]),
        )
        for each in transactions
        if not isinstance(each, str | None)
    )


def last_of(page: Json) -> str | None:
    """After what a list goes on; ``None`` if it does not, or if that cannot be said because a page is empty."""
    return page["data"][-1]["id"] if page["data"] and page["has_more"] else None


def metadata_of(document: Json) -> Json:
    """What somebody has noted on an object."""
    return document.get("metadata") or {}


def says_what(metadata: Json) -> bool:
    """Whether it says who paid for what."""
    return ACCOUNT in metadata or TOP_UP in metadata


def tax_of(session: Json) -> int:
    """How much of what was paid in a Checkout session is tax, in minor units."""
    details: Json = session.get("total_details") or {}
    return details.get("amount_tax") or 0


def account_in(metadata: Json, name: str) -> str:
    """
    Whose payment it is.

    Raises:
        UnknownPaymentError: It does not say, or nothing that can name an account.
    """
    account = metadata.get(ACCOUNT, "")
    if not account:
        raise UnknownPaymentError(name, f"its metadata has no {ACCOUNT}")
    try:
        check_name(account)
    except InvalidArgumentError as error:
        raise UnknownPaymentError(name, str(error)) from error
    return account


def offer_in(metadata: Json, name: str, units: Collection[str]) -> dict[str, int]:
    """
    How many micro-PT of each unit it pays for; none if it names an automatic top-up, which knows that itself.

    Raises:
        UnknownPaymentError: It says none, a unit that there is not, or something else than a number of PT.
    """
    asked = {key.removeprefix(PREFIX): text for key, text in metadata.items() if key.startswith(PREFIX)}
    asked = {unit: text for unit, text in asked.items() if PREFIX + unit not in (ACCOUNT, TOP_UP, *_OTHERS)}
    try:
        offer = {unit: PT.of(text).micro for unit, text in asked.items()}
    except (InvalidArgumentError, TypeError) as error:
        raise UnknownPaymentError(name, f"its metadata says {asked}: {error}") from error
    if unknown := sorted(offer.keys() - set(units)):
        raise UnknownPaymentError(name, f"there are no PT of {', '.join(unknown)} on this platform")
    if any(micro <= 0 for micro in offer.values()) or not (offer or metadata.get(TOP_UP)):
        raise UnknownPaymentError(
            name, f"its metadata says {asked or 'nothing'} of how many PT it pays for"
        )
    return offer


_OTHERS: Final = tuple(PREFIX + name for name in ("plan", "interval", "key"))


def moment(seconds: int) -> datetime:
    """A time as Stripe gives it."""
    return datetime.fromtimestamp(seconds, UTC)


def _stage(stages: Mapping[str, Any], document: Json, name: str) -> Any:
    status = document["status"]
    if status not in stages:
        raise UnknownPaymentError(
            name, f"its status is {status!r}, which this version of ptmeter does not know"
        )
    return stages[status]
