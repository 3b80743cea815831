"""PT in: grants and corrections."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.selling import divide
from ..operations import funding
from ..operations.earning import dollars

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.pt import Money, Whole
    from ..domain.receipts import Granted
    from .platform import AsyncPlatform


@typed
class AsyncFunds:
    """PT in: ``meter.funds``."""

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def grant(
        self,
        account: str,
        *,
        source: str,
        key: str,
        priority: int = 50,
        expires_at: datetime | None = None,
        paid: Whole | Money | None = None,
        **amounts: Whole,
    ) -> Granted:
        """
        Give PT to an account, which comes into being if it is new.

        Args:
            account: Your own name for who is billed.
            source: Where they come from: a plan, a top-up, a promotion. It stays on the journal.
            key: The fact they are given for, such as a payment's id.
            priority: Lower burns first; 50 unless said.
            expires_at: When what is left lapses; never, if left out.
            paid: What they sold for, all together and before tax, in US dollars: that is earned as they are used.
                0 for what is given away; left out, they earn what the rate card says that one sells at.
            amounts: Whole PT by unit.

        Raises:
            InvalidArgumentError: What was paid is negative or not in US dollars.
        """
        micro = self._platform.micro(amounts)
        said = None if paid is None else dollars(paid)
        give = partial(
            funding.grant,
            account=account,
            amounts=micro,
            paid={} if said is None else divide(said, micro, self._platform.sells_at),
            said=said,
            source=source,
            key=key,
            priority=priority,
            expires_at=expires_at,
        )
        return await self._platform.post(account, key, give)

    async def adjust(self, account: str, *, reason: str, key: str, **amounts: Whole) -> Granted:
        """
        Correct an account by signed amounts, with the reason; a negative one needs PT available.

        Raises:
            InsufficientFundsError: Less is available than is to be taken.
        """
        correct = partial(
            funding.adjust,
            account=account,
            amounts=self._platform.micro(amounts),
            reason=reason,
            key=key,
        )
        return await self._platform.post(account, key, correct)
