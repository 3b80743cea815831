"""
The Stripe wire: what arrives from there is checked and read here, what is asked of it is sent from here.

Words: an endpoint (where Stripe sends webhooks, and the secrets they are signed with), an event (a hint that
something happened), its subject (what is looked up because of it). Nothing that Stripe sends is believed before
its signature was checked, and no amount is taken from a webhook's body: the subject is fetched for that. The SDK
is imported when the first request is sent, and never builds objects of what arrives.
"""

from .endpoints import API_VERSION, Endpoint, Stripe
from .settings import Invoices, Metered, Tax

__all__ = ["API_VERSION", "Endpoint", "Invoices", "Metered", "Stripe", "Tax"]
