"""Referrals: codes, a row for each account that used one, and hashes of where they were seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select, update

from ..domain.instants import microseconds, moment
from ..domain.pt import Money
from ..domain.referral_terms import RewardKind
from ..domain.referrals import Referral, ReferralRefusal, ReferralState, Reward
from .referral_tables import referral, referral_code, referral_trace
from .rows import id_from, id_row, names_its_row
from .statements import inserted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row


NOBODY: Final = ""
"""In whose name a trace is locked: no account can be called so."""

STATES: Final = {
    ReferralState.USED: 0,
    ReferralState.REWARDED: 1,
    ReferralState.REVERSED: 2,
    ReferralState.REFUSED: 3,
}
_STATE_OF = {number: state for state, number in STATES.items()}


class SqlReferrals:
    """Referrals inside one transaction."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    # --- codes ---

    def code_of(self, account: str) -> str | None:
        """See `ports.Referrals.code_of`."""
        query = select(referral_code.c.code).where(referral_code.c.account == account)
        return self._connection.execute(query).scalar()

    def owner_of(self, code: str) -> str | None:
        """See `ports.Referrals.owner_of`."""
        query = select(referral_code.c.account).where(referral_code.c.code == code)
        return self._connection.execute(query).scalar()

    def add_code(self, account: str, code: str) -> None:
        """See `ports.Referrals.add_code`."""
        inserted(
            self._connection,
            referral_code,
            {"account": account, "noted_at": microseconds(self._now()), "code": code},
        )

    def lock_codes(self, accounts: Iterable[str]) -> None:
        """See `ports.Referrals.lock_codes`."""
        codes = select(referral_code.c.account).where(referral_code.c.account.in_(sorted(set(accounts))))
        self._connection.execute(codes.order_by(referral_code.c.account).with_for_update()).all()

    # --- referrals ---

    def find(self, account: str) -> Referral | None:
        """See `ports.Referrals.find`."""
        row = self._connection.execute(select(referral).where(referral.c.account == account)).first()
        return None if row is None else referral_from(row)

    def asked(self, account: str) -> tuple[bytes, bytes] | None:
        """See `ports.Referrals.asked`."""
        query = select(referral.c.request_id, referral.c.fingerprint).where(referral.c.account == account)
        row = self._connection.execute(query).first()
        return row and (id_from(row.request_id), id_from(row.fingerprint))

    def find_payment(self, payment_id: str) -> Referral | None:
        """See `ports.Referrals.find_payment`."""
        query = select(referral).where(referral.c.payment_id == payment_id)
        row = self._connection.execute(query).first()
        return None if row is None else referral_from(row)

    def add(self, new: Referral, request: bytes, fingerprint: bytes) -> bool:
        """See `ports.Referrals.add`."""
        row = {
            "account": new.account,
            "request_id": id_row(request),
            "fingerprint": id_row(fingerprint),
            "used_at": microseconds(new.used_at),
            "referrer": new.referrer,
            "code": new.code,
        }
        return inserted(self._connection, referral, row | _changing(new))

    def save(self, changed: Referral) -> None:
        """See `ports.Referrals.save`."""
        this = update(referral).where(referral.c.account == changed.account)
        self._connection.execute(this.values(_changing(changed)))

    def uses(self, referrer: str, since: datetime | None = None) -> int:
        """See `ports.Referrals.uses`."""
        query = select(func.count()).select_from(referral).where(referral.c.referrer == referrer)
        if since is not None:
            query = query.where(referral.c.used_at > microseconds(since))
        return self._connection.execute(query).scalar_one()

    def count(self, referrer: str) -> int:
        """See `ports.Referrals.count`."""
        query = (
            select(func.count())
            .select_from(referral)
            .where(referral.c.referrer == referrer, referral.c.state == STATES[ReferralState.REWARDED])
        )
        return self._connection.execute(query).scalar_one()

    def listed(
        self, referrer: str, *, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Referral]:
        """See `ports.Referrals.listed`."""
        query = select(referral).where(referral.c.referrer == referrer)
        if before is not None:
            at = microseconds(before[0])
            same = and_(referral.c.used_at == at, referral.c.account > before[1])
            query = query.where(or_(referral.c.used_at < at, same))
        latest = query.order_by(referral.c.used_at.desc(), referral.c.account)
        return [referral_from(row) for row in self._connection.execute(latest.limit(limit))]

    # --- traces ---

    def lock_traces(self, traces: Sequence[bytes]) -> None:
        """
        See `ports.Referrals.lock_traces`: a row of nobody's stands for each.

        It is locked before it is inserted: whoever inserts what is there shares a lock of it on MySQL, and two of
        those would wait for each other.
        """
        ids = sorted(map(id_row, traces))
        if missing := set(ids) - self._lock(ids):
            at = microseconds(self._now())
            for trace_id in sorted(missing):
                inserted(
                    self._connection,
                    referral_trace,
                    {"trace_id": trace_id, "noted_at": at, "account": NOBODY},
                )
            self._lock(ids)

    def _lock(self, ids: Sequence[int]) -> set[int]:
        locks = select(referral_trace.c.trace_id).where(
            referral_trace.c.trace_id.in_(ids), referral_trace.c.account == NOBODY
        )
        ordered = locks.order_by(referral_trace.c.trace_id).with_for_update()
        return set(self._connection.execute(ordered).scalars())

    def seen(self, trace: bytes, *, beside: str, since: datetime | None) -> int:
        """See `ports.Referrals.seen`."""
        query = select(func.count()).where(
            referral_trace.c.trace_id == id_row(trace), referral_trace.c.account.not_in([NOBODY, beside])
        )
        if since is not None:
            query = query.where(referral_trace.c.noted_at > microseconds(since))
        return self._connection.execute(query).scalar_one()

    def note_traces(self, account: str, traces: Sequence[bytes]) -> None:
        """See `ports.Referrals.note_traces`."""
        at = microseconds(self._now())
        for trace_id in sorted(map(id_row, traces)):
            if not inserted(
                self._connection, referral_trace, {"trace_id": trace_id, "noted_at": at, "account": account}
            ):
                this = update(referral_trace).where(
                    referral_trace.c.trace_id == trace_id, referral_trace.c.account == account
                )
                self._connection.execute(this.values(noted_at=at))


