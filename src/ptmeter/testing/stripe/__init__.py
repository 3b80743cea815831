"""
A fake Stripe: stateful, on the loopback interface, with signed webhooks and faults on purpose.

It owns a server that speaks Stripe's API as far as billing needs it, so that the code under test is the same that
talks to Stripe. What always holds: the same run of requests has the same ids and events; money that moves leaves a
balance transaction whose ``net`` is ``amount - fee``; every change of state leaves its event. It must not know
anything of ptmeter, and needs nothing beside the standard library; only `FakeStripe.client` imports ``stripe``.
"""

from __future__ import annotations

from .delivery import Delivery, signature
from .fake import FakeStripe, Webhook
from .faults import DROP, Fault
from .refusals import RefusedError
from .settings import Settings

__all__ = ["DROP", "Delivery", "FakeStripe", "Fault", "RefusedError", "Settings", "Webhook", "signature"]
