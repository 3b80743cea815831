"""Referrals: codes, who used them, and what that earned."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Final

from ..asking import typed
from ..domain.referrals import ALPHABET, CODE_LENGTH, trace
from ..errors import ConfigurationError
from ..operations import referral_figures, referring
from ..operations.posting import alone
from ..operations.referring import Seen

if TYPE_CHECKING:
    from ..domain.pt import Money
    from ..domain.referral_terms import Bound, ReferralTerms
    from ..domain.referrals import Referral, ReferralStats
    from .platform import AsyncPlatform

DRAWN: Final = 4
"""So many codes are drawn at once: that all of them are somebody's does not happen."""


@typed
class AsyncReferrals:
    """
    Referrals: ``meter.referrals``.

    Every account has a code; a new account uses one, once, and its first payment is rewarded as the plans say. A
    refund of that payment takes the reward back. A card's fingerprint and an address are kept only as hashes with
    ``Policy.referral_key``, and only where the plans set a bound for them.
    """

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def code(self, account: str, *, card: str | None = None, ip: str | None = None) -> str:
        """
        The account's code, always the same: drawn by chance when it is first asked for.

        *card* and *ip* are what its owner is seen with, so that they are not taken for somebody else's.

        Raises:
            ConfigurationError: The plans have no referrals, or the policy no ``referral_key`` and one is needed.
        """
        seen = self._seen(self._terms(), card, ip)
        drawn = ["".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH)) for _ in range(DRAWN)]
        draw = partial(referring.code, account=account, candidates=drawn, seen=seen)
        return await self._platform.run(draw)

    async def use(
        self, code: str, *, account: str, key: str, card: str | None = None, ip: str | None = None
    ) -> Referral:
        """
        Note that a new account came by a code, however that is typed.

        Args:
            code: What the user gave, or a link had.
            account: The new account.
            key: Your own name for the request. The same again returns the referral as it now stands.
            card: The fingerprint of its card, if it is known already: Stripe's ``card.fingerprint``.
            ip: The address it signed up from.

        Raises:
            ReferralRefusedError: It may not use it; ``reason`` says why.
            IdempotencyConflictError: The key was used with other arguments.
            ConfigurationError: The plans have no referrals, or the policy no ``referral_key`` and one is needed.
        """
        terms = self._terms()
        work = partial(
            referring.use,
            code=code,
            account=account,
            terms=terms,
            seen=self._seen(terms, card, ip),
            key=key,
        )
        return await self._platform.run(work)

    async def paid(
        self,
        account: str,
        *,
        payment: Money,
        payment_id: str,
        card: str | None = None,
        ip: str | None = None,
    ) -> Referral | None:
        """
        Reward the first payment of an account that was referred; ``None`` if it is not that, and earns nothing.

        Call it for every payment: the payment is the key. What is earned in PT is granted at once, money is
        left in the outbox as ``referral.reward``. A payment from a card that too many accounts have is not
        rewarded, and the referral says so (``state``, ``refusal``); it is no error.

        Raises:
            IdempotencyConflictError: The payment came before with another amount, or of another account.
            InvalidArgumentError: It is nothing, or in another currency than the PT sell in that it earns.
            AccountFrozenError: Who is to be rewarded has a wallet that was closed; nothing was given.
            ConfigurationError: The plans have no referrals, or the policy no ``referral_key`` and one is needed.
        """
        terms = self._terms()
        work = partial(
            referring.paid,
            account=account,
            payment=payment,
            payment_id=payment_id,
            terms=terms,
            sells_at={name: unit.sells_at for name, unit in self._platform.pricing.card.units.items()},
            seen=self._seen(terms, card, ip),
        )
        return await self._platform.run(partial(alone, work=work))

    async def refunded(self, payment_id: str, *, amount: Money | None = None) -> Referral | None:
        """
        Take back what a refunded payment earned; ``None`` if it earned nothing.

        *amount* is what was refunded of it so far, in all, as Stripe's ``amount_refunded``; left out, all of it.
        So it makes no difference how often or in which order that is said. PT are taken from the lot they were
        given as, as far as they are free there; what is not is the reward's ``shortfall``. Of money the outbox
        has a ``referral.reversal``.

        Raises:
            InvalidArgumentError: More was refunded than was paid, or in another currency.
        """
        work = partial(referring.refunded, payment_id=payment_id, amount=amount)
        return await self._platform.run(partial(alone, work=work))

    async def list(
        self, account: str, *, before: str | None = None, limit: int = 100
    ) -> tuple[Referral, ...]:
        """
        Who used the account's code, the latest first, a page at a time: pass the last one's account on as *before*.

        Raises:
            InvalidArgumentError: *limit* is not positive, or *before* was not referred by the account.
        """
        return await self._platform.read(
            partial(referral_figures.listed, account=account, before=before, limit=limit)
        )

    async def stats(self, account: str) -> ReferralStats:
        """
        How far an account has come: its referrals, its tier, and what it earned and had to give back.

        Raises:
            ConfigurationError: The plans have no referrals.
        """
        return await self._platform.read(
            partial(referral_figures.stats, account=account, terms=self._terms())
        )

    def _terms(self) -> ReferralTerms:
        plans = self._platform.plans
        if plans is None or plans.referrals is None:
            msg = "there are no referrals: open the meter with plans that have a section `referrals`"
            raise ConfigurationError(msg)
        return plans.referrals

    def _seen(self, terms: ReferralTerms, card: str | None, ip: str | None) -> Seen:
        """What is to be looked at of what the caller passed, and only as a hash."""
        bounds = terms.bounds
        return Seen(self._trace("card", card, bounds.card), self._trace("ip", ip, bounds.ip))

    def _trace(self, what: str, value: str | None, bound: Bound | None) -> bytes | None:
        if value is None or bound is None:
            return None
        if not self._platform.policy.referral_key:
            msg = (
                f"the plans bound referrals by {what}, which is kept as a hash with a key: open the meter with "
                f"Policy(referral_key=...), secret and always the same"
            )
            raise ConfigurationError(msg)
        return trace(self._platform.policy.referral_key, what, value)
