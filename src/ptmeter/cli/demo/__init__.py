"""
The demonstration: what ptmeter does, on a ledger of its own, with no server, key or network.

Its words are a *planned* call, an *ending*, and *figures*. It plays the application and the provider; all that
is metering goes through the public `Meter`, as it would in an application, and all figures but the counts of
endings are read back from the ledger.
"""

from __future__ import annotations

from .command import demo

__all__ = ["demo"]
