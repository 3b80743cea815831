"""
What the operations need from the outside: books to read and write in one transaction, stores to open them.

A transaction is a plain function of `Books`. `Store.run` carries it out in one database transaction and
`AsyncStore.run` does the same with the same function, so no use case is written twice.

A use case that posts does not write itself: it *yields* the groups it wants posted and is sent their
outcomes. So whoever carries it out can put the groups of many callers through the door as one batch.
"""

from .accounts import Accounts
from .books import Books, Calibrations, Cards, Ledger, Periods, Prices
from .checkpoints import Checkpoints
from .messages import Outbox, TopUps
from .mitigations import Mitigations
from .quarantine import Quarantine
from .referrals import Referrals
from .stores import AsyncStore, Posting, Store

__all__ = [
    "Accounts",
    "AsyncStore",
    "Books",
    "Calibrations",
    "Cards",
    "Checkpoints",
    "Ledger",
    "Mitigations",
    "Outbox",
    "Periods",
    "Posting",
    "Prices",
    "Quarantine",
    "Referrals",
    "Store",
    "TopUps",
]