# --- rows ---------------------------------------------------------------------------------------


@names_its_row("ptm_referral", "account")
def referral_from(row: Row[Any]) -> Referral:
    """A referral as stored."""
    return Referral(
        account=row.account,
        referrer=row.referrer,
        code=row.code,
        used_at=moment(row.used_at),
        state=_STATE_OF[row.state],
        payment_id=row.payment_id or "",
        payment=_money(row.payment, row.currency),
        refunded=_money(row.refunded, row.currency),
        paid_at=None if row.paid_at is None else moment(row.paid_at),
        rewards=tuple(map(_reward_from, json.loads(row.rewards or "[]"))),
        refusal=row.refusal and ReferralRefusal(row.refusal),
    )


def _changing(found: Referral) -> dict[str, Any]:
    """What of a referral changes after it was written down."""
    payment, refunded = found.payment, found.refunded
    return {
        "paid_at": found.paid_at and microseconds(found.paid_at),
        "payment": payment and payment.nano,
        "refunded": refunded and refunded.nano,
        "state": STATES[found.state],
        "currency": payment and payment.currency,
        "payment_id": found.payment_id or None,
        "refusal": found.refusal,
        "rewards": json.dumps([*map(_reward_row, found.rewards)], separators=(",", ":"))
        if found.rewards
        else None,
    }


def _money(nano: int | None, currency: str | None) -> Money | None:
    return None if nano is None or currency is None else Money(nano, currency)


def _reward_row(reward: Reward) -> dict[str, Any]:
    return {
        "account": reward.account,
        "kind": reward.kind,
        "what": reward.what,
        "amount": reward.amount,
        "taken_back": reward.taken_back,
        "short": reward.short,
        "lot": reward.lot,
        "expires_at": reward.expires_at and microseconds(reward.expires_at),
    }


def _reward_from(body: dict[str, Any]) -> Reward:
    expires_at = body["expires_at"]
    return Reward(
        account=body["account"],
        kind=RewardKind(body["kind"]),
        what=body["what"],
        amount=body["amount"],
        taken_back=body["taken_back"],
        short=body["short"],
        lot=body["lot"],
        expires_at=None if expires_at is None else moment(expires_at),
    )
